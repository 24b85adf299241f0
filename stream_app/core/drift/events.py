"""Drift events made from comparisons and their judgements."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from schemas.common import rfc3339, uuid5
from schemas.drift import DriftEvent, DriftWindow, Histograms
from stream_app.core.comparisons.records import Histogram, LabelWindow, QualityValue, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import lower_bound, upper_bound
from stream_app.core.comparisons.verdicts import Judgement
from stream_app.core.kit.days import DAY_MS
from stream_app.core.line_log import BaselineEntry


def event_id(line: str, kind: str, check: str | None, close_ms: int, again: bool = False) -> str:
    """The same event has the same id in every run; one that replaces another has its own."""
    return uuid5("drift-event", line, kind, check or "", rfc3339(close_ms), "again" if again else "")


def event(
    *,
    id: str,
    line: str,
    kind: str,
    version: str,
    close_ms: int,
    at_ms: int,
    baseline: BaselineEntry,
    judgement: Judgement,
    windows: list[DriftWindow],
    settings_hash: str,
    **rest: Any,
) -> DriftEvent:
    """The public record. ``rest``: check, statistic, p_value, metric, faults, revises where they apply."""
    model_type, _, tenant = line.partition(":")
    return DriftEvent(
        schema="io.plumbline.drift-event.v1",
        id=id,
        at=rfc3339(at_ms),
        line=line,
        model_type=model_type,
        tenant_id=tenant,
        kind=kind,  # type: ignore[arg-type]
        close=rfc3339(close_ms),
        model_version=version,
        baseline_version=version if baseline.kind is not None else None,
        baseline_kind=baseline.kind,
        verdict=judgement.verdict,
        rule_verdict=judgement.rule_verdict,
        severity=judgement.severity or UNSET,
        statistic=rest.pop("statistic", None),
        windows=windows,
        second_opinion=None,
        reason=judgement.reason or UNSET,
        settings_hash=settings_hash,
        **{name: value for name, value in rest.items() if value is not None},
    )


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


def label_windows(windows: list[LabelWindow]) -> list[DriftWindow]:
    """One for each metric of each recent window, the worst metric's not set apart; the interval is the drop's."""
    return [
        DriftWindow(
            from_=_midnight(w.first),
            to=_midnight(w.last),
            metric=m.metric,
            recent=m.recent,
            baseline=m.baseline,
            recent_rows=m.recent_rows,
            baseline_rows=m.baseline_rows,
            interval=(m.lower, m.upper) if m.lower is not None and m.upper is not None else None,
            dispersion=m.dispersion if w is not windows[0] else UNSET,
            histograms=_histograms(w.histogram) if number == 0 else UNSET,
        )
        for w in windows
        for number, m in enumerate(w.metrics)
    ]


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
