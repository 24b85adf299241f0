"""Any bytes on the topics that the trainer and the deployer read: they skip them, count them and go on."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from hypothesis import given
from hypothesis import strategies as st

from schemas.common import rfc3339
from schemas.training import DataRange, TrainingCommand, TrainingData, TrainingResult
from stream_app.errors import Incompatible
from stream_app.kafka import arrived
from stream_app.kafka.topics import Topics
from stream_app.reference import rows
from stream_app.reference.commands import HEADER, KINDS, CommandReader, ReceivedCommand
from stream_app.reference.rows import Encoding
from tests.laws.test_laws import LAWFUL
from tests.support.seeds import OUTCOME, PREDICTION, RESULTS
from tests.support.spoil import ODD_VALUES, spoiled

TOPICS = Topics("ml.", "plumbline.", 3, 4)
TP = TopicPartition(TOPICS.training_commands, 1)
ID = "4f0c2f2a-6f2f-5d5e-8f3e-2b8f0b6f7a10"
RANGE = {
    "from": "2026-03-01T00:00:00.000Z",
    "to": "2026-03-02T00:00:00.000Z",
    "offsets": {"ml.predictions": {"0": [0, 9]}},
}
COMMAND: dict[str, Any] = {
    "schema": "io.plumbline.training-command.v1", "id": ID, "at": "2026-03-02T04:00:00.000Z", "model": "churn:acme",
    "model_type": "churn", "tenant_id": "acme", "command": "train", "command_id": ID, "attempt": 1,
    "model_version": "v1", "expected_current_version": "v1", "data": {"train": RANGE, "holdout": RANGE},
    "reply_topic": TOPICS.training_results, "reply_partition": 1,
}  # fmt: skip
SEEDS = (json.dumps(COMMAND).encode(), *RESULTS, PREDICTION, OUTCOME)


def record(value: bytes | None, topic: str = "t", headers: Any = ()) -> Any:
    return SimpleNamespace(topic=topic, partition=1, offset=7, key=b"k", value=value, headers=headers)


class Reading(CommandReader):
    """Without a broker: what is answered is kept, and found again."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        super().__init__("127.0.0.1:1", {}, TOPICS, "g", kinds)
        self.said: list[tuple[str, int, dict[str, Any]]] = []
        self._producer = self

    async def send_and_wait(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        self.said.append((topic, partition, json.loads(value)))

    async def _results(self, tp: TopicPartition) -> Any:
        for topic, partition, row in self.said:
            if (topic, partition) == tp:
                yield msgspec.convert(row, TrainingResult)


def a_reader(kinds: tuple[str, ...] = ("train", "cancel")) -> Reading:
    return Reading(kinds)


class Handed:
    """A consumer that hands out what it was given, once."""

    def __init__(self, *records: Any) -> None:
        self.records = list(records)

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found, self.records = self.records, []
        return {TP: found}


async def taken(*records: Any, kinds: tuple[str, ...] = ("train", "cancel")) -> list[ReceivedCommand]:
    orders = a_reader(kinds)
    orders._consumer = Handed(*records)
    return await orders.read()


names = st.sampled_from((HEADER, "other"))
headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=6) | st.sampled_from((b"train", b"\xff\xfe"))))


@LAWFUL
@given(st.none() | spoiled(SEEDS), headers)
def test_no_bytes_and_no_headers_stop_the_reader_of_commands(value: bytes | None, headers: Any) -> None:
    command = a_reader()._command(record(value, headers=headers))
    if command is not None:
        assert command.command in ("train", "cancel")
        assert command.reply_topic == TOPICS.training_results


@LAWFUL
@given(st.none() | spoiled(SEEDS))
def test_no_bytes_stop_the_readers_of_results_and_rows_nor_what_is_learnt_from_them(value: bytes | None) -> None:
    from stream_app.reference.commands import _results

    arrived.decoded(_results.decode, record(value))
    always = DataRange(from_=rfc3339(0), to=rfc3339(2**42), offsets={})
    wanted = rows.Wanted("churn:acme", False, TrainingData(always, always), 100, silence_is_negative=True)
    sample = rows.KeptPredictions(wanted)
    outcomes: dict[str, tuple[int, bool]] = {}
    rows._take_prediction(record(value), wanted, sample)
    rows._take_outcome(record(value), outcomes, sample.kept)
    features = [row.features for row in sample.rows(outcomes, cut=False).holdout]
    Encoding.of(features).matrix(features)
    json.dumps(features, allow_nan=False)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=lambda odd: repr(odd[:20]))
@pytest.mark.parametrize("field", [*COMMAND, "junk"])
async def test_a_good_command_behind_an_odd_one_is_read(field: str, odd: bytes) -> None:
    mark = json.dumps(COMMAND | {field: "\x01"}).encode()
    good = record(SEEDS[0], headers=[(HEADER, b"train")])
    bad = record(mark.replace(b'"\\u0001"', odd), headers=[(HEADER, b"train")])
    assert [order.command.command_id for order in await taken(bad, good)][-1:] == [ID]


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", None, b"train\x00", b"TRAIN"])
async def test_a_header_that_names_no_command_leaves_it_to_the_value(value: bytes | None) -> None:
    found = await taken(record(SEEDS[0], headers=[(HEADER, value)]))
    assert [order.command.command for order in found] == ["train"]
    assert await taken(record(SEEDS[0], headers=[(HEADER, value)]), kinds=("activate", "rollback")) == []


async def test_others_commands_are_not_even_decoded(caplog: pytest.LogCaptureFixture) -> None:
    before = arrived.SKIPPED.total()
    others = [kind for kind in KINDS if kind not in ("train", "cancel")]
    assert others
    assert await taken(*(record(b"{", headers=[(HEADER, kind.encode())]) for kind in others)) == []
    assert arrived.SKIPPED.total() == before


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"reply_topic": "ml.predictions"}, {"reply_topic": "other.training-results"}, {"reply_topic": "x" * 249},
        {"reply_topic": "__consumer_offsets"}, {"reply_topic": ".."}, {"reply_partition": 4},
        {"reply_partition": 2**31 - 1},
    ],
    ids=str,
)  # fmt: skip
async def test_nobody_has_an_answer_written_elsewhere(
    elsewhere: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrived, "_said", {})
    with caplog.at_level(logging.WARNING):
        assert await taken(record(json.dumps(COMMAND | elsewhere).encode())) == []
    assert f"answers stand in {TOPICS.training_results}, partitions 0 to 3" in caplog.text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"data": 7}, "data"),
        ({"data": {"train": RANGE | {"offsets": {"ml.predictions": {"0": [-1, 5]}}}, "holdout": RANGE}}, "offsets"),
        ({"data": {"train": RANGE | {"offsets": {"ml.predictions": {"-1": [0, 5]}}}, "holdout": RANGE}}, "offsets"),
        ({"data": {"train": RANGE | {"offsets": {"ml.predictions": {"0": [0, 2**70]}}}, "holdout": RANGE}}, "offsets"),
        ({"expected_current_version": ".."}, "expected_current_version"),
        ({"artifact_sha256": "abc"}, "artifact_sha256"),
    ],
    ids=str,
)
async def test_a_command_that_has_an_address_and_no_sense_is_told_so_once(fields: dict[str, Any], why: str) -> None:
    orders = a_reader()
    for _ in range(3):
        orders._consumer = Handed(record(json.dumps(COMMAND | fields).encode()))
        assert await orders.read() == []
    ((topic, partition, row),) = orders.said
    assert (topic, partition, row["status"], row["command_id"]) == (TOPICS.training_results, 1, "failed", ID)
    assert row["error"].startswith("the command cannot be read: ")
    assert why in row["error"]
    # and nobody is, whose answer would stand elsewhere, or who only calls back
    for more in ({"reply_topic": "ml.predictions"}, {"reply_partition": 4}, {"command": "cancel"}):
        orders._consumer = Handed(record(json.dumps(COMMAND | fields | more | {"attempt": 2}).encode()))
        assert await orders.read() == []
    assert len(orders.said) == 1


async def test_a_group_that_rebalanced_meanwhile_ends_nobody() -> None:
    class Late:
        asked = 0

        def assignment(self) -> set[TopicPartition]:
            return {TP}

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            self.asked += 1
            raise CommitFailedError

    orders, late = a_reader(), Late()
    orders._consumer = late
    await orders.done(ReceivedCommand(msgspec.json.decode(json.dumps(COMMAND), type=TrainingCommand), TP, 7))
    assert late.asked == 1


async def test_any_error_can_be_answered() -> None:
    sent = msgspec.json.decode(json.dumps(COMMAND), type=TrainingCommand)
    orders = a_reader()
    for text in ("no file \udcff", "\ud800" * 5_000, "\0", "é" * 5_000, "😀" * 5_000):
        await orders.answer(ReceivedCommand(sent, TP, 7), "failed", error=text)
    told = [msgspec.convert(row, TrainingResult).error or "" for _, _, row in orders.said]
    assert told[0] == "no file ?"
    assert all(0 < len(text.encode()) <= 1_000 for text in told)


def test_what_is_skipped_is_counted_and_said_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(arrived, "_said", {})
    monkeypatch.setattr(arrived.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(500):
            assert arrived.decoded(msgspec.json.decode, record(b"[" * 100_000, "counted")) is None
        now[0] += arrived.QUIET_S
        assert arrived.decoded(msgspec.json.decode, record(None, "counted")) is None
    assert arrived.SKIPPED["counted"] == 501
    assert [text.getMessage().split("(")[-1] for text in caplog.records] == [
        "1 of this topic so far)", "501 of this topic so far)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("offsets", "sentence"),
    [
        ({"ml.training-results": {0: (0, 1)}}, "rows stand in ml.predictions and ml.outcomes"),
        ({"ml.predictions": {0: (0, 1)}, "__consumer_offsets": {0: (0, 1)}}, "names rows of __consumer_offsets"),
        ({"ml.outcomes": {3: (0, 1)}}, "its partitions are 0 to 2"),
        ({"ml.outcomes": {2: (9, 1)}}, "from offset 9 to 1, backwards"),
    ],
)
def test_rows_of_anything_but_the_inputs_are_refused_in_a_sentence(offsets: Any, sentence: str) -> None:
    with pytest.raises(Incompatible, match=sentence):
        rows._refuse_foreign(DataRange(from_=RANGE["from"], to=RANGE["to"], offsets=offsets), TOPICS)


def test_features_that_are_no_scalars_or_no_finite_numbers_do_not_reach_a_model() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    odd = {"deep": deep, "big": 10**400, "none": None, "dict": {}, "inf": float("inf"), "nan": float("nan")}
    assert rows.usable({"a": 1, "b": True, "c": "x", "d": 0.5, **odd}) == {"a": 1, "b": True, "c": "x", "d": 0.5}
    assert Encoding(("big", "a")).matrix([{"big": 10**400, "a": 2}]).tolist() == [[0.0, 2.0]]
