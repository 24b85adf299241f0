"""The daily comparisons of a model (CONTRACT section 3): windows of cells in, entries of the model log out.

Each of the four closes visits every model once. What it finds has no verdict yet; the pure verdict is asked here only
because the days it taints decide later baselines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from msgspec import structs

from schemas.drift import SEVERE, Severity, Verdict
from stream_app.core import model_log
from stream_app.core.comparisons.labels import BY_SCORE, DailyCounts, label_window, metric_bounds, selection
from stream_app.core.comparisons.quality import QualityCounts, quality_values
from stream_app.core.comparisons.records import LabelWindow, MetricBound, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import distance, score_window
from stream_app.core.comparisons.verdicts import (
    Judgement,
    by_class,
    performance_verdict,
    selective,
    statistical_verdict,
)
from stream_app.core.counts import cells_codec
from stream_app.core.counts.cells import Cell, Counts, DriftNote
from stream_app.core.counts.summing import total
from stream_app.core.kit.days import DAY_MS, Close
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import repairs, version_days
from stream_app.core.metrics_stage.baseline_store import BaselineStore
from stream_app.core.metrics_stage.baselines import Baseline
from stream_app.core.metrics_stage.config import MetricsConfig, MetricsSettings, ModelRules
from stream_app.core.metrics_stage.estimates import EstimateStore
from stream_app.core.metrics_stage.keys import cell_prefix, days_key, stand_key
from stream_app.core.metrics_stage.known_models import KnownModels
from stream_app.core.metrics_stage.newest_day import labels_last, scores_last
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.version_days import ComparisonState, Kind, VersionDays

#: Longest label delay in days that is looked at as a cure for outcomes that come by class.
LONGEST_CURE: Final = 30


class Comparer:
    """Compares the models of one partition. Keeps nothing between two calls but what stands in the table."""

    def __init__(self, settings: MetricsSettings, work: UnitOfWork, models: KnownModels) -> None:
        self._settings = settings
        self._work = work
        self._models = models
        self._baselines = BaselineStore(work, settings.config.retention_days)
        self.estimates = EstimateStore(work)

    @property
    def _config(self) -> MetricsConfig:
        return self._settings.config

    def run(self, close: Close, model: str, now: int) -> list[tuple[bytes, Cell, DriftNote]]:
        """What one close asks of one model; returns cells (key, cell, new note) whose snapshot shows a comparison."""
        rules = self._settings.rules_of(model)
        if not rules.monitoring:
            return []
        if close.kind == "completeness":
            self._completeness(close, model, rules, now)
        elif close.kind == "metrics":
            self._quality(close, model, rules, now)
        elif close.kind == "statistical" and rules.statistical:
            return self._statistical(close, model, rules, now)
        elif close.kind == "performance" and rules.performance:
            return self._performance(close, model, rules, now)
        return []

    # -- the four closes -----------------------------------------------------------------------------------------

    def _completeness(self, close: Close, model: str, rules: ModelRules, now: int) -> None:
        """Over all versions: after a hand-over the mature day belongs to the one before."""
        day = close.day - 1 - rules.label_delay_days
        prefix = cell_prefix(day) + model.encode() + b"\0"
        predictions = labelled = 0
        for key, value in self._work.scan(prefix, None, 1_000):
            counts = cells_codec.decode(value, key).counts
            predictions += counts.predictions
            # a missing outcome is an answer where it stands for a negative
            labelled += counts.predictions if rules.assume_after_days is not None else counts.labelled
        active = self._models.active(model)
        version = active.version if active is not None else ""
        model_log.append(
            self._work, model_log.CompletenessEntry(model, version, day, predictions, labelled, close.at_ms, now)
        )

    def _quality(self, close: Close, model: str, rules: ModelRules, now: int) -> None:
        active = self._models.active(model)
        if active is None:
            return
        stand = self.stand(model)
        if stand.version != active.version:
            for version in (stand.version, active.version):
                self._end_run(model, version)
        stand.day, stand.version = close.day, active.version
        self._work.put(stand_key(model), version_days.encode_stand(stand))
        mine = VersionCells(self._work, model, active.version)
        days = self.days(model, active.version)
        limits = rules.comparison
        scored = _Window(close.day - limits.recent_days, close.day)
        baseline, made, judged = self._baselines.light(mine, days, limits, close.day, scored.first)
        mature = scored.earlier(rules.label_delay_days)
        values = []
        if baseline.entry.kind is not None:
            values = quality_values(
                (scored.first, scored.last),
                (mature.first, mature.last),
                QualityCounts(
                    total([c.counts for c in mine.light(scored.days())]),
                    limits.recent_days,
                    total(judged_days(mine, mature.days(), limits)[1]),
                ),
                QualityCounts(made, _calendar_days(baseline, days), judged),
            )
        hash = self._settings.hash_of(model)
        model_log.append(
            self._work, model_log.QualityEntry(model, active.version, close.at_ms, now, baseline.entry, values, hash)
        )

    def _statistical(
        self, close: Close, model: str, rules: ModelRules, now: int
    ) -> list[tuple[bytes, Cell, DriftNote]]:
        version = self._compared(model, close.day)
        if version is None:
            return []
        limits = rules.comparison
        mine = VersionCells(self._work, model, version)
        days = self.days(model, version)
        week, day = _Window(close.day - limits.recent_days, close.day), _Window(close.day - 1, close.day)
        baseline = self._baselines.find(mine, days, "statistical", limits, close.day, week.first)
        windows: list[ScoreWindow] = []
        alone, before = 0.0, days.run is not None
        if baseline.entry.kind is not None:
            like, _, _ = baseline.like(day.first, limits.like_days_scores, limits)
            last = mine.sum(day.days())
            windows.append(score_window(week.first, week.last, mine.sum(week.days()), baseline.whole, limits))
            windows.append(score_window(day.first, day.last, last, like, limits))
            alone = distance(score_window(day.first, day.last, last, baseline.whole, limits))
            days.moved_on(day.first, distance(windows[0]), limits)
        acquitted = days.run is not None and days.run.acquitted
        found = statistical_verdict(windows, limits, acquitted)
        days.scores_judged(day.first, found.verdict == Verdict.DRIFT, alone)
        self._lasts(mine, days, "statistical", found.severity if scores_last(found, windows, limits) else None)
        oldest = version_days.window(limits, close.day)[0]
        self._judged(mine, days, "statistical", day.first, found, oldest, run=before)
        self._baselines.keep(mine, days, "statistical", baseline, oldest)
        model_log.append(
            self._work,
            model_log.StatisticalEntry(
                model,
                version,
                close.at_ms,
                now,
                day.first,
                baseline.entry,
                windows,
                self._settings.hash_of(model),
                acquitted and found.verdict == Verdict.DRIFT,
            ),
        )
        if not windows or windows[0].p_value is None:
            return []
        statistic = windows[0].distance / (windows[0].n * windows[0].m)
        return mine.noted(day.first, lambda n: replace(n, ks_statistic=statistic, p_value=windows[0].p_value))

    def _performance(
        self, close: Close, model: str, rules: ModelRules, now: int
    ) -> list[tuple[bytes, Cell, DriftNote]]:
        """First the comparison of the close before once more, if its cells have changed, then this one's."""
        version = self._compared(model, close.day)
        if version is None:
            return []
        stand = self.stand(model)
        noted: list[tuple[bytes, Cell, DriftNote]] = []
        severe = False
        if stand.performed is not None and stand.performed[0] == close.day - 1:
            _, then, before = stand.performed
            mine = VersionCells(self._work, model, before)
            if mine.changed_since(then, self._looked_at(rules, close.day - 1)):
                severe, noted = self._compare_labels(
                    close._replace(at_ms=close.at_ms - DAY_MS, day=close.day - 1), rules, mine, now, again=True
                )
                severe = severe and before == version
        mine = VersionCells(self._work, model, version)
        noted += self._compare_labels(close, rules, mine, now, severe=severe)[1]
        stand.performed = (close.day, now, version)
        self._work.put(stand_key(model), version_days.encode_stand(stand))
        return noted

    def _compare_labels(
        self,
        close: Close,
        rules: ModelRules,
        mine: VersionCells,
        now: int,
        *,
        again: bool = False,
        severe: bool = False,
    ) -> tuple[bool, list[tuple[bytes, Cell, DriftNote]]]:
        """Whether it is HIGH or above, and what snapshots show of it. ``again``: made once more for a past close;
        ``severe``: such a one was HIGH or above just now."""
        limits = rules.comparison
        days = self.days(mine.model, mine.version)
        end = close.day - rules.label_delay_days
        week = _Window(end - limits.recent_days, end)
        baseline = self._baselines.find(mine, days, "performance", limits, close.day, week.first)
        windows: list[LabelWindow] = []
        bounds: list[MetricBound] = []
        if baseline.entry.kind is not None:
            ordered = not BY_SCORE.isdisjoint(limits.performance_metrics)
            judged, _ = judged_days(mine, week.days(), limits)
            recent = mine.sum_labels(judged, ordered or not BY_SCORE.isdisjoint(rules.floor_metrics))
            windows.append(label_window(week.first, week.last, len(judged), recent, baseline.whole, limits))
            if len(judged) >= limits.recent_min_judged_days and not by_class(windows[0], limits):
                bounds = metric_bounds(rules.floor_metrics, recent, limits)
            judged, _ = judged_days(mine, (end - 1,), limits)
            recent = mine.sum_labels(judged, ordered)
            side, daily, alike = baseline.like(end - 1, limits.like_days_labels, limits)
            least = limits.like_days_labels if alike else limits.dispersion_min_days
            alone = DailyCounts((daily,), least)
            windows.append(label_window(end - 1, end, len(judged), recent, side, limits, alone))
            windows = self._with_cure(mine, windows, baseline.whole, close.day, rules)
        newest = end - 1
        found = performance_verdict(windows, limits)
        high = found.severity in SEVERE
        if not again:
            self._judge_run(mine, days, baseline, end, high or severe, limits)
        self._lasts(mine, days, "performance", found.severity if labels_last(found, windows, limits) else None)
        oldest = version_days.window(limits, close.day)[0]
        self._judged(mine, days, "performance", newest, found, oldest)
        repair = None
        if high and rules.repair_first:
            repair = repairs.proposal(mine, days, baseline.whole, rules.primary_metric, limits, newest, close.at_ms)
        if not again:
            self._baselines.keep(mine, days, "performance", baseline, oldest)
            self.estimates.learn(mine, baseline, windows, end, limits)
        model_log.append(
            self._work,
            model_log.PerformanceEntry(
                mine.model,
                mine.version,
                close.at_ms,
                now,
                newest,
                baseline.entry,
                windows,
                self._settings.hash_of(mine.model),
                again,
                not again and days.run is not None and days.run.acquitted,
                repair,
                bounds,
            ),
        )
        first = windows[0].metrics[0] if windows and windows[0].judged_days >= limits.recent_min_judged_days else None
        if first is None or first.recent is None or first.baseline is None or by_class(windows[0], limits):
            return high, []
        (a, n), (b, m) = first.recent_ratio, first.baseline_ratio
        degraded = (b * n - a * m) * 100 > limits.degraded_points * n * m
        delta = first.recent - first.baseline
        return high, mine.noted(newest, lambda x: replace(x, performance_delta=delta, is_degraded=degraded))

    def _with_cure(
        self, mine: VersionCells, windows: list[LabelWindow], baseline: Counts, close: int, rules: ModelRules
    ) -> list[LabelWindow]:
        """Where outcomes come by class: the label delay at which they would not, by the seven days before it."""
        limits = rules.comparison
        if not any(by_class(window, limits) for window in windows):
            return windows
        for delay in range(rules.label_delay_days + 1, LONGEST_CURE + 1):
            end = close - delay
            _, judged = judged_days(mine, range(end - limits.recent_days, end), limits)
            if judged and not selective(selection(total(judged), baseline), limits):
                return [structs.replace(window, cured_by=delay) for window in windows]
        return windows

    def _judge_run(
        self, mine: VersionCells, days: VersionDays, baseline: Baseline, end: int, severe: bool, limits: ComparisonRules
    ) -> None:
        """What outcomes say of the run of statistical drift that stands, by its newest mature days together."""
        run = days.run
        if run is None:
            return
        span = range(max(run.first, end - limits.recent_days), end)
        pool = judged_days(mine, span, limits)[0] if baseline.entry.kind is not None else []
        windows = []
        if pool:
            ordered = not BY_SCORE.isdisjoint(limits.performance_metrics)
            recent = mine.sum_labels(pool, ordered)
            windows.append(label_window(span.start, end, len(pool), recent, baseline.whole, limits))
        verdict = performance_verdict(windows, replace(limits, recent_min_judged_days=1)).verdict
        days.labels_judged(verdict, severe, pool, limits)
        self._work.put(days_key(mine.model, mine.version), version_days.encode(days))

    def _end_run(self, model: str, version: str) -> None:
        """Another version is active: hold nothing, and let no run go on when it comes back."""
        self._baselines.drop(model, version)
        days = self.days(model, version)
        if days.run is not None:
            days.run = None
            self._work.put(days_key(model, version), version_days.encode(days))

    # -- what they stand on ----------------------------------------------------------------------------------------

    def stand(self, model: str) -> ComparisonState:
        """Where the model's comparisons stand."""
        value = self._work.get([stand_key(model)])[0]
        return version_days.decode_stand(value, stand_key(model)) if value is not None else ComparisonState()

    def days(self, model: str, version: str) -> VersionDays:
        """What is known of the version's days."""
        value = self._work.get([days_key(model, version)])[0]
        return version_days.decode(value, days_key(model, version)) if value is not None else VersionDays()

    def note_closed(self, model: str, version: str, day: int) -> None:
        """A day of the version was closed."""
        days = self.days(model, version)
        if days.closed(day):
            self._work.put(days_key(model, version), version_days.encode(days))
        stand = self.stand(model)
        if day > stand.newest:
            stand.newest = day
            self._work.put(stand_key(model), version_days.encode_stand(stand))

    def forget(self, model: str) -> None:
        """Keep nothing of a model."""
        prefix = days_key(model, "")
        for key, _ in self._work.scan(prefix, None, 1 << 30):
            self._work.put(key, None)
        self._baselines.forget(model)
        self.estimates.forget(model)
        self._work.put(stand_key(model), None)

    def rebaseline(self, model: str, day: int) -> None:
        """Begin the active version's baseline again."""
        active = self._models.active(model)
        if active is not None:
            days = self.days(model, active.version)
            days.restart(day)
            self._baselines.drop(model, active.version)
            self.estimates.drop(model, active.version)
            self._work.put(days_key(model, active.version), version_days.encode(days))

    def _compared(self, model: str, day: int) -> str | None:
        """The version active at 02:00 of the day; of a model that is younger, the one active now."""
        stand = self.stand(model)
        if stand.day == day:
            return stand.version
        active = self._models.active(model)
        return active.version if active is not None else None

    def _looked_at(self, rules: ModelRules, close: int) -> Iterable[int]:
        limits = rules.comparison
        end = close - rules.label_delay_days
        yield from range(end - limits.recent_days, end)
        yield from range(*version_days.window(limits, close))

    def _lasts(self, mine: VersionCells, days: VersionDays, kind: Kind, severity: Severity | None) -> None:
        if days.lasts(kind, severity):
            self._work.put(days_key(mine.model, mine.version), version_days.encode(days))

    def _judged(
        self, mine: VersionCells, days: VersionDays, kind: Kind, day: int, found: Judgement, oldest: int,
        *, run: bool = False,
    ) -> None:  # fmt: skip
        """Note what a comparison found; ``run``: in a run of drift. Marks of days before ``oldest`` go."""
        changed = days.judged(kind, day, found, oldest)
        if changed or run or (kind == "statistical" and days.run is not None):
            self._work.put(days_key(mine.model, mine.version), version_days.encode(days))


class _Window:
    """Days [first, last)."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def days(self) -> range:
        return range(self.first, self.last)

    def earlier(self, days: int) -> _Window:
        return _Window(self.first - days, self.last - days)


def _calendar_days(baseline: Baseline, days: VersionDays) -> int:
    """Days over which the baseline's predictions were made: a day without any counts too, one that is left out not."""
    entry = baseline.entry
    if entry.kind != "window":
        return max(1, len(baseline.daily))
    born = max(entry.first, days.first[0] if days.first else entry.first, days.start)
    tainted = sum(born <= day < entry.last for day in days.tainted("performance"))
    return max(1, entry.last - born - tainted)
