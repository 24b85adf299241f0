"""The drift stage: one partition of the model log in, drift events and the drift log out.

Deterministic by construction: one input in one order, a model's memory in the table, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import structs

from schemas.clock import TickView
from schemas.common import ce_headers, encode
from schemas.drift import Check, DriftKind, Verdict
from stream_app.core import model_log
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.core.comparisons.prior import prior_shift
from stream_app.core.comparisons.records import QualityValue
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import (
    Judgement,
    by_class,
    completeness_verdict,
    performance_verdict,
    quality_verdict,
    statistical_verdict,
)
from stream_app.core.drift import events, hourly, state
from stream_app.core.drift.events import About, Judged
from stream_app.core.drift.state import DriftState, Run
from stream_app.core.kit.changes import Change
from stream_app.core.kit.days import date_of, day_of
from stream_app.core.kit.effects import ConsumedRecord, Drained, Emit, TableReader
from stream_app.core.kit.live_settings import Fixed, LiveSettings, Resolver
from stream_app.core.kit.log_stage import LogStage
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.model_log import decoding, entry_of

DRIFT_EVENTS: Final = "drift-events"
DRIFT_LOG: Final = "drift-log"
HOURLY_EVIDENCE: Final = "hourly-evidence"

QUALITY_CHECKS: Final[tuple[Check, ...]] = ("volume", "positive_rate", "calibration", "interval_width", "narrow_share")

#: What later stages ask of the model log as it stands.
_FORWARDED = (
    model_log.TickEntry,
    model_log.SnapshotEntry,
    model_log.LifecycleEntry,
    model_log.CompletenessEntry,
    model_log.LabelledEntry,
    model_log.HoursEntry,
    model_log.ProbationEntry,
    model_log.CommandEntry,
    model_log.EffectEntry,
    model_log.ResultEntry,
    model_log.ForgottenEntry,
)

#: What is judged by the rules of its model.
_JUDGED = (
    model_log.CompletenessEntry,
    model_log.QualityEntry,
    model_log.StatisticalEntry,
    model_log.PerformanceEntry,
    HourlyEntry,
)


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """Settings of the drift lanes."""

    source: str
    rules: Resolver[ComparisonRules] = field(default_factory=lambda: Fixed(lambda model: ComparisonRules()))


class DriftStage(LogStage):
    """Verdicts of one model partition. Not thread-safe; owned by its lane."""

    def __init__(self, config: DriftConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, lane_state: bytes | None, table: TableReader | None) -> None:
        """Everything stands in the table."""
        self._work = UnitOfWork(table, self.partition)
        self.settings = LiveSettings(self.config, self.config.rules, self._work)

    def accept(self, alias: str, batch: Sequence[ConsumedRecord], tick: TickView | None) -> int:
        """Entries in the log's order."""
        entries = []
        for record in batch:
            with decoding(record):
                entries.append(entry_of(record))
        self.settings.read(entry.model for entry in entries if isinstance(entry, _JUDGED))
        for record, entry in zip(batch, entries, strict=True):
            with decoding(record):
                self._entry(entry)
            ends = isinstance(entry, HourlyEntry) and (entry.what == "ended" or entry.acquitted)
            if ends or isinstance(entry, _FORWARDED):
                self._work.emit(Emit(DRIFT_LOG, self.partition, record.key, record.value, []))
        return len(batch)

    def drain(self) -> Drained:
        """Effects since the last drain."""
        return self._work.drain(b"")

    # -- entries -------------------------------------------------------------------------------------------------

    def _entry(self, entry: model_log.Entry) -> None:
        if isinstance(entry, model_log.CommandEntry):
            if entry.values is not None:
                # the coordinator tells people what became of it
                with suppress(ValueError):
                    self.settings.change(Change(entry.model, entry.values))
        elif isinstance(entry, model_log.CompletenessEntry):
            self._completeness(entry)
        elif isinstance(entry, model_log.QualityEntry):
            self._quality(entry)
        elif isinstance(entry, model_log.StatisticalEntry):
            self._statistical(entry)
        elif isinstance(entry, model_log.PerformanceEntry):
            self._performance(entry)
        elif isinstance(entry, HourlyEntry):
            self._hourly(entry)
        elif isinstance(entry, model_log.ForgottenEntry):
            self._work.put(state.key(entry.model), None)

    def _completeness(self, entry: model_log.CompletenessEntry) -> None:
        memory = self._memory(entry.model)
        judgement = completeness_verdict(entry.predictions, entry.labelled, self.settings.rules_of(entry.model))
        text = None
        if judgement.verdict == Verdict.DRIFT:
            if memory.incomplete_since is None:
                memory.incomplete_since = entry.day
            text = f"outcomes missing since {_weekday(memory.incomplete_since)}"
        elif judgement.verdict == Verdict.NO_DRIFT:
            memory.incomplete_since = None
        self._fault(memory, day_of(entry.close_ms), "completeness", text)
        self._keep(entry.model, memory)
        coverage = entry.labelled / entry.predictions if entry.predictions else None
        window = QualityValue("completeness", entry.day, entry.day + 1, coverage, None, entry.predictions, 0)
        about = About(
            model=entry.model,
            kind=DriftKind.QUALITY,
            check="completeness",
            version=entry.version,
            close_ms=entry.close_ms,
            at_ms=entry.at_ms,
            day=entry.day,
            baseline=model_log.BaselineEntry(),
        )
        found = Judged(judgement=judgement, windows=[events.quality_window(window)], statistic=coverage)
        self._publish(memory, about, found)

    def _quality(self, entry: model_log.QualityEntry) -> None:
        rules, memory = self.settings.rules_of(entry.model), self._memory(entry.model)
        day = day_of(entry.close_ms)
        values = entry.values or [QualityValue(name, day, day, None, None, 0, 0) for name in QUALITY_CHECKS]
        for value in values:
            judgement = quality_verdict(value, rules)
            if not entry.values:
                judgement = _without_baseline(judgement, entry.baseline)
            change = None if value.recent is None or value.baseline is None else value.recent - value.baseline
            if value.check == "volume":
                down = judgement.verdict == Verdict.DRIFT and change is not None and change < 0
                self._fault(memory, day, "volume", _volume(value) if down else None)
            about = About(
                model=entry.model,
                kind=DriftKind.QUALITY,
                check=value.check,
                version=entry.version,
                close_ms=entry.close_ms,
                at_ms=entry.at_ms,
                day=day - 1,
                baseline=entry.baseline,
            )
            windows = [events.quality_window(value)] if entry.values else []
            self._publish(memory, about, Judged(judgement=judgement, windows=windows, statistic=change))
        self._keep(entry.model, memory)

    def _statistical(self, entry: model_log.StatisticalEntry) -> None:
        rules = self.settings.rules_of(entry.model)
        judgement = _without_baseline(statistical_verdict(entry.windows, rules, entry.acquitted), entry.baseline)
        decisive = entry.windows[judgement.decisive] if entry.windows else None
        found = Judged(
            judgement=judgement,
            windows=events.score_windows(entry.windows, rules),
            statistic=events.distance(decisive) if decisive else None,
            p_value=decisive.p_value if decisive else None,
            acquitted=entry.acquitted,
        )
        self._compared(entry, DriftKind.STATISTICAL, found)

    def _performance(self, entry: model_log.PerformanceEntry) -> None:
        rules = self.settings.rules_of(entry.model)
        judgement = _without_baseline(performance_verdict(entry.windows, rules), entry.baseline)
        if not entry.again:
            selected = any(by_class(window, rules) for window in entry.windows)
            memory = self._memory(entry.model)
            self._fault(memory, day_of(entry.close_ms), "labels", "outcomes come by class" if selected else None)
            self._keep(entry.model, memory)
        drop = None
        if entry.windows and judgement.metric is not None:
            worst = next(m for m in entry.windows[judgement.decisive].metrics if m.metric == judgement.metric)
            if worst.recent is not None and worst.baseline is not None:
                drop = 100 * (worst.baseline - worst.recent)
        drift = judgement.verdict == Verdict.DRIFT
        found = Judged(
            judgement=judgement,
            windows=events.label_windows(entry.windows, rules),
            statistic=drop,
            metric=judgement.metric,
            acquitted=entry.acquitted,
            prior_shift=prior_shift(entry.windows[judgement.decisive], rules) if drift else None,
        )
        self._compared(entry, DriftKind.PERFORMANCE, found, entry.again)

    def _hourly(self, entry: HourlyEntry) -> None:
        record = hourly.evidence(entry)
        headers = ce_headers("hourly-evidence", record.id, entry.model, entry.at_ms, self.config.source)
        self._work.emit(Emit(HOURLY_EVIDENCE, self.partition, entry.model.encode(), encode(record), headers))
        alarm = hourly.alarm(entry)
        if alarm is not None:
            about, found, first = alarm
            self._publish(self._memory(entry.model), about, found, run_from=first)

    def _compared(
        self,
        entry: model_log.StatisticalEntry | model_log.PerformanceEntry,
        kind: DriftKind,
        found: Judged,
        again: bool = False,
    ) -> None:
        """Publish a verdict and continue, begin or break the kind's run of drift."""
        memory = self._memory(entry.model)
        run = memory.runs.setdefault(kind, Run())
        about = About(
            model=entry.model,
            kind=kind,
            version=entry.version,
            close_ms=entry.close_ms,
            at_ms=entry.at_ms,
            day=entry.day,
            baseline=entry.baseline,
            again=again,
        )
        revises = run.event_id if again and run.close_ms == entry.close_ms else None
        before = run.before if revises is not None else run.since
        drift = found.judgement.verdict == Verdict.DRIFT
        since = (before if before is not None else entry.day) if drift else None
        memory.runs[kind] = Run(about.id, entry.close_ms, since, before)
        self._keep(entry.model, memory)
        labels = entry if isinstance(entry, model_log.PerformanceEntry) else None
        self._publish(memory, about, found, run_from=since, revises=revises, labels=labels)

    # -- effects -------------------------------------------------------------------------------------------------

    def _publish(
        self,
        memory: DriftState,
        about: About,
        found: Judged,
        *,
        run_from: int | None = None,
        revises: str | None = None,
        labels: model_log.PerformanceEntry | None = None,
    ) -> None:
        """``labels``: the daily performance comparison that it is a verdict on."""
        faults = []
        if about.kind != DriftKind.QUALITY or about.check == "completeness":
            faults = self._faults(memory, day_of(about.close_ms))
        event = events.event(about, found, self.settings.hash_of(about.model), faults, revises)
        headers = ce_headers("drift-event", event.id, about.model, about.at_ms, self.config.source)
        self._work.emit(Emit(DRIFT_EVENTS, self.partition, event.id.encode(), encode(event), headers))
        entry = model_log.EventEntry(events.finding(event, about.day, run_from))
        if labels is not None:
            entry = structs.replace(entry, repair=labels.repair, bounds=labels.bounds)
        self._work.emit(Emit(DRIFT_LOG, self.partition, about.model.encode(), model_log.encode(entry), []))

    def _memory(self, model: str) -> DriftState:
        value = self._work.get([state.key(model)])[0]
        return state.decode(value, state.key(model)) if value is not None else DriftState()

    def _keep(self, model: str, memory: DriftState) -> None:
        self._work.put(state.key(model), state.encode(memory))

    @staticmethod
    def _fault(memory: DriftState, day: int, check: str, text: str | None) -> None:
        if memory.faults_day != day:
            memory.faults_day, memory.faults = day, {}
        if text is None:
            memory.faults.pop(check, None)
        else:
            memory.faults[check] = text

    @staticmethod
    def _faults(memory: DriftState, day: int) -> list[str]:
        return [memory.faults[check] for check in sorted(memory.faults)] if memory.faults_day == day else []


def _without_baseline(judgement: Judgement, baseline: model_log.BaselineEntry) -> Judgement:
    """What is missing is the baseline, wherever there is none."""
    return judgement if baseline.kind is not None else replace(judgement, reason=baseline.reason)


_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _weekday(day: int) -> str:
    """``Tuesday 2026-03-03``; day 0 was a Thursday."""
    return f"{_WEEKDAYS[(day + 3) % 7]} {date_of(day)}"


def _volume(value: QualityValue) -> str:
    if value.recent is None or value.baseline is None or not value.baseline:
        return "predictions missing"
    change = 100 * (1 - value.recent / value.baseline)
    return f"predictions down {change:.0f} %: {value.recent:,.0f} a day, {value.baseline:,.0f} in the baseline"
