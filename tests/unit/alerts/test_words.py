"""What an alert says, from the facts of its events."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.drift import DriftWindow
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, decision, event, window

#: Wednesday 4 March 2026 is day D; the windows of its close end the day before.
DROP = {
    "statistic": 12.0,
    "windows": [window(D, 7, 0.71, 0.83, 18_204, interval=(0.104, 0.137)), window(D, 1, 0.7, 0.83, 2_600)],
    "run_from": D - 3,
}
SHIFT = {"statistic": 0.14, "windows": [window(D, 7, 0.61, 0.52, 20_000, interval=(0.13, 0.15))]}


def _say(*entries: Any) -> tuple[str, str]:
    last = Bench().close(D, *entries)[-1]
    return last.summary, last.recommendation


def test_a_drop_is_told_in_numbers_with_its_interval_and_the_shift_beside_it() -> None:
    shift = event("statistical", D, "drift", "HIGH", **SHIFT)
    said, _ = _say(shift, event("performance", D, "drift", "HIGH", **DROP))
    assert said == (
        "accuracy 0.83 → 0.71 over 7 days on 18,204 outcomes, 99 % interval of the drop 10.4 to 13.7 points; "
        "scores shifted too, D = 0.14"
    )


def test_the_window_that_decided_is_the_one_told() -> None:
    drop = {**DROP, "statistic": 13.0}
    said, _ = _say(event("performance", D, "drift", "HIGH", **drop))
    assert said == "accuracy 0.83 → 0.70 on Tuesday 3 March on 2,600 outcomes"


def test_a_shift_alone_is_told_with_its_band() -> None:
    said, what = _say(event("statistical", D, "drift", "HIGH", **SHIFT, run_from=D - 1))
    assert said == "scores shifted, D = 0.14 (0.13 to 0.15) over 7 days on 20,000 predictions"
    assert "around Tuesday 3 March" in what
    assert "inputs" in what


def test_a_broken_pipe_is_named_before_the_model_is_blamed() -> None:
    faults = ["outcomes missing since Tuesday 3 March"]
    said, what = _say(event("performance", D, "drift", "HIGH", **DROP, faults=faults))
    assert said.startswith("outcomes missing since Tuesday 3 March, which may be all there is to it: accuracy 0.83")
    assert what.startswith("Repair the data first")
    assert "plumbline rebaseline" not in what


def test_faults_of_an_earlier_date_are_not_told_of_todays_drift() -> None:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH", faults=["outcomes missing since Monday 2 March"]))
    last = bench.close(D + 1, event("performance", D + 1, "drift", "HIGH"))[0]
    assert "outcomes missing" not in last.summary
    assert last.report["faults"] == []


def test_missing_outcomes_are_told_with_their_share_and_since_when() -> None:
    def missing(day: int, **rest: Any) -> Any:
        windows = [window(day, 1, 0.12, None, 1_204)]
        return event("completeness", day, "drift", "HIGH", statistic=0.12, windows=windows, **rest)

    bench = Bench()
    (opened,) = bench.close(D, missing(D))
    assert opened.summary == (
        "outcomes missing since Tuesday 3 March: 12 % of 1,204 predictions of Tuesday 3 March have one"
    )
    assert "join by prediction_id" in opened.recommendation
    refreshed = bench.close(D + 1, missing(D + 1))[0]
    assert refreshed.summary == (
        "outcomes missing since Tuesday 3 March: 12 % of 1,204 predictions of Wednesday 4 March have one"
    )
    told = bench.close(D + 2, missing(D + 2, faults=["outcomes missing since Sunday 1 March"]))[0]
    assert told.summary.startswith("outcomes missing since Sunday 1 March: 12 %")
    assert told.report["faults"] == ["outcomes missing since Sunday 1 March"]


def test_windows_that_name_their_metric_are_told_by_the_metric_that_decided() -> None:
    windows = [
        DriftWindow(
            from_="2026-02-25T00:00:00.000Z", to="2026-03-04T00:00:00.000Z", metric=metric, interval=None,
            recent=recent, baseline=0.9, recent_rows=rows, baseline_rows=9,
        )
        for metric, recent, rows in (("accuracy", 0.79, 500), ("precision", 0.80, 400), ("precision", 0.79, 300))
    ]  # fmt: skip
    shape = {**DROP, "statistic": 11.0, "windows": windows}
    said, _ = _say(event("performance", D, "drift", "HIGH", metric="precision", **shape))
    assert said == "precision 0.90 → 0.79 over 7 days on 300 outcomes"


def test_a_worse_new_version_is_told_beside_the_one_before_it() -> None:
    said, what = _say(event("handover", D, "drift", "HIGH", **DROP, version="v2", baseline_version="v1"))
    assert said.startswith("version v2 is worse than v1: accuracy 0.83 → 0.71")
    assert f"plumbline rollback {MODEL}" in what


@pytest.mark.parametrize(
    ("eligible", "told"),
    [(True, "Every safeguard of retraining agrees."), (False, "Nothing is retrained by itself (flags: off here)")],
)
def test_the_recommendation_says_whether_retraining_follows_and_why_not(eligible: bool, told: str) -> None:
    cause = event("performance", D, "drift", "HIGH", **DROP)
    said = _say(cause, decision(cause, eligible, "off here"))[1]
    assert said.startswith("Look for what changed around Sunday 1 March")
    assert told in said


def test_what_no_longer_shows_at_the_last_close_is_said_so() -> None:
    bench = Bench()
    bench.close(D, event("statistical", D, "drift", "HIGH", **SHIFT), event("performance", D, "drift", "HIGH", **DROP))
    last = bench.close(D + 1, event("statistical", D + 1), event("performance", D + 1, "drift", "HIGH", **DROP))[0]
    assert last.summary.endswith("scores shifted too, D = 0.14 (not at the last close)")


def test_a_resolved_alert_says_how_it_ended_and_what_it_was() -> None:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH", **DROP))
    last = bench.close(D + 1, command("rebaseline"))[-1]
    assert last.summary.startswith("Closed: an operator accepted the present as normal. It was: accuracy 0.83 → 0.71")
    assert last.recommendation == "Nothing to do."


def test_the_report_holds_the_numbers_of_every_check_and_no_histograms() -> None:
    bench = Bench()
    old = event("volume", D - 1, "drift", "MEDIUM")
    bench.close(D - 1, old)
    (alert,) = bench.close(
        D,
        event("calibration", D, "drift", "MEDIUM", statistic=-0.07),
        event("positive_rate", D),
        event("statistical", D, "drift", "MEDIUM", **SHIFT),
        event("performance", D, "drift", "HIGH", **DROP),
    )
    report = alert.report
    assert report["statistical"]["statistic"] == 0.14
    assert report["statistical"]["baseline"] == {"kind": "window", "version": "v1"}
    first = report["performance"]["windows"][0]
    assert (first["recent"], first["baseline"], first["recent_rows"]) == (0.71, 0.83, 18_204)
    assert first["interval"] == [0.104, 0.137]
    assert report["performance"]["since"] == "2026-03-01"
    assert [quality["check"] for quality in report["quality"]] == ["calibration"]  # that of the day before is over
    assert "histograms" not in bench.emits[-1].value.decode()  # type: ignore[union-attr]


def test_an_event_without_numbers_still_makes_a_sentence() -> None:
    for kind in ("statistical", "performance", "handover", "completeness"):
        said, what = _say(event(kind, D, "drift", "HIGH", close=at(D)))
        assert said
        assert what
