from __future__ import annotations

import pytest

from stream_app.core import active_version
from stream_app.core.active_version import ActiveVersion, after_hour, changed, first_observed
from stream_app.core.days import HOUR_MS
from stream_app.errors import Incompatible

HOUR = 480_000
END = (HOUR + 1) * HOUR_MS


def current(since_ms: int = 0, how: active_version.How = "observed") -> ActiveVersion:
    return ActiveVersion("v1", "v0", how, since_ms, 5)


def test_the_first_version_is_the_one_with_most_predictions_ties_by_name() -> None:
    assert first_observed({"b": 5, "a": 5, "c": 4}, 9) == ActiveVersion("a", None, "observed", 9, 9)
    assert first_observed({"b": 0}, 9) is None


@pytest.mark.parametrize(
    ("made", "active"),
    [
        ({"v1": 14, "v2": 16}, "v2"),
        ({"v1": 13, "v2": 16}, "v1"),  # 29 predictions say nothing
        ({"v1": 15, "v2": 15}, "v1"),  # half is not more than half
        ({"v1": 0, "v2": 20, "v3": 20}, "v1"),
        ({"v2": 30}, "v2"),
        ({"v1": 40}, "v1"),
        ({}, "v1"),
    ],
)
def test_another_version_takes_over_with_more_than_half_of_at_least_30(made: dict[str, int], active: str) -> None:
    assert after_hour(current(), HOUR, made, END).version == active


def test_a_take_over_names_the_version_before_and_keeps_when_the_line_was_first_seen() -> None:
    assert after_hour(current(), HOUR, {"v2": 30}, END) == ActiveVersion("v2", "v1", "observed", END, 5)


@pytest.mark.parametrize(
    ("since_ms", "active"),
    [
        (END - HOUR_MS, "v2"),  # dated at the hour's start: it changed in the hour before
        (END - HOUR_MS + 1, "v1"),
        (END - 1, "v1"),
        (END, "v1"),
    ],
)
def test_an_hour_in_which_the_active_version_changed_decides_nothing(since_ms: int, active: str) -> None:
    assert after_hour(current(since_ms, "registered"), HOUR, {"v2": 30}, END + HOUR_MS).version == active


def test_an_order_of_the_epoch_in_hand_is_not_overruled_by_hours_that_ended_in_it() -> None:
    tick = END + 3 * HOUR_MS
    assert after_hour(current(tick, "commanded"), HOUR, {"v2": 30}, tick).version == "v1"
    assert after_hour(current(tick, "observed"), HOUR, {"v2": 30}, tick).version == "v2"


def test_a_command_for_the_version_that_is_active_changes_nothing() -> None:
    state = current()
    assert changed(state, "v1", "registered", 7) is state
    assert changed(state, "v2", "registered", 7) == ActiveVersion("v2", "v1", "registered", 7, 5)
    assert changed(None, "v2", "commanded", 7) == ActiveVersion("v2", None, "commanded", 7, 7)


def test_an_unknown_format_is_a_named_error() -> None:
    with pytest.raises(Incompatible, match="active version has format 99"):
        active_version.decode(b"\x63")
