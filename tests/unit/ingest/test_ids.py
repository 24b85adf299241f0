"""Ids of a load are found again, each once, with the last of its times."""

from __future__ import annotations

from stream_app.ingest.ids import Ids


def test_ids_are_found_once_with_their_last_time() -> None:
    ids = Ids()
    for number in (3, 1, 2, 1):
        ids.add(b"p-%d" % number, number * 86_400_000)
    ids.add(b"p-2", 9 * 86_400_000)
    ids.sort()
    assert len(ids) == 3
    assert {ids.place(b"p-%d" % number) for number in (1, 2, 3)} == {0, 1, 2}
    assert ids.place(b"p-4") is None
    assert [ids.before(day * 86_400_000) for day in (1, 2, 4, 10)] == [0, 1, 2, 3]
    empty = Ids()
    empty.sort()
    assert (len(empty), empty.place(b"x"), empty.before(1)) == (0, None, 0)
