"""Records that make much of little: what a relay holds and writes at a time is bounded by what it makes."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from stream_app.ingest.relay import lane, mapper
from stream_app.ingest.relay.lane import RelayLane
from stream_app.ingest.relay.mapper import MOST_ITEMS, Mapper
from stream_app.ingest.relay.maps import load_map
from stream_app.ingest.relay.source import Unmappable
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings
from tests.unit.relay.records import record

TP = TopicPartition("app.events", 1)
ANSWER = {"ce_type": "org.kubeflow.serving.inference.response", "ce_inferenceservicename": "churn"}
QUESTION = {**ANSWER, "ce_type": "org.kubeflow.serving.inference.request"}


def answer(offset: int, scores: list[float], name: str = "k") -> Any:
    return record({"predictions": scores}, offset, ce_id=name, ce_time="2026-03-02T00:00:00Z", **ANSWER)


class RecordingProducer:
    """Notes what each transaction wrote."""

    def __init__(self) -> None:
        self.committed: list[tuple[int, int]] = []
        self._rows, self._offset = 0, 0

    async def begin(self) -> None:
        self._rows = 0

    async def send(self, topic: str, partition: int, rows: list[Any]) -> None:
        self._rows += len(rows)

    async def acknowledged(self) -> None: ...

    async def send_offsets(self, offsets: dict[TopicPartition, int]) -> None:
        self._offset = offsets[TP]

    async def commit(self) -> None:
        self.committed.append((self._offset, self._rows))


def test_a_record_of_more_items_than_a_transaction_has_time_for_is_a_dead_letter() -> None:
    at = Mapper(load_map("kserve-v1"), 1 << 20)
    assert len(at.map(answer(0, [0.5] * MOST_ITEMS))) == MOST_ITEMS
    with pytest.raises(Unmappable, match="has 50,001 items, and a record makes at most 50,000: send smaller requests"):
        at.map(answer(1, [0.5] * (MOST_ITEMS + 1)))


def test_a_batch_is_written_in_as_many_transactions_as_what_it_makes_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_ENOUGH", 100)
    producer: Any = RecordingProducer()
    batch = [answer(at, [0.5] * 40, f"k-{at}") for at in range(4, 12)]
    batch[3] = record(b"no JSON", 7, **ANSWER)
    relay = RelayLane(TP, 5, Mapper(load_map("kserve-v1"), 1 << 20), producer, topics_of(Settings()))
    counts = asyncio.run(relay.process(batch))
    assert (counts.records, counts.predictions, counts.dead_lettered) == (7, 240, 1)
    assert producer.committed == [(9, 121), (12, 120)]
    assert relay.position == 12
    assert asyncio.run(relay.process([answer(11, [0.5])])).records == 0


def test_a_join_holds_so_many_bytes_and_finds_the_same_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper, "HELD_BYTES", 3_000)
    draw = random.Random(5)
    log = []
    for offset in range(400):
        name = f"k-{draw.randrange(30)}"
        if draw.random() < 0.6:
            log.append(record({"instances": [["x" * draw.randrange(600)]]}, offset, ce_id=name, **QUESTION))
        else:
            log.append(answer(offset, [0.5], name))
    relay_map = load_map("kserve-v1")
    assert relay_map.join is not None
    relay_map = replace(relay_map, join=replace(relay_map.join, within=60))
    whole = Mapper(relay_map, 1 << 20)
    found = [whole.map(item) for item in log]
    assert sum(b"features" in made[0].value for made in found if made) > 20
    assert sum(b"features" not in made[0].value for made in found if made) > 20
    for start in (37, 151, 300):
        again = Mapper(relay_map, 1 << 20)
        for item in log[max(0, start - again.look_back) : start]:
            again.remember(item)
        assert [again.map(item) for item in log[start:]] == found[start:]
    held = whole._held
    assert held is not None
    assert held._bytes <= 3_000


def test_what_was_made_keeps_no_more_memory_than_its_length() -> None:
    at = Mapper(load_map("kserve-v1"), 1 << 20)
    one = orjson.dumps({"predictions": [0.5] * 20_000})
    tracemalloc.start()
    made = at.map(record(one, 0, ce_id="k", ce_time="2026-03-02T00:00:00Z", **ANSWER))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept / len(made) < 1_000
