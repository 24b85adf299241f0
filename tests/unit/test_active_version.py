from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stream_app.core import active_version
from stream_app.core.active_version import (
    ActiveVersion,
    ObservedRules,
    after_close,
    after_hour,
    changed,
    first_observed,
)
from stream_app.core.days import HOUR_MS
from stream_app.errors import Incompatible

HOUR = 480_000
END = (HOUR + 1) * HOUR_MS
RULES = ObservedRules()


def current(since_ms: int = 0, how: active_version.How = "observed") -> ActiveVersion:
    return ActiveVersion("v1", "v0", how, since_ms, 5)


def test_the_first_version_is_the_one_with_most_predictions_ties_by_name() -> None:
    assert first_observed({"b": 5, "a": 5, "c": 4}, 9) == ActiveVersion("a", None, "observed", 9, 9)
    assert first_observed({"b": 0}, 9) is None


def hours(*made: dict[str, int]) -> active_version.ActiveVersion:
    """What stands once HOUR has ended: predictions of HOUR, then of the hour before."""
    return after_hour(current(), HOUR, made, at_ms=END, rules=RULES)


@pytest.mark.parametrize(
    ("last", "before", "active"),
    [
        ({"v1": 10, "v2": 21}, {"v1": 0, "v2": 30}, "v2"),
        ({"v1": 10, "v2": 20}, {"v2": 30}, "v1"),  # two thirds are not more than two thirds
        ({"v2": 29}, {"v2": 30}, "v1"),  # 29 predictions say nothing
        ({"v2": 30}, {"v2": 29}, "v1"),
        ({"v2": 300}, {}, "v1"),
        ({"v2": 30}, {"v3": 30}, "v1"),
        ({"v1": 40}, {"v1": 40}, "v1"),
        ({}, {}, "v1"),
    ],
)
def test_another_version_takes_over_with_more_than_two_thirds_of_30_in_each_of_two_hours(
    last: dict[str, int], before: dict[str, int], active: str
) -> None:
    assert hours(last, before).version == active


def test_a_take_over_names_the_version_before_and_keeps_when_the_model_was_first_seen() -> None:
    assert hours({"v2": 30}, {"v2": 30}) == ActiveVersion("v2", "v1", "observed", END, 5, END)


@pytest.mark.parametrize(
    ("since_ms", "active"),
    [
        (END - 2 * HOUR_MS, "v2"),  # dated at the start of the two hours: it changed in the hour before them
        (END - 2 * HOUR_MS + 1, "v1"),
        (END - HOUR_MS, "v1"),
        (END, "v1"),
        (END + HOUR_MS, "v1"),  # ordered in the epoch in hand, which covers several hours
    ],
)
def test_hours_that_began_before_the_last_change_decide_nothing(since_ms: int, active: str) -> None:
    made = [{"v2": 30}, {"v2": 30}]
    for how in ("registered", "commanded"):
        assert after_hour(current(since_ms, how), HOUR, made, at_ms=END, rules=RULES).version == active


def test_hours_cause_no_change_within_72_h_of_one_that_they_caused() -> None:
    made = [{"v2": 30}, {"v2": 30}]
    for ago, active in ((72 * HOUR_MS - 1, "v1"), (72 * HOUR_MS, "v2")):
        known = ActiveVersion("v1", "v0", "observed", END - ago, 5, END - ago)
        assert after_hour(known, HOUR, made, at_ms=END, rules=RULES).version == active
    first = ActiveVersion("v1", None, "observed", END, END)
    assert after_hour(first, HOUR, made, at_ms=END, rules=RULES).version == "v2"  # the first to be seen is no change


@pytest.mark.parametrize(
    ("days", "active"),
    [
        ([{"v1": 10, "v2": 21}], "v2"),
        ([{"v1": 10, "v2": 20}], "v1"),
        ([{"v1": 20, "v2": 10}, {"v2": 900}], "v1"),  # 30 predictions of the closed day are enough
        ([{"v2": 12}, {"v1": 20}], "v1"),  # fewer: the day before counts too
        ([{"v2": 12}, {"v2": 10}, {"v2": 9}], "v2"),
        ([{}, {}, {}, {}, {}, {}, {"v2": 10}], "v2"),  # a weekly job of ten
        ([{}, {}, {}, {}, {}, {}, {"v2": 9}], "v1"),
        ([{}, {}, {}, {}, {}, {}, {}, {"v2": 99}], "v1"),  # a week is as far as it looks
        ([{"v2": 5, "v3": 6}], "v3"),  # the active one made none of ten or more: the one that made most
        ([{"v2": 6, "v3": 6}], "v2"),
        ([{"v1": 1, "v2": 5, "v3": 6}], "v1"),
        ([], "v1"),
    ],
)
def test_at_the_close_as_many_days_count_as_hold_30_and_ten_are_needed(days: list[dict[str, int]], active: str) -> None:
    assert after_close(current(), days, at_ms=END, rules=RULES).version == active


def poisson_hours(rng: np.random.Generator, a_day: int) -> np.ndarray:
    """Predictions of each hour of 60 days, most by day."""
    shape = 1 + 0.8 * np.sin((np.arange(24) - 9) / 24 * 2 * np.pi)
    return rng.poisson(a_day * np.tile(shape / shape.sum(), 60))


def changes(made: list[dict[str, int]], order: tuple[int, str] | None = None) -> list[tuple[int, str]]:
    """(hour, version) of each change in a world of predictions by hour, as the metrics stage asks hour by hour."""
    known: ActiveVersion | None = None
    out = []
    for hour, versions in enumerate(made):
        at, before = (hour + 1) * HOUR_MS, known
        if order is not None and hour == order[0]:
            known = changed(known, order[1], "commanded", hour * HOUR_MS + 60_000)
        if known is None:
            known = first_observed(versions, at)
            continue
        known = after_hour(known, hour, (versions, made[hour - 1]), at_ms=at, rules=RULES)
        if hour % 24 == 1:
            since = known.counted_from_ms
            days: list[dict[str, int]] = []
            for day in range(hour // 24 - 1, since // (24 * HOUR_MS) - 1, -1):
                total: Counter[str] = Counter()
                for h in range(24 * day, 24 * day + 24):
                    if h * HOUR_MS >= since:
                        total.update(made[h])
                days.append(dict(total))
            known = after_close(known, days, at_ms=at, rules=RULES)
        if before is not None and known != before:
            out.append((hour, known.version))
    return out


@pytest.mark.parametrize("a_day", [190, 1_000, 10_000])
def test_a_canary_of_half_to_70_percent_changes_the_version_at_most_once_a_month(a_day: int) -> None:
    rng = np.random.default_rng(a_day)
    for model in range(40):
        share = (0.5, 0.55, 0.6, 0.65, 0.7)[model % 5]
        made = [
            {"v1": int(n - k), "v2": int(k)} for n in poisson_hours(rng, a_day) for k in [rng.binomial(int(n), share)]
        ]
        assert len(changes(made)) <= 2, (a_day, share)


def test_a_nightly_batch_of_another_version_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    made = [{"v1": int(n), "v0": 100 * (h % 24 == 1)} for h, n in enumerate(poisson_hours(rng, 300))]
    assert len(changes(made)) <= 1


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("at", [8, 16, 18, 21])
@pytest.mark.parametrize("a_day", [60, 190, 1_000, 10_000])
def test_a_deployment_at_any_hour_observed_or_reported_is_one_change(a_day: int, at: int, ordered: bool) -> None:
    switch = 30 * 24 + at
    made = [
        {"v2" if h >= switch else "v1": int(n)} for h, n in enumerate(poisson_hours(np.random.default_rng(at), a_day))
    ]
    found = changes(made, (switch, "v2") if ordered else None)
    assert [version for _, version in found] == ["v2"]
    assert found[0][0] <= 32 * 24 + 1


def test_60_a_day_that_switch_at_noon_are_followed_at_the_close_after_the_day_that_v2_made_alone() -> None:
    made = [{"v2" if h >= 30 * 24 + 12 else "v1": 2 + h % 2} for h in range(60 * 24)]
    assert changes(made) == [(32 * 24 + 1, "v2")]


def test_a_weekly_job_of_ten_is_followed_within_14_days() -> None:
    made = [{"v2" if h >= 30 * 24 else "v1": 10 * (h % 168 == 53)} for h in range(90 * 24)]
    ((hour, version),) = changes(made)
    assert version == "v2"
    assert hour <= 44 * 24


def test_a_command_for_the_version_that_is_active_changes_nothing() -> None:
    state = current()
    assert changed(state, "v1", "registered", 7) is state
    assert changed(state, "v2", "registered", 7) == ActiveVersion("v2", "v1", "registered", 7, 5)
    assert changed(None, "v2", "commanded", 7) == ActiveVersion("v2", None, "commanded", 7, 7)


def test_an_unknown_format_is_a_named_error() -> None:
    with pytest.raises(Incompatible, match="active version has format 99"):
        active_version.decode(b"\x63")
