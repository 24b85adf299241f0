"""Files of predictions or outcomes into a running system: no ticks, once, and on from where a killed run was.

Records are written in the order of their times, whatever the order of the files: ticks that come later cover the
beginning of a topic, and what stands behind a later record would count when that one does.

A load's identity is the digest of its files and of everything that decides what is made of them. How many records it
has written stands, under that identity, on the topic of progress, and joins the transaction of every batch: records and
note are there together or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import Unavailable
from stream_app.ingest import inputs
from stream_app.ingest.faults import Faults
from stream_app.ingest.files import Reading
from stream_app.ingest.ids import Ids
from stream_app.ingest.inputs import Admission, Inputs, Kind, LoadedRow, Survey, of_files
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.progress import read_progress
from stream_app.ingest.repeats import Repeats
from stream_app.ingest.sorting import Sorted
from stream_app.kafka.placement import partitions_for
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

#: Rows of one transaction: some megabytes, a second of work at most.
BATCH: Final = 5_000
#: Called with rows read so far.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load."""

    kind: Kind
    files: tuple[Path, ...]
    mapping: Mapping = field(default_factory=Mapping)
    reading: Reading = field(default_factory=Reading)

    def digest(self) -> str:
        """Identity of the load."""
        return hashlib.sha256(f"{self.kind}\n{self.inputs().digest()}".encode()).hexdigest()[:32]

    def inputs(self, taken: Admission | None = None) -> Inputs:
        """The files and how they are read."""
        return Inputs(
            of_files(self.files, self.kind), self.mapping, self.reading, taken=taken or Admission()
        )  # fmt: skip


class _Placed(NamedTuple):
    """A record in the order of time; of one time, as in the files."""

    at_ms: int
    number: int
    key: bytes
    value: bytes


@dataclass(slots=True)
class Loaded:
    """What a load did. ``resumed_from_row``: records that earlier runs had written."""

    rows: int = 0
    sent: int = 0
    resumed_from_row: int = 0
    #: rows without an outcome, in a load of outcomes
    blank: int = 0
    faults: Faults = field(default_factory=Faults)
    repeats: Repeats = field(default_factory=Repeats)


def records(plan: LoadPlan, known: Survey, taken: Admission, loaded: Loaded) -> Iterator[LoadedRow | None]:
    """Every row of the files in order, ``None`` for one that makes no record; counts into ``loaded``."""
    for made in inputs.records(plan.inputs(taken), known, loaded.faults):
        loaded.rows += 1
        yield made[0] if made else None


async def run_load(
    settings: Settings, topics: Topics, plan: LoadPlan, known: Survey, told: Progress | None = None
) -> Loaded:
    """Write what earlier runs of the same load have not written. ``Unavailable`` without a broker or when replaced.

    ``known``: what :func:`look_through` found.
    """
    identity = await asyncio.to_thread(plan.digest)
    topic = topics.predictions if plan.kind == "predictions" else topics.outcomes
    key, options = f"load:{identity}", settings.kafka_client_options()
    producer = LaneProducer(
        EngineConfig(
            group="", bootstrap=settings.kafka_bootstrap, cluster="", data_dir=settings.data_dir,
            kafka_options=options, transaction_timeout_s=settings.transaction_timeout_s,
            message_limits=topics.message_limits(),
        ),
        f"{topics.input_prefix}load-{identity}",
    )  # fmt: skip
    loaded = Loaded()
    try:
        await producer.start()  # fences another run of the same load, so that the note is final
        notes = await read_progress(settings.kafka_bootstrap, options, topics, settings.replication_factor, key)
        done = loaded.resumed_from_row = int(orjson.loads(notes[key])["records"]) if key in notes else 0
        with await asyncio.to_thread(_in_order, plan, known, Admission.by(settings), loaded) as ordered:
            rows = islice(ordered, done, None)
            while batch := list(islice(rows, BATCH)):
                done += len(batch)
                await _write(producer, topics, topic, batch, (key.encode(), orjson.dumps({"records": done})))
                loaded.sent += len(batch)
                if told is not None:
                    told(done)
    except ProducerFenced as error:
        raise Unavailable("another run of the same load has taken over; this one stops") from error
    except (KafkaError, IllegalOperation) as error:
        raise Unavailable(
            f"the load stopped after {loaded.sent:,} rows: {type(error).__name__}: {error}. Run it again: it goes on "
            "where it was."
        ) from error
    finally:
        await producer.stop()
    return loaded


def _in_order(plan: LoadPlan, known: Survey, taken: Admission, loaded: Loaded) -> Sorted[_Placed]:
    """Every record of the files by its time; sorted on disk where there are many."""
    found = enumerate(records(plan, known, taken, loaded))
    return Sorted(
        _Placed, (_Placed(row.at_ms, n, row.key, bytes(memoryview(row.value))) for n, row in found if row is not None)
    )


async def _write(
    producer: LaneProducer, topics: Topics, topic: str, batch: list[_Placed], note: tuple[bytes, bytes]
) -> None:
    """One transaction: the records, and the note that they were written."""
    placed: defaultdict[int, list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]] = defaultdict(list)
    partitions = partitions_for([row.key for row in batch], topics.input_partitions)
    for partition, row in zip(partitions, batch, strict=True):
        placed[partition].append((row.key, row.value, []))
    await producer.begin()
    for partition, rows in placed.items():
        await producer.send(topic, partition, rows)
    await producer.send(topics.progress, 0, [(*note, [])])
    await producer.acknowledged()
    await producer.commit()


def look_through(plan: LoadPlan, taken: Admission) -> tuple[Survey, Ids]:
    """Check every row and send nothing: what there is, and the time of each id. ``Incompatible`` if nothing can be
    sent, with all that is wrong."""
    ids = Ids()
    known = inputs.survey(plan.inputs(taken), lambda row: ids.add(row.key, row.at_ms))
    known.refuse()
    ids.sort()
    return known, ids
