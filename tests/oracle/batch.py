"""Dispositions, dead-lettered records and every closed snapshot, revision by revision, from the raw input topics.

Every record is judged one by one in a dictionary; figures come from numpy and scikit-learn on raw scores. Slow,
obvious, and without a model of the project's core.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from tests.oracle.inputs import DAY, Made, Refused, Seen, outcome, prediction

HOUR = 3_600_000
#: Logits between the bins of the score that hours are counted in.
LOGITS = (-12, -10.5, -9.5, -8.75, -8, -7.5, -7, -6.5, -6, -5.5, -5, -4.5, -4, -3.5, -3, -2.5, -2, -1.6, -1.2, -0.8,
          -0.4, 0, 0.4, 0.8, 1.2, 1.6, 2, 2.5, 3, 4, 6)  # fmt: skip
Raw = tuple[int, bytes | None]  # offset, value


@dataclass
class Rules:
    """The settings the oracle knows."""

    horizon_days: int = 60
    early_days: int = 7
    max_age_days: int = 90
    future_ms: int = 300_000
    record_bytes: int = 1_048_576
    narrow_below: float = 0.2
    retention_days: int = 90
    #: model type → days after which unlabelled predictions count as negatives
    negative_after: dict[str, int] = field(default_factory=dict)


@dataclass
class Entry:
    """A prediction, its outcome if known, and the day of the tick that covered it."""

    made: Made
    cover: int
    seen: Seen | None = None
    booked: bool = False


@dataclass
class Result:
    """What should have come out."""

    predictions: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    #: (topic, partition, offset)
    dead: set[tuple[str, int, int]] = field(default_factory=set)
    #: (model, version, date, revision) → fields
    snapshots: dict[tuple[str, str, str, int], dict[str, Any]] = field(default_factory=dict)
    #: (model, version, day since 1970) → 24 hours of true negatives, missed and false positives, true positives, and
    #: predictions in 32 bins of the score, as they stand at the end
    hours: dict[tuple[str, str, int], list[list[int]]] = field(default_factory=dict)


@dataclass
class Tick:
    """A tick of one partition."""

    at: int
    ends_epoch: bool
    end_offsets: dict[str, int]


def read_ticks(records: list[Raw]) -> list[Tick]:
    """Ticks that count: each later than all before it, end offsets never going back."""
    ticks: list[Tick] = []
    end_offsets: dict[str, int] = {}
    for _, value in sorted(records):
        row = json.loads(value or b"{}")
        if "at" not in row:
            continue
        at = (datetime.fromisoformat(row["at"]) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        for topic, offset in row["end_offsets"].items():
            end_offsets[topic] = max(offset, end_offsets.get(topic, 0))
        if not ticks or at > ticks[-1].at:
            ticks.append(Tick(at, row["ends_epoch"], dict(end_offsets)))
    return ticks


class _Partition:
    """One partition's records and what is known of its ids."""

    def __init__(self, number: int, names: tuple[str, str], records: tuple[list[Raw], list[Raw]], rules: Rules) -> None:
        self.number, self.names, self.rules = number, names, rules
        self.queues = (sorted(records[0], reverse=True), sorted(records[1], reverse=True))
        self.entries: dict[str, Entry] = {}
        self.early: dict[str, tuple[Seen, int]] = {}
        self.counts = (Counter[str](), Counter[str]())

    def run(self, tick: Tick, result: Result, touched: Callable[[Made], None]) -> None:
        today = tick.at // DAY
        for identity in [i for i, e in self.entries.items() if today - e.cover > self.rules.horizon_days]:
            entry = self.entries.pop(identity)
            if entry.seen is None:
                self.counts[0]["pending"] -= 1
                self.counts[0]["unmatched"] += 1
        for identity in [i for i, (_, day) in self.early.items() if today - day > self.rules.early_days]:
            del self.early[identity]
            self.counts[1]["pending"] -= 1
            self.counts[1]["unmatched"] += 1
        for side, judge in ((0, self._prediction), (1, self._outcome)):
            queue = self.queues[side]
            limit = tick.end_offsets.get(self.names[side], 0)
            while queue and queue[-1][0] < limit:
                offset, value = queue.pop()
                try:
                    judge(value, tick, today, touched)
                except Refused:
                    self.counts[side]["dead_lettered"] += 1
                    result.dead.add((self.names[side], self.number, offset))

    def _prediction(self, value: bytes | None, tick: Tick, today: int, touched: Callable[[Made], None]) -> None:
        made = prediction(value, self.rules.record_bytes)
        if made.at > tick.at + self.rules.future_ms or made.at < tick.at - self.rules.max_age_days * DAY:
            raise Refused("time")
        known = self.entries.get(made.identity)
        if known is not None:
            if known.made != made:
                raise Refused("contradicts")
            self.counts[0]["duplicate"] += 1
            return
        entry = self.entries[made.identity] = Entry(made, today)
        touched(made)
        waiting = self.early.pop(made.identity, None)
        if waiting is None:
            self.counts[0]["pending"] += 1
        else:
            entry.seen = waiting[0]
            self.counts[1]["pending"] -= 1
            self.counts[0]["joined"] += 1
            self.counts[1]["joined"] += 1

    def _outcome(self, value: bytes | None, tick: Tick, today: int, touched: Callable[[Made], None]) -> None:
        seen = outcome(value, self.rules.record_bytes)
        if seen.at > tick.at + self.rules.future_ms:
            raise Refused("time")
        entry = self.entries.get(seen.identity)
        before = entry.seen if entry is not None else self.early.get(seen.identity, (None, 0))[0]
        if before is not None:
            if before.actual == seen.actual:
                self.counts[1]["duplicate"] += 1
                return
            if seen.at <= before.at:
                raise Refused("contradicts")
            self.counts[1]["corrected"] += 1
            if entry is not None:
                entry.seen = seen
                touched(entry.made)
            else:
                self.early[seen.identity] = (seen, self.early[seen.identity][1])
        elif entry is not None:
            entry.seen = seen
            touched(entry.made)
            self.counts[0]["pending"] -= 1
            self.counts[0]["joined"] += 1
            self.counts[1]["joined"] += 1
        else:
            self.early[seen.identity] = (seen, today)
            self.counts[1]["pending"] += 1


Cell = tuple[str, str, int]


class _Book:
    """Cohorts by cell, and what was published of them."""

    def __init__(self, rules: Rules, result: Result) -> None:
        self.rules, self.result = rules, result
        self.cohorts: dict[Cell, list[Entry]] = defaultdict(list)
        self.labels: dict[Cell, list[Any]] = {}
        self.revision: dict[Cell, int] = {}
        self.assumed: set[Cell] = set()

    def publish(self, cell: Cell, upto: int) -> None:
        model, version, day = cell
        days = self.rules.negative_after.get(model.split(":")[0])
        if days is not None and (day + days + 1) * DAY + 2 * HOUR <= upto:
            self.assumed.add(cell)
        self.revision[cell] = number = self.revision.get(cell, 0) + 1
        date = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")
        fields = figures(self.cohorts[cell], cell in self.assumed, self.rules.narrow_below)
        self.result.snapshots[model, version, date, number] = fields

    def tick(self, before: int, at: int, dirty: set[Cell]) -> None:
        """Publish what an epoch tick at ``at`` publishes; ``dirty`` cells changed since the last full hour or close."""
        closes = [
            day * DAY + hour * HOUR
            for day in range(before // DAY, at // DAY + 1)
            for hour in (1, 2, 3, 4)
            if before < day * DAY + hour * HOUR <= at
        ]
        if before and not closes and before // HOUR == at // HOUR:
            return
        known = before or at
        for cell in sorted(dirty):
            if (cell[2] + 1) * DAY + 2 * HOUR <= known:
                state = [(entry.seen.actual if entry.seen else None) for entry in self.cohorts[cell]]
                if self.labels.get(cell) != state or cell not in self.revision:
                    self.publish(cell, known)
            self.labels[cell] = [(entry.seen.actual if entry.seen else None) for entry in self.cohorts[cell]]
        dirty.clear()
        if not before:
            return
        for close in closes:
            if close % DAY != 2 * HOUR:
                continue
            day = close // DAY - 1
            for cell in sorted(self.cohorts):
                if cell[2] == day and cell not in self.revision:
                    self.publish(cell, close)
            for cell in sorted(self.cohorts):
                days = self.rules.negative_after.get(cell[0].split(":")[0])
                if days is not None and cell[2] == day - days and cell not in self.assumed:
                    self.publish(cell, close)
            for cell in [c for c in self.cohorts if c[2] < close // DAY - self.rules.retention_days]:
                del self.cohorts[cell]


def compute(
    names: tuple[str, str],
    predictions: dict[int, list[Raw]],
    outcomes: dict[int, list[Raw]],
    clock: dict[int, list[Raw]],
    rules: Rules | None = None,
) -> Result:
    """Judge everything the clock covers. All partitions must carry the same epoch ticks."""
    rules = rules or Rules()
    result = Result()
    book = _Book(rules, result)
    ticks = {p: read_ticks(records) for p, records in clock.items()}
    partitions = {p: _Partition(p, names, (predictions.get(p, []), outcomes.get(p, [])), rules) for p in clock}
    epoch_ticks = [tick.at for tick in ticks[min(ticks)] if tick.ends_epoch]
    assert all([t.at for t in found if t.ends_epoch] == epoch_ticks for found in ticks.values())
    dirty: set[Cell] = set()
    before = 0
    position = dict.fromkeys(ticks, 0)
    for at in epoch_ticks:
        for p, part in partitions.items():
            while position[p] < len(ticks[p]) and ticks[p][position[p]].at <= at:
                tick = ticks[p][position[p]]
                position[p] += 1

                def touched(made: Made, part: _Partition = part, at: int = at) -> None:
                    cell = (made.model, made.version, made.at // DAY)
                    if made.shadow or cell[2] < at // DAY - rules.retention_days:
                        return
                    entry = part.entries[made.identity]
                    if not entry.booked:
                        book.cohorts[cell].append(entry)
                        entry.booked = True
                    dirty.add(cell)

                part.run(tick, result, touched)
        book.tick(before, at, dirty)
        before = at
    result.hours = {cell: by_hour(cohort) for cell, cohort in book.cohorts.items()}
    for part in partitions.values():
        result.predictions.update(part.counts[0])
        result.outcomes.update(part.counts[1])
    return result


def by_hour(cohort: list[Entry]) -> list[list[int]]:
    """Counts of a day by the hour of the prediction, from raw rows; a score at an edge belongs to the bin below it."""
    out = [[0] * (4 + len(LOGITS) + 1) for _ in range(24)]
    for entry in cohort:
        row = out[entry.made.at % DAY // HOUR]
        row[4 + sum(entry.made.score > 1 / (1 + math.exp(-logit)) for logit in LOGITS)] += 1
        if entry.seen is not None:
            row[2 * entry.made.predicted + entry.seen.actual] += 1
    return out


def figures(cohort: list[Entry], assume_negative: bool, narrow_below: float) -> dict[str, Any]:
    """Fields of a snapshot from raw rows."""
    scores = np.array([entry.made.score for entry in cohort])
    predicted = np.array([entry.made.predicted for entry in cohort], dtype=bool)
    known = np.array([entry.seen is not None for entry in cohort], dtype=bool)
    actual = np.array([bool(entry.seen and entry.seen.actual) for entry in cohort], dtype=bool)
    judged = np.ones(len(cohort), dtype=bool) if assume_negative else known
    y, s, p = actual[judged], scores[judged], predicted[judged]
    tp, fp = int((p & y).sum()), int((p & ~y).sum())
    tn, fn = int((~p & ~y).sum()), int((~p & y).sum())
    widths = [b - a for a, b in (e.made.interval for e in cohort if e.made.interval)]

    def ratio(a: float, b: float) -> float | None:
        return a / b if b else None

    at_80 = None
    if y.any():
        precisions, recalls, _ = precision_recall_curve(y, s)
        at_80 = float(precisions[:-1][recalls[:-1] >= 0.8].max())
    bins = np.minimum((s * 10).astype(int), 9)
    gaps = [abs(math.fsum(s[bins == b]) - int(y[bins == b].sum())) for b in range(10) if (bins == b).any()]
    return {
        "predictions": len(cohort),
        "outcomes": int(known.sum()),
        "coverage": ratio(int(known.sum()), len(cohort)),
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
        "accuracy": ratio(tp + tn, len(y)),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "pr_auc": float(average_precision_score(y, s)) if y.any() else None,
        "precision_at_80_recall": at_80,
        "brier": float(((s - y) ** 2).mean()) if len(y) else None,
        "avg_ci_width": ratio(math.fsum(widths), len(widths)),
        "narrow_interval_pct": ratio(100 * sum(w < narrow_below for w in widths), len(widths)),
        "calibration_score": 1 - math.fsum(gaps) / len(y) if len(y) else None,
        "intervals": len(widths),
        "assumed_negatives": int((~known).sum()) if assume_negative else 0,
    }
