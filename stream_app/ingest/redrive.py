"""Sending dead-lettered records back to where they came from, once each, as they are or repaired by a mapping.

Only to inputs (predictions, outcomes, commands, results), never to an output of the pipeline or a topic of somebody
else. What is not there whole (truncated, unreadable) has nothing to send; it stays, and the redrive says how many.

What was sent is noted on the topic of progress for each reason and partition, in the transaction of the records
themselves. A note holds the runs of records that were sent, because a choice may leave some out: a reason, a time, or a
mapping that makes nothing of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

import msgspec
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from schemas import bounds
from schemas.deadletters import (
    FOREIGN,
    MESSAGE,
    REASON,
    TOPIC,
    TRUNCATED,
    UNREADABLE_BATCH,
    UNREADABLE_RECORD,
    added,
    origin,
    original,
)
from schemas.partitioning import partition_for
from stream_app.core.kit.effects import Emit
from stream_app.errors import Incompatible, Unavailable
from stream_app.ingest.faults import BadRow, Faults
from stream_app.ingest.inputs import Kind, as_record
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.progress import read_progress
from stream_app.kafka import clients
from stream_app.kafka.admin import admin, partition_counts, topic_configs
from stream_app.kafka.reach import started
from stream_app.kafka.reading import records
from stream_app.kafka.topics import MOST, Topics

#: Records of one transaction.
BATCH: Final = 1_000
#: Most bytes of a note: what its topic takes, less the record around it.
_NOTE_BYTES: Final = 1_000_000


class _Keyed(msgspec.Struct):
    model: str


_keyed = msgspec.json.Decoder(_Keyed)


@dataclass(frozen=True, slots=True)
class DeadLetteredRecord:
    """A dead-lettered record: where it stands, where it stood, why it is here."""

    partition: int
    offset: int
    topic: str
    origin: tuple[int, int]
    reason: str
    error: str
    timestamp: int
    record: Any
    #: headers that were added, as text
    added: dict[str, str] = field(default_factory=dict)

    def stays(self, topics: Topics) -> str | None:
        """Why it cannot be sent again, in a sentence; ``None`` if it can."""
        if self.reason == FOREIGN:
            return f"{self.reason}: {self.error}"
        if self.reason in (UNREADABLE_BATCH, UNREADABLE_RECORD):
            return f"{self.reason}: its bytes could not be read; only their beginning and digest are kept"
        if TRUNCATED in self.added:
            return f"{self.reason}: it was cut short; only its beginning and digest are kept"
        if self.topic not in inputs(topics):
            return (
                f"{self.topic} is no input of the pipeline: only predictions, outcomes, commands and results are sent "
                "again (a relay under another --name reads its source from the beginning)"
            )
        return None


def inputs(topics: Topics) -> tuple[str, ...]:
    """The topics that a redrive writes to."""
    return topics.predictions, topics.outcomes, topics.operator_commands, topics.training_results


@dataclass(slots=True)
class Redriven:
    """What a redrive did, or would do."""

    sent: int = 0
    #: chosen, and sent by an earlier run
    before: int = 0
    #: dead-lettered records that cannot be sent, or that the mapping makes nothing of: they stay
    faults: Faults = field(default_factory=Faults)


#: Makes the audit record of the records that one transaction sends; it is written in the same transaction.
Audit = Callable[[Sequence[DeadLetteredRecord]], Emit]


@dataclass(frozen=True, slots=True)
class Repair:
    """How dead-lettered records of the two input topics are repaired: their JSON objects are rows of a mapping."""

    mapping: Mapping
    max_record_bytes: int

    def value(self, topics: Topics, dead: DeadLetteredRecord) -> bytes:
        """The record that is sent in its place. Raises :class:`BadRow`."""
        if dead.topic not in (topics.predictions, topics.outcomes):
            raise BadRow("only predictions and outcomes can be repaired")
        try:
            row = orjson.loads(dead.record.value or b"")
        except orjson.JSONDecodeError as error:
            raise BadRow("not JSON") from error
        if not isinstance(row, dict):
            raise BadRow("not a JSON object")
        kind: Kind = "predictions" if dead.topic == topics.predictions else "outcomes"
        made = as_record(kind, self.mapping, row, self.max_record_bytes)
        if made is None:
            raise BadRow("no actual: map its field with --map actual=FIELD")
        if made.key != dead.record.key:
            raise BadRow("the prediction_id would change, and with it the partition: use `plumbline load`")
        return made.value


@dataclass(frozen=True, slots=True)
class Way:
    """How dead-lettered records are sent, and what each topic takes: ``max.message.bytes`` by name. ``partitions``:
    how many each has, of those that exist."""

    topics: Topics
    repair: Repair | None
    limits: dict[str, int]
    partitions: dict[str, int]
    #: the audit record of what one transaction sends, if it is audited
    audit: Audit | None = None

    def value(self, dead: DeadLetteredRecord) -> bytes | None:
        """The value that is sent. Raises :class:`BadRow` for a record that stays."""
        why = dead.stays(self.topics)
        if why is not None:
            raise BadRow(why)
        partitions, partition = self.partitions.get(dead.topic, 0), _partition(self.topics, dead)
        if not partitions:
            raise BadRow(f"{dead.topic} does not exist: `plumbline topics create` makes it")
        if partition >= partitions:
            raise BadRow(
                f"{dead.topic} was made anew with fewer partitions than the record stood in: its id and that of its "
                "outcome would not meet; bring it in with `plumbline load`"
            )
        value: bytes | None = self.repair.value(self.topics, dead) if self.repair else dead.record.value
        size = bounds.framed(dead.record.key, value, original(dead.record.headers)) + bounds.BATCH_HEADER
        limit = self.limits.get(dead.topic, size)
        if size > limit:
            raise BadRow(f"larger than {dead.topic} takes, whose {MOST} is {limit}: raise it first")
        return value


async def _taken(bootstrap: str, options: dict[str, Any], topics: Topics) -> tuple[dict[str, int], dict[str, int]]:
    """Of the inputs that exist, what a record may have, and how many partitions there are."""
    async with admin(bootstrap, options) as client:
        counts = await partition_counts(client, inputs(topics))
        found = await topic_configs(client, counts)
    return {name: int(config[MOST]) for name, config in found.items() if MOST in config}, counts


def dead_lettered(record: Any) -> DeadLetteredRecord:
    """A record of the topic of the dead-lettered ones; one that somebody else wrote there is its own origin."""
    header = added(record.headers)
    place = origin(header)
    if place is None:
        return DeadLetteredRecord(
            record.partition, record.offset, record.topic, (record.partition, record.offset), FOREIGN,
            "not written by Plumbline, or damaged: headers that say where it stood are missing", record.timestamp,
            record,
        )  # fmt: skip
    return DeadLetteredRecord(
        record.partition, record.offset, header[TOPIC], place, header[REASON], header[MESSAGE], record.timestamp,
        record, header,
    )  # fmt: skip


async def dead_lettered_records(
    bootstrap: str,
    options: dict[str, Any],
    topics: Topics,
    kept: Callable[[DeadLetteredRecord], bool] = lambda dead: dead.reason != FOREIGN,
) -> list[DeadLetteredRecord]:
    """Every dead-lettered record, oldest first. ``kept``: those whose bytes are wanted too, which may be large; by
    default all but those that somebody else wrote, since nobody sends them."""
    found = []
    async for record in records(bootstrap, options, topics.dead_letters):
        dead = dead_lettered(record)
        found.append(dead if kept(dead) else replace(dead, record=None))
    return sorted(found, key=lambda dead: (dead.timestamp, dead.partition, dead.offset))


@dataclass(frozen=True)
class RedriveOrder:
    """Which dead-lettered records are to be sent again, ``chosen`` among all that were ``found``, and how."""

    found: Sequence[DeadLetteredRecord]
    chosen: Sequence[DeadLetteredRecord]
    repair: Repair | None = None
    dry_run: bool = False
    #: makes a record that is written with what is sent, so that neither is there without the other
    audit: Audit | None = None


async def redrive(
    bootstrap: str,
    options: dict[str, Any],
    topics: Topics,
    order: RedriveOrder,
    replication: int = 1,
    told: Callable[[int], None] | None = None,
) -> Redriven:
    """Send the chosen records that were not sent before. ``told`` is called with the number dealt with so far.

    Raises :class:`Unavailable` if another redrive took over, :class:`Incompatible` if what was sent cannot be noted.
    """
    found, chosen, done = order.found, order.chosen, Redriven()
    way = Way(topics, order.repair, *await _taken(bootstrap, options, topics), order.audit)
    if order.dry_run:
        notes = await Notes.read(bootstrap, options, topics, found, None)
        return await _redrive(notes, way, chosen, done, told, None)
    producer = clients.producer(
        bootstrap, options, transactional_id=f"{topics.dead_letters}-redrive", max_request_size=bounds.DEAD_LETTER
    )
    async with started(producer, bootstrap, options):  # fences another run, so that the notes are final
        notes = await Notes.read(bootstrap, options, topics, found, replication)
        try:
            return await _redrive(notes, way, chosen, done, told, producer)
        except ProducerFenced as error:
            raise Unavailable(
                f"another redrive has taken over; this one stops, and had sent {done.sent:,} records, which no other "
                "sends again"
            ) from error


async def _redrive(
    notes: Notes,
    way: Way,
    chosen: Sequence[DeadLetteredRecord],
    done: Redriven,
    told: Callable[[int], None] | None,
    producer: AIOKafkaProducer | None,
) -> Redriven:
    values = dict[tuple[int, int], bytes | None]()
    fresh: list[DeadLetteredRecord] = []
    for dead in chosen:
        if notes.sent(dead):
            done.before += 1
            continue
        try:
            values[dead.partition, dead.offset] = way.value(dead)
        except BadRow as error:
            done.faults.add(f"{dead.topic}[{dead.origin[0]}]@{dead.origin[1]}", str(error))
        else:
            fresh.append(dead)
    for begin in range(0, len(fresh), BATCH):
        batch = fresh[begin : begin + BATCH]
        if producer is not None:
            noted = notes.with_(batch)
            async with producer.transaction():
                for dead in batch:
                    await _send(producer, way.topics, dead, values[dead.partition, dead.offset])
                for key, text in noted.items():
                    await producer.send(way.topics.progress, text, key=key.encode(), partition=0)
                if way.audit is not None:
                    said = way.audit(batch)
                    await producer.send(
                        way.topics.audit, said.value, key=said.key, partition=said.partition, headers=said.headers
                    )
        done.sent += len(batch)
        if told is not None:
            told(done.before + done.faults.count + done.sent)
    return done


class Notes:
    """Which dead-lettered records were sent, by reason and partition of the dead-lettered records."""

    def __init__(self, topics: Topics, found: Sequence[DeadLetteredRecord]) -> None:
        #: of a note's key; one input prefix may have the dead-lettered records of several applications
        self._begin = f"redrive:{topics.dead_letters}:"
        #: offsets of all dead-lettered records, and of those that were sent, by reason and partition
        self._all: dict[tuple[str, int], list[int]] = defaultdict(list)
        self._sent: dict[tuple[str, int], set[int]] = defaultdict(set)
        #: offsets between which others, who looked later than we, have sent what came since; begin and end in turn
        self._later: dict[tuple[str, int], list[int]] = {}
        for dead in sorted(found, key=lambda dead: dead.offset):
            self._all[dead.reason, dead.partition].append(dead.offset)

    @classmethod
    async def read(
        cls,
        bootstrap: str,
        options: dict[str, Any],
        topics: Topics,
        found: Sequence[DeadLetteredRecord],
        replication: int | None,
    ) -> Notes:
        """What earlier runs have noted of the dead-lettered records that are still there."""
        notes = cls(topics, found)
        notes.take(await read_progress(bootstrap, options, topics, replication, notes._begin))
        return notes

    def take(self, noted: dict[str, bytes]) -> None:
        """What earlier runs have written under each key."""
        for key, text in noted.items():
            reason, _, partition = key.removeprefix(self._begin).rpartition(":")
            runs = list(accumulate(int(part) for part in text.split(b",") if part))
            place = (reason, int(partition))
            self._sent[place] |= {offset for offset in self._all[place] if bisect_right(runs, offset) % 2}
            end = self._all[place][-1] + 1 if self._all[place] else 0
            first = bisect_right(runs, end)
            self._later[place] = [*([end] if first % 2 else []), *runs[first:]]

    def sent(self, dead: DeadLetteredRecord) -> bool:
        """Whether a record was sent by an earlier run."""
        return dead.offset in self._sent[dead.reason, dead.partition]

    def with_(self, batch: Sequence[DeadLetteredRecord]) -> dict[str, bytes]:
        """Take these as sent: the notes to write, by key. Raises :class:`Incompatible`."""
        for dead in batch:
            self._sent[dead.reason, dead.partition].add(dead.offset)
        noted = dict[str, bytes]()
        for reason, partition in sorted({(dead.reason, dead.partition) for dead in batch}):
            text = self._text(reason, partition).encode()
            if len(text) > _NOTE_BYTES:
                raise Incompatible(
                    f"too many records with the reason {reason} lie between those that are sent, and the note "
                    "of them would be too long: send the others first, or narrow the choice with --since"
                )
            noted[f"{self._begin}{reason}:{partition}"] = text
        return noted

    def _text(self, reason: str, partition: int) -> str:
        """Where runs of dead-lettered records that were sent begin and end, as differences."""
        bounds, sent, inside = list[int](), self._sent[reason, partition], False
        for offset in self._all[reason, partition]:
            if (offset in sent) != inside:
                bounds.append(offset)
                inside = not inside
        if inside:
            bounds.append(max(sent) + 1)
        bounds += self._later.get((reason, partition), [])
        return ",".join(str(b - a) for a, b in zip([0, *bounds], bounds, strict=False))


async def _send(producer: AIOKafkaProducer, topics: Topics, dead: DeadLetteredRecord, value: bytes | None) -> None:
    record = dead.record
    headers = original(record.headers)
    await producer.send(dead.topic, value, key=record.key, partition=_partition(topics, dead), headers=headers)


def _partition(topics: Topics, dead: DeadLetteredRecord) -> int:
    """Where it came from, or, for what belongs to a model, the model's."""
    if dead.topic in (topics.operator_commands, topics.training_results):
        try:
            return partition_for(_keyed.decode(dead.record.value or b"").model.encode(), topics.model_partitions)
        except msgspec.DecodeError:
            pass  # it names no model, and will come back for that
    return dead.origin[0]
