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
    written: dict[str, bytes] = {}
    sent: set[tuple[int, int]] = set()
    for _ in range(3):
        # who looked early does not know the newest of them
        before = data.draw(st.sampled_from([20, 40, 61]))
        everything, found = found, [one for one in found if one.offset < before]
        notes = Notes(TOPICS, found)
        notes.take(written)
        assert {(one.partition, one.offset) for one in found if notes.sent(one)} == sent & {
            (one.partition, one.offset) for one in found
        }
        fresh = [one for one in found if not notes.sent(one)]
        batch = [one for one in fresh if data.draw(st.booleans())]
        written |= notes.with_(batch)
        sent |= {(one.partition, one.offset) for one in batch}
        gone = data.draw(st.integers(0, 10))
        found = [one for one in everything if one.offset >= gone]  # retention takes the oldest


def test_a_note_that_its_topic_would_refuse_is_refused_before_anything_is_sent() -> None:
    notes = Notes(TOPICS, [letter(0, offset) for offset in range(600_000)])
    with pytest.raises(Incompatible, match="send the others first"):
        notes.with_([letter(0, offset) for offset in range(0, 600_000, 2)])


def test_notes_of_another_applications_letters_under_the_same_inputs_are_kept_apart() -> None:
    mine, other = Notes(TOPICS, [letter(0, 1)]), Notes(Topics("", "other.", 3, 2), [letter(0, 1)])
    assert not mine.with_([letter(0, 1)]).keys() & other.with_([letter(0, 1)]).keys()
