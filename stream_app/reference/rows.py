"""Labelled rows of a model, rebuilt from the topics as a command names them.

Identity is the prediction's id: of two predictions the first counts, of several outcomes the one observed last, as in
the pipeline's own joins. Unreadable records are passed over: the labels stage has dead-lettered them. A feature is of
one kind in all rows: numbers (and booleans, and numbers in text beside them), or text, which becomes one column for
each value seen in training (``name=value``); absent is 0. Text that is nearly all distinct names rows and tells nothing
of them: it is refused.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from sklearn.feature_extraction import DictVectorizer

from schemas.common import parse_ms
from schemas.inputs import OUTCOME_DECODER, PREDICTION_WITH_FEATURES_DECODER, time_ms
from schemas.training import DataRange
from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded
from stream_app.kafka.passed_by import readable
from stream_app.kafka.topics import Topics
from stream_app.reference.learners import Labels, Matrix

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


async def labelled_rows(
    bootstrap: str,
    options: dict[str, Any],
    topics: Topics,
    model: str,
    is_global: bool,
    ranges: Sequence[DataRange],
) -> list[list[TrainingRow]]:
    """Rows of each range, in order of time. Raises ``Incompatible`` if retention deleted what a range names, and if
    it names anything but rows of this prefix's inputs.

    ``is_global``: predictions of the type belong to one model, whatever tenant they name.
    """
    for named in ranges:
        _refuse_foreign(named, topics)
    offsets = ranges[0].offsets
    predictions: dict[str, Any] = {}
    outcomes: dict[str, tuple[int, bool]] = {}
    model_type, _, tenant = model.partition(":")
    consumer = clients.consumer(bootstrap, options, auto_offset_reset="none")
    await consumer.start()
    try:
        async for record in _read(consumer, offsets):
            if record.topic == topics.outcomes:
                _take_outcome(record, outcomes)
            else:
                _take_prediction(record, model_type, None if is_global else tenant, predictions)
    finally:
        await consumer.stop()
    rows = [
        TrainingRow(
            time_ms(p.predicted_at), id, p.model_version, p.score,
            bool(p.predicted) if p.predicted is not None else p.score >= p.threshold,
            outcomes[id][1], usable(p.features or {}),
        )
        for id, p in predictions.items()
        if id in outcomes and p.role == "active"
    ]  # fmt: skip
    rows.sort(key=lambda row: (row.at_ms, row.id))
    return [[r for r in rows if parse_ms(w.from_) <= r.at_ms < parse_ms(w.to)] for w in ranges]


async def _read(consumer: AIOKafkaConsumer, offsets: dict[str, dict[int, tuple[int, int]]]) -> AsyncIterator[Any]:
    """Records between the offsets, in order within a partition."""
    wanted = {
        TopicPartition(topic, int(partition)): (first, end)
        for topic, partitions in offsets.items()
        for partition, (first, end) in partitions.items()
        if first < end
    }
    for tp, begin in (await consumer.beginning_offsets(list(wanted))).items():
        if begin > wanted[tp][0]:
            raise Incompatible(
                f"{tp.topic}[{tp.partition}] begins at offset {begin}, the command names {wanted[tp][0]}: retention "
                "deleted rows to train on. `plumbline topics check` says which retention keeps them."
            )
    for tp, end in (await consumer.end_offsets(list(wanted))).items():
        if end < wanted[tp][1]:
            raise Incompatible(
                f"{tp.topic}[{tp.partition}] ends at offset {end}, the command names rows up to {wanted[tp][1]}"
            )
    consumer.assign(list(wanted))
    for tp, (first, _) in wanted.items():
        consumer.seek(tp, first)
    left = set(wanted)
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


def _take_outcome(record: Any, outcomes: dict[str, tuple[int, bool]]) -> None:
    """Kept whatever model they belong to: an outcome does not say."""
    found = decoded(_outcome, record)
    if found is None:
        return
    id, at, actual = found
    known = outcomes.get(id)
    if known is None or at > known[0]:
        outcomes[id] = (at, actual)


def _take_prediction(record: Any, model_type: str, tenant: str | None, predictions: dict[str, Any]) -> None:
    found = decoded(_prediction, record)
    if found is None:
        return
    if found.model_type == model_type and (tenant is None or (found.tenant_id or "global") == tenant):
        predictions.setdefault(found.prediction_id, found)


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
