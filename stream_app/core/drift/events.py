"""Drift events made from comparisons and their judgements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, UnsetType

from schemas import bounds
from schemas.common import parse_ms, rfc3339, uuid5
from schemas.drift import Check, DriftEvent, DriftKind, DriftWindow, Histograms, PriorShift
from stream_app.core.comparisons.finding import FAULTS, TEXT, WINDOWS, Finding, FoundWindow
from stream_app.core.comparisons.hourly_entry import HourlyLoss
from stream_app.core.comparisons.prior import PositiveShares
from stream_app.core.comparisons.records import Histogram, LabelWindow, QualityValue, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import lower_bound, upper_bound
from stream_app.core.comparisons.verdicts import Judgement, by_class
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.model_log import BaselineEntry

T = TypeVar("T")


def event_id(model: str, kind: str, check: str | None, close_ms: int, again: bool = False) -> str:
    """The same event has the same id in every run; one that replaces another has its own."""
    return uuid5("drift-event", model, kind, check or "", rfc3339(close_ms), "again" if again else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Which check of which model at which close."""

    model: str
    kind: DriftKind
    #: quality check; ``None`` for comparisons
    check: Check | None = None
    version: str
    close_ms: int
    #: tick that ran the close
    at_ms: int
    #: newest cohort day
    day: int
    baseline: BaselineEntry
    #: made again for a past close
    again: bool = False

    @property
    def id(self) -> str:
        """Id of the event."""
        return event_id(self.model, self.kind, self.check, self.close_ms, self.again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of it: the judgement, the windows it stands on, and the decisive numbers."""

    judgement: Judgement
    windows: list[DriftWindow]
    statistic: float | None = None
    p_value: float | None = None
    metric: str | None = None
    acquitted: bool = False
    prior_shift: PositiveShares | None = None
    evidence: float | None = None


def event(about: About, judged: Judged, settings_hash: str, faults: list[str], revises: str | None) -> DriftEvent:
    """The public record. ``revises``: id of the event that it replaces."""
    model_type, _, tenant = about.model.partition(":")
    judgement, baseline = judged.judgement, about.baseline
    return DriftEvent(
        schema="io.plumbline.drift-event.v1",
        id=about.id,
        at=rfc3339(about.at_ms),
        model=about.model,
        model_type=model_type,
        tenant_id=tenant,
        kind=about.kind,
        as_of=rfc3339(about.close_ms),
        model_version=about.version,
        baseline_version=about.version if baseline.kind is not None else None,
        baseline_kind=baseline.kind,
        verdict=judgement.verdict,
        rule_verdict=judgement.rule_verdict,
        severity=judgement.severity or UNSET,
        statistic=judged.statistic,
        windows=judged.windows,
        second_opinion=None,
        reason=judgement.reason or UNSET,
        settings_hash=settings_hash,
        check=_or_unset(about.check),
        p_value=_or_unset(judged.p_value),
        metric=_or_unset(judged.metric),
        faults=faults or UNSET,
        acquitted=judged.acquitted or UNSET,
        prior_shift=PriorShift(*judged.prior_shift) if judged.prior_shift is not None else UNSET,
        revises=_or_unset(revises),
        evidence=_or_unset(judged.evidence),
    )


def finding(event: DriftEvent, day: int, run_from: int | None = None) -> Finding:
    """What later stages ask of an event. ``day``: newest cohort day; ``run_from``: that of its run's first event."""
    rows = {
        (w.from_, w.to): (sum(w.histograms.recent), sum(w.histograms.baseline))
        for w in reversed(event.windows)
        if w.histograms is not UNSET
    }
    reason, faults, shift = _known(event.reason), _known(event.faults) or [], _known(event.prior_shift)
    return Finding(
        id=event.id,
        model=event.model,
        kind=event.kind,
        check=_known(event.check),
        version=event.model_version,
        close_ms=parse_ms(event.as_of),
        day=day,
        verdict=event.verdict,
        severity=_known(event.severity),
        run_from=run_from,
        reason=bounds.cut(reason, TEXT) if reason is not None else None,
        revises=_known(event.revises),
        faults=[bounds.cut(fault, TEXT) for fault in faults[:FAULTS]],
        rule_verdict=event.rule_verdict,
        statistic=event.statistic,
        p_value=_known(event.p_value),
        metric=_known(event.metric),
        baseline_version=event.baseline_version,
        baseline_kind=event.baseline_kind,
        acquitted=event.acquitted is True,
        evidence=_known(event.evidence),
        prior_shift=(shift.recent, shift.baseline) if shift is not None else None,
        windows=[_found(w, rows.get((w.from_, w.to))) for w in event.windows[:WINDOWS]],
    )


def _found(w: DriftWindow, rows: tuple[int, int] | None) -> FoundWindow:
    recent, baseline = rows if rows is not None else (_known(w.recent_rows), _known(w.baseline_rows))
    return FoundWindow(
        from_=w.from_,
        to=w.to,
        recent=w.recent,
        baseline=w.baseline,
        interval=w.interval,
        recent_rows=recent,
        baseline_rows=baseline,
        metric=_known(w.metric),
        statistic=_known(w.statistic),
        dispersion=_known(w.dispersion),
    )


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def _known(value: T | UnsetType) -> T | None:
    """The value of a field that may be left out."""
    return None if value is UNSET else value


def score_windows(windows: list[ScoreWindow], rules: ComparisonRules) -> list[DriftWindow]:
    """Mean scores of either side, and the band around D."""
    return [
        DriftWindow(
            from_=_midnight(w.first),
            to=_midnight(w.last),
            recent=w.recent,
            baseline=w.baseline,
            recent_rows=w.n,
            baseline_rows=w.m,
            interval=(lower_bound(w, rules), upper_bound(w, rules)) if w.n and w.m else None,
            statistic=distance(w),
            histograms=_histograms(w.histogram),
        )
        for w in windows
    ]


def label_windows(windows: list[LabelWindow], rules: ComparisonRules | None = None) -> list[DriftWindow]:
    """One for each metric of each recent window, the worst metric's not set apart; the interval is the drop's, null
    where by the ``rules`` outcomes come by class, so that it would say nothing of the drop."""
    judged = [rules is None or not by_class(w, rules) for w in windows]
    return [
        DriftWindow(
            from_=_midnight(w.first),
            to=_midnight(w.last),
            metric=m.metric,
            recent=m.recent,
            baseline=m.baseline,
            recent_rows=m.recent_rows,
            baseline_rows=m.baseline_rows,
            interval=(m.lower, m.upper) if known and m.lower is not None and m.upper is not None else None,
            dispersion=m.dispersion if w is not windows[0] else UNSET,
            histograms=_histograms(w.histogram) if number == 0 else UNSET,
        )
        for w, known in zip(windows, judged, strict=True)
        for number, m in enumerate(w.metrics)
    ]


def hourly_window(loss: HourlyLoss, metric: str | None) -> DriftWindow:
    """What went between the best start and the full hour, as shares; the interval is that of the loss."""
    return DriftWindow(
        from_=rfc3339(loss.start * HOUR_MS),
        to=rfc3339(loss.end * HOUR_MS),
        metric=_or_unset(metric),
        recent=loss.recent,
        baseline=loss.baseline,
        recent_rows=loss.recent_rows,
        baseline_rows=loss.baseline_rows,
        interval=(loss.lower / 100, loss.upper / 100),
    )


def quality_window(value: QualityValue) -> DriftWindow:
    """The figure on either side."""
    return DriftWindow(
        from_=_midnight(value.first),
        to=_midnight(value.last),
        recent=value.recent,
        baseline=value.baseline,
        recent_rows=value.recent_rows,
        baseline_rows=value.baseline_rows,
        interval=None,
    )


def distance(window: ScoreWindow) -> float | None:
    """D of a window; ``None`` if a side is empty."""
    return window.distance / (window.n * window.m) if window.n and window.m else None


def _midnight(day: int) -> str:
    return rfc3339(day * DAY_MS)


def _histograms(histogram: Histogram) -> Histograms:
    return Histograms(histogram.recent, histogram.baseline)
