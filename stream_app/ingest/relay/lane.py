"""One source partition of a relay: its mapper, its producer, its place. A batch is one Kafka transaction.

| step | what happens | killed right after it |
|---|---|---|
| 1 | records are mapped | nothing was written; the work is redone |
| 2 | the transaction begins, what was made is handed to the producer | invisible to read-committed readers; redone |
| 3 | every produce future was awaited and checked | as 2 |
| 4 | the source's offset joined the transaction | as 2 |
| 5 | the transaction committed | everything survives; the next holder begins after the batch |

The transactional id belongs to (app id, relay name, source partition), so whoever opens a lane fences its former holder
and settles what that left open, and only then asks where to begin. Nothing depends on the group noticing in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from aiokafka import TopicPartition

from schemas.unreadable import Unreadable
from stream_app.core.kit.effects import ConsumedRecord, dead_letter
from stream_app.engine.producer import LaneProducer
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.source import Unmappable
from stream_app.kafka.placement import partitions_for
from stream_app.kafka.topics import Topics

STAGE = "relay"

#: Records made after which a transaction commits: what one source record makes can be much.
_ENOUGH: Final = 20_000

_Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


@dataclass(slots=True)
class RelayCounts:
    """What became of source records. A record may make several predictions."""

    records: int = 0
    predictions: int = 0
    outcomes: int = 0
    #: records that no part of the map selects, requests held for a join among them
    passed: int = 0
    dead_lettered: int = 0

    def add(self, other: RelayCounts) -> None:
        """Sum up."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class RelayLane:
    """Owned by one session, used by one task at a time."""

    def __init__(
        self, source: TopicPartition, position: int, mapper: Mapper, producer: LaneProducer, topics: Topics
    ) -> None:
        self._source = source
        #: offset of the next record to map; records below it are only remembered for joins
        self.position = position
        #: where reading begins when the lane opens
        self.read_from = position
        self._mapper = mapper
        self._producer = producer
        self._topics = topics

    async def process(self, records: Sequence[ConsumedRecord]) -> RelayCounts:
        """Relay a batch, mostly in one transaction. Whatever it raises, the lane is not used again."""
        first = 0
        while first < len(records) and records[first].offset < self.position:
            self._mapper.remember(records[first])
            first += 1
        counts = RelayCounts()
        while first < len(records):
            first += await self._transaction(records[first:], counts)
        return counts

    async def _transaction(self, records: Sequence[ConsumedRecord], total: RelayCounts) -> int:
        """Relay the first of these records in one transaction, and say how many they were."""
        taken, rows, counts = self._map(records)  # step 1
        producer = self._producer
        await producer.begin()
        for (topic, partition), batch in rows.items():
            await producer.send(topic, partition, batch)  # step 2
        await producer.acknowledged()  # step 3
        last = records[taken - 1]
        after = (last.value.last_offset if isinstance(last.value, Unreadable) else last.offset) + 1
        await producer.send_offsets({self._source: after})  # step 4
        await producer.commit()  # step 5
        self.position = after
        total.add(counts)
        return taken

    async def pass_to(self, offset: int) -> None:
        """Commit a place without relaying anything: there are no records to relay before it."""
        await self._producer.begin()
        await self._producer.send_offsets({self._source: offset})
        await self._producer.commit()
        self.position = offset

    def _map(self, records: Sequence[ConsumedRecord]) -> tuple[int, dict[tuple[str, int], list[_Row]], RelayCounts]:
        """What the first records make, and how many they are: as many as a transaction has time for."""
        topics, counts, taken = self._topics, RelayCounts(), 0
        made: dict[str, list[tuple[bytes, bytes]]] = {"predictions": [], "outcomes": []}
        rows: defaultdict[tuple[str, int], list[_Row]] = defaultdict(list)
        for record in records:
            if len(made["predictions"]) + len(made["outcomes"]) >= _ENOUGH:
                break
            counts.records += 1
            taken += 1
            unreadable = record.value if isinstance(record.value, Unreadable) else None
            try:
                if unreadable is not None:
                    raise Unmappable(unreadable.error, unreadable.reason)
                found = self._mapper.map(record)
            except Unmappable as error:
                more = unreadable.records - 1 if unreadable is not None else 0
                counts.records += more
                counts.dead_lettered += 1 + more
                dead = dead_letter(record, STAGE, error.reason, str(error))
                place = (topics.dead_letters, record.partition % topics.model_partitions)
                rows[place].append((dead.key, dead.value, dead.headers))
                continue
            if not found:
                counts.passed += 1
            for to, key, value in found:
                made[to].append((key, value))
        counts.predictions, counts.outcomes = len(made["predictions"]), len(made["outcomes"])
        for topic, pairs in ((topics.predictions, made["predictions"]), (topics.outcomes, made["outcomes"])):
            placed = partitions_for([key for key, _ in pairs], topics.input_partitions) if pairs else []
            for partition, (key, value) in zip(placed, pairs, strict=True):
                rows[topic, partition].append((key, value, []))
        return taken, rows, counts

    async def stop(self) -> None:
        """Let go of the producer; an open transaction is the next holder's to settle."""
        await self._producer.stop()
