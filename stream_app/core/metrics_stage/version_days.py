"""What the comparisons of a version found, day by day, and which of its days are not healthy therefore.

Taints go by kind (CONTRACT section 3): what scores did never takes a day from the baseline of performance, nor the
other way round. A mark stands at the newest cohort day of each comparison that found drift; an unbroken run of them in
which one was HIGH or above is tainted from its first day on, the later days of the run with it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from schemas.drift import SEVERE, Severity, Verdict
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import Judgement
from stream_app.core.kit.codec import Codec
from stream_app.core.kit.spans import baseline_span

FORMAT: Final = 5
#: As many first days as any setting of ``initial_baseline_days`` may ask for.
FIRST_DAYS: Final = 30
#: As many days of marks as any setting of ``baseline_end_days`` may ask for.
MARKED_DAYS: Final = 366
#: As many days of a run as can be waiting for their outcomes, and the seven that are judged.
REMEMBERED_DAYS: Final = 128

Kind = Literal["statistical", "performance"]

#: A comparison found drift; or it did, and it or one before it in its run found it HIGH or above.
_DRIFT, _SEVERE = 1, 2


class ScoreRun(msgspec.Struct):
    """An unbroken run of statistical drift, and what outcomes say of it (CONTRACT section 3, "acquittal by labels")."""

    #: newest day of its first comparison, or of the one at which an acquittal ended because scores moved on
    first: int
    #: performance closes in a row that cleared it, and of the acquitted run those without evidence
    cleared: int = 0
    unclear: int = 0
    acquitted: bool = False
    #: D of each of its newest days alone against all days of the baseline
    distances: dict[int, float] = {}
    #: the largest of these among the days that outcomes had judged at the newest acquitting close
    reach: float = 0.0


class VersionDays(msgspec.Struct):
    """Days of one version of a model; all days are days since 1970."""

    #: day from which days count: 0, or that of the last ``rebaseline``
    start: int = 0
    #: the first closed days from then on, ascending; at most ``FIRST_DAYS``
    first: list[int] = []
    #: kind → newest day of its comparisons with drift → mark; as old as a baseline window reaches
    marks: dict[Kind, dict[int, int]] = {}
    #: the run of statistical drift that stands
    run: ScoreRun | None = None
    #: kinds whose newest check found drift that its newest day shows by itself → severity of the check
    lasting: dict[Kind, Severity] = {}

    def closed(self, day: int) -> bool:
        """Note a day that was closed; ``True`` if that changed anything."""
        if day < self.start or day in self.first or (len(self.first) == FIRST_DAYS and day > self.first[-1]):
            return False
        insort(self.first, day)
        del self.first[FIRST_DAYS:]
        return True

    def judged(self, kind: Kind, day: int, found: Judgement, oldest: int) -> bool:
        """Note what a comparison with this newest day found, in place of what one said before; marks before ``oldest``
        go. ``True`` if that changed anything."""
        before = self.marks.get(kind, {})
        marks = {d: mark for d, mark in before.items() if d >= oldest and d != day}
        if found.verdict == Verdict.DRIFT:
            severe = found.severity in SEVERE or before.get(day - 1) == _SEVERE
            marks[day] = _SEVERE if severe else _DRIFT
        self.marks[kind] = marks
        return marks != before

    def lasts(self, kind: Kind, severity: Severity | None) -> bool:
        """Note the severity of what a check found, if that lasts to its newest day; ``True`` if that is news.

        Seven days show a fault of three for days after its end: an hourly episode must not wait for that.
        """
        if self.lasting.get(kind) == severity:
            return False
        found = {known: told for known, told in self.lasting.items() if known != kind}
        self.lasting = found if severity is None else dict(sorted((found | {kind: severity}).items()))
        return True

    def tainted(self, kind: Kind) -> set[int]:
        """Days that no later baseline of the kind holds."""
        out: set[int] = set()
        marks = self.marks.get(kind, {})
        for day in sorted(marks, reverse=True):
            if marks[day] == _SEVERE or day + 1 in out:
                out.add(day)
        return out

    def moved_on(self, day: int, distance: float, rules: ComparisonRules) -> bool:
        """At a statistical check with this newest day, before it is judged: end the acquittal if the seven-day
        ``distance`` has left what outcomes have judged. The run counts from this day on then. ``True`` if it ended."""
        run = self.run
        if run is None or not run.acquitted or distance - run.reach <= rules.acquittal_reach:
            return False
        self.run = ScoreRun(day)
        scores = self.marks.get("statistical", {})
        self.marks["statistical"] = {d: mark for d, mark in scores.items() if d >= day}
        return True

    def scores_judged(self, day: int, drift: bool, distance: float) -> None:
        """After a statistical check: the run begins, goes on or ends. ``distance``: D of the day alone."""
        if not drift:
            self.run = None
            return
        run = self.run = self.run or ScoreRun(day)
        run.distances = {d: value for d, value in run.distances.items() if d > day - REMEMBERED_DAYS} | {day: distance}

    def labels_judged(self, verdict: Verdict, severe: bool, pool: Sequence[int], rules: ComparisonRules) -> None:
        """After a performance check. ``verdict``: of the run's own mature days, ``pool`` those that were judged;
        ``severe``: the check itself, or one made again at this close, is HIGH or above."""
        run = self.run
        if run is None:
            return
        run.unclear = run.unclear + 1 if verdict == Verdict.INSUFFICIENT_EVIDENCE else 0
        clears = verdict == Verdict.NO_DRIFT and not severe
        run.cleared = run.cleared + 1 if clears else 0
        if severe or run.unclear >= rules.acquittal_unclear_closes:
            run.acquitted = False
        elif run.cleared >= rules.acquittal_closes:
            run.acquitted = True
        if run.acquitted and clears:
            run.reach = max((run.distances.get(day, 0.0) for day in pool), default=0.0)
            scores = self.marks.get("statistical", {})
            self.marks["statistical"] = {d: _DRIFT if d >= run.first else mark for d, mark in scores.items()}

    def restart(self, day: int) -> None:
        """An operator takes the present as normal: the baseline begins again at ``day``."""
        self.start, self.first, self.marks, self.run, self.lasting = day, [], {}, None, {}


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
