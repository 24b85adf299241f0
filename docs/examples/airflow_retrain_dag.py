"""An Airflow DAG that answers Plumbline's training commands.

The DAG wakes every minute, takes the commands that came, and trains each in a mapped task. Airflow retries a task and
may run it twice; ``answered`` makes that harmless. Put your training into :func:`fit`. Connection: the broker's address
in ``PLUMBLINE_KAFKA_BOOTSTRAP``, prefixes as Plumbline's own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

BROKER = os.environ.get("PLUMBLINE_KAFKA_BOOTSTRAP", "127.0.0.1:19092")
COMMANDS = os.environ.get("PLUMBLINE_OUTPUT_PREFIX", "ml.") + "training-commands"
RESULTS = os.environ.get("PLUMBLINE_INPUT_PREFIX", "ml.") + "training-results"
GROUP = "airflow-trainer"

Command = dict[str, Any]


def fit(command: Command) -> dict[str, Any]:
    """Train on ``command["data"]["train"]``, store the model, and measure it and the active version on the hold-out."""
    raise NotImplementedError(
        "put your training here; return candidate_version, artifact_sha256, candidate_metrics, champion_metrics"
    )


def content(record: ConsumerRecord) -> Command:
    """What a record says, if it is a command or the answer to one; nothing otherwise: a topic may hold anything."""
    try:
        row = json.loads(record.value)
        row["model"].encode(), row["command_id"].encode()
        return row | {"partition": record.partition} if type(row["attempt"]) is int else {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


async def take_commands(wait_ms: int = 5_000) -> list[Command]:
    """Commands that came since the last run. Accepted at once, so that none is sent again while a task waits its
    turn."""
    found: list[Command] = []
    consumer = AIOKafkaConsumer(
        COMMANDS, bootstrap_servers=BROKER, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    async with consumer, AIOKafkaProducer(bootstrap_servers=BROKER, enable_idempotence=True) as kafka:
        for records in (await consumer.getmany(timeout_ms=wait_ms)).values():
            for record in records:
                command = content(record)
                mine = command.get("command") == "train" and command.get("reply_topic") == RESULTS
                if mine and not await answered(command):
                    await answer(kafka, command, "accepted")
                    found.append(command)
        await consumer.commit()
    return found


async def train_and_answer(command: Command, train: Callable[[Command], dict[str, Any]] = fit) -> None:
    """One command to its final answer, once."""
    if await answered(command):
        return
    async with AIOKafkaProducer(bootstrap_servers=BROKER, enable_idempotence=True) as kafka:
        try:
            result = await asyncio.to_thread(train, command)
        except Exception as error:
            await answer(kafka, command, "failed", error=f"{type(error).__name__}: {error}"[:1000])
            raise
        await answer(kafka, command, "succeeded", **result)


async def answer(kafka: AIOKafkaProducer, command: Command, status: str, **rest: Any) -> None:
    """An answer on this prefix' own topic, on the partition of the command, whatever a record asks for."""
    body = {name: command[name] for name in ("model", "command_id", "attempt")} | {"status": status} | rest
    await kafka.send_and_wait(RESULTS, json.dumps(body).encode(), command["model"].encode(), command["partition"])


async def answered(command: Command) -> bool:
    """Whether this attempt has its final answer."""
    tp = TopicPartition(RESULTS, command["partition"])
    async with AIOKafkaConsumer(bootstrap_servers=BROKER, auto_offset_reset="earliest") as reader:
        end = (await reader.end_offsets([tp]))[tp]
        reader.assign([tp])
        while await reader.position(tp) < end:
            for record in (await reader.getmany(tp, timeout_ms=200)).get(tp, []):
                row = content(record)
                mine = (row.get("command_id"), row.get("attempt")) == (command["command_id"], command["attempt"])
                if mine and row.get("status") in ("succeeded", "failed"):
                    return True
    return False


try:
    from airflow.decorators import dag, task
except ImportError:  # the functions above work without Airflow, and are tested so
    pass
else:

    @dag(
        schedule=timedelta(minutes=1), start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False,
        max_active_runs=1, tags=["plumbline"],
    )  # fmt: skip
    def plumbline_retrain() -> None:
        @task
        def take() -> list[Command]:
            return asyncio.run(take_commands())

        @task(retries=2, execution_timeout=timedelta(hours=5))
        def train(command: Command) -> None:
            asyncio.run(train_and_answer(command))

        train.expand(command=take())

    plumbline_retrain()
