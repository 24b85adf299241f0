"""While a mute holds everything is recorded and nobody is told; nobody misses what was told before."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec import UNSET

from schemas.alerts import Alert
from schemas.common import parse_ms, rfc3339
from stream_app.core.alerts.mutes import MOST
from stream_app.core.kit.days import DAY_MS
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event, news
from tests.unit.alerts.test_stage import draw_log


def mute(until: int, model: str = MODEL, id: str = "m1", **arguments: Any) -> Any:
    return command("mute", model, id=id, until=rfc3339(until), **arguments)


def unmute(model: str = MODEL, id: str = "u1", **arguments: Any) -> Any:
    return command("unmute", model, id=id, **arguments)


def _open(kind: str = "performance", **rules: Any) -> Bench:
    bench = Bench(**rules)
    bench.close(D, event(kind, D, "drift", "HIGH"))
    return bench


def _said(bench: Bench) -> list[tuple[str, str]]:
    return [(record.action, record.decision) for record in bench.audits()]


def test_an_alert_that_opens_under_a_mute_is_recorded_and_is_a_reminder_when_the_mute_ends() -> None:
    bench = Bench()
    assert bench.epoch(at(D, 1), mute(at(D, 12))) == []
    (opened,) = bench.close(D, event("performance", D, "drift", "HIGH"))
    assert (opened.notify, opened.status, opened.muted_until) == (UNSET, "open", rfc3339(at(D, 12)))
    assert bench.epoch(at(D, 12) - 1) == []
    (told,) = bench.epoch(at(D, 12))
    assert (told.notify, told.muted_until, told.revision) == ("reminder", UNSET, 2)


def test_a_mute_of_an_open_alert_shows_at_once_and_holds_reminders_and_escalation_back() -> None:
    bench = _open()
    (silent,) = bench.epoch(at(D, 6), mute(at(D + 3)))
    assert (silent.notify, silent.muted_until) == (UNSET, rfc3339(at(D + 3)))
    assert bench.epoch(at(D + 2)) == []
    assert news(bench.epoch(at(D + 3))) == ["reminder", "escalated"]
    assert news(bench.epoch(at(D + 4))) == ["reminder"]


def test_what_rises_under_a_mute_is_told_when_it_ends() -> None:
    bench = _open()
    bench.epoch(at(D, 6), mute(at(D + 2, 5)))
    (raised,) = bench.close(D + 1, event("performance", D + 1, "drift", "CRITICAL"))
    assert (raised.notify, raised.severity) == (UNSET, "CRITICAL")
    told = bench.epoch(at(D + 2, 5))
    assert news(told) == ["reminder", "escalated"]
    assert told[0].severity == "CRITICAL"


def _end(bench: Bench, first: int = D + 1) -> list[Alert]:
    return bench.close(first, event("performance", first)) + bench.close(first + 1, event("performance", first + 1))


def test_the_end_of_an_alert_that_was_told_is_told_when_the_mute_is_over() -> None:
    bench = _open()
    bench.epoch(at(D, 6), mute(at(D + 5)))
    (over,) = _end(bench)
    assert (over.notify, over.status, over.muted_until) == (UNSET, "resolved", rfc3339(at(D + 5)))
    assert bench.epoch(at(D + 5) - 1) == []
    (told,) = bench.epoch(at(D + 5))
    assert (told.notify, told.status, told.resolution_reason) == ("resolved", "resolved", "no_drift")
    assert (told.id, told.revision, told.muted_until) == (over.id, over.revision + 1, UNSET)
    assert bench.epoch(at(D + 9)) == []


def test_the_end_of_an_alert_that_nobody_was_told_of_stays_silent() -> None:
    bench = Bench()
    bench.epoch(at(D, 1), mute(at(D + 5)))
    bench.close(D, event("performance", D, "drift", "HIGH"))
    assert news(_end(bench)) == [None]
    assert bench.epoch(at(D + 6)) == []


def test_a_model_that_is_forgotten_under_a_mute_still_has_its_end_told() -> None:
    from stream_app.core import model_log

    bench = _open()
    bench.epoch(at(D, 6), mute(at(D + 5)))
    assert news(bench.close(D + 1, model_log.ForgottenEntry(MODEL, 90, at(D + 1, 2)))) == [None]
    assert news(bench.epoch(at(D + 5))) == ["resolved"]


def test_lifting_a_mute_tells_of_what_is_open_and_of_what_ended() -> None:
    bench = Bench(alert_escalate_high_h=999)
    models = ("fraud:a", "fraud:b", "churn:a")
    bench.close(D, *[event("performance", D, "drift", "HIGH", model=model) for model in models])
    bench.epoch(at(D, 6), command("mute", "*", model_type="fraud", until=rfc3339(at(D + 20))))
    bench.close(D + 1, *[event("performance", D + 1, model=m) for m in models[:1]])
    bench.close(D + 2, *[event("performance", D + 2, model=m) for m in models[:1]])
    told = bench.epoch(at(D + 2, 5), command("unmute", "*", id="u1", model_type="fraud"))
    assert sorted((a.model, a.notify) for a in told if a.notify is not UNSET) == [
        ("fraud:a", "resolved"), ("fraud:b", "reminder"),
    ]  # fmt: skip
    assert ("unmute", "applied") in _said(bench)


def test_an_alert_about_two_kinds_is_muted_only_while_both_are() -> None:
    bench = _open("statistical", alert_escalate_high_h=999)
    bench.epoch(at(D, 6), mute(at(D + 9), kinds=["statistical"]))
    assert news(bench.close(D + 1, event("performance", D + 1, "drift", "HIGH"))) == ["reminder"]
    (both,) = bench.epoch(at(D + 1, 6), mute(at(D + 4), id="m2", kinds=["performance"]))
    assert both.muted_until == rfc3339(at(D + 4)), "the first of both to end"
    assert both.raised_by == ["statistical", "performance"]


def test_a_mute_of_another_kind_or_model_silences_nothing() -> None:
    bench = Bench()
    bench.epoch(at(D, 1), mute(at(D + 5), kinds=["outcomes", "statistical"]), mute(at(D + 5), "fraud:a", "m2"))
    assert news(bench.close(D, event("performance", D, "drift", "HIGH"))) == ["opened"]


def test_a_planned_mute_begins_at_its_time_and_mutes_that_follow_each_other_are_one() -> None:
    bench = _open(alert_reminder_h=999, alert_escalate_high_h=999)
    window = {"from": rfc3339(at(D + 2))}
    bench.epoch(at(D, 6), mute(at(D + 3), **window), mute(at(D + 4), id="m2", **{"from": rfc3339(at(D + 3))}))
    assert bench.alerts()[-1].muted_until is UNSET
    (begins,) = bench.epoch(at(D + 2))
    assert (begins.notify, begins.muted_until) == (UNSET, rfc3339(at(D + 4)))
    assert news(bench.epoch(at(D + 4))) == ["reminder"]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (mute(at(D, 5)), "over_already"),
        (mute(at(D, 6) + 30 * DAY_MS + 1), "too_long"),
        (mute(at(D + 120), **{"from": rfc3339(at(D + 100))}), "too_far"),
        (mute(at(D + 2), kinds=["colour"]), "unusable_arguments"),
        (command("mute", until="tomorrow"), "unusable_arguments: time 'tomorrow'"),
        (command("mute"), "unusable_arguments: Object missing required field `until`"),
        (command("mute", "*", until=rfc3339(at(D + 2))), "unusable_arguments: mute is about a model, or about *"),
        (command("mute", MODEL, model_type="fraud", until=rfc3339(at(D + 2))), "unusable_arguments: mute is about"),
        (unmute(), "not_muted"),
        (unmute(kinds=["statistical"]), "not_muted"),
    ],
)
def test_a_mute_that_cannot_be_is_refused_by_name_and_changes_nothing(order: Any, why: str) -> None:
    bench = _open()
    assert bench.epoch(at(D, 6), order) == []
    (said,) = bench.audits()
    assert (said.stage, said.decision) == ("alerts", "refused")
    assert said.reason.startswith(why)


def test_mutes_of_a_model_are_bounded_and_one_of_some_kinds_goes_on_for_the_others() -> None:
    bench = Bench()
    bench.epoch(at(D), *[mute(at(D + 2), id=f"m{n}", kinds=["statistical", "outcomes"]) for n in range(MOST)])
    bench.epoch(at(D, 5), mute(at(D + 2), id="more"))
    assert _said(bench)[-1] == ("mute", "refused")
    bench.epoch(at(D, 6), unmute(kinds=["statistical"]))
    assert news(bench.close(D + 1, event("statistical", D + 1, "drift", "HIGH"))) == ["opened"]
    assert all(row.kinds == ["outcomes"] for row in bench.stage._mutes.windows(MODEL))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_nobody_is_told_under_a_mute_and_every_end_of_what_was_told_is(seed: int) -> None:
    """Weeks of random drift, commands and mutes; then everything is lifted."""
    bench = Bench(random.Random(seed)).feed(*draw_log(seed))
    models = ("conflict:global", "fraud:a", "fraud:b")
    # whatever still holds is over a month later
    bench.epoch(at(D + 75), *[command("rebaseline", model, id=f"r-{model}") for model in models])
    bench.epoch(at(D + 120))
    told: set[str] = set()
    ended: set[str] = set()
    muted = 0
    for alert in bench.alerts():
        if alert.muted_until is not UNSET:
            muted += 1
            assert alert.notify is UNSET
            assert parse_ms(alert.muted_until) > parse_ms(alert.at)
        if alert.notify is not UNSET:
            assert alert.id not in ended, "news of an alert whose end was told"
            told.add(alert.id)
            if alert.notify == "resolved":
                ended.add(alert.id)
    assert muted > 10
    over = {alert.id for alert in bench.alerts() if alert.status == "resolved" and alert.type == "ML_DRIFT_DETECTED"}
    assert told & over == ended & over
    assert len(ended) > 3
