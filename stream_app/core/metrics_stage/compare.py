"""The daily comparisons of a line (CONTRACT section 3): windows of cells in, entries of the line log out.

Each of the four closes visits every line once. What it finds has no verdict yet; only its pure severity is asked here,
because the days it taints decide later baselines, and so the snapshot's ``drift`` part can be filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from stream_app.core import cells_codec, line_log
from stream_app.core.cells import EMPTY, Cell, Counts, DriftNote
from stream_app.core.comparisons.labels import BY_SCORE, label_window
from stream_app.core.comparisons.quality import quality_values
from stream_app.core.comparisons.records import LabelWindow, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import score_window
from stream_app.core.comparisons.summing import total
from stream_app.core.comparisons.verdicts import performance_verdict, statistical_verdict
from stream_app.core.days import Close
from stream_app.core.line_log import BaselineEntry
from stream_app.core.metrics import assume
from stream_app.core.metrics_stage import version_days
from stream_app.core.metrics_stage.config import LineRules, MetricsConfig
from stream_app.core.metrics_stage.keys import cell_key, cell_prefix, days_key, stand_key
from stream_app.core.metrics_stage.line_book import LineBook
from stream_app.core.metrics_stage.outbox import Outbox
from stream_app.core.metrics_stage.version_days import PERFORMANCE, STATISTICAL, Stand, VersionDays

#: severities whose newest day is no longer taken for healthy
_SEVERE = ("HIGH", "CRITICAL")


class Comparer:
    """Compares the lines of one partition. Keeps nothing between two calls but what stands in the table."""

    def __init__(self, config: MetricsConfig, outbox: Outbox, lines: LineBook) -> None:
        self._config = config
        self._outbox = outbox
        self._lines = lines

    def run(self, close: Close, line: str, now: int) -> list[tuple[bytes, Cell, DriftNote]]:
        """What one close asks of one line; returns cells (key, cell, new note) whose snapshot shows a comparison."""
        rules = self._config.rules(line)
        if not rules.monitoring:
            return []
        if close.kind == "completeness":
            self._completeness(close, line, rules, now)
        elif close.kind == "metrics":
            self._quality(close, line, rules, now)
        elif close.kind == "statistical" and rules.statistical:
            return self._statistical(close, line, rules, now)
        elif close.kind == "performance" and rules.performance:
            return self._performance(close, line, rules, now)
        return []

    # -- the four closes -----------------------------------------------------------------------------------------

    def _completeness(self, close: Close, line: str, rules: LineRules, now: int) -> None:
        """Over all versions: after a hand-over the mature day belongs to the one before."""
        day = close.day - 1 - rules.label_delay_days
        prefix = cell_prefix(day) + line.encode() + b"\0"
        predictions = labelled = 0
        for _, value in self._outbox.scan(prefix, None, 1_000):
            counts = cells_codec.decode(value).counts
            predictions += counts.predictions
            # a missing outcome is an answer where it stands for a negative
            labelled += counts.predictions if rules.assume_after_days is not None else counts.labelled
        active = self._lines.active(line)
        version = active.version if active is not None else ""
        self._outbox.log(line_log.CompletenessEntry(line, version, day, predictions, labelled, close.at_ms, now), line)

    def _quality(self, close: Close, line: str, rules: LineRules, now: int) -> None:
        active = self._lines.active(line)
        if active is None:
            return
        stand = self.stand(line)
        stand.day, stand.version = close.day, active.version
        self._outbox.put(stand_key(line), version_days.encode(stand))
        mine = _Cells(self._outbox, line, active.version)
        days = self.days(line, active.version)
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
                judged_recent=total(_judged(mine, mature.days(), limits)[1]),
                judged_baseline=total(_judged(mine, baseline, limits)[1]),
            )
        self._outbox.log(
            line_log.QualityEntry(line, active.version, close.at_ms, now, entry, values, self._config.settings_hash),
            line,
        )

    def _statistical(self, close: Close, line: str, rules: LineRules, now: int) -> list[tuple[bytes, Cell, DriftNote]]:
        version = self._compared(line, close.day)
        if version is None:
            return []
        limits = rules.comparison
        mine = _Cells(self._outbox, line, version)
        days = self.days(line, version)
        week = _Window(close.day - limits.recent_days, close.day)
        entry, chosen = self._baseline(mine, days, limits, close.day, week.first)
        windows: list[ScoreWindow] = []
        if entry.kind is not None:
            baseline = mine.sum(chosen)
            for span in (week, _Window(close.day - 1, close.day)):
                recent = mine.sum(span.days())
                windows.append(score_window(span.first, span.last, recent, baseline, limits))
        newest = close.day - 1
        severe = statistical_verdict(windows, limits).severity in _SEVERE
        self._taint(line, version, days, newest, STATISTICAL, severe or _unhealthy(entry), close.day)
        self._outbox.log(
            line_log.StatisticalEntry(
                line, version, close.at_ms, now, newest, entry, windows, self._config.settings_hash
            ),
            line,
        )  # fmt: skip
        if not windows or windows[0].p_value is None:
            return []
        statistic = windows[0].distance / (windows[0].n * windows[0].m)
        return mine.noted(newest, lambda n: replace(n, ks_statistic=statistic, p_value=windows[0].p_value))

    def _performance(self, close: Close, line: str, rules: LineRules, now: int) -> list[tuple[bytes, Cell, DriftNote]]:
        """First the comparison of the close before once more, if its cells have changed, then this one's."""
        version = self._compared(line, close.day)
        if version is None:
            return []
        stand = self.stand(line)
        noted = []
        if stand.performed is not None and stand.performed[0] == close.day - 1:
            _, then, before = stand.performed
            mine = _Cells(self._outbox, line, before)
            if mine.changed_since(then, self._looked_at(rules, close.day - 1)):
                noted += self._compare_labels(
                    close.at_ms - 86_400_000, close.day - 1, line, before, rules, mine, now, True
                )
        mine = _Cells(self._outbox, line, version)
        noted += self._compare_labels(close.at_ms, close.day, line, version, rules, mine, now, False)
        stand.performed = (close.day, now, version)
        self._outbox.put(stand_key(line), version_days.encode(stand))
        return noted

    def _compare_labels(
        self, close_ms: int, close: int, line: str, version: str, rules: LineRules, mine: _Cells, now: int, again: bool
    ) -> list[tuple[bytes, Cell, DriftNote]]:
        limits = rules.comparison
        days = self.days(line, version)
        end = close - rules.label_delay_days
        week = _Window(end - limits.recent_days, end)
        entry, chosen = self._baseline(mine, days, limits, close, week.first)
        windows: list[LabelWindow] = []
        if entry.kind is not None:
            ordered = not BY_SCORE.isdisjoint(limits.performance_metrics)
            healthy, daily = _judged(mine, chosen, limits)
            baseline = mine.sum_labels(healthy, ordered)
            for span in (week, _Window(end - 1, end)):
                judged, _ = _judged(mine, span.days(), limits)
                windows.append(
                    label_window(
                        span.first, span.last, len(judged), mine.sum_labels(judged, ordered), baseline, daily,
                        one_day=span is not week, rules=limits,
                    )
                )  # fmt: skip
        newest = end - 1
        severe = performance_verdict(windows, limits).severity in _SEVERE
        self._taint(line, version, days, newest, PERFORMANCE, severe or _unhealthy(entry), close)
        self._outbox.log(
            line_log.PerformanceEntry(
                line, version, close_ms, now, newest, entry, windows, self._config.settings_hash, again
            ),
            line,
        )  # fmt: skip
        first = windows[0].metrics[0] if windows and windows[0].judged_days >= limits.recent_min_judged_days else None
        if first is None or first.recent is None or first.baseline is None:
            return []
        (a, n), (b, m) = first.recent_ratio, first.baseline_ratio
        degraded = (b * n - a * m) * 100 > limits.degraded_points * n * m
        delta = first.recent - first.baseline
        return mine.noted(newest, lambda x: replace(x, performance_delta=delta, is_degraded=degraded))

    # -- what they stand on ----------------------------------------------------------------------------------------

    def stand(self, line: str) -> Stand:
        """Where the line's comparisons stand."""
        value = self._outbox.get([stand_key(line)])[0]
        return version_days.decode_stand(value) if value is not None else Stand()

    def days(self, line: str, version: str) -> VersionDays:
        """What is known of the version's days."""
        value = self._outbox.get([days_key(line, version)])[0]
        return version_days.decode(value) if value is not None else VersionDays()

    def note_closed(self, line: str, version: str, day: int) -> None:
        """A day of the version was closed."""
        days = self.days(line, version)
        if days.closed(day):
            self._outbox.put(days_key(line, version), version_days.encode(days))

    def rebaseline(self, line: str, day: int) -> None:
        """Begin the active version's baseline again."""
        active = self._lines.active(line)
        if active is not None:
            days = self.days(line, active.version)
            days.restart(day)
            self._outbox.put(days_key(line, active.version), version_days.encode(days))

    def _compared(self, line: str, day: int) -> str | None:
        """The version active at 02:00 of the day; of a line that is younger, the one active now."""
        stand = self.stand(line)
        if stand.day == day:
            return stand.version
        active = self._lines.active(line)
        return active.version if active is not None else None

    def _baseline(
        self, mine: _Cells, days: VersionDays, limits: ComparisonRules, close: int, recent_first: int
    ) -> tuple[BaselineEntry, list[int]]:
        first, last = version_days.window(limits, close)
        present = [] if days.first and days.first[0] >= last else mine.closed(range(first, last))
        kept_from = close - self._config.retention_days
        return version_days.choose(days, limits, close, recent_first, kept_from, present)

    def _looked_at(self, rules: LineRules, close: int) -> Iterable[int]:
        limits = rules.comparison
        end = close - rules.label_delay_days
        yield from range(end - limits.recent_days, end)
        yield from range(*version_days.window(limits, close))

    def _taint(
        self, line: str, version: str, days: VersionDays, day: int, which: int, tainted: bool, today: int
    ) -> None:
        if days.taint(day, which, tainted, today):
            self._outbox.put(days_key(line, version), version_days.encode(days))


class _Window:
    """Days [first, last)."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def days(self) -> range:
        return range(self.first, self.last)

    def earlier(self, days: int) -> _Window:
        return _Window(self.first - days, self.last - days)


class _Cells:
    """Cells of one version, each read once and unpacked as far as it is asked for."""

    def __init__(self, outbox: Outbox, line: str, version: str) -> None:
        self._outbox, self._line, self._version = outbox, line, version
        self._raw: dict[int, bytes | None] = {}
        self._light: dict[int, Cell] = {}

    def _read(self, days: Iterable[int]) -> list[bytes]:
        """Stored cells of those days that have one."""
        wanted = list(days)
        new = [day for day in wanted if day not in self._raw]
        keys = [cell_key(self._line, self._version, day) for day in new]
        self._raw.update(zip(new, self._outbox.get(keys), strict=True))
        return [value for value in map(self._raw.get, wanted) if value is not None]

    def closed(self, days: range) -> list[int]:
        """Those of the days that hold counts."""
        self._read(days)
        return [day for day in days if self._raw[day] is not None]

    def light(self, days: Iterable[int]) -> list[Cell]:
        """Cells of those days that have one, without their scores."""
        return [cell for _, cell in self.dated(days)]

    def dated(self, days: Iterable[int]) -> list[tuple[int, Cell]]:
        """The same, with their days."""
        wanted = list(days)
        self._read(wanted)
        out = []
        for day in wanted:
            value = self._raw[day]
            if value is not None:
                if day not in self._light:
                    self._light[day] = cells_codec.decode(value, scores=False)
                out.append((day, self._light[day]))
        return out

    def sum(self, days: Iterable[int], ordered: bool = True) -> Counts:
        """Counts of the days together."""
        found = self._read(days)
        return cells_codec.add_up(found, ordered) if found else EMPTY

    def sum_labels(self, days: Sequence[int], ordered: bool) -> Counts:
        """The same; what has no outcome is a negative in the days that assume so by now."""
        if not any(cell.assume_negative for cell in self.light(days)):
            return self.sum(days, ordered)
        cells = [cells_codec.decode(value) for value in self._read(days)]
        return total([assume(c.counts)[0] if c.assume_negative else c.counts for c in cells], ordered)

    def changed_since(self, tick: int, days: Iterable[int]) -> bool:
        """Whether counts of any of the days were folded later than ``tick``."""
        return any(cells_codec.folded_to(value) > tick for value in self._read(days))

    def noted(self, day: int, note: Callable[[DriftNote], DriftNote]) -> list[tuple[bytes, Cell, DriftNote]]:
        """The day's cell and what its snapshot shows from now on, if the cell exists."""
        found = [cells_codec.decode(value) for value in self._read([day])]
        return [(cell_key(self._line, self._version, day), cell, note(cell.drift or DriftNote())) for cell in found]


def _judged(mine: _Cells, days: Iterable[int], limits: ComparisonRules) -> tuple[list[int], list[Counts]]:
    """The days with enough labels, and their counts without scores; what assumes negatives by now has all labels."""
    judged, counts = [], []
    for day, cell in mine.dated(days):
        found = assume(cell.counts)[0] if cell.assume_negative else cell.counts
        if found.predictions and found.labelled >= limits.min_coverage * found.predictions:
            judged.append(day)
            counts.append(found)
    return judged, counts


def _unhealthy(entry: BaselineEntry) -> bool:
    return entry.reason == "no_healthy_baseline"


def _calendar_days(entry: BaselineEntry, days: VersionDays) -> int:
    """Days over which the baseline's predictions were made: a day without any counts too, one that is left out not."""
    born = max(entry.first, days.first[0] if days.first else entry.first, days.start)
    tainted = sum(born <= day < entry.last for day in days.tainted) if entry.kind == "window" else 0
    return max(1, entry.last - born - tainted) if entry.kind == "window" else entry.days
