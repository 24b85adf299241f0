"""Following commands to trainers and the deployer: which of them still lack their final answer?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition

from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start
from stream_app.kafka.topics import Topics

#: Wall time after which simulated time goes on without an answer, so that deadlines can fire.
PATIENCE_S: Final = 60.0

#: What ends a command.
_FINAL: Final = ("succeeded", "failed", "activated", "rolled_back")


class _Command(msgspec.Struct):
    command: str
    command_id: str
    attempt: int


class _Result(msgspec.Struct):
    command_id: str
    attempt: int
    status: str


_commands = msgspec.json.Decoder(_Command)
_answers = msgspec.json.Decoder(_Result)


class ResultFollower:
    """Knows the commands that wait for an answer. Use as an async context manager."""

    def __init__(self, bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
        self._where = (bootstrap, options)
        self._consumer = clients.consumer(bootstrap, options, auto_offset_reset="earliest", fetch_max_wait_ms=100)
        self._commands = topics.training_commands
        self._tps = [
            TopicPartition(name, partition)
            for name in (topics.training_commands, topics.training_results)
            for partition in range(topics.model_partitions)
        ]
        #: command id → attempt that waits
        self.waiting: dict[str, int] = {}
        self._answered: set[tuple[str, int]] = set()
        self._given_up: set[tuple[str, int]] = set()

    async def __aenter__(self) -> ResultFollower:
        await start(self._consumer, *self._where)
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def settled(self, patience_s: float = PATIENCE_S) -> bool:
        """Return when every command that stands in its topic has its final answer; ``False`` if patience ran out first.

        A command that was waited for in vain is not waited for again, until it is sent once more.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        open_commands = await self.read()
        while open_commands:
            if loop.time() > deadline:
                self._given_up |= open_commands
                return False
            await self._poll()
            open_commands = set(self.waiting.items()) - self._given_up
        return True

    async def read(self) -> set[tuple[str, int]]:
        """Commands (id, attempt) that stand in their topic, lack their final answer and were not given up."""
        ends = await self._consumer.end_offsets(self._tps)
        while True:
            await self._poll()
            if all([await self._consumer.position(tp) >= end for tp, end in ends.items()]):
                return set(self.waiting.items()) - self._given_up

    async def _poll(self) -> None:
        found = await self._consumer.getmany(timeout_ms=50)
        # answers first: a command that is read with its answer never waits
        for tp in sorted(found, key=lambda tp: tp.topic == self._commands):
            for record in readable(found[tp]):
                if tp.topic == self._commands:
                    self._sent(decoded(_commands.decode, record))
                else:
                    self._answer(decoded(_answers.decode, record))

    def _sent(self, command: _Command | None) -> None:
        if command is None:
            return
        if command.command == "cancel":
            self.waiting.pop(command.command_id, None)
        elif (command.command_id, command.attempt) not in self._answered:
            self.waiting[command.command_id] = command.attempt

    def _answer(self, answer: _Result | None) -> None:
        if answer is not None and answer.status in _FINAL:
            self._answered.add((answer.command_id, answer.attempt))
            if self.waiting.get(answer.command_id) == answer.attempt:
                del self.waiting[answer.command_id]
