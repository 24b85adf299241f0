"""What a redrive does not send, and what it says: nothing that is not whole, nothing but inputs, nothing too large."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas import bounds, deadletters
from schemas.unreadable import Unreadable
from stream_app.ingest.mapping import BadRow
from stream_app.ingest.redrive import DeadLetteredRecord, Way
from stream_app.kafka.topics import Topics

TOPICS = Topics("in.", "out.", 3, 2)
INPUTS = (TOPICS.predictions, TOPICS.outcomes, TOPICS.operator_commands, TOPICS.training_results)


def letter(topic: str, value: bytes | None, reason: str = "future", headers: Any = ()) -> DeadLetteredRecord:
    """As it is read back from the dead-letter topic."""
    arrived: Any = SimpleNamespace(topic=topic, partition=0, offset=5, key=b"k", value=value, headers=list(headers))
    built = deadletters.build(arrived, "labels", reason, "why")
    added = deadletters.added(built.headers)
    record = SimpleNamespace(key=built.key, value=built.value, headers=built.headers)
    return DeadLetteredRecord(0, 0, added[deadletters.TOPIC], (0, 5), added[deadletters.REASON], "", 0, record, added)


def refusal(found: DeadLetteredRecord, **limits: int) -> str:
    with pytest.raises(BadRow) as caught:
        Way(TOPICS, None, limits).value(found)
    return str(caught.value)


@pytest.mark.parametrize("topic", INPUTS)
def test_an_input_goes_back_as_it_came(topic: str) -> None:
    strange = [(deadletters.TRUNCATED, b"{}"), (deadletters.REASON, b"unreadable_batch")]
    found = letter(topic, b"v" * 1_000_000, headers=strange)
    assert Way(TOPICS, None, {topic: bounds.MESSAGE}).value(found) == b"v" * 1_000_000
    assert deadletters.original(found.record.headers) == strange


@pytest.mark.parametrize("topic", [s.name for s in TOPICS.specs() if s.name not in INPUTS] + ["theirs", "in.clock"])
def test_no_other_topic_is_written_to(topic: str) -> None:
    assert refusal(letter(topic, b"{}")).startswith(f"{topic} is no input of the pipeline")


@pytest.mark.parametrize("topic", INPUTS)
def test_what_was_cut_short_stays(topic: str) -> None:
    assert refusal(letter(topic, b"v" * (2 << 20))).startswith("oversized: it was cut short")


@pytest.mark.parametrize("reason", ["unreadable_batch", "unreadable_record"])
def test_what_could_not_be_read_stays(reason: str) -> None:
    value = Unreadable.of(b"raw", reason=reason, error="why", span=(1, 9), records=9, sha256="00")
    assert refusal(letter(TOPICS.predictions, value)).startswith(f"{reason}: its bytes could not be read")


def test_what_its_topic_would_refuse_is_found_before_it_is_sent() -> None:
    text = refusal(letter(TOPICS.predictions, b"v" * 200_000), **{TOPICS.predictions: 100_000})
    assert "in.predictions takes, whose max.message.bytes is 100000" in text
