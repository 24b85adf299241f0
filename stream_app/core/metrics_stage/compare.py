"""The daily comparisons of a model (CONTRACT section 3): windows of cells in, entries of the model log out.

Each of the four closes visits every model once. What it finds has no verdict yet; only its pure severity is asked here,
because the days it taints decide later baselines, and so the snapshot's ``drift`` part can be filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas.drift import SEVERE
from stream_app.core import model_log
from stream_app.core.comparisons.labels import BY_SCORE, label_window
from stream_app.core.comparisons.quality import quality_values
from stream_app.core.comparisons.records import LabelWindow, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import score_window
from stream_app.core.comparisons.verdicts import performance_verdict, statistical_verdict
from stream_app.core.counts import cells_codec
from stream_app.core.counts.cells import Cell, DriftNote
from stream_app.core.counts.summing import total
from stream_app.core.kit.days import Close
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import version_days
from stream_app.core.metrics_stage.config import MetricsConfig, MetricsSettings, ModelRules
from stream_app.core.metrics_stage.keys import cell_prefix, days_key, stand_key
from stream_app.core.metrics_stage.known_models import KnownModels
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.version_days import PERFORMANCE, STATISTICAL, ComparisonState, VersionDays
from stream_app.core.model_log import BaselineEntry

#: severities whose newest day is no longer taken for healthy


class Comparer:
    """Compares the models of one partition. Keeps nothing between two calls but what stands in the table."""

    def __init__(self, settings: MetricsSettings, work: UnitOfWork, models: KnownModels) -> None:
        self._settings = settings
        self._work = work
        self._models = models

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
        stand.day, stand.version = close.day, active.version
        self._work.put(stand_key(model), version_days.encode_stand(stand))
        mine = VersionCells(self._work, model, active.version)
        days = self.days(model, active.version)
        limits = rules.comparison
        entry, baseline = self._baseline(mine, days, limits, close.day, close.day - limits.recent_days)
        scored = _Window(close.day - limits.recent_days, close.day)
        mature = scored.earlier(rules.label_delay_days)
        values = []
        if entry.kind is not None:
            values = quality_values(
                (scored.first, scored.last),
                (mature.first, mature.last),
                recent=total([c.counts for c in mine.light(scored.days())]),
                recent_days=limits.recent_days,
                baseline=total([c.counts for c in mine.light(baseline)]),
                baseline_days=_calendar_days(entry, days),
                judged_recent=total(judged_days(mine, mature.days(), limits)[1]),
                judged_baseline=total(judged_days(mine, baseline, limits)[1]),
            )
        model_log.append(
            self._work,
            model_log.QualityEntry(
                model, active.version, close.at_ms, now, entry, values, self._settings.hash_of(model)
            ),
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
        week = _Window(close.day - limits.recent_days, close.day)
        entry, chosen = self._baseline(mine, days, limits, close.day, week.first)
        windows: list[ScoreWindow] = []
        if entry.kind is not None:
            baseline = mine.sum(chosen)
            for span in (week, _Window(close.day - 1, close.day)):
                recent = mine.sum(span.days())
                windows.append(score_window(span.first, span.last, recent, baseline, limits))
        newest = close.day - 1
        severe = statistical_verdict(windows, limits).severity in SEVERE
        self._taint(model, version, days, newest, STATISTICAL, severe or _unhealthy(entry), close.day)
        model_log.append(
            self._work,
            model_log.StatisticalEntry(
                model, version, close.at_ms, now, newest, entry, windows, self._settings.hash_of(model)
            ),
        )
        if not windows or windows[0].p_value is None:
            return []
        statistic = windows[0].distance / (windows[0].n * windows[0].m)
        return mine.noted(newest, lambda n: replace(n, ks_statistic=statistic, p_value=windows[0].p_value))

    def _performance(
        self, close: Close, model: str, rules: ModelRules, now: int
    ) -> list[tuple[bytes, Cell, DriftNote]]:
        """First the comparison of the close before once more, if its cells have changed, then this one's."""
        version = self._compared(model, close.day)
        if version is None:
            return []
        stand = self.stand(model)
        noted = []
        if stand.performed is not None and stand.performed[0] == close.day - 1:
            _, then, before = stand.performed
            mine = VersionCells(self._work, model, before)
            if mine.changed_since(then, self._looked_at(rules, close.day - 1)):
                noted += self._compare_labels(
                    close.at_ms - 86_400_000, close.day - 1, model, before, rules, mine, now, True
                )
        mine = VersionCells(self._work, model, version)
        noted += self._compare_labels(close.at_ms, close.day, model, version, rules, mine, now, False)
        stand.performed = (close.day, now, version)
        self._work.put(stand_key(model), version_days.encode_stand(stand))
        return noted

    def _compare_labels(
        self,
        close_ms: int,
        close: int,
        model: str,
        version: str,
        rules: ModelRules,
        mine: VersionCells,
        now: int,
        again: bool,
    ) -> list[tuple[bytes, Cell, DriftNote]]:
        limits = rules.comparison
        days = self.days(model, version)
        end = close - rules.label_delay_days
        week = _Window(end - limits.recent_days, end)
        entry, chosen = self._baseline(mine, days, limits, close, week.first)
        windows: list[LabelWindow] = []
        if entry.kind is not None:
            ordered = not BY_SCORE.isdisjoint(limits.performance_metrics)
            healthy, daily = judged_days(mine, chosen, limits)
            baseline = mine.sum_labels(healthy, ordered)
            for span in (week, _Window(end - 1, end)):
                judged, _ = judged_days(mine, span.days(), limits)
                windows.append(
                    label_window(
                        span.first, span.last, len(judged), mine.sum_labels(judged, ordered), baseline, daily,
                        one_day=span is not week, rules=limits,
                    )
                )  # fmt: skip
        newest = end - 1
        severe = performance_verdict(windows, limits).severity in SEVERE
        self._taint(model, version, days, newest, PERFORMANCE, severe or _unhealthy(entry), close)
        model_log.append(
            self._work,
            model_log.PerformanceEntry(
                model, version, close_ms, now, newest, entry, windows, self._settings.hash_of(model), again
            ),
        )
        first = windows[0].metrics[0] if windows and windows[0].judged_days >= limits.recent_min_judged_days else None
        if first is None or first.recent is None or first.baseline is None:
            return []
        (a, n), (b, m) = first.recent_ratio, first.baseline_ratio
        degraded = (b * n - a * m) * 100 > limits.degraded_points * n * m
        delta = first.recent - first.baseline
        return mine.noted(newest, lambda x: replace(x, performance_delta=delta, is_degraded=degraded))

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
        self._work.put(stand_key(model), None)

    def rebaseline(self, model: str, day: int) -> None:
        """Begin the active version's baseline again."""
        active = self._models.active(model)
        if active is not None:
            days = self.days(model, active.version)
            days.restart(day)
            self._work.put(days_key(model, active.version), version_days.encode(days))

    def _compared(self, model: str, day: int) -> str | None:
        """The version active at 02:00 of the day; of a model that is younger, the one active now."""
        stand = self.stand(model)
        if stand.day == day:
            return stand.version
        active = self._models.active(model)
        return active.version if active is not None else None

    def _baseline(
        self, mine: VersionCells, days: VersionDays, limits: ComparisonRules, close: int, recent_first: int
    ) -> tuple[BaselineEntry, list[int]]:
        first, last = version_days.window(limits, close)
        present = [] if days.first and days.first[0] >= last else mine.closed(range(first, last))
        kept_from = close - self._config.retention_days
        return version_days.choose(days, limits, close, recent_first, kept_from, present)

    def _looked_at(self, rules: ModelRules, close: int) -> Iterable[int]:
        limits = rules.comparison
        end = close - rules.label_delay_days
        yield from range(end - limits.recent_days, end)
        yield from range(*version_days.window(limits, close))

    def _taint(
        self, model: str, version: str, days: VersionDays, day: int, which: int, tainted: bool, today: int
    ) -> None:
        if days.taint(day, which, tainted, today):
            self._work.put(days_key(model, version), version_days.encode(days))


class _Window:
    """Days [first, last)."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def days(self) -> range:
        return range(self.first, self.last)

    def earlier(self, days: int) -> _Window:
        return _Window(self.first - days, self.last - days)


def _unhealthy(entry: BaselineEntry) -> bool:
    return entry.reason == "no_healthy_baseline"


def _calendar_days(entry: BaselineEntry, days: VersionDays) -> int:
    """Days over which the baseline's predictions were made: a day without any counts too, one that is left out not."""
    born = max(entry.first, days.first[0] if days.first else entry.first, days.start)
    tainted = sum(born <= day < entry.last for day in days.tainted) if entry.kind == "window" else 0
    return max(1, entry.last - born - tainted) if entry.kind == "window" else entry.days
