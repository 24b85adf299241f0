"""A new version beside the one before it (CONTRACT section 5): hourly, for 14 days after each change.

Nothing is judged here, and nobody tells this stage when the coordinator has decided: every possible first day of the
previous version's days goes into the log, and the retrain stage takes the one it needs.
"""

from __future__ import annotations

from dataclasses import replace

from stream_app.core import model_log
from stream_app.core.comparisons.labels import BY_SCORE, DailyCounts, label_window
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.counts.cells import Counts
from stream_app.core.kit.days import DAY_MS, HOUR_MS, day_of
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.compare import Comparer
from stream_app.core.metrics_stage.config import MetricsConfig, MetricsSettings, ModelRules
from stream_app.core.metrics_stage.keys import WATCH
from stream_app.core.metrics_stage.lane_state import TickProgress
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.watch import VersionChange, decode

#: What a look costs in the cells of a step: it reads some twenty and compares up to seven windows.
_COST = 10


class Prober:
    """Writes the comparisons of one partition's models. Keeps nothing between two calls but what stands in the
    table."""

    def __init__(self, settings: MetricsSettings, work: UnitOfWork, comparer: Comparer) -> None:
        self._settings = settings
        self._work = work
        self._comparer = comparer

    @property
    def _config(self) -> MetricsConfig:
        return self._settings.config

    def run(self, progress: TickProgress, now: int) -> bool:
        """Look at a bounded number of models, ``progress.after`` being the last one's key; ``False`` until done."""
        limit = max(1, self._config.cells_a_step // _COST)
        batch = self._work.scan(WATCH, progress.after, limit)
        self._settings.read(key[len(WATCH) :].decode() for key, _ in batch)
        for key, value in batch:
            progress.after = key
            self._look(key, decode(value, key), now)
        return len(batch) < limit

    def _look(self, key: bytes, watch: VersionChange, now: int) -> None:
        model = key[len(WATCH) :].decode()
        rules = self._settings.rules_of(model)
        age = now - watch.since_ms
        if age < rules.probation_first_look_h * HOUR_MS:
            return
        entry = model_log.ProbationEntry(
            model, watch.version, watch.previous, watch.since_ms, now, age // HOUR_MS,
            self._windows(model, watch, rules), self._settings.hash_of(model),
        )  # fmt: skip
        model_log.append(self._work, entry)
        if age >= rules.probation_days * DAY_MS:
            self._work.put(key, None)

    def _windows(self, model: str, watch: VersionChange, rules: ModelRules) -> list[LabelWindow]:
        before = VersionCells(self._work, model, watch.previous)
        changed = day_of(watch.since_ms)
        span = range(changed - self._config.retention_days, changed + 1)
        closed = [day for day, cell in before.dated(span) if cell.revision]
        if not closed:
            return []
        days = closed[-rules.probation_previous_days :]
        limits = replace(rules.comparison, performance_metrics=rules.rollback_metrics)
        # a new version's first days are few draws of the day's luck: bounds as wide as the one before wobbled
        dated = list(zip(*judged_days(before, closed, limits), strict=True))[-rules.probation_dispersion_days :]
        ordered = not BY_SCORE.isdisjoint(limits.performance_metrics)
        mine = VersionCells(self._work, model, watch.version)
        first = changed
        seen = self._comparer.days(model, watch.version).first
        if seen and seen[0] < changed:
            # it served before: its cell of that day holds predictions from before the change
            first += 1
        recent = mine.sum_labels(range(first, changed + rules.probation_days + 1), ordered)
        return [
            label_window(
                days[i], days[-1] + 1, len(days) - i, recent, before.sum_labels(days[i:], ordered), limits,
                DailyCounts(_parts(dated, days[i] if i else None), limits.dispersion_min_days),
            )
            for i in range(len(days))
        ]  # fmt: skip


def _parts(dated: list[tuple[int, Counts]], run: int | None) -> tuple[list[Counts], list[Counts]]:
    """Days before a run of drift and those from its first day on; without one all of them stand together."""
    whole = [counts for day, counts in dated if run is None or day < run]
    return whole, [counts for day, counts in dated if run is not None and day >= run]
