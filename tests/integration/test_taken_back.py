"""Answers of aborted and of open transactions: what was taken back is none, and what stands behind an open one is not
missed."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.partitioning import partition_for
from stream_app.errors import Unavailable
from stream_app.kafka import clients
from stream_app.kafka.reading import settled
from stream_app.reference.commands import CommandReader
from tests.support.kafka_io import Prefix

ID, MODEL = "3d5f0a7e-2f2b-5c55-9a53-1f3c3c3f8a11", "churn:global"


def answer(digest: str) -> bytes:
    """A final answer to the command."""
    said = {"model": MODEL, "command_id": ID, "attempt": 1, "status": "succeeded", "candidate_version": "v2"}
    return json.dumps({**said, "artifact_sha256": digest * 64}).encode()


async def test_an_answer_that_was_taken_back_is_none_and_one_behind_an_open_transaction_is_waited_for(
    prefix: Prefix,
) -> None:
    topics, partition = prefix.topics, partition_for(MODEL.encode(), prefix.topics.model_partitions)
    topic = topics.training_results
    reader = CommandReader(prefix.bootstrap, {}, topics, "g", ["train"])
    command: Any = SimpleNamespace(command_id=ID, attempt=1, reply_topic=topic, reply_partition=partition)
    other = clients.producer(prefix.bootstrap, {}, transactional_id=f"{topics.output_prefix}another-trainer")
    async with other, clients.producer(prefix.bootstrap, {}) as own:
        await other.begin_transaction()
        await other.send_and_wait(topic, answer("a"), partition=partition)
        await other.abort_transaction()
        assert not await reader._answered(command)
        assert await reader.made(MODEL, "v2") is None, "nobody loads an artefact on a word that was taken back"

        await other.begin_transaction()
        await other.send_and_wait(topic, answer("b"), partition=partition)
        await own.send_and_wait(topic, answer("c"), partition=partition)
        with pytest.raises(Unavailable, match="open for 1 s"):
            _ = [record async for record in settled(prefix.bootstrap, {}, TopicPartition(topic, partition), 1.0)]
        asked = asyncio.create_task(reader._answered(command))
        _, waiting = await asyncio.wait({asked}, timeout=1.0)
        assert waiting, "whether it is answered cannot be said yet"
        await other.abort_transaction()
        assert await asked
        assert await reader.made(MODEL, "v2") == "c" * 64
