"""Batches that no broker takes from a producer, put on its disk in the place of batches that it took.

A broker looks into what producers send and not into what lies in its log, where bytes go bad and where batches of other
brokers and of other days lie. So a sound batch of the same size is sent, and its bytes are changed in the segment. Whom
must not see the first is kept away by a transaction that was open before it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_app.kafka import admin
from tests.support.batches import HEADER, resealed

Spoil = Callable[[bytearray], None]


@dataclass(frozen=True)
class Put:
    """A batch as it lies on the disk now."""

    topic: str
    partition: int
    first: int
    raw: bytes


class Disk:
    """The segments of a broker that runs on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    async def of(cls, bootstrap: str) -> Disk:
        """Ask the broker where they are."""
        async with admin.admin(bootstrap, {}) as client:
            node = str((await client.describe_cluster())["brokers"][0]["node_id"])
            (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.BROKER, node)])
        settings = {name: value for resource in answer.resources for name, value, *_ in resource[4]}
        return cls(Path(settings["log.dirs"]))

    def find(self, topic: str, partition: int, offset: int, size: int) -> tuple[Path, int, bytes]:
        """Segment, position and bytes of the batch of this size that begins at the offset."""
        for path in (self._folder / f"{topic}-{partition}").glob("*.log"):
            data = path.read_bytes()
            # not batch by batch: the length of one before it may be spoilt
            at = data.find(struct.pack(">qi", offset, size - 12))
            if at >= 0:
                return path, at, data[at : at + size]
        raise AssertionError(f"{topic}[{partition}] has no batch of {size} bytes at offset {offset}")

    def codecs(self, topic: str, partitions: int) -> set[int]:
        """Numbers of the compressions that batches of records have, in sound partitions."""
        found = set()
        for partition in range(partitions):
            for path in (self._folder / f"{topic}-{partition}").glob("*.log"):
                data, at = path.read_bytes(), 0
                while len(data) - at >= HEADER.size:
                    if not data[at + 22] & 0x20:  # no marker
                        found.add(data[at + 22] & 0x07)
                    at += 12 + struct.unpack_from(">i", data, at + 8)[0]
        return found

    def flip(self, topic: str, partition: int) -> tuple[int, int]:
        """Spoil the first batch of records there that the broker holds; its first and last offset."""
        path = min((self._folder / f"{topic}-{partition}").glob("*.log"))
        data, at = path.read_bytes(), 0
        while data[at + 22] & 0x20:  # a marker
            at += 12 + struct.unpack_from(">i", data, at + 8)[0]
        with path.open("r+b") as segment:
            segment.seek(at + HEADER.size)
            segment.write(bytes([data[at + HEADER.size] ^ 0xFF]))
        first, delta = struct.unpack_from(">q", data, at)[0], struct.unpack_from(">i", data, at + 23)[0]
        return first, first + delta

    def replace(self, topic: str, partition: int, offset: int, content: bytes, spoil: Spoil | None = None) -> Put:
        """Put other bytes of the same size there; what the log and the transaction say of the batch stays."""
        path, at, there = self.find(topic, partition, offset, len(content))
        raw = bytearray(content)
        raw[:8], raw[12:16] = there[:8], there[12:16]  # offset and the leader's epoch
        raw[22] = (content[22] & 0x07) | (there[22] & ~0x07)
        raw[27:57] = there[27:57]  # times, producer and its sequence
        raw = bytearray(resealed(bytes(raw)))
        if spoil is not None:
            spoil(raw)
        with path.open("r+b") as segment:
            segment.seek(at)
            segment.write(raw)
        return Put(topic, partition, offset, bytes(raw))


async def put(
    disk: Disk, producer: AIOKafkaProducer, topic: str, partition: int, content: bytes, spoil: Spoil | None = None
) -> Put:
    """Write a batch made manually; ``spoil`` changes its bytes after they were sealed."""
    delta = struct.unpack_from(">i", content, 23)[0]
    sent = await (await producer.send_batch(_of_size(producer, len(content), delta + 1), topic, partition=partition))
    return disk.replace(topic, partition, sent.offset, content, spoil)


def _of_size(producer: AIOKafkaProducer, size: int, records: int) -> Any:
    """A sound batch of that many bytes and records."""
    now = time.time_ns() // 1_000_000  # the broker deletes what is old
    for key in (b"", b"k", b"kk"):  # a length of two bytes in place of one leaves a hole in the sizes of the value
        padding = size - HEADER.size - 7 * (records - 1)
        while padding >= 0:
            made = producer.create_batch()
            for number in range(records):
                last = number == records - 1
                value, name = (bytes(padding), key) if last else (b"", b"")
                assert made.append(timestamp=now, key=name, value=value) is not None
            if made.size() <= size:
                break
            padding -= 1
        if padding >= 0 and made.size() == size:
            return made
    raise AssertionError(f"no batch of {records} records has {size} bytes")
