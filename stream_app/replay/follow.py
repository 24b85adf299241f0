"""Following the pipeline: has its last log carried a tick?"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition

from stream_app.core import model_log
from stream_app.errors import Unavailable
from stream_app.kafka import clients
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start
from stream_app.kafka.topics import Topics


class LogFollower:
    """Reads the last log of every partition and knows the last tick of each. Use as an async context manager."""

    def __init__(self, bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
        self._where = (bootstrap, options)
        self._consumer = clients.consumer(bootstrap, options, auto_offset_reset="earliest", fetch_max_wait_ms=100)
        self._tps = [TopicPartition(topics.last_log, p) for p in range(topics.model_partitions)]
        self.ticks: dict[int, int] = dict.fromkeys(range(topics.model_partitions), 0)
        self.inputs: dict[str, dict[int, int]] = {}
        self.dispositions: dict[str, dict[str, int]] = {}
        self.snapshots = 0

    async def __aenter__(self) -> LogFollower:
        await start(self._consumer, *self._where)
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def reached(self, at_ms: int, bound_s: float = 120.0) -> None:
        """Return when every partition's log carries a tick at or after ``at_ms``."""
        deadline = asyncio.get_running_loop().time() + bound_s
        while min(self.ticks.values()) < at_ms:
            await self.poll()
            if asyncio.get_running_loop().time() > deadline:
                late = [p for p, tick in self.ticks.items() if tick < at_ms]
                raise Unavailable(
                    f"{self._tps[0].topic} has not carried the tick after {bound_s:.0f} s (partitions {late}). Is a "
                    "worker running? Its /readyz says what each lane waits for."
                )

    async def poll(self) -> None:
        """Take what has come."""
        for tp, records in (await self._consumer.getmany(timeout_ms=100)).items():
            for record in readable(records):
                entry = model_log.decode(record.value)
                if isinstance(entry, model_log.TickEntry):
                    self.ticks[tp.partition] = max(self.ticks[tp.partition], entry.at_ms)
                    if tp.partition == 0:
                        self.inputs, self.dispositions = entry.inputs, entry.dispositions
                elif isinstance(entry, model_log.SnapshotEntry):
                    self.snapshots += 1
