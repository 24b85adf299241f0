"""Following commands and answers of a replay: what strangers wrote beside them changes nothing."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.replay.results import ResultFollower
from tests.laws.test_laws import LAWFUL
from tests.support.seeds import RESULTS
from tests.support.spoil import spoiled
from tests.unit.reference.test_arrived import COMMAND, ID, record

TOPICS = Topics("ml.", "plumbline.", 1, 1)
ORDER = json.dumps(COMMAND).encode()
ANSWER = json.dumps({"model": "churn:acme", "command_id": ID, "attempt": 1, "status": "failed"}).encode()


class Handing:
    """A consumer that hands out, once, what stands in the two topics."""

    def __init__(self, orders: list[bytes | None], answers: list[bytes | None]) -> None:
        names = ((TOPICS.training_commands, orders), (TOPICS.training_results, answers))
        self._parts = {TopicPartition(name, 0): [record(value, name) for value in values] for name, values in names}
        self._at: dict[TopicPartition, int] = {}

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        new = {tp: records for tp, records in self._parts.items() if tp not in self._at}
        self._at = {tp: len(records) for tp, records in self._parts.items()}
        return new

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self._parts[tp]) for tp in tps}

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]


async def waiting(orders: list[bytes | None], answers: list[bytes | None]) -> set[tuple[str, int]]:
    with mock.patch.object(clients, "consumer", return_value=Handing(orders, answers)):
        return await ResultFollower("127.0.0.1:1", {}, TOPICS).read()


@LAWFUL
@given(st.lists(st.none() | spoiled((ORDER, *RESULTS)), max_size=4))
async def test_no_bytes_hide_what_waits_and_what_is_answered(odd: list[bytes | None]) -> None:
    assert (ID, 1) in await waiting([*odd, ORDER], [])
    assert (ID, 1) not in await waiting([ORDER], [*odd, ANSWER])
