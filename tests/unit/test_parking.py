"""What parks a lane, what does not, and what an open lane could do at once."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, ProducerFenced, RecordListTooLargeError

from stream_app.engine.parking import WAYS_OUT, parked_by, pure, way_out
from stream_app.errors import Broken, Incompatible, Parked, Unavailable, UnknownFormat


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MessageSizeTooLargeError(), "size_refused"),
        (MessageSizeTooLargeError("The message is 2000000 bytes"), "size_refused"),
        (RecordListTooLargeError(), "size_refused"),
        (UnknownFormat("positions record has format 9"), "unknown_format"),
        (Broken("counted twice"), "broken_invariant"),
        (Parked("unreadable_log", "a-model-log[3] offsets 5 to 9"), "unreadable_log"),
    ],
)
def test_what_would_only_repeat_itself_parks(error: Exception, reason: str) -> None:
    found = parked_by(error, "labels", 3)
    assert found is not None
    assert found.reason == reason
    assert str(error) in str(found)
    assert way_out(reason) == WAYS_OUT[reason]


@pytest.mark.parametrize(
    "error",
    [
        Incompatible("of another cluster"), Unavailable("no broker"), KafkaTimeoutError(), ProducerFenced(),
        OSError(28), MemoryError(), TimeoutError(), ValueError("outside a stage"),
        Exception("IO error: No space left on device"),
    ],
)  # fmt: skip
def test_what_may_pass_or_ends_the_worker_does_not_park(error: Exception) -> None:
    assert parked_by(error, "labels", 3) is None


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), IndexError(), ValueError(), TypeError(), ZeroDivisionError(), AttributeError(), RecursionError(),
     msgspec.DecodeError("malformed"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), AssertionError()],
)  # fmt: skip
def test_what_a_stage_raises_by_a_fault_of_its_own_is_a_broken_invariant(error: Exception) -> None:
    with (
        pytest.raises(Broken, match=r"drift\[2\]: .* in test_what_a_stage_raises.* of test_parking.py") as met,
        pure("drift", 2),
    ):
        raise error
    assert met.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), OSError(5), Exception("IO error: while pread"), Unavailable("x")])
def test_disk_and_memory_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as met, pure("drift", 2):
        raise error
    assert met.value is error


def test_every_other_reason_has_a_way_out_too() -> None:
    assert "restart this worker" in way_out("topic_made_anew")
