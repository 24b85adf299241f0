"""Estimated performance of versions (CONTRACT section 3): how well each is doing while its outcomes are away.

After each performance check the calibration map is made anew from that check's baseline, and the mature day tells
whether estimates may be believed. Nothing here is an input of a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.drift import Verdict
from stream_app.core.comparisons.estimated import (
    ESTIMATED,
    Calibration,
    Estimates,
    Muting,
    calibration,
    estimate,
    is_outside,
)
from stream_app.core.comparisons.labels import dispersion, ratio
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import judge_metric, performance_verdict
from stream_app.core.counts.cells import Counts
from stream_app.core.kit.codec import Codec
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.baselines import Baseline
from stream_app.core.metrics_stage.keys import ESTIMATES, estimates_key
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days

FORMAT: Final = 1


class EstimateRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a version's estimates are made of."""

    by: Calibration
    muting: Muting = Muting()


_codec: Final = Codec[EstimateRecord](EstimateRecord, FORMAT, "estimates of a version")
encode, decode = _codec.encode, _codec.decode


class EstimateStore:
    """Makes estimates and keeps their maps. Keeps nothing between two calls but what stands in the table."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    def of(self, model: str, version: str, counts: Counts) -> Estimates | None:
        """What the scores of these predictions say; ``None`` before the version's first baseline."""
        record = self._read(model, version)
        return Estimates(estimate(counts.scores, record.by), record.muting.muted) if record is not None else None

    def learn(
        self, mine: VersionCells, baseline: Baseline, windows: Sequence[LabelWindow], end: int, limits: ComparisonRules
    ) -> None:
        """After a performance check whose mature days end before ``end``."""
        by = calibration(baseline.whole.scores) if baseline.entry.kind is not None else None
        if by is None:
            return
        before = self._read(mine.model, mine.version)
        muting = (before.muting if before is not None else Muting()).after(
            _outside(mine, baseline, by, end - 1, limits),
            _blind(mine, windows, by, limits),
            limits.estimate_outside_days,
            limits.estimate_quiet_days,
        )
        record = EstimateRecord(by, muting)
        if record != before:
            self._work.put(estimates_key(mine.model, mine.version), encode(record))

    def drop(self, model: str, version: str) -> None:
        """The version's baseline begins again."""
        key = estimates_key(model, version)
        if self._work.get([key])[0] is not None:
            self._work.put(key, None)

    def forget(self, model: str) -> None:
        """Keep nothing of a model."""
        for key, _ in self._work.scan(ESTIMATES + model.encode() + b"\0", None, 1 << 30):
            self._work.put(key, None)

    def _read(self, model: str, version: str) -> EstimateRecord | None:
        key = estimates_key(model, version)
        value = self._work.get([key])[0]
        return decode(value, key) if value is not None else None


def _outside(mine: VersionCells, baseline: Baseline, by: Calibration, day: int, limits: ComparisonRules) -> bool | None:
    """Whether the day's outcomes lie outside of its estimate, by the first metric that has one; ``None`` if the day is
    not judged."""
    name = next((metric for metric in limits.performance_metrics if metric in ESTIMATED), "f1")
    days, _ = judged_days(mine, (day,), limits)
    if not days:
        return None
    counts = mine.sum_labels(days, True)
    hits, rows, _ = ratio(name, counts)
    found = estimate(counts.scores, by).get(name)
    if found is None or not rows:
        return None
    # of all days: the map knows nothing of weekends, so what these differ by is luck to it
    daily = [counts for _, counts in baseline.daily]
    phi = dispersion("accuracy" if name == "f1" else name, (daily,), limits.dispersion_min_days)
    return is_outside(hits / rows, found, counts.predictions / counts.labelled, phi, limits.estimate_points)


def _blind(mine: VersionCells, windows: Sequence[LabelWindow], by: Calibration, limits: ComparisonRules) -> bool:
    """Whether the seven-day window found a drop of which the estimate sees less than half."""
    if not windows or performance_verdict(windows[:1], limits).verdict != Verdict.DRIFT:
        return False
    week = windows[0]
    days, _ = judged_days(mine, range(week.first, week.last), limits)
    found = estimate(mine.sum(days).scores, by)
    for metric in week.metrics:
        if metric.metric in found and judge_metric(metric, limits)[0] == Verdict.DRIFT:
            old, new = metric.baseline or 0.0, metric.recent or 0.0
            if old - found[metric.metric].value < (old - new) / 2:
                return True
    return False
