"""Which days of a version it is compared with (CONTRACT section 3, "a version is compared with itself")."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection
from typing import Final

import msgspec

from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.kit.codec import Codec
from stream_app.core.kit.spans import baseline_span
from stream_app.core.model_log import BaselineEntry

FORMAT: Final = 2
#: As many first days as any setting of ``initial_baseline_days`` may ask for.
FIRST_DAYS: Final = 30

STATISTICAL, PERFORMANCE = 1, 2


class VersionDays(msgspec.Struct):
    """Days of one version of a model; all days are days since 1970."""

    #: day from which days count: 0, or that of the last ``rebaseline``
    start: int = 0
    #: the first closed days from then on, ascending; at most ``FIRST_DAYS``
    first: list[int] = []
    #: day → which comparisons found HIGH or CRITICAL drift with it as newest day (bits); of the last 61 days
    tainted: dict[int, int] = {}

    def closed(self, day: int) -> bool:
        """Note a day that was closed; ``True`` if that changed anything."""
        if day < self.start or day in self.first or (len(self.first) == FIRST_DAYS and day > self.first[-1]):
            return False
        insort(self.first, day)
        del self.first[FIRST_DAYS:]
        return True

    def taint(self, day: int, which: int, tainted: bool, today: int) -> bool:
        """Set or clear a day's mark by one kind of comparison; ``True`` if that changed anything."""
        old = self.tainted.get(day, 0)
        new = old | which if tainted else old & ~which
        gone = [d for d in self.tainted if d < today - 61]
        if new == old and not gone:
            return False
        for d in gone:
            del self.tainted[d]
        if new:
            self.tainted[day] = new
        else:
            self.tainted.pop(day, None)
        return True

    def restart(self, day: int) -> None:
        """An operator takes the present as normal: the baseline begins again at ``day``."""
        self.start, self.first, self.tainted = day, [], {}


def choose(
    days: VersionDays, rules: ComparisonRules, close: int, recent_first: int, kept_from: int, present: Collection[int]
) -> tuple[BaselineEntry, list[int]]:
    """The baseline of a comparison at the close of day ``close``, and its days.

    ``present``: closed days with counts among ``window(close)``; ``recent_first``: first day of the recent window;
    ``kept_from``: oldest day whose cell is kept.
    """
    first, last = window(rules, close)
    inside = sorted(d for d in present if first <= d < last and d >= days.start and d not in days.tainted)
    if len(inside) >= rules.initial_baseline_days:
        return BaselineEntry("window", first, last, len(inside)), inside
    initial = days.first[: rules.initial_baseline_days]
    if len(initial) == rules.initial_baseline_days and kept_from <= initial[0] and initial[-1] < recent_first:
        return BaselineEntry("initial", initial[0], initial[-1] + 1, len(initial)), initial
    unhealthy = any(close - 60 <= d < close for d in days.tainted)
    return BaselineEntry(reason="no_healthy_baseline" if unhealthy else "too_young"), []


def window(rules: ComparisonRules, close: int) -> tuple[int, int]:
    """First day of the baseline window, and the day after its last."""
    days = baseline_span(close, rules.baseline_start_days, rules.baseline_end_days)
    return days.start, days.stop


class ComparisonState(msgspec.Struct):
    """Where a model's comparisons stand."""

    #: day of the last 02:00 close, and the version active at it: the checks of that day compare this one
    day: int = 0
    version: str = ""
    #: day of the last performance close that compared, its tick (epoch ms), its version; made again at most once
    performed: tuple[int, int, str] | None = None
    #: newest closed day with predictions
    newest: int = 0


_days: Final = Codec[VersionDays](VersionDays, FORMAT, "record of a version's days")
_stand: Final = Codec[ComparisonState](ComparisonState, FORMAT, "stand of a model's comparisons")
encode, decode = _days.encode, _days.decode
encode_stand, decode_stand = _stand.encode, _stand.decode
