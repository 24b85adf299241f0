"""Validation, probation and the data range against tables of cases."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.training import VersionComparison
from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricWindow
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import RetrainRules
from stream_app.core.retrain.data_range import plan
from stream_app.core.retrain.probation import choose, judge
from stream_app.core.retrain.profile import cut, take
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


D = 20_000
#: (first day, hour of the tick on D, labelled rows by day, hours of the split after the first day's 00:00, labelled)
RANGES = [
    # from the onset yesterday: 20 % of its rows are its last 4.8 hours, cut at a full hour
    (D - 1, 4, {D - 1: 1_000}, 19, 1_000),
    # five equal days: the last one
    (D - 5, 4, {D - i: 100 for i in range(1, 6)}, 4 * 24, 500),
    # ten equal days: the last two
    (D - 10, 4, {D - i: 100 for i in range(1, 11)}, 8 * 24, 1_000),
    # a small day at the end, then a part of the one before: 100 wanted, 40 there, 60 of 460 are 3.1 hours
    (D - 2, 4, {D - 2: 460, D - 1: 40}, 20, 500),
    # days before the range count for nothing
    (D - 1, 4, {D - 9: 9_000, D - 1: 1_000}, 19, 1_000),
    # no labels known: the newest fifth of the time, 28 h · 0.8 = 22.4
    (D - 1, 4, {}, 22, 0),
]  # fmt: skip


@pytest.mark.parametrize(("first", "hour", "rows", "split", "labelled"), RANGES)
def test_the_newest_fifth_of_the_labelled_rows_is_held_out(
    first: int, hour: int, rows: dict[int, int], split: int, labelled: int
) -> None:
    found = plan(first, D * DAY_MS + hour * HOUR_MS, 0.2, rows, (), {}, {})
    assert found.from_ms == first * DAY_MS
    assert found.split_ms == first * DAY_MS + split * HOUR_MS
    assert found.to_ms == D * DAY_MS + hour * HOUR_MS
    assert found.labelled == labelled


@pytest.mark.parametrize(
    ("hours", "split"),
    [
        # an office: 8 to 12, a quarter of the rows each; a fifth is the last of them
        ([100 if 8 <= hour < 12 else 0 for hour in range(24)], 11),
        # nearly all in one hour: the hold-out is the whole of it rather than nothing
        ([1 if hour < 10 else 900 if hour == 10 else 0 for hour in range(24)], 10),
        # evenly: as if nothing were known
        ([7] * 24, 19),
    ],
)
def test_a_day_is_cut_where_the_models_own_hours_say(hours: list[int], split: int) -> None:
    found = plan(D - 1, D * DAY_MS + 4 * HOUR_MS, 0.2, {D - 1: 1_000}, hours, {}, {})
    assert found.split_ms == (D - 1) * DAY_MS + split * HOUR_MS


def test_a_profile_follows_a_model_whose_hours_move() -> None:
    known = [0] * 24
    for day in range(30):
        for hour in range(24):
            take(known, (D + day) * 24 + hour, 100 if hour == 9 else 0)
    assert cut(known, 0.2) == 9
    for day in range(30, 60):
        for hour in range(24):
            take(known, (D + day) * 24 + hour, 100 if hour == 15 else 0)
    assert cut(known, 0.95) == 15
    assert cut([0] * 24, 0.2) is None
    assert max(known) < 100 * 8


def test_offsets_reach_from_the_end_offsets_before_the_range_to_those_of_the_tick() -> None:
    start = {"predictions": {0: 17, 1: 4}, "outcomes": {0: 3}}
    end = {"predictions": {1: 40, 0: 70}, "outcomes": {0: 30, 1: 9}}
    found = plan(D - 1, D * DAY_MS, 0.2, {}, (), start, end)
    assert found.offsets == {"outcomes": {0: (3, 30), 1: (0, 9)}, "predictions": {0: (17, 70), 1: (4, 40)}}
