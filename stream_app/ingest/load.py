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
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import orjson
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from schemas import bounds, deadletters
from schemas.inputs import OUTCOME_DECODER, PREDICTION_DECODER
from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import Incompatible, Unavailable
from stream_app.ingest.files import digest, numbered_rows
from stream_app.ingest.mapping import BadRow, Mapping, outcome, prediction
from stream_app.ingest.progress import read_progress
from stream_app.ingest.sorting import Sorted
from stream_app.kafka.placement import partitions_for
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

Kind = Literal["outcomes", "predictions"]

#: Rows of one transaction: some megabytes, a second of work at most.
BATCH: Final = 5_000
_SHOWN: Final = 10
#: Nothing is drawn here: rows without times are refused.
_NO_DRAW: Final = random.Random(0)
_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|-?\b\d[\d.e+-]*\b|\bNone\b")

#: Called with rows read so far.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load."""

    kind: Kind
    files: tuple[Path, ...]
    mapping: Mapping = field(default_factory=Mapping)

    def digest(self) -> str:
        """Identity of the load."""
        parts = [self.kind, self.mapping.fingerprint(), *(digest(path) for path in self.files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class _Placed(NamedTuple):
    """A record in the order of time; of one time, as in the files."""

    at_ms: int
    number: int
    key: bytes
    value: bytes


class LoadedRow(NamedTuple):
    """A row as a record: its key, its bytes, its time (epoch ms)."""

    key: bytes
    value: bytes
    at_ms: int


@dataclass(slots=True)
class Faults:
    """Rows that make no record, by reason, with the lines of the first."""

    count: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        """Count one. What differs from row to row is left out of the reason."""
        reason = _VALUES.sub("…", text)
        self.count += 1
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1
        if len(self.first) < _SHOWN:
            self.first.append(f"{where}: {text}")


@dataclass(slots=True)
class Loaded:
    """What a load did. ``resumed_from_row``: records that earlier runs had written."""

    rows: int = 0
    sent: int = 0
    resumed_from_row: int = 0
    #: rows without an outcome, in a load of outcomes
    blank: int = 0
    faults: Faults = field(default_factory=Faults)


def records(plan: LoadPlan, max_record_bytes: int, loaded: Loaded) -> Iterator[LoadedRow | None]:
    """Every row of the files in order, ``None`` for one that makes no record; counts into ``loaded``."""
    for path in plan.files:
        for line, row in numbered_rows(path):
            loaded.rows += 1
            try:
                if isinstance(row, str):
                    raise BadRow(row)
                found = as_record(plan.kind, plan.mapping, row, loaded.rows, max_record_bytes)
            except BadRow as error:
                loaded.faults.add(f"{path.name}, line {line}", str(error))
                found = None
            else:
                loaded.blank += found is None
            yield found


def as_record(
    kind: Kind, mapping: Mapping, row: dict[str, Any], number: int, max_record_bytes: int
) -> LoadedRow | None:
    """A row as the labels stage will take it, ``None`` for one without an outcome. Raises :class:`BadRow`."""
    if mapping.value(row, "prediction_id") is None:
        raise BadRow("no prediction_id: map its column with --map prediction_id=COLUMN")
    if kind == "predictions":
        at, name, record = prediction(mapping, row, number, _NO_DRAW)
        decode: Callable[[bytes], Any] = PREDICTION_DECODER.decode
    else:
        late = outcome(mapping, row, number, None, _NO_DRAW)
        if late is None:
            return None
        at, name, record = late
        decode = OUTCOME_DECODER.decode
    try:
        value, key = orjson.dumps(record), name.encode()
        decode(value)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRow(deadletters.explain(error)[1]) from error
    except TypeError as error:
        raise BadRow(f"features cannot be written as JSON: {error}") from error
    if len(key) > 128:
        raise BadRow("prediction_id is longer than 128 bytes")
    size, most = bounds.content(key, value, ()), min(max_record_bytes, bounds.SENT)
    if size > most:
        raise BadRow(f"the record has {size} bytes and its topic takes {most}")
    return LoadedRow(key, value, at)


async def run_load(settings: Settings, topics: Topics, plan: LoadPlan, told: Progress | None = None) -> Loaded:
    """Write what earlier runs of the same load have not written. ``Unavailable`` without a broker or when replaced."""
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
        with await asyncio.to_thread(_in_order, plan, settings.max_record_bytes, loaded) as ordered:
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


def _in_order(plan: LoadPlan, max_record_bytes: int, loaded: Loaded) -> Sorted[_Placed]:
    """Every record of the files by its time; sorted on disk where there are many."""
    found = enumerate(records(plan, max_record_bytes, loaded))
    return Sorted(_Placed, (_Placed(row.at_ms, n, row.key, row.value) for n, row in found if row is not None))


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


def look_through(plan: LoadPlan, max_record_bytes: int) -> tuple[Loaded, dict[bytes, int]]:
    """Check every row and send nothing: what there is, and the time of each id. ``Incompatible`` without any row."""
    loaded = Loaded()
    found = {row.key: row.at_ms for row in records(plan, max_record_bytes, loaded) if row is not None}
    if not loaded.rows:
        raise Incompatible(f"{', '.join(path.name for path in plan.files)}: no rows")
    return loaded, found
