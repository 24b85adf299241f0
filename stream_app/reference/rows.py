"""Labelled rows of a model, rebuilt from the topics as a command names them.

Identity is the prediction's id: of two predictions the first counts, of several outcomes the one observed last, as in
the pipeline's own joins. A range of more rows than `retrain_max_rows` is thinned by a hash of their ids. Unreadable
records are passed over: the labels stage has dead-lettered them. A feature is of one kind in all rows: numbers (and
booleans, and numbers in text beside them), or text, which becomes one column for each value seen in training
(``name=value``); absent is 0. Text that is nearly all distinct names rows and tells nothing of them: it is refused.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import UNSET
from sklearn.feature_extraction import DictVectorizer

from schemas.common import parse_ms
from schemas.inputs import OUTCOME_DECODER, PREDICTION_WITH_FEATURES_DECODER, time_ms
from schemas.training import DataRange, TrainingData
from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded
from stream_app.kafka.passed_by import readable
from stream_app.kafka.topics import Topics
from stream_app.reference.learners import Labels, Matrix

#: One more than the greatest hash of an id.
_HASHES = 2**64
#: Values of one text feature that get a column of their own; rarer ones count as absent.
MOST_VALUES = 50
#: Share of distinct values from which on a text with more of them than that is taken for the names of rows.
NEARLY_ALL = 0.9


class TrainingRow(NamedTuple):
    """A labelled prediction; ``at_ms``: when it was made."""

    at_ms: int
    id: str
    version: str
    score: float
    predicted: bool
    actual: bool
    features: dict[str, Any]


class RowsOfRange(NamedTuple):
    """Rows to learn from, in order of time."""

    name: str
    from_ms: int
    rows: list[TrainingRow]
    #: whether retention deleted more than half of them
    expired: bool = False


class LearningRows(NamedTuple):
    """What a command names."""

    ranges: list[RowsOfRange]
    holdout: list[TrainingRow]


class Wanted(NamedTuple):
    """Which rows."""

    model: str
    #: predictions of the type belong to one model, whatever tenant they name
    is_global: bool
    data: TrainingData
    #: of a range; of more, those whose ids have the least hashes
    max_rows: int
    #: whether a prediction without an outcome is a negative (`unlabelled_as`): the command's rows are old enough
    silence_is_negative: bool = False


async def labelled_rows(bootstrap: str, options: dict[str, Any], topics: Topics, wanted: Wanted) -> LearningRows:
    """Rows of each range and of the hold-out. Raises ``Incompatible`` if the command names anything but rows of this
    prefix's inputs. Where retention deleted some, the reading begins where the log does.

    Predictions are read first and outcomes then, so memory holds ``max_rows`` of each range, the hold-out, and nothing
    of other rows, however long the topics are. Of an id that is used twice the first prediction of the named time
    counts.
    """
    data = wanted.data
    for named in (data.train, data.holdout):
        _refuse_foreign(named, topics)
    sample, offsets = KeptPredictions(wanted), data.train.offsets
    outcomes: dict[str, tuple[int, bool]] = {}
    consumer = clients.consumer(bootstrap, options, auto_offset_reset="none")
    await consumer.start()
    try:
        cut = [tp for topic in offsets for tp in await _begin(consumer, topic, offsets[topic])]
        async for record in _read(consumer, topics.predictions, offsets.get(topics.predictions, {})):
            _take_prediction(record, wanted, sample)
        async for record in _read(consumer, topics.outcomes, offsets.get(topics.outcomes, {})):
            _take_outcome(record, outcomes, sample.kept)
    finally:
        await consumer.stop()
    return sample.rows(outcomes, bool(cut))


class KeptPredictions:
    """Predictions that are kept while they are read: all of the hold-out, and of each range at most so many."""

    def __init__(self, wanted: Wanted) -> None:
        data = wanted.data
        self._wanted = wanted
        self._from, self._to = parse_ms(data.holdout.from_), parse_ms(data.holdout.to)
        named = [] if data.ranges is UNSET else [(r.name, parse_ms(r.from_), r.rows) for r in data.ranges]
        #: name, begin (epoch ms), labelled rows that the command knows of
        self._ranges = named or [("train", parse_ms(data.train.from_), 0)]
        #: of each range (-hash, id), the greatest hash first
        self._heaps: list[list[tuple[int, str]]] = [[] for _ in self._ranges]
        #: of each range the hash above which nothing is kept
        self._limits = [_HASHES] * len(self._ranges)
        #: id → prediction
        self.kept: dict[str, Any] = {}
        #: id → number of ranges that it is kept for
        self._for: Counter[str] = Counter()

    def take(self, found: Any) -> None:
        """A prediction of the model, if it lies in a range or the hold-out and is not left out."""
        id, at = found.prediction_id, time_ms(found.predicted_at)
        if id in self.kept or at >= self._to or found.role != "active":
            return
        if at >= self._from:
            self.kept[id] = found
            return
        key = int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big")
        for number, (_, begin, _) in enumerate(self._ranges):
            if begin <= at and key < self._limits[number]:
                self.kept[id] = found
                self._for[id] += 1
                heapq.heappush(self._heaps[number], (-key, id))
                if len(self._heaps[number]) > self._wanted.max_rows:
                    self._leave_out(number)

    def _leave_out(self, number: int) -> None:
        key, id = heapq.heappop(self._heaps[number])
        self._limits[number] = -key
        self._for[id] -= 1
        if not self._for[id]:
            del self._for[id], self.kept[id]

    def rows(self, outcomes: Mapping[str, tuple[int, bool]], cut: bool) -> LearningRows:
        """Labelled rows in order of time; ``cut``: retention deleted some of those between the offsets."""
        negative = self._wanted.silence_is_negative
        rows = [
            TrainingRow(
                time_ms(p.predicted_at), id, p.model_version, p.score,
                bool(p.predicted) if p.predicted is not None else p.score >= p.threshold,
                outcomes[id][1] if id in outcomes else False, usable(p.features or {}),
            )
            for id, p in self.kept.items()
            if (negative or id in outcomes)
        ]  # fmt: skip
        rows.sort(key=lambda row: (row.at_ms, row.id))
        ranges = []
        for (name, begin, known), heap, limit in zip(self._ranges, self._heaps, self._limits, strict=True):
            ids = {id for _, id in heap}
            mine = [row for row in rows if row.at_ms < self._from and row.id in ids]
            there = len(mine) * _HASHES / limit
            ranges.append(RowsOfRange(name, begin, mine, cut and (2 * there < known or not mine)))
        return LearningRows(ranges, [row for row in rows if row.at_ms >= self._from])


async def _begin(consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[int, tuple[int, int]]) -> list[Any]:
    """Partitions of which retention deleted records that are named. ``Incompatible`` for one that ends too early."""
    wanted = {TopicPartition(topic, p): (first, end) for p, (first, end) in offsets.items() if first < end}
    for tp, end in (await consumer.end_offsets(list(wanted))).items():
        if end < wanted[tp][1]:
            raise Incompatible(
                f"{tp.topic}[{tp.partition}] ends at offset {end}, the command names rows up to {wanted[tp][1]}"
            )
    begins = await consumer.beginning_offsets(list(wanted))
    return [tp for tp, begin in begins.items() if begin > wanted[tp][0]]


async def _read(consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[int, tuple[int, int]]) -> AsyncIterator[Any]:
    """Records of a topic between the offsets, in order within a partition, from where the log begins."""
    wanted = {TopicPartition(topic, p): (first, end) for p, (first, end) in offsets.items() if first < end}
    begins = await consumer.beginning_offsets(list(wanted))
    consumer.assign(list(wanted))
    for tp, (first, _) in wanted.items():
        consumer.seek(tp, max(first, begins[tp]))
    left = {tp for tp in wanted if max(wanted[tp][0], begins[tp]) < wanted[tp][1]}
    while left:
        for tp, records in (await consumer.getmany(*left, timeout_ms=100)).items():
            for record in readable(records):
                if record.offset < wanted[tp][1]:
                    yield record
        left = {tp for tp in left if await consumer.position(tp) < wanted[tp][1]}


def _refuse_foreign(named: DataRange, topics: Topics) -> None:
    inputs, count = (topics.predictions, topics.outcomes), topics.input_partitions
    for topic, partitions in named.offsets.items():
        if topic not in inputs:
            raise Incompatible(f"the command names rows of {topic}; rows stand in {inputs[0]} and {inputs[1]}")
        for partition, (first, end) in partitions.items():
            if partition >= count:
                raise Incompatible(f"the command names {topic}[{partition}]; its partitions are 0 to {count - 1}")
            if first > end:
                raise Incompatible(f"the command names {topic}[{partition}] from offset {first} to {end}, backwards")


def _outcome(value: bytes) -> tuple[str, int, bool]:
    found = OUTCOME_DECODER.decode(value)
    return found.prediction_id, time_ms(found.observed_at), bool(found.actual)


def _prediction(value: bytes) -> Any:
    found = PREDICTION_WITH_FEATURES_DECODER.decode(value)
    time_ms(found.predicted_at)  # whoever uses the row reads it again
    return found


def _take_prediction(record: Any, wanted: Wanted, sample: KeptPredictions) -> None:
    found = decoded(_prediction, record)
    model_type, _, tenant = wanted.model.partition(":")
    if found is None or found.model_type != model_type:
        return
    if wanted.is_global or (found.tenant_id or "global") == tenant:
        sample.take(found)


def _take_outcome(record: Any, outcomes: dict[str, tuple[int, bool]], wanted: Container[str]) -> None:
    """Of predictions that are kept: of several the one observed last."""
    found = decoded(_outcome, record)
    if found is None or found[0] not in wanted:
        return
    id, at, actual = found
    known = outcomes.get(id)
    if known is None or at > known[0]:
        outcomes[id] = (at, actual)


def usable(features: dict[str, Any]) -> dict[str, Any]:
    """Texts, booleans and finite numbers; other things nobody learns from, and deep ones could not be handed on."""
    return {name: value for name, value in features.items() if isinstance(value, str) or _finite(value)}


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, bool | int | float) and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


class NamesRows(ValueError):
    """A text that is nearly all distinct; the message names it."""

    def __init__(self, name: str, distinct: int, count: int) -> None:
        super().__init__(
            f"the feature {name!r} is text with {distinct:,} different values in {count:,} rows: it names rows and "
            "tells nothing of them. Leave it out of the features, or send what it stands for"
        )


class Encoding:
    """Columns made of features, as scikit-learn's ``DictVectorizer`` makes them: a number's name, and ``name=value``
    for each value of a text."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.columns = tuple(columns)
        self._vectorizer = DictVectorizer(sparse=False)
        # what it would have learnt from rows: the names are kept with a model, rows are not
        self._vectorizer.feature_names_ = list(self.columns)
        self._vectorizer.vocabulary_ = {column: at for at, column in enumerate(self.columns)}
        self._numbers = frozenset(self.columns)
        self._texts = frozenset(column.partition("=")[0] for column in self.columns if "=" in column)

    @classmethod
    def of(cls, features: Sequence[dict[str, Any]]) -> Encoding:
        """Columns for everything the rows hold, but for rare values of a text that has many. :class:`NamesRows` for a
        text that is nearly all distinct."""
        known = _of_one_kind([usable(found) for found in features])
        texts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for found in known:
            for name, value in found.items():
                if isinstance(value, str):
                    texts[name][value] += 1
        for name, seen in texts.items():
            if len(seen) > MOST_VALUES and len(seen) >= NEARLY_ALL * seen.total():
                raise NamesRows(name, len(seen), seen.total())
        rare = {
            f"{name}={value}"
            for name, seen in texts.items()
            for value in sorted(seen, key=lambda value: (-seen[value], value))[MOST_VALUES:]
        }
        return cls(column for column in DictVectorizer().fit(known).feature_names_ if column not in rare)

    def matrix(self, features: Sequence[dict[str, Any]]) -> Matrix:
        """Shape (rows, columns); what is absent is 0, with no column of its own."""
        if not features:
            return np.zeros((0, len(self.columns)))
        out: Matrix = self._vectorizer.transform([self._by_kind(usable(found)) for found in features])
        return out

    def _by_kind(self, found: dict[str, Any]) -> dict[str, Any]:
        """Values as the kind that their features had in training."""
        made = {}
        for name, value in found.items():
            if isinstance(value, str):
                if name in self._numbers and name not in self._texts:
                    number = _number(value)
                    if number is None:
                        continue
                    value = number
            elif name in self._texts and name not in self._numbers:
                value = _written(value)
            made[name] = value
        return made


def _of_one_kind(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in which no feature is a number here and text there: numbers where all of its texts are some, else text."""
    texts = {name for row in rows for name, value in row.items() if isinstance(value, str)}
    mixed = texts & {name for row in rows for name, value in row.items() if not isinstance(value, str)}
    if not mixed:
        return rows
    words = {
        name for row in rows for name in mixed & row.keys() if isinstance(row[name], str) and _number(row[name]) is None
    }
    return [
        {
            name: value if name not in mixed else _written(value) if name in words else _number(value)
            for name, value in row.items()
        }
        for row in rows
    ]


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def labels(rows: Sequence[TrainingRow]) -> Labels:
    """Outcomes as 0 and 1."""
    return np.array([row.actual for row in rows], dtype=np.int64)
