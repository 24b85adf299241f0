"""What was sent of the dead-lettered records is remembered exactly, whatever was chosen, in whatever order, for each
reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import Incompatible
from stream_app.ingest.redrive import DeadLetteredRecord, Notes
from stream_app.kafka.topics import Topics

TOPICS = Topics("", "", 3, 2)
REASONS = ("future", "oversized")


def letter(partition: int, offset: int, reason: str = "future") -> DeadLetteredRecord:
    return DeadLetteredRecord(partition, offset, "predictions", (0, offset), reason, "", 0, None)


@st.composite
def letters(draw: st.DrawFn) -> list[DeadLetteredRecord]:
    places = draw(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 60)), max_size=40))
    return [letter(p, o, draw(st.sampled_from(REASONS))) for p, o in sorted(places)]


@given(st.data(), letters())
def test_every_run_knows_what_all_before_it_have_sent(data: st.DataObject, found: list[DeadLetteredRecord]) -> None:
    committed: dict[tuple[str, int], str] = {}
    sent: set[tuple[int, int]] = set()
    for _ in range(3):
        notes = Notes(TOPICS, found)
        for (reason, partition), text in committed.items():
            notes.take(reason, partition, text)
        assert {(one.partition, one.offset) for one in found if notes.sent(one)} == sent & {
            (one.partition, one.offset) for one in found
        }
        fresh = [one for one in found if not notes.sent(one)]
        batch = [one for one in fresh if data.draw(st.booleans())]
        for group, noted in notes.with_(batch).items():
            for tp, offset in noted.items():
                reason = group.removeprefix(f"{TOPICS.dead_letters}-redrive-")
                committed[reason, tp.partition] = offset.metadata
                assert offset.offset == max(
                    one.offset + 1
                    for one in found
                    if notes.sent(one) and (one.reason, one.partition) == (reason, tp.partition)
                )
        sent |= {(one.partition, one.offset) for one in batch}
        gone = data.draw(st.integers(0, 10))
        found = [one for one in found if one.offset >= gone]  # retention takes the oldest


def test_a_note_that_kafka_would_refuse_is_refused_before_anything_is_sent() -> None:
    notes = Notes(TOPICS, [letter(0, offset) for offset in range(10_000)])
    with pytest.raises(Incompatible, match="send the others first"):
        notes.with_([letter(0, offset) for offset in range(0, 10_000, 2)])
