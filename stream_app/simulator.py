"""The stages without a broker: one lane of each, a dictionary for RocksDB, lists for the logs between them.

The same code as in a worker decides, so what comes out here comes out there. Two ways in: rows as producers send them,
joined by the labels stage, or whole days of counts as arrays, which go straight to metrics and are some fifty times
faster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.clock import TickView
from stream_app.core.alerts import AlertsConfig, AlertsStage
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import Cell, DeltaRecord, HourCount, Part
from stream_app.core.drift import DriftConfig, DriftStage
from stream_app.core.kit.effects import Drained, Emit
from stream_app.core.labels.config import LabelsConfig
from stream_app.core.labels.stage import LabelsStage
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.core.retrain import RetrainConfig, RetrainStage

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class Row(NamedTuple):
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class DictTable:
    """Committed state; keys are kept in order for scans."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by key, in the order asked."""
        return [self.rows.get(key) for key in keys]

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries under ``prefix`` above ``after``."""
        start = bisect_left(self._keys, prefix) if after is None else bisect_right(self._keys, after)
        out = []
        for key in self._keys[start : start + limit]:
            if not key.startswith(prefix):
                break
            out.append((key, self.rows[key]))
        return out

    def write(self, puts: dict[bytes, bytes | None]) -> None:
        """Apply a checkpoint."""
        for key, value in puts.items():
            if value is None:
                if self.rows.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self.rows:
                    insort(self._keys, key)
                self.rows[key] = value


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Predictions of one line, version and day, and their outcomes; arrays of shape (n,).

    ``made`` false: the predictions are counted already and only the labels are new. ``actual``: 1, 0, or −1 where
    there is no outcome yet.
    """

    line: str
    version: str
    day: int
    scores: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    actual: NDArray[np.int64]
    made: bool = True


class Simulator:
    """One partition of everything. ``emits`` collects what every stage sends, by topic alias."""

    def __init__(
        self,
        metrics: MetricsConfig,
        drift: DriftConfig,
        retrain: RetrainConfig,
        alerts: AlertsConfig,
        labels: LabelsConfig | None = None,
    ) -> None:
        self.stages: dict[str, Any] = {
            "metrics": MetricsStage(metrics, 0),
            "drift": DriftStage(drift, 0),
            "retrain": RetrainStage(retrain, 0),
            "alerts": AlertsStage(alerts, 0),
        }
        if labels is not None:
            self.stages["labels"] = LabelsStage(labels)
        self.tables = {name: DictTable() for name in self.stages}
        self.memos: dict[str, bytes | None] = dict.fromkeys(self.stages)
        self.emits: dict[str, list[Emit]] = {}
        self.keep = {
            "drift-events", "training-commands", "training-jobs", "audit", "alerts", "metric-snapshots",
            "model-lifecycle", "settings", "dead-letters",
        }  # fmt: skip
        self._offsets: dict[str, int] = {}
        self._last_tick = 0
        self._ahead: list[Part] = []
        for name in self.stages:
            self.restart(name)

    def restart(self, name: str) -> None:
        """Throw a stage's memory away and load it from its last checkpoint."""
        self.stages[name].load(self.memos[name], self.tables[name])

    # -- what happens ------------------------------------------------------------------------------------------------

    def batches(self, batches: Iterable[Batch], hour: int | None = None) -> None:
        """Counts of the epoch in hand; ``hour`` of their day that the predictions were made in, for the lifecycle."""
        cells: dict[Cell, list[Batch]] = {}
        for batch in batches:
            cells.setdefault(Cell(batch.line, batch.version, batch.day), []).append(batch)
        names = sorted(cells)
        columns: list[tuple[Any, Any, Any]] = []
        hours = []
        for number, name in enumerate(names):
            for batch in cells[name]:
                known = batch.actual >= 0
                kinds = deltas.LABEL_TN + 2 * batch.predicted[known].astype(int) + batch.actual[known]
                columns.append((np.full(int(known.sum()), number), kinds, batch.scores[known]))
                if batch.made:
                    count = len(batch.scores)
                    columns.append((np.full(count, number), batch.predicted.astype(int), batch.scores))
                    if hour is not None:
                        hours.append(HourCount(batch.line, batch.version, batch.day * 24 + hour, count))
        if columns:
            cell, kind, score = (np.concatenate(column) for column in zip(*columns, strict=True))
            rows = deltas.aggregate(cell, kind, score, np.ones(len(cell), dtype=np.int64))
            self._ahead.append(
                Part(
                    self._last_tick, cells=names, cell=rows.cells.tobytes(), kind=rows.kinds.tobytes(),
                    score=rows.scores.tobytes(), count=rows.counts.tobytes(), hours=hours,
                )
            )  # fmt: skip

    def rows(self, alias: str, values: Sequence[tuple[bytes, bytes]], at_ms: int) -> None:
        """Records (key, value) of predictions or outcomes that the tick ``at_ms`` covers, through the labels stage."""
        offset = self._offsets.get(alias, 0)
        self._offsets[alias] = offset + len(values)
        records = [Row(alias, 0, offset + i, at_ms, key, value) for i, (key, value) in enumerate(values)]
        self.stages["labels"].accept(alias, records, self._tick_view(at_ms))

    def command(self, value: bytes, at_ms: int) -> None:
        """An operator's command that the tick ``at_ms`` covers."""
        offset = self._offsets["orders"] = self._offsets.get("orders", 0) + 1
        row = Row("operator-commands", 0, offset, at_ms, None, value)
        self.stages["metrics"].accept("operator-commands", [row], self._tick_view(at_ms))

    def answer(self, value: bytes, at_ms: int) -> None:
        """A trainer's or deployer's answer that the tick ``at_ms`` covers."""
        offset = self._offsets["results"] = self._offsets.get("results", 0) + 1
        row = Row("training-results", 0, offset, at_ms, None, value)
        self.stages["metrics"].accept("training-results", [row], self._tick_view(at_ms))

    def tick(self, at_ms: int) -> None:
        """End the epoch and run everything to its end."""
        tick = self._tick_view(at_ms)
        metrics = self.stages["metrics"]
        values = []
        if "labels" in self.stages:
            self.stages["labels"].advance(tick)
            sent = self._checkpoint("labels")
            values = [emit.value or b"" for emit in sent if emit.topic == "model-deltas"]
        else:
            parts = [*self._ahead, Part(self._last_tick, closed=at_ms)]
            values = [deltas.encode(DeltaRecord(0, parts))]
            self._ahead = []
        self._feed("metrics", "model-deltas", values)
        sent = []
        while not metrics.advance(tick):
            sent += self._checkpoint("metrics")
        sent += self._checkpoint("metrics")
        for name, log in (("drift", "line-log"), ("retrain", "drift-log"), ("alerts", "decision-log")):
            before = self._feed(name, "log", [emit.value or b"" for emit in sent if emit.topic == log])
            sent = before + self._checkpoint(name)
        self._last_tick = at_ms

    # -- mechanics -----------------------------------------------------------------------------------------------

    @staticmethod
    def _tick_view(at_ms: int) -> TickView:
        return TickView(at_ms, True, "external", {}, 0)

    def _feed(self, name: str, alias: str, values: Sequence[bytes]) -> list[Emit]:
        """Hand records over; returns what was sent where that took several checkpoints."""
        sent: list[Emit] = []
        offset = self._offsets.get(name, 0)
        self._offsets[name] = offset + len(values)
        rows = [Row(alias, 0, offset + i, 0, None, value) for i, value in enumerate(values)]
        while rows and (rows := rows[self.stages[name].accept(alias, rows, None) :]):
            sent += self._checkpoint(name)
        return sent

    def _checkpoint(self, name: str) -> list[Emit]:
        drained: Drained = self.stages[name].drain()
        self.tables[name].write(drained.puts)
        self.memos[name] = drained.memo
        for emit in drained.emits:
            if emit.topic in self.keep:
                self.emits.setdefault(emit.topic, []).append(emit)
        return list(drained.emits)
