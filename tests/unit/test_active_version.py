from __future__ import annotations

import pytest

from stream_app.core.kit.days import HOUR_MS
from stream_app.core.metrics_stage import active_version
from stream_app.core.metrics_stage.active_version import (
    ActiveVersion,
    ObservedRules,
    after_close,
    after_hour,
    changed,
    first_observed,
)
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
        ([{"v2": 40, "v3": 41}], "v3"),
        ([{"v2": 40, "v3": 41}, {"v1": 1}], "v1"),  # it made one in the seven days, if not in those that hold 30
        ([{"v2": 40, "v3": 41}, {}, {}, {}, {}, {}, {"v2": 2}, {"v1": 9}], "v2"),
        ([{"v2": 4, "": 6}], "v2"),  # what is only known as one of many others is no version
        ([], "v1"),
    ],
)
def test_at_the_close_as_many_days_count_as_hold_30_and_ten_are_needed(days: list[dict[str, int]], active: str) -> None:
    assert after_close(current(), days, at_ms=END, rules=RULES).version == active


def test_a_command_for_the_version_that_is_active_changes_nothing() -> None:
    state = current()
    assert changed(state, "v1", "registered", 7) is state
    assert changed(state, "v2", "registered", 7) == ActiveVersion("v2", "v1", "registered", 7, 5)
    assert changed(None, "v2", "commanded", 7) == ActiveVersion("v2", None, "commanded", 7, 7)


def test_an_unknown_format_is_a_named_error() -> None:
    with pytest.raises(Incompatible, match="active version has format 99"):
        active_version.decode(b"\x63")
