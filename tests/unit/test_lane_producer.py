"""What a topic would not take is found before it is sent; what the broker refuses for its size parks the lane."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas import bounds
from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import Parked


class Refusing:
    """A client whose broker answers every batch with a fault, or with nothing wrong."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.sent = fault, list[tuple[str, int]]()

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(bounds.BATCH, 0, is_transactional=True)

    async def send_batch(self, builder: BatchBuilder, topic: str, partition: int) -> Any:
        self.sent.append((topic, builder.size()))
        future = asyncio.get_running_loop().create_future()
        if self.fault is not None:
            future.set_exception(self.fault)
        else:
            future.set_result(len(self.sent))
        return future


async def lane_producer(client: Refusing) -> LaneProducer:
    config = EngineConfig("app", "broker:1", "cluster", Path("data"), message_limits={"big": bounds.DEAD_LETTER})
    producer = LaneProducer(config, "app-metrics-0")
    await producer._producer.stop()
    producer._producer = client
    return producer


async def test_a_record_that_its_topic_would_not_take_is_found_before_anything_of_it_is_sent() -> None:
    client = Refusing()
    producer = await lane_producer(client)
    await producer.send("big", 0, [(b"k", b"v" * (1 << 20), []), (b"k", b"small", [])])
    assert [topic for topic, _ in client.sent] == ["big", "big"]
    with pytest.raises(Parked, match="a batch for audit has 10486") as parked:
        await producer.send("audit", 0, [(b"k", b"v" * (1 << 20), [])])
    assert parked.value.reason == "size_refused"
    assert len(client.sent) == 2


@pytest.mark.parametrize("fault", [MessageSizeTooLargeError("no"), RecordListTooLargeError("no")])
async def test_a_refusal_for_size_parks_with_topic_and_size(fault: Exception) -> None:
    client = Refusing(fault)
    producer = await lane_producer(client)
    await producer.send("audit", 0, [(b"k", b"v" * 500_000, [])])
    with pytest.raises(Parked, match=r"a batch for audit has 500\d\d\d bytes") as parked:
        await producer.acknowledged()
    assert parked.value.reason == "size_refused"


async def test_any_other_fault_stays_what_it_is() -> None:
    producer = await lane_producer(Refusing(KafkaTimeoutError()))
    await producer.send("audit", 0, [(b"k", b"v", [])])
    with pytest.raises(KafkaTimeoutError):
        await producer.acknowledged()
