"""The stages without a broker: one lane of each, a dictionary for RocksDB, lists for the topics.

The same code as in a worker decides, and the same runs the lanes, so what comes out here comes out there. Two ways in:
rows as producers send them, joined by the labels stage, or whole days of counts as arrays, which go straight to metrics
and are some fifty times faster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.clock import Tick
from schemas.common import encode, rfc3339
from stream_app import pipeline
from stream_app.core.alerts import AlertsConfig
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Part
from stream_app.core.drift import DriftConfig
from stream_app.core.kit.effects import Emit
from stream_app.core.labels.config import LabelsConfig
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.retrain import RetrainConfig
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.kafka.topics import Topics

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


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
    """Predictions of one model, version and day, and their outcomes; arrays of shape (n,).

    ``made`` false: the predictions are counted already and only the labels are new. ``actual``: 1, 0, or −1 where
    there is no outcome yet. ``hour`` of the day that the predictions were made in; without one, whoever counts them
    says it.
    """

    model: str
    version: str
    day: int
    scores: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    actual: NDArray[np.int64]
    made: bool = True
    hour: int | None = None


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
        if metrics.sources != 1:
            raise ValueError(f"the simulator has one partition of the inputs, metrics waits for {metrics.sources}")
        topics = Topics("", "", 1, 1)
        specs = [
            pipeline.metrics(topics, metrics),
            pipeline.drift(topics, drift),
            pipeline.retrain(topics, retrain),
            pipeline.alerts(topics, alerts),
        ]
        if labels is not None:
            specs.insert(0, pipeline.labels(topics, labels))
        self._topics = topics
        self._logs = {topic: Log(topic) for spec in specs for topic in spec.inputs().values()}
        self.tables = {spec.name: DictTable() for spec in specs}
        #: in the order that data passes them
        self.lanes = {
            spec.name: LaneDriver(
                spec, 0, self.tables[spec.name], {alias: self._logs[topic] for alias, topic in spec.inputs().items()}
            )
            for spec in specs
        }
        self.emits: dict[str, list[Emit]] = {}
        self.keep = {
            "drift-events", "hourly-evidence", "training-commands", "training-jobs", "audit", "alerts",
            "metric-snapshots", "model-lifecycle", "settings", "dead-letters",
        }  # fmt: skip
        self._last_tick = 0
        self._ahead: list[Part] = []

    @property
    def stages(self) -> dict[str, Any]:
        """Every stage by name, as it is now."""
        return {name: lane.stage for name, lane in self.lanes.items()}

    def restart(self, name: str) -> None:
        """Throw a stage's memory away and load it from its last checkpoint."""
        self.lanes[name].reopen()

    # -- what happens ------------------------------------------------------------------------------------------------

    def batches(self, batches: Iterable[Batch], hour: int | None = None) -> None:
        """Counts of the epoch in hand; ``hour`` for batches that name none, of which nothing reaches the lifecycle
        without it."""
        cells: dict[CellId, list[Batch]] = {}
        for batch in batches:
            made = hour if batch.hour is None else batch.hour
            cells.setdefault(CellId(batch.model, batch.version, batch.day * 24 + (made or 0)), []).append(batch)
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
                    if batch.hour is not None or hour is not None:
                        hours.append(HourCount(batch.model, batch.version, name.hour, count))
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
        """Records (key, value) of predictions or outcomes that the tick ``at_ms`` covers, for the labels stage."""
        for key, value in values:
            self._logs[alias].append(value, key, at_ms)

    def command(self, value: bytes, at_ms: int) -> None:
        """An operator's command that the tick ``at_ms`` covers."""
        self._logs[self._topics.operator_commands].append(value, at_ms=at_ms)

    def answer(self, value: bytes, at_ms: int) -> None:
        """A trainer's or deployer's answer that the tick ``at_ms`` covers."""
        self._logs[self._topics.training_results].append(value, at_ms=at_ms)

    def tick(self, at_ms: int) -> None:
        """End the epoch and run everything to its end."""
        if "labels" not in self.lanes:
            parts = [*self._ahead, Part(self._last_tick, closed=at_ms)]
            self._logs[self._topics.model_deltas].append(deltas.encode(DeltaRecord(0, parts)))
            self._ahead = []
        for lane in self.lanes.values():
            if "clock" in lane.logs:
                ends = {topic: self._logs[topic].end for topic in lane.spec.gated.values()}
                lane.logs["clock"].append(encode(Tick(rfc3339(at_ms), True, "external", ends)))
            for alias, partition, key, value, headers in lane.run():
                topic, _ = lane.spec.outputs[alias]
                if topic in self._logs:
                    self._logs[topic].append(value, key, headers=headers)
                if alias in self.keep:
                    self.emits.setdefault(alias, []).append(Emit(alias, partition, key, value, headers))
        self._last_tick = at_ms
