"""Every sentence of the rules of verdicts and severities, by cases at and beside each limit."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricWindow, QualityValue, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import (
    completeness_verdict,
    judge_metric,
    performance_verdict,
    quality_verdict,
    statistical_verdict,
)

RULES = ComparisonRules()
NONE = Histogram([], [])
MANY = 10_000_000  # the band around D is 0.0006 wide then


def scores(d: float, p: float = 0.0, n: int = MANY, m: int = MANY, error: float = 0.0) -> ScoreWindow:
    return ScoreWindow(0, 7, n, m, round(d * n * m), p, error, 0.5, 0.5, NONE)


BAND = 1.3581 * (2 / MANY) ** 0.5


@pytest.mark.parametrize(
    ("week", "verdict", "severity", "bare"),
    [
        (scores(0.05), "drift", "MEDIUM", "drift"),
        (scores(0.05 - 1e-7), "no_drift", None, "drift"),
        (scores(0.3, p=0.01), "no_drift", None, "no_drift"),
        (scores(0.3, p=0.0099), "drift", "CRITICAL", "drift"),
        (scores(0.1 + BAND + 1e-9), "drift", "HIGH", "drift"),
        (scores(0.1 + BAND - 1e-9), "drift", "MEDIUM", "drift"),
        (scores(0.2 + BAND + 1e-9), "drift", "CRITICAL", "drift"),
        (scores(0.2 + BAND - 1e-9), "drift", "HIGH", "drift"),
        (scores(0.2 + BAND + 0.01, error=0.02), "drift", "HIGH", "drift"),
        (scores(0.9, n=29), "insufficient_evidence", None, "insufficient_evidence"),
        (scores(0.9, m=29), "insufficient_evidence", None, "insufficient_evidence"),
        (scores(0.02, n=30), "no_drift", None, "drift"),
    ],
)
def test_the_seven_day_window_decides(week: ScoreWindow, verdict: str, severity: str | None, bare: str) -> None:
    quiet = scores(0.01, p=0.5)
    found = statistical_verdict([week, quiet], RULES)
    assert (found.verdict, found.severity, found.rule_verdict) == (verdict, severity, bare)
    assert (found.reason is None) == (verdict != "insufficient_evidence")


@pytest.mark.parametrize(
    ("week", "day", "verdict", "severity", "decisive"),
    [
        (scores(0.01, p=0.5), scores(0.3 + BAND + 1e-9), "drift", "HIGH", 1),
        (scores(0.01, p=0.5), scores(0.3 + BAND - 1e-9), "no_drift", None, 0),
        (scores(0.06), scores(0.9), "drift", "HIGH", 1),
        (scores(0.25), scores(0.9), "drift", "CRITICAL", 0),
        (scores(0.15), scores(0.9), "drift", "HIGH", 0),
        (scores(0.5, n=10), scores(0.9), "drift", "HIGH", 1),
        (scores(0.5, n=10), scores(0.99, n=20), "insufficient_evidence", None, 0),
    ],
)
def test_the_last_day_alone_is_drift_only_far_beyond_a_weekday(
    week: ScoreWindow, day: ScoreWindow, verdict: str, severity: str | None, decisive: int
) -> None:
    found = statistical_verdict([week, day], RULES)
    assert (found.verdict, found.severity, found.decisive) == (verdict, severity, decisive)


def metric(baseline: int, recent: int, lower: float, upper: float, name: str = "accuracy", **rest: Any) -> MetricWindow:
    """Numerators out of 1,000 on both sides."""
    return MetricWindow(
        name, recent / 1_000, baseline / 1_000, (recent, 1_000), (baseline, 1_000), rest.get("rows", 1_000),
        rest.get("baseline_rows", 1_000), lower, upper,
    )  # fmt: skip


UNDEFINED = MetricWindow("precision", None, 0.8, (0, 0), (8, 10), 0, 10, None, None)


@pytest.mark.parametrize(
    ("one", "verdict", "severity"),
    [
        (metric(850, 800, 0.001, 0.09), "drift", "MEDIUM"),
        (metric(850, 801, 0.001, 0.09), "no_drift", None),
        (metric(850, 801, 0.001, 0.10), "insufficient_evidence", None),
        (metric(850, 800, 0.0, 0.11), "insufficient_evidence", None),
        (metric(850, 800, 0.0, 0.09), "no_drift", None),
        (metric(850, 750, 0.06, 0.2), "drift", "MEDIUM"),
        (metric(850, 749, 0.06, 0.2), "drift", "HIGH"),
        (metric(850, 749, 0.05, 0.2), "drift", "MEDIUM"),
        (metric(850, 650, 0.15, 0.3), "drift", "HIGH"),
        (metric(850, 649, 0.15, 0.3), "drift", "CRITICAL"),
        (metric(850, 649, 0.05, 0.3), "drift", "MEDIUM"),
        (metric(850, 500, 0.2, 0.5, rows=29), "insufficient_evidence", None),
        (metric(850, 500, 0.2, 0.5, baseline_rows=29), "insufficient_evidence", None),
        (metric(850, 500, 0.2, 0.5, rows=30, baseline_rows=30), "drift", "CRITICAL"),
        (metric(800, 900, -0.15, -0.05), "no_drift", None),
        (UNDEFINED, "insufficient_evidence", None),
    ],
)
def test_one_metric(one: MetricWindow, verdict: str, severity: str | None) -> None:
    found = judge_metric(one, RULES)
    assert found[:2] == (verdict, severity)
    assert (found[2] is None) == (verdict != "insufficient_evidence")


def labels(*metrics: MetricWindow, judged: int = 7) -> LabelWindow:
    return LabelWindow(0, 7, judged, 1_000, 1_000, list(metrics), NONE)


GOOD, BAD, WORSE = metric(850, 850, -0.02, 0.02), metric(850, 780, 0.04, 0.1), metric(850, 700, 0.1, 0.2)
UNSURE = metric(850, 820, -0.1, 0.2, "precision")


@pytest.mark.parametrize(
    ("week", "day", "verdict", "severity", "decisive", "bare"),
    [
        (labels(GOOD, GOOD), labels(GOOD, GOOD), "no_drift", None, 0, "no_drift"),
        (labels(GOOD, BAD), labels(GOOD, GOOD), "drift", "MEDIUM", 0, "drift"),
        (labels(BAD, UNDEFINED), labels(GOOD), "drift", "MEDIUM", 0, "drift"),
        (labels(GOOD, UNSURE), labels(GOOD, GOOD), "insufficient_evidence", None, 0, "no_drift"),
        (labels(GOOD, UNDEFINED), labels(GOOD, GOOD), "insufficient_evidence", None, 0, "no_drift"),
        (labels(GOOD), labels(WORSE), "drift", "HIGH", 1, "no_drift"),
        (labels(BAD), labels(WORSE), "drift", "HIGH", 1, "drift"),
        (labels(WORSE), labels(BAD), "drift", "HIGH", 0, "drift"),
        (labels(GOOD), labels(UNDEFINED, judged=0), "no_drift", None, 0, "no_drift"),
        (labels(WORSE, judged=3), labels(GOOD), "insufficient_evidence", None, 0, "insufficient_evidence"),
        (labels(WORSE, judged=3), labels(WORSE), "drift", "HIGH", 1, "insufficient_evidence"),
        (labels(WORSE, judged=4), labels(GOOD), "drift", "HIGH", 0, "drift"),
    ],
)
def test_drift_in_either_window_is_drift_and_else_the_seven_days_decide(
    week: LabelWindow, day: LabelWindow, verdict: str, severity: str | None, decisive: int, bare: str
) -> None:
    found = performance_verdict([week, day], RULES)
    assert (found.verdict, found.severity, found.decisive, found.rule_verdict) == (verdict, severity, decisive, bare)


def test_the_worst_drifting_metric_is_named() -> None:
    found = performance_verdict([labels(BAD, metric(850, 700, 0.1, 0.2, "precision"))], RULES)
    assert (found.metric, found.severity) == ("precision", "HIGH")


def test_without_a_baseline_there_is_no_evidence() -> None:
    assert statistical_verdict([], RULES).verdict == "insufficient_evidence"
    assert performance_verdict([], RULES).verdict == "insufficient_evidence"


@pytest.mark.parametrize(
    ("check", "recent", "baseline", "verdict"),
    [
        ("volume", 150.0, 100.0, "drift"),
        ("volume", 149.0, 100.0, "no_drift"),
        ("volume", 50.0, 100.0, "drift"),
        ("volume", 51.0, 100.0, "no_drift"),
        ("volume", 0.0, 100.0, "drift"),
        ("positive_rate", 0.35, 0.3, "drift"),
        ("positive_rate", 0.251, 0.3, "no_drift"),
        ("calibration", 0.9, 0.96, "drift"),
        ("calibration", 0.99, 0.9, "no_drift"),
        ("interval_width", 0.126, 0.1, "drift"),
        ("interval_width", 0.12, 0.1, "no_drift"),
        ("narrow_share", 0.5, 0.75, "drift"),
        ("narrow_share", 0.6, 0.75, "no_drift"),
        ("narrow_share", None, 0.75, "insufficient_evidence"),
    ],
)
def test_quality_checks(check: str, recent: float | None, baseline: float | None, verdict: str) -> None:
    found = quality_verdict(QualityValue(check, 0, 7, recent, baseline, 100, 100), RULES)
    assert found.verdict == verdict
    assert found.severity == ("MEDIUM" if verdict == "drift" else None)
    assert found.rule_verdict is None


def test_few_rows_are_no_evidence_of_quality_but_no_predictions_at_all_are_evidence_of_volume() -> None:
    assert quality_verdict(QualityValue("positive_rate", 0, 7, 0.9, 0.1, 29, 100), RULES).verdict != "drift"
    assert quality_verdict(QualityValue("volume", 0, 7, 0.0, 50.0, 0, 1_500), RULES).verdict == "drift"


@pytest.mark.parametrize(
    ("predictions", "labelled", "verdict"),
    [(100, 49, "drift"), (100, 50, "no_drift"), (0, 0, "insufficient_evidence"), (3, 1, "drift")],
)
def test_completeness(predictions: int, labelled: int, verdict: str) -> None:
    found = completeness_verdict(predictions, labelled, RULES)
    assert (found.verdict, found.severity) == (verdict, "HIGH" if verdict == "drift" else None)
