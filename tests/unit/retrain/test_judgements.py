"""Validation and probation against tables of cases."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.training import VersionComparison
from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricWindow
from stream_app.core.retrain import RetrainRules
from stream_app.core.retrain.probation import choose, judge
from stream_app.core.retrain.validation import validate

CONFLICT = RetrainRules(validation_floors={"accuracy": 0.70, "precision": 0.60})
FRAUD = RetrainRules(
    validation_floors={"pr_auc": 0.70, "precision_at_80_recall": 0.50}, rollback_metrics=("pr_auc", "recall"),
    primary_metric="pr_auc",
)  # fmt: skip
OTHER = RetrainRules()


def told(
    difference: float, half: float | None = 0.02, metric: str = "accuracy", champion: float = 0.8
) -> VersionComparison:
    bounds = (None, None) if half is None else (difference - half, difference + half)
    return VersionComparison(
        metric=metric, candidate=champion + difference, champion=champion, difference=difference,
        lower=bounds[0], upper=bounds[1],
    )  # fmt: skip


FINE = {"accuracy": 0.8, "precision": 0.8}
#: misses the floor of precision, as the champion may
LOOSE = {"accuracy": 0.8, "precision": 0.55}
HELD = RetrainRules(validation_floors={"accuracy": 0.7}, validation_min_gain_points=1)
VALIDATIONS: list[tuple[RetrainRules, Any, Any, Any, str, str]] = [
    (CONFLICT, {"accuracy": 0.7, "precision": 0.6}, {"accuracy": 0.7}, None, "passed", "0.7000 ≥ 0.70"),
    (CONFLICT, {"accuracy": 0.69, "precision": 0.9}, {"accuracy": 0.5}, None, "needs_person", "below_floor"),
    (CONFLICT, {"accuracy": 0.69, "precision": 0.9}, {"accuracy": 0.5}, told(0.19, champion=0.5), "passed", "below_f"),
    (CONFLICT, {"accuracy": 0.69, "precision": 0.9}, {"accuracy": 0.71}, None, "rejected", "-2.0 points"),
    # a champion that hardly ever says yes has the better precision, which decides nothing
    (CONFLICT, FINE, {"accuracy": 0.6, "precision": 0.99}, None, "passed", "+20.0 points"),
    (CONFLICT, FINE, {"accuracy": 0.8001, "precision": 0.1}, None, "rejected", "-0.0 points, +0 points are needed"),
    (CONFLICT, FINE, {"accuracy": 0.9}, told(0.0), "passed", "between -2.0 and +2.0"),
    (CONFLICT, FINE, {"accuracy": 0.1}, told(-0.001), "rejected", "the active version has 0.8000"),
    (HELD, FINE, FINE, told(0.009), "rejected", "+1 points are needed"),
    (HELD, FINE, FINE, told(0.01), "passed", "+1.0 points"),
    # floors of both: the candidate misses one that the champion holds, or does not hold either
    (CONFLICT, LOOSE, {"accuracy": 0.7, "precision": 0.61}, told(0.1), "rejected", "precision 0.5500, 0.60 is needed"),
    (CONFLICT, LOOSE, {"accuracy": 0.7, "precision": 0.59}, told(0.1), "passed", "below_floor: precision 0.5500"),
    (CONFLICT, LOOSE, {"accuracy": 0.7, "precision": None}, told(0.02), "needs_person", "undefined of the active"),
    (CONFLICT, LOOSE, {"accuracy": 0.7, "precision": 0.5}, told(0.1, None), "needs_person", "not certainly better"),
    (CONFLICT, LOOSE, {"accuracy": 0.7}, told(0.1), "rejected", "precision 0.5500"),
    (CONFLICT, {"accuracy": 0.8, "precision": None}, FINE, None, "rejected", "precision is undefined, 0.60"),
    # what a trainer leaves out
    (CONFLICT, FINE, None, None, "rejected", "no champion_metrics"),
    (CONFLICT, None, FINE, None, "rejected", "no candidate_metrics"),
    (CONFLICT, {"precision": 0.8}, FINE, None, "rejected", "accuracy, the primary metric, is not reported"),
    (CONFLICT, {"accuracy": None}, FINE, None, "rejected", "accuracy, the primary metric, is undefined"),
    (CONFLICT, FINE, {"precision": 0.8}, None, "rejected", "no accuracy of the active"),
    (CONFLICT, FINE, {"accuracy": None}, None, "passed", "undefined of the active version"),
    (CONFLICT, FINE, FINE, told(0.1, metric="precision"), "rejected", "compared by precision"),
    (CONFLICT, None, None, told(0.1), "rejected", "precision is undefined"),
    (FRAUD, {"pr_auc": 0.7, "precision_at_80_recall": 0.5}, {"pr_auc": 0.6}, None, "passed", "+10.0 points"),
    (FRAUD, {"pr_auc": 0.3, "precision_at_80_recall": 0.5}, {"pr_auc": 0.75}, None, "rejected", "pr_auc"),
    (OTHER, {"accuracy": 0.99}, {"accuracy": 0.5}, None, "needs_person", "a person decides"),
    (OTHER, {"accuracy": 0.5}, {"accuracy": 0.6}, None, "rejected", "same rows"),
    (OTHER, {"accuracy": 0.5}, None, None, "rejected", "no champion_metrics"),
    # what no rows can give
    (
        CONFLICT,
        {"accuracy": 85, "precision": 80},
        {"accuracy": 0.8},
        None,
        "rejected",
        "accuracy of the candidate is 85",
    ),
    (CONFLICT, {"accuracy": 0.9, "precision": 80}, FINE, told(0.1), "rejected", "precision of the candidate is 80"),
    (CONFLICT, FINE, {"accuracy": -1, "precision": 0.7}, told(0.1), "rejected", "accuracy of the active version is -1"),
    # what is not judged may be anything
    (CONFLICT, FINE | {"log_loss": 1.7, "rows": 380.0}, FINE | {"log_loss": 2.5}, told(0.1), "passed", "+10.0 points"),
    (OTHER, {"accuracy": 1e300}, {"accuracy": 0.5}, None, "rejected", "and metrics are 0 to 1"),
    (CONFLICT, FINE, FINE, told(10, champion=80), "rejected", "accuracy of the candidate in the comparison is 90"),
    (CONFLICT, FINE, FINE, replace(told(-0.3), difference=0.3), "rejected", "differs by 0.3000, and its figures by -0"),
    (CONFLICT, FINE, FINE, replace(told(0.0), difference=10.0), "rejected", "differs by 10.0000"),
    (CONFLICT, FINE, FINE, replace(told(0.05), lower=0.9, upper=0.1), "rejected", "upside down: 0.9 to 0.1"),
    (CONFLICT, FINE, FINE, replace(told(0.0504), candidate=0.851, difference=0.05), "passed", "+5.0 points"),
]


@pytest.mark.parametrize(("rules", "candidate", "champion", "comparison", "verdict", "words"), VALIDATIONS)
def test_a_candidate_is_judged_by_floors_and_by_what_serves(
    rules: RetrainRules, candidate: Any, champion: Any, comparison: Any, verdict: str, words: str
) -> None:
    found = validate(rules, candidate, champion, comparison)
    assert found.verdict == verdict, found.reason
    assert words in found.reason


def metric(name: str, down: float, lower: float | None, rows: tuple[int, int] = (1_000, 1_000)) -> MetricWindow:
    """80 % before, and so many points less now."""
    n, m = rows
    recent = (round((0.8 - down / 100) * n), n)
    return MetricWindow(name, recent[0] / n, 0.8, recent, (round(0.8 * m), m), n, m, lower, 1.0)


def window(*metrics: MetricWindow, rows: tuple[int, int] = (1_000, 1_000), first: int = 10) -> LabelWindow:
    return LabelWindow(first, 17, 17 - first, *rows, list(metrics), Histogram([], []))


LOOKS: list[tuple[RetrainRules, float, list[LabelWindow], str, str]] = [
    (OTHER, 23.9, [window(metric("accuracy", 20, 0.15))], "undecided", "first look 24 h"),
    (OTHER, 24, [window(metric("accuracy", 20, 0.15))], "failed", "accuracy down by 20.0 points"),
    (OTHER, 24, [window(metric("accuracy", 5, 0.02))], "kept", ""),  # more than 5 points, not 5
    (OTHER, 24, [window(metric("accuracy", 5.1, 0.02))], "failed", "5.1 points"),
    (OTHER, 24, [window(metric("accuracy", 5.1, 0.0))], "kept", ""),  # the bound must be above 0
    (OTHER, 24, [window(metric("accuracy", -3, -0.1))], "kept", ""),
    (OTHER, 24, [window(metric("accuracy", 20, 0.1), rows=(99, 1_000))], "undecided", "99 labelled rows since"),
    (OTHER, 24, [window(metric("accuracy", 20, 0.1), rows=(1_000, 99))], "undecided", "99 before"),
    (OTHER, 24, [window(metric("accuracy", 20, 0.1, (29, 500)))], "undecided", "29 and 500 rows, 30"),
    (OTHER, 24, [window(metric("accuracy", 20, None))], "undecided", "undefined"),
    (OTHER, 24, [window()], "undecided", "accuracy is undefined"),
    (OTHER, 24, [], "undecided", "no closed day"),
    (OTHER, 14 * 24, [], "kept_without_evidence", "14 days have passed"),
    (OTHER, 14 * 24, [window(metric("accuracy", 20, 0.1))], "failed", ""),  # evidence at the last hour counts
    (FRAUD, 24, [window(metric("pr_auc", 1, -0.1), metric("recall", 9, 0.02))], "failed", "recall"),
    (FRAUD, 24, [window(metric("pr_auc", 9, 0.02), metric("recall", 0, 0, (9, 99)))], "failed", "pr_auc"),
    (FRAUD, 24, [window(metric("pr_auc", 1, -0.1), metric("recall", 0, 0, (9, 99)))], "undecided", "recall"),
    (FRAUD, 24, [window(metric("pr_auc", 7, 0.01), metric("recall", 9, 0.01))], "failed", "recall down by 9"),
    (FRAUD, 24, [window(metric("pr_auc", 1, -0.1), metric("recall", 1, -0.1))], "kept", "pr_auc"),
    (RetrainRules(rollback_metrics=()), 24, [window()], "undecided", "no rollback metrics"),
    (RetrainRules(rollback_metrics=()), 336, [window()], "kept_without_evidence", "no rollback metrics"),
]


@pytest.mark.parametrize(("rules", "hours", "windows", "verdict", "words"), LOOKS)
def test_a_new_version_is_judged_by_evidence(
    rules: RetrainRules, hours: float, windows: list[LabelWindow], verdict: str, words: str
) -> None:
    found = judge(rules, hours, windows, None)
    assert found.verdict == verdict, found.reason
    assert words in found.reason


def test_a_version_that_answers_drift_is_compared_with_the_drifted_days_alone() -> None:
    windows = [window(first=day) for day in (10, 11, 12, 16)]
    assert choose(windows, None) == 0
    assert choose(windows, 12) == 2
    assert choose(windows, 13) == 3  # no window of its own begins then: the next one does
    assert choose(windows, 5) == 0
    assert choose(windows, 20) == 3  # the run is younger than the last closed day
    assert choose([], 3) is None
    good, bad = metric("accuracy", 0, -0.1), metric("accuracy", 20, 0.1)
    both = [window(bad, first=10), window(good, first=15)]
    assert judge(OTHER, 24, both, None).verdict == "failed"
    assert judge(OTHER, 24, both, 15).verdict == "kept"
