"""Reading commands and answering them: what the trainer and the deployer share.

A command is done when its final answer stands in the reply topic; nothing else is remembered. So whoever is killed
before that does the work again, and whoever reads a command twice finds the answer and does nothing.

What cannot be read is skipped. A command that can be read as far as its address, and no further, is answered ``failed``
with what is wrong with it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from schemas import bounds
from schemas.common import ModelId, Partition, Uuid
from schemas.partitioning import partition_for
from schemas.training import Attempt, TopicName, TrainingCommand, TrainingResult
from stream_app.kafka import clients
from stream_app.kafka.arrived import FAULTS, decoded, header, skip
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start
from stream_app.kafka.reached import Reached
from stream_app.kafka.reading import settled
from stream_app.kafka.topics import Topics
from stream_app.worker.metrics import MetricFamilies

log = logging.getLogger(__name__)

#: record header that says which command it is, so that nobody decodes what is not theirs
HEADER: Final = "plumbline.command"
#: Bytes of an answer's error that are written; the coordinator keeps no more.
_ERROR: Final = 1_000
#: every value that the header has; any other one says nothing, and the command itself decides
KINDS: Final = ("train", "cancel", "recalibrate", "activate", "rollback")
FINAL: Final = ("succeeded", "failed", "activated", "rolled_back")
#: what each of the two answers
STATUSES: Final = {
    "trainer": ("accepted", "progress", "succeeded", "failed"),
    "deployer": ("accepted", "activated", "rolled_back", "failed"),
}

_commands = msgspec.json.Decoder(TrainingCommand)
_results = msgspec.json.Decoder(TrainingResult)


class Address(msgspec.Struct, frozen=True):
    """Whom a command is for, and where it is answered."""

    model: ModelId
    command: str
    command_id: Uuid
    attempt: Attempt
    reply_topic: TopicName
    reply_partition: Partition


_addresses = msgspec.json.Decoder(Address)


class ReceivedCommand(NamedTuple):
    """A command and where it stands."""

    command: TrainingCommand
    tp: TopicPartition
    offset: int

    @property
    def key(self) -> tuple[str, int]:
        """What answers name."""
        return self.command.command_id, self.command.attempt


class CommandReader:
    """Commands of some kinds as a consumer group, and answers to them. An async context manager."""

    def __init__(
        self, bootstrap: str, options: dict[str, Any], topics: Topics, group: str, kinds: Sequence[str]
    ) -> None:
        self._bootstrap, self._options = bootstrap, options
        self._kinds = frozenset(kinds)
        self._topics, self._group = topics, group
        #: commands that make no sense and have an address, with what is wrong with them
        self._senseless: list[tuple[Address, str]] = []
        self._consumer: Any = None
        self._producer: Any = None
        #: answers written, by status
        self._answers: Counter[str] = Counter()
        #: Unix time of the last final answer that is no failure; 0: none yet
        self._succeeded_at = 0.0
        self._reached = Reached()

    async def __aenter__(self) -> CommandReader:
        # aiokafka's clients belong to the event loop that they are made in
        self._producer = clients.producer(self._bootstrap, self._options, enable_idempotence=True, acks="all")
        await start(self._producer, self._bootstrap, self._options)
        self._consumer = clients.consumer(
            self._bootstrap, self._options, group_id=self._group, auto_offset_reset="earliest"
        )
        self._consumer.subscribe([self._topics.training_commands])
        try:
            await start(self._consumer, self._bootstrap, self._options)
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def read(self, wait_ms: int = 500) -> list[ReceivedCommand]:
        """Commands that have come; of other kinds, and of what nobody can read, only the offset is noted."""
        found = []
        fetched = await self._consumer.getmany(timeout_ms=wait_ms)
        if not fetched:
            await self._reached.idle(self._consumer)
        for tp, records in fetched.items():
            self._reached.handled(tp, records[-1].offset + 1)
            for record in readable(records):
                command = self._command(record)
                if command is not None:
                    found.append(ReceivedCommand(command, tp, record.offset))
        while self._senseless:
            address, why = self._senseless.pop(0)
            if not await self._answered(address):
                await self._answer(address, "failed", error=f"the command cannot be read: {why}")
        return found

    def _command(self, record: Any) -> TrainingCommand | None:
        """A command of ours. One that asks for its answer anywhere else than among this prefix's results is skipped:
        nobody may have us write where they please."""
        kind = header(record, HEADER)
        if kind in KINDS and kind not in self._kinds:
            return None
        command = decoded(_commands.decode, record)
        if command is None:
            self._address(record)
            return None
        if command.command not in self._kinds:
            return None
        if not self._is_ours(command):
            topics = self._topics
            asked = f"{command.reply_topic[:249]}[{command.reply_partition}]"
            skip(
                record,
                f"its answer is to stand in {asked}, and answers stand in {topics.training_results}, partitions 0 to "
                f"{topics.model_partitions - 1}",
            )
            return None
        return command

    def _address(self, record: Any) -> None:
        """Remember an address to answer, if a record that is no command has one that is ours."""
        try:
            address = _addresses.decode(record.value)
        except FAULTS:
            return
        if address.command in self._kinds and address.command != "cancel" and self._is_ours(address):
            try:
                _commands.decode(record.value)
            except FAULTS as error:
                self._senseless.append((address, str(error)))

    def _is_ours(self, found: TrainingCommand | Address) -> bool:
        topics = self._topics
        return found.reply_topic == topics.training_results and found.reply_partition < topics.model_partitions

    def holds(self, received: ReceivedCommand) -> bool:
        """Whether the command's partition is still this consumer's."""
        return received.tp in self._consumer.assignment()

    async def done(self, received: ReceivedCommand) -> None:
        """The command and what came before it need not be read again."""
        if not self.holds(received):
            return
        try:
            await self._consumer.commit({received.tp: received.offset + 1})
        except CommitFailedError:
            # whoever has the partition now finds the answer that stands
            log.info("%s: offset %d was not noted: the group has rebalanced", received.command.model, received.offset)

    async def answer(self, received: ReceivedCommand, status: str, **rest: Any) -> None:
        """Write an answer; returns when the broker has it. Of an error stands the beginning: answers are bounded."""
        await self._answer(received.command, status, **rest)

    async def _answer(self, command: TrainingCommand | Address, status: str, **rest: Any) -> None:
        if rest.get("error") is not None:
            # a message may hold halves of characters: a path that is no UTF-8, or what a learner of yours says
            rest["error"] = bounds.cut(rest["error"].encode("utf-8", "replace").decode(), _ERROR)
        result = {
            "model": command.model, "command_id": command.command_id, "attempt": command.attempt, "status": status,
            **{name: value for name, value in rest.items() if value is not None},
        }  # fmt: skip
        await self._producer.send_and_wait(
            command.reply_topic,
            orjson.dumps(result, option=orjson.OPT_SORT_KEYS),
            key=command.model.encode(),
            partition=command.reply_partition,
        )
        self._answers[status] += 1
        if status in FINAL and status != "failed":
            self._succeeded_at = time.time()

    def put(self, role: str, page: MetricFamilies) -> None:
        """Tell Prometheus; ``role``: one of :data:`STATUSES`."""
        for status in STATUSES[role]:
            page.put("commands_answered_total", "counter", "Answers to commands.", self._answers[status],
                     role=role, status=status)  # fmt: skip
        for topic, lag in self._reached.lags(self._consumer).items() if self._consumer is not None else ():
            page.put("commands_lag_records", "gauge", "Records of commands that are not read yet.", lag,
                     role=role, topic=topic)  # fmt: skip
        if self._succeeded_at:
            page.put("commands_last_success_timestamp_seconds", "gauge", "When a command was carried out last.",
                     self._succeeded_at, role=role)  # fmt: skip

    async def answered(self, received: ReceivedCommand) -> bool:
        """Whether the command has its final answer already."""
        return await self._answered(received.command)

    async def _answered(self, command: TrainingCommand | Address) -> bool:
        key = command.command_id, command.attempt
        async with aclosing(self._results(TopicPartition(command.reply_topic, command.reply_partition))) as results:
            async for result in results:
                if (result.command_id, result.attempt) == key and result.status in FINAL:
                    return True
        return False

    async def made(self, model: str, version: str) -> str | None:
        """SHA-256 of a version's artefact as the newest ``succeeded`` names it; ``None`` if none is in the log."""
        topics, found = self._topics, None
        partition = partition_for(model.encode(), topics.model_partitions)
        async for result in self._results(TopicPartition(topics.training_results, partition)):
            if (result.model, result.status, result.candidate_version) == (model, "succeeded", version):
                found = result.artifact_sha256 or found
        return found

    async def _results(self, tp: TopicPartition) -> AsyncGenerator[TrainingResult, None]:
        """Answers that stand, as the pipeline sees them: none that was taken back, and all that were written."""
        async with aclosing(settled(self._bootstrap, self._options, tp)) as records:
            async for record in records:
                result = decoded(_results.decode, record)  # metrics dead-letters what cannot be read
                if result is not None:
                    yield result
