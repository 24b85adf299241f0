"""Chunks: what one poll fetched from one partition travels as a single pseudo-record.

Faust's per-message path costs hundreds of microseconds; a chunk pays it once for thousands of records. A chunk also
carries the consumer's position before and after the fetch, because ``position()`` runs ahead of what is still queued
and transaction markers occupy offsets: only a position that travels in line with the records says what was reached.
A chunk without records is such a report of progress.
"""

from __future__ import annotations

from typing import Any, Protocol


class Place(Protocol):
    """A partition of a topic, whichever client names it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


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

    def __init__(self, place: Place, records: list[Any], start: int, end: int, epoch: int) -> None:
        self.topic: str = place.topic
        self.partition: int = place.partition
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
        """Bytes held: keys, values and headers, which may be the largest part of what a stranger wrote."""
        size = 0
        for record in self.records:
            size += len(record.value or b"") + len(record.key or b"")
            if record.headers:
                size += sum(len(name) + len(text or b"") for name, text in record.headers)
        return size
