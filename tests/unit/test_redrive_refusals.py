"""What a redrive does not send, and what it says: nothing that is not whole, nothing but inputs, nothing too large."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import bounds, deadletters
from schemas.deadletters import FOREIGN
from schemas.unreadable import Unreadable
from stream_app.cli.dead_letters import _row
from stream_app.ingest.mapping import BadRow
from stream_app.ingest.redrive import DeadLetteredRecord, Way, dead_lettered
from stream_app.kafka.topics import Topics
from stream_app.web.pipeline_view import _sample

TOPICS = Topics("in.", "out.", 3, 2)
INPUTS = (TOPICS.predictions, TOPICS.outcomes, TOPICS.operator_commands, TOPICS.training_results)
PARTITIONS = dict.fromkeys(INPUTS, 3)


def letter(topic: str, value: bytes | None, reason: str = "future", headers: Any = ()) -> DeadLetteredRecord:
    """As it is read back from the dead-letter topic."""
    arrived: Any = SimpleNamespace(topic=topic, partition=0, offset=5, key=b"k", value=value, headers=list(headers))
    built = deadletters.build(arrived, "labels", reason, "why")
    added = deadletters.added(built.headers)
    record = SimpleNamespace(key=built.key, value=built.value, headers=built.headers)
    return DeadLetteredRecord(0, 0, added[deadletters.TOPIC], (0, 5), added[deadletters.REASON], "", 0, record, added)


def refusal(found: DeadLetteredRecord, **limits: int) -> str:
    with pytest.raises(BadRow) as caught:
        Way(TOPICS, None, limits, PARTITIONS).value(found)
    return str(caught.value)


@pytest.mark.parametrize("topic", INPUTS)
def test_an_input_goes_back_as_it_came(topic: str) -> None:
    strange = [(deadletters.TRUNCATED, b"{}"), (deadletters.REASON, b"unreadable_batch")]
    found = letter(topic, b"v" * 1_000_000, headers=strange)
    assert Way(TOPICS, None, {topic: bounds.MESSAGE}, PARTITIONS).value(found) == b"v" * 1_000_000
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


@pytest.mark.parametrize("topic", INPUTS)
def test_what_would_go_to_a_topic_that_is_gone_stays(topic: str) -> None:
    with pytest.raises(BadRow, match=f"{topic} does not exist: `plumbline topics create` makes it"):
        Way(TOPICS, None, {}, {}).value(letter(topic, b"{}"))


@pytest.mark.parametrize("topic", [TOPICS.predictions, TOPICS.outcomes])
def test_what_stood_in_a_partition_that_is_gone_stays(topic: str) -> None:
    found = dataclasses.replace(letter(topic, b"{}"), origin=(2, 5))
    with pytest.raises(BadRow, match="was made anew with fewer partitions"):
        Way(TOPICS, None, {}, {topic: 2}).value(found)
    assert Way(TOPICS, None, {}, {topic: 3}).value(found) == b"{}"


HEADER_NAMES = st.sampled_from([*deadletters.HEADERS, *deadletters.MORE_HEADERS, "x", ""])
HEADER_VALUES = st.none() | st.binary(max_size=8) | st.sampled_from(
    [b"0", b"7", b"-1", b"1e3", b"9" * 5_000, str(2**63).encode(), b"ml.predictions", b"\xff", "١".encode()]
)  # fmt: skip
#: Whoever writes a record writes its time.
STAMPS = st.sampled_from([-1, 0, 1_772_445_600_000, 2**62])


@given(headers=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=14), value=st.none() | st.binary(), at=STAMPS)
def test_whatever_strangers_write_among_them_is_shown_and_never_sent(
    headers: list[tuple[str, bytes | None]], value: bytes | None, at: int
) -> None:
    record: Any = SimpleNamespace(
        topic=TOPICS.dead_letters, partition=1, offset=9, key=None, value=value, headers=headers, timestamp=at
    )
    found = dead_lettered(record)
    row = _row(found, True)
    assert json.loads(json.dumps(row)) == row
    sample = _sample(deadletters.added(headers), at)
    if found.reason == FOREIGN:
        assert (row["topic"], row["partition"], row["offset"], row["reason"]) == (TOPICS.dead_letters, 1, 9, FOREIGN)
        assert (found.stays(TOPICS) or "").startswith("foreign: not written by Plumbline")
    else:
        assert {name for name, text in headers if text is not None} >= set(deadletters.HEADERS)
        assert found.origin == (sample["partition"], sample["offset"]) == (row["partition"], row["offset"])


@given(where=st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)))
def test_ours_among_them_is_known(where: tuple[int, int]) -> None:
    arrived: Any = SimpleNamespace(topic="t", partition=where[0], offset=where[1], key=b"k", value=b"v", headers=[])
    built = deadletters.build(arrived, "labels", "future", "why")
    record: Any = SimpleNamespace(
        topic=TOPICS.dead_letters, partition=0, offset=0, key=built.key, value=built.value, headers=built.headers,
        timestamp=5,
    )  # fmt: skip
    assert (dead_lettered(record).origin, dead_lettered(record).reason) == (where, "future")
