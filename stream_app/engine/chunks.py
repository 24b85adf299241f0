"""Chunks: what one poll fetched from one partition travels as a single pseudo-record.

Faust's per-message path costs hundreds of microseconds; a chunk pays it once for thousands of records. A chunk also
carries the consumer's position before and after the fetch, because ``position()`` runs ahead of what is still queued
and transaction markers occupy offsets: only a position that travels in line with the records says what was reached.
A chunk without records is such a report of progress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP


class Chunk:
    """Records of one partition between two positions; shaped like a Kafka record so that Faust passes it on."""

    __slots__ = (
        "checksum",
        "end",
        "epoch",
        "headers",
        "key",
        "offset",
        "partition",
        "records",
        "serialized_key_size",
        "serialized_value_size",
        "start",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, tp: TP, records: list[Any], start: int, end: int, epoch: int) -> None:
        self.topic: str = tp.topic
        self.partition: int = tp.partition
        self.records = records
        #: positions before and after the fetch; ``end`` is past any transaction marker
        self.start = start
        self.end = end
        #: how often the partition had been sought when this was fetched; older chunks are stale
        self.epoch = epoch
        self.offset = end - 1
        self.timestamp = 0
        self.timestamp_type = 0
        self.headers: tuple[Any, ...] = ()
        self.key = None
        self.value = self
        self.checksum = None
        self.serialized_key_size = 0
        self.serialized_value_size = 0

    def bytes(self) -> int:
        """Payload bytes held."""
        return sum(r.serialized_value_size for r in self.records if r.serialized_value_size > 0)


class ChunkScheduler(DefaultSchedulingStrategy):
    """A Faust ``ConsumerScheduler``: chunks pass as they are, what is not ours (Faust's own topics) as ever."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Yield (partition, chunk or record)."""
        plain: dict[TP, list[Any]] = {}
        for tp, batch in records.items():
            if batch and isinstance(batch[0], Chunk):
                yield from ((tp, chunk) for chunk in batch)
            else:
                plain[tp] = batch
        if plain:
            yield from super().iterate(plain)
