"""What a version is compared with (CONTRACT section 3, "a version is compared with itself" and "the held baseline").

In this order: the healthy days of the baseline window, if it holds enough of them; the baseline that was held while
days were tainted; the version's first days. Working days and weekends stand apart, because a single day is compared
with days of its own kind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from stream_app.core.comparisons.rules import ComparisonRules, is_weekend
from stream_app.core.counts.cells import EMPTY, Counts
from stream_app.core.counts.summing import total
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.version_days import Kind, VersionDays, window
from stream_app.core.model_log import BaselineEntry


@dataclass(frozen=True)
class Baseline:
    """Counts of healthy days of one kind of comparison; for ``performance`` of those that hold enough labels."""

    entry: BaselineEntry
    #: sums over the days of either kind
    workdays: Counts = EMPTY
    weekends: Counts = EMPTY
    #: each day that is in the sums, and its counts without scores
    daily: Sequence[tuple[int, Counts]] = ()

    @cached_property
    def whole(self) -> Counts:
        """All days together."""
        return total([self.workdays, self.weekends])

    def like(self, day: int, least: int, rules: ComparisonRules) -> tuple[Counts, list[Counts], bool]:
        """Counts of the days of the same kind as ``day``, each of these days, and whether there are ``least`` of them:
        with fewer all days are taken."""
        weekend = is_weekend(day, rules)
        same = [counts for d, counts in self.daily if is_weekend(d, rules) == weekend]
        if len(same) < least:
            return self.whole, [counts for _, counts in self.daily], False
        return self.weekends if weekend else self.workdays, same, True


class ComparedDays(NamedTuple):
    """Days (since 1970) at a comparison: that of its close, the first of its recent window, the oldest whose cell is
    kept, and the closed ones with counts among ``window(close)``."""

    close: int
    recent_first: int
    kept_from: int
    present: Collection[int]


def choose(
    days: VersionDays, kind: Kind, rules: ComparisonRules, at: ComparedDays, held: BaselineEntry | None
) -> tuple[BaselineEntry, list[int]]:
    """The baseline of a comparison, and its days; no days where the held one is meant."""
    first, last = window(rules, at.close)
    tainted = days.tainted(kind)
    inside = sorted(d for d in at.present if first <= d < last and d >= days.start and d not in tainted)
    if len(inside) >= rules.initial_baseline_days:
        return BaselineEntry("window", first, last, len(inside)), inside
    if held is not None:
        return held, []
    initial = days.first[: rules.initial_baseline_days]
    if len(initial) == rules.initial_baseline_days and at.kept_from <= initial[0] and initial[-1] < at.recent_first:
        return BaselineEntry("initial", initial[0], initial[-1] + 1, len(initial)), initial
    return BaselineEntry(reason="no_healthy_baseline" if tainted else "too_young"), []


def of_days(
    mine: VersionCells, kind: Kind, entry: BaselineEntry, days: Sequence[int], rules: ComparisonRules
) -> Baseline:
    """The baseline that these days make."""
    if kind == "statistical":
        daily = [(day, cell.counts) for day, cell in mine.dated(days)]
        workdays, weekends = (mine.sum(part) for part in _parted(daily, rules))
    else:
        daily = list(zip(*judged_days(mine, days, rules), strict=True))
        workdays, weekends = (mine.sum_labels(part, True) for part in _parted(daily, rules))
    return Baseline(entry, workdays, weekends, daily)


def _parted(daily: Sequence[tuple[int, Counts]], rules: ComparisonRules) -> tuple[list[int], list[int]]:
    """Working days and weekends."""
    days = [day for day, _ in daily]
    return [d for d in days if not is_weekend(d, rules)], [d for d in days if is_weekend(d, rules)]
