"""What may be said of the fleet's quality: a table of all states, and no all-clear where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.common import parse_ms
from stream_app.projection.judgement import NAMED, Tally, judge
from stream_app.projection.status import Status

HOUR_MS = 3_600_000
CLOSE, BEFORE = "2026-11-28T04:00:00.000Z", "2026-11-27T04:00:00.000Z"
NOW = parse_ms("2026-11-28T09:30:00.000Z")
WELL = Status(False, None, NOW - 500, "a-generation", "", NOW, NOW - 60_000, NOW - 59_000)


def model(
    standing: str = "judged", close: str | None = CLOSE, *reasons: str, model: str = "churn:acme"
) -> dict[str, Any]:
    check = None if close is None else {"verdict": "no_drift", "severity": None, "as_of": close}
    return {"model": model, "standing": standing, "reasons": list(reasons), "drift": {"performance": check}}


def tally(*models: dict[str, Any]) -> Tally:
    found = Tally()
    for view in models:
        found.add(view)
    return found


JUDGED = model()
YOUNG, BLIND, NEW = model("too_little_data"), model("without_labels"), model("not_yet_judged", None)


def test_the_all_clear_names_what_was_judged_and_what_was_not() -> None:
    found = judge(tally(*[JUDGED] * 31, *[YOUNG] * 3, *[BLIND] * 2), WELL)
    assert found.all_clear
    assert found.sentence == (
        "No model that was judged needs a look: 31 judged, 3 with insufficient data, 2 without labels, "
        "as of 28 Nov 04:00 UTC."
    )
    assert (found.models, found.judged, found.too_little_data, found.without_labels) == (36, 31, 3, 2)
    assert (found.not_yet_judged, found.need_a_look, found.as_of, found.withheld) == (0, 0, CLOSE, ())


def away(code: str, reason: str) -> Status:
    return Status(True, reason, None, "", code)


@pytest.mark.parametrize(
    ("codes", "status", "models"),
    [
        (["no_worker"], away("no_worker", "nothing is here yet"), []),
        (["no_worker"], WELL._replace(degraded=True, reason="nothing new for 20 s", code="no_worker"), [JUDGED]),
        (["redis_away"], away("redis_away", "Redis does not answer"), []),
        (["unreadable"], away("unreadable", "of another release"), []),
        (["filling"], WELL._replace(degraded=True, reason="being filled", code="filling"), [JUDGED]),
        (["no_model"], WELL, []),
        (["no_tick"], WELL._replace(tick_ms=None, ticked_ms=None), [JUDGED]),
        (["no_tick"], WELL._replace(ticked_ms=NOW - 26 * HOUR_MS - 1), [JUDGED]),
        (["no_check"], WELL._replace(tick_ms=parse_ms(CLOSE) + 26 * HOUR_MS + 1), [JUDGED]),
        (["none_judged"], WELL, [BLIND, BLIND]),
        (["none_judged"], WELL, [YOUNG]),
        (["none_judged"], WELL, [NEW]),
        (["none_judged"], WELL, [YOUNG, BLIND, NEW]),
        (["no_worker", "no_tick", "no_model"],
         WELL._replace(degraded=True, reason="nothing new", code="no_worker", tick_ms=None), []),
    ],
)  # fmt: skip
def test_none_stands_where_nothing_may_be_said(codes: list[str], status: Status, models: list[dict[str, Any]]) -> None:
    found = judge(tally(*models), status)
    assert not found.all_clear
    assert [item.code for item in found.withheld] == codes
    assert found.sentence.startswith("Nothing can be said of quality: ")
    assert all(item.text and item.text in found.sentence for item in found.withheld)
    assert "No model" not in found.sentence
    # what nobody could read is null and not 0
    assert (found.models is None) == (status.updated_ms is None)


def test_26_hours_are_not_too_late() -> None:
    assert judge(tally(JUDGED), WELL._replace(ticked_ms=NOW - 26 * HOUR_MS)).all_clear
    assert judge(tally(JUDGED), WELL._replace(tick_ms=parse_ms(CLOSE) + 26 * HOUR_MS)).all_clear


def test_a_model_that_the_newest_check_has_not_come_to_is_not_among_the_judged() -> None:
    found = judge(tally(JUDGED, model("judged", BEFORE), NEW), WELL)
    assert (found.judged, found.not_yet_judged) == (1, 2)
    assert "1 judged, 2 not yet judged, as of 28 Nov" in found.sentence


def test_medium_is_never_counted_without_saying_why() -> None:
    found = judge(tally(model("judged", CLOSE, "MEDIUM performance drift"), JUDGED), WELL)
    assert not found.all_clear
    assert found.sentence == (
        "1 model needs a look (churn:acme, MEDIUM performance drift). 2 judged, as of 28 Nov 04:00 UTC."
    )
    many = [model("judged", CLOSE, "MEDIUM volume drift", model=f"churn:{n}") for n in range(30)]
    found = judge(tally(*many, model("judged", CLOSE, "HIGH alert")), WELL)
    assert (found.need_a_look, found.medium_models, len(found.medium)) == (31, 30, NAMED)
    assert found.sentence.startswith(
        "31 models need a look, 30 of them with MEDIUM drift (churn:0, MEDIUM volume drift; "
    )
    assert "27 more with MEDIUM drift)" in found.sentence


@pytest.mark.parametrize("worse", ["CRITICAL alert", "MEDIUM alert", "HIGH alert taken", "HIGH performance drift"])
def test_a_model_that_has_something_worse_is_not_named_by_its_medium_drift(worse: str) -> None:
    found = judge(tally(model("judged", CLOSE, worse, "MEDIUM calibration drift")), WELL)
    assert found.sentence == "1 model needs a look. 1 judged, as of 28 Nov 04:00 UTC."
    assert (found.need_a_look, found.medium_models, found.medium) == (1, 0, ())


def test_bad_news_is_told_even_where_good_news_is_not() -> None:
    late = WELL._replace(degraded=True, reason="nothing new for 20 s: is a worker running?", code="no_worker")
    found = judge(tally(model("judged", CLOSE, "CRITICAL alert")), late)
    assert found.sentence == (
        "1 model needs a look. Nothing can be said of quality: nothing new for 20 s: is a worker running?"
    )


def test_another_year_is_named() -> None:
    old = "2016-01-18T04:00:00.000Z"
    found = judge(tally(model("judged", old)), WELL._replace(tick_ms=parse_ms(old) + HOUR_MS))
    assert "as of 18 Jan 2016 04:00 UTC" in found.sentence


def test_how_late_it_is_stands_in_hours_then_in_days() -> None:
    for hours, told in ((27, "27 h"), (71, "71 h"), (72, "3 days"), (24 * 1_200, "1,200 days")):
        (found,) = judge(tally(JUDGED), WELL._replace(ticked_ms=NOW - hours * HOUR_MS)).withheld
        assert f"no tick came for {told}, " in found.text
