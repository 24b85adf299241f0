"""Measured precision: counts by rule and type, Wilson's interval, advice."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core.comparisons.proportions import wilson
from stream_app.projection.precision import SETTING, brief, measured
from stream_app.settings import Settings


def verdicts(real: int, false: int, *raised_by: str, model_type: str = "fraud") -> list[dict[str, Any]]:
    row = {"model_type": model_type, "opened_at": "2026-03-04T04:00:00.000Z", "raised_by": list(raised_by)}
    return [{**row, "verdict": "real"}] * real + [{**row, "verdict": "false"}] * false


def test_an_alert_counts_for_every_rule_that_raised_it_and_types_stand_apart() -> None:
    found = measured(
        [*verdicts(2, 1, "statistical", "performance"), *verdicts(1, 0, "performance", model_type="churn")]
    )
    assert [(r["model_type"], r["rule"], r["real"], r["false"]) for r in found] == [
        ("churn", "performance", 1, 0), ("fraud", "performance", 2, 1), ("fraud", "statistical", 2, 1),
    ]  # fmt: skip
    assert (found[1]["lower"], found[1]["upper"]) == wilson(2, 3, 1.959964)
    assert measured(verdicts(1, 1, "statistical"), model_type="churn") == []
    assert measured(verdicts(1, 1, "statistical"), since="2026-03-05") == []


@pytest.mark.parametrize(
    ("real", "false", "advised"), [(9, 11, True), (10, 10, False), (9, 10, False), (0, 20, True), (0, 19, False)]
)
@pytest.mark.parametrize("rule", SETTING)
def test_advice_names_the_setting_below_half_after_twenty_verdicts(
    rule: str, real: int, false: int, advised: bool
) -> None:
    (row,) = measured(verdicts(real, false, rule))
    assert ("advice" in row) == advised
    if advised:
        assert f"`{SETTING[rule][0]}`" in row["advice"]


def test_the_settings_it_names_exist() -> None:
    # the budget of hourly alerts comes with them
    assert {setting for setting, _ in SETTING.values()} - {"false_alert_budget"} <= set(Settings.model_fields)


def test_an_alert_without_a_verdict_counts_nothing() -> None:
    alert = {"model_type": "fraud", "opened_at": "x", "raised_by": ["statistical"]}
    assert brief(alert) is None
    known = brief({**alert, "verdict": {"verdict": "real", "actor": "olga"}})
    assert known == {**alert, "verdict": "real"}
