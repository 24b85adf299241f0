"""Baselines of a lane's versions: chosen at each comparison, and held while days are tainted."""

from __future__ import annotations

from typing import Final, get_args

from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.counts.cells import Counts
from stream_app.core.counts.summing import total
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import held, version_days
from stream_app.core.metrics_stage.baselines import Baseline, ComparedDays, choose, of_days
from stream_app.core.metrics_stage.keys import HELD, held_key
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.version_days import Kind, VersionDays
from stream_app.core.model_log import BaselineEntry

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class BaselineStore:
    """Finds baselines and keeps the held ones. Keeps nothing between two calls but what stands in the table."""

    def __init__(self, work: UnitOfWork, retention_days: int) -> None:
        self._work = work
        self._retention_days = retention_days

    def find(
        self, mine: VersionCells, days: VersionDays, kind: Kind, rules: ComparisonRules, close: int, recent_first: int
    ) -> Baseline:
        """The baseline of a comparison at the close of day ``close``; one without a kind says why there is none."""
        entry, chosen = self._choose(mine, days, kind, rules, close, recent_first)
        if entry.kind != "held":
            return of_days(mine, kind, entry, chosen, rules) if entry.kind is not None else Baseline(entry)
        key = held_key(mine.model, mine.version, kind)
        value = self._work.get([key])[0]
        return held.unpack(value or b"", key)

    def light(
        self, mine: VersionCells, days: VersionDays, rules: ComparisonRules, close: int, recent_first: int
    ) -> tuple[Baseline, Counts, Counts]:
        """The baseline of performance without its scores: all its predictions, and those of its judged days."""
        entry, chosen = self._choose(mine, days, "performance", rules, close, recent_first)
        if entry.kind == "held":
            kept = self.find(mine, days, "performance", rules, close, recent_first)
            return kept, kept.whole, kept.whole
        dated = mine.dated(chosen)
        made = total([cell.counts for _, cell in dated])
        judged = total(judged_days(mine, chosen, rules)[1])
        return Baseline(entry, daily=[(day, cell.counts) for day, cell in dated]), made, judged

    def keep(self, mine: VersionCells, days: VersionDays, kind: Kind, baseline: Baseline, oldest: int) -> None:
        """Hold a healthy window's counts while any day from ``oldest`` on is tainted, and let go when none is."""
        if baseline.entry.kind != "window":
            return
        key = held_key(mine.model, mine.version, kind)
        value = self._work.get([key])[0]
        if not any(day >= oldest for day in days.tainted(kind)):
            if value is not None:
                self._work.put(key, None)
        elif baseline.daily and (value is None or held.days_of(value, key) <= len(baseline.daily)):
            self._work.put(key, held.pack(kind, baseline))

    def drop(self, model: str, version: str) -> None:
        """Hold nothing of a version any more."""
        keys = [held_key(model, version, kind) for kind in KINDS]
        for key, value in zip(keys, self._work.get(keys), strict=True):
            if value is not None:
                self._work.put(key, None)

    def forget(self, model: str) -> None:
        """Keep nothing of a model."""
        for key, _ in self._work.scan(HELD + model.encode() + b"\0", None, 1 << 30):
            self._work.put(key, None)

    def _choose(
        self, mine: VersionCells, days: VersionDays, kind: Kind, rules: ComparisonRules, close: int, recent_first: int
    ) -> tuple[BaselineEntry, list[int]]:
        first, last = version_days.window(rules, close)
        present = [] if days.first and days.first[0] >= last else mine.closed(range(first, last))
        value = self._work.get([held_key(mine.model, mine.version, kind)])[0]
        kept = held.entry_of(value) if value is not None else None
        at = ComparedDays(close, recent_first, close - self._retention_days, present)
        return choose(days, kind, rules, at, kept)
