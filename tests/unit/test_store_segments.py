"""A store in segments: what one write may span, and that a store whose write failed can be opened again."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.segmenting import SEGMENTS, Segmenting
from stream_app.engine.store import Meta, Store, StoreMemory

HORIZON = 9
SEGMENTING = Segmenting(day_of=lambda value: int.from_bytes(value[:2], "big"), horizon_days=HORIZON)


def _meta(number: int) -> Meta:
    return Meta("cluster", "topic", 1, number, 0, b"")


def _store(path: Path) -> Store:
    return Store(path, StoreMemory(8 << 20, 8 << 20), SEGMENTING)


def _value(day: int, key: int) -> bytes:
    return day.to_bytes(2, "big") + b"%d" % key


@pytest.mark.parametrize("days", [HORIZON, 60, 400])
def test_one_write_may_span_more_days_than_the_segments_hold(tmp_path: Path, days: int) -> None:
    """A year of few rows is one checkpoint when a worker catches up."""
    entries = [(b"%d" % day, _value(day, day)) for day in range(days)]
    for name, order in (("up", entries), ("down", entries[::-1]), ("mixed", entries[::2] + entries[1::2])):
        store = _store(tmp_path / name)
        store.write(order, _meta(1))
        kept = days - 1 - HORIZON
        assert store.get_many([key for key, _ in entries[max(0, kept) :]]) == [v for _, v in entries[max(0, kept) :]]
        store.write([(b"next", _value(days, 0))], _meta(2))
        store.close()
        again = _store(tmp_path / name)
        assert again.get_many([b"next", b"%d" % (days - 1)]) == [_value(days, 0), _value(days - 1, days - 1)]
        again.close()


@given(st.lists(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9)), min_size=1, max_size=12), max_size=8))
def test_whatever_is_written_in_whatever_cuts_the_last_horizon_is_read(
    tmp_path_factory: pytest.TempPathFactory, writes: list[list[tuple[int, int]]]
) -> None:
    store, newest, top = _store(tmp_path_factory.mktemp("store") / "s"), dict[bytes, bytes](), 0
    for number, write in enumerate(writes):
        batch = {b"%d" % key: _value(day, key) for day, key in write}
        # a key moves on to later days only, as an entry of the labels table does
        batch = {key: value for key, value in batch.items() if value[:2] >= newest.get(key, b"\0\0")[:2]}
        store.write(batch.items(), _meta(number))
        newest.update(batch)
        top = max([top, *(SEGMENTING.day_of(value) for value in batch.values())])
    due = {key: value for key, value in newest.items() if SEGMENTING.day_of(value) >= top - HORIZON}
    assert store.get_many(list(due)) == list(due.values())
    assert len(store._segments) <= SEGMENTS
    store.close()


def test_a_store_whose_write_failed_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    """The lane's one way on after a failure; a lock that stays held would stop it for good."""
    store = _store(tmp_path / "s")
    store.write([(b"a", _value(1, 1))], _meta(1))
    store._db.drop_column_family("s0")  # behind its back
    with pytest.raises(Exception, match="column family"):
        store.write([(b"b", _value(1, 2))], _meta(2))
    with contextlib.suppress(Exception):
        store.close()
    again = _store(tmp_path / "s")
    again.write([(b"c", _value(1, 3))], _meta(3))
    assert again.get_many([b"c"]) == [_value(1, 3)]
    again.close()
