"""What ends an alert, and what does not."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from schemas.alerts import Alert
from schemas.common import rfc3339, uuid5
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event, kept, news, replaced

QUIET = {"alert_reminder_h": 9_999, "alert_escalate_high_h": 9_999, "alert_escalate_critical_h": 9_999}


def _open(*kinds: str, **rules: float) -> Bench:
    bench = Bench(**{**QUIET, **rules})
    bench.close(D, *(event(kind, D, "drift", "HIGH") for kind in kinds or ("performance",)))
    return bench


def _ended(found: list[Alert]) -> list[str]:
    return [str(a.resolution_reason) for a in found if a.resolution_reason is not UNSET]


def test_two_consecutive_no_drift_closes_resolve_an_alert() -> None:
    bench = _open()
    assert bench.close(D + 1, event("performance", D + 1)) == []
    (resolved,) = bench.close(D + 2, event("performance", D + 2))
    assert (resolved.status, resolved.notify, resolved.resolution_reason) == ("resolved", "resolved", "no_drift")
    assert resolved.revision == 2
    assert bench.epoch(at(D + 90)) == []


@pytest.mark.parametrize("between", [("drift", "MEDIUM"), ("drift", "HIGH"), ("insufficient_evidence", None)])
def test_no_drift_closes_that_are_not_consecutive_do_not_resolve(between: tuple[str, str | None]) -> None:
    bench = _open()
    bench.close(D + 1, event("performance", D + 1))
    bench.close(D + 2, event("performance", D + 2, *between))
    assert _ended(bench.close(D + 3, event("performance", D + 3))) == []
    assert _ended(bench.close(D + 4, event("performance", D + 4))) == ["no_drift"]


def test_every_kind_that_was_high_needs_its_two_closes() -> None:
    bench = _open("statistical", "performance")
    for day in (D + 1, D + 2, D + 3):
        drifting = event("statistical", day, "drift", "MEDIUM")
        assert _ended(bench.close(day, drifting, event("performance", day))) == []
    bench.close(D + 4, event("statistical", D + 4), event("performance", D + 4))
    # the statistical close comes first and is the last one needed
    assert _ended(bench.close(D + 5, event("statistical", D + 5))) == ["no_drift"]


def test_a_kind_that_was_only_medium_is_not_waited_for() -> None:
    bench = _open("performance")
    for day, ended in ((D + 1, []), (D + 2, ["no_drift"])):
        medium = event("statistical", day, "drift", "MEDIUM")
        assert _ended(bench.close(day, medium, event("performance", day))) == ended


def test_a_kind_that_becomes_high_while_the_alert_is_open_is_waited_for_from_then_on() -> None:
    bench = _open("performance")
    bench.close(D + 1, event("statistical", D + 1, "drift", "HIGH"), event("performance", D + 1))
    assert _ended(bench.close(D + 2, event("statistical", D + 2), event("performance", D + 2))) == []
    assert _ended(bench.close(D + 3, event("statistical", D + 3))) == ["no_drift"]


def test_a_hand_over_is_over_when_two_performance_closes_say_so() -> None:
    bench = _open("handover")
    bench.close(D + 1, event("performance", D + 1))
    assert _ended(bench.close(D + 2, event("performance", D + 2))) == ["no_drift"]


def test_fourteen_closes_without_drift_end_an_alert_without_evidence() -> None:
    bench = _open()
    for day in range(D + 1, D + 14):
        assert bench.close(day, event("performance", day, "insufficient_evidence")) == []
    assert _ended(bench.close(D + 14, event("performance", D + 14, "insufficient_evidence"))) == ["no_evidence"]


def test_single_no_drift_closes_count_among_the_fourteen() -> None:
    bench = _open()
    for day in range(D + 1, D + 15):
        verdict = "no_drift" if day % 2 else "insufficient_evidence"
        found = bench.close(day, event("performance", day, verdict))
    assert _ended(found) == ["no_evidence"]


def test_drift_of_any_severity_begins_the_fourteen_again() -> None:
    bench = _open()
    for day in range(D + 1, D + 14):
        bench.close(day, event("performance", day, "insufficient_evidence"))
    bench.close(D + 14, event("performance", D + 14, "drift", "MEDIUM"))
    for day in range(D + 15, D + 28):
        assert bench.close(day, event("performance", day, "insufficient_evidence")) == []
    assert _ended(bench.close(D + 28, event("performance", D + 28, "insufficient_evidence"))) == ["no_evidence"]


def test_closes_without_a_healthy_baseline_do_not_count_towards_no_evidence() -> None:
    bench = _open()
    missing = {"reason": "no_healthy_baseline"}
    for day in range(D + 1, D + 41):
        assert bench.close(day, event("performance", day, "insufficient_evidence", **missing)) == []
    # nor do they begin the count again
    for day in range(D + 41, D + 54):
        bench.close(day, event("performance", day, "insufficient_evidence"))
    bench.close(D + 54, event("performance", D + 54, "insufficient_evidence", **missing))
    assert _ended(bench.close(D + 55, event("performance", D + 55, "insufficient_evidence"))) == ["no_evidence"]


def test_every_kind_needs_its_fourteen() -> None:
    bench = _open("statistical", "performance")
    for day in range(D + 1, D + 30):
        found = bench.close(
            day, event("statistical", day, "drift", "MEDIUM"), event("performance", day, "insufficient_evidence")
        )
        assert _ended(found) == []


def test_missing_outcomes_are_over_after_two_complete_closes() -> None:
    bench = _open("completeness")
    bench.close(D + 1, event("completeness", D + 1), event("performance", D + 1))
    found = bench.close(D + 2, event("completeness", D + 2))
    assert [(a.type, a.resolution_reason) for a in found] == [("ML_OUTCOMES_INCOMPLETE", "no_drift")]
    assert found[0].summary.startswith("Over: outcomes were complete at the last closes")


@pytest.mark.parametrize(
    ("verdict", "severity"), [("no_drift", None), ("drift", "MEDIUM"), ("insufficient_evidence", None)]
)
def test_an_alert_whose_only_event_is_recomputed_below_high_is_retracted_at_once(
    verdict: str, severity: str | None
) -> None:
    bench = _open()
    again = event("performance", D, verdict, severity, revises=event("performance", D).id)
    (resolved,) = bench.close(D + 1, again)
    assert (resolved.resolution_reason, resolved.notify) == ("labels_revised", "resolved")


def test_an_alert_with_a_second_severe_event_is_not_retracted_with_the_first() -> None:
    bench = _open("statistical", "performance")
    found = bench.close(D + 1, event("performance", D, revises=event("performance", D).id))
    assert _ended(found) == []


def test_an_alert_is_retracted_when_the_last_of_its_severe_events_is() -> None:
    bench = _open("statistical", "performance")
    bench.close(D + 1, event("performance", D, revises=event("performance", D).id))
    found = bench.close(D + 2, event("statistical", D, revises=event("statistical", D).id))
    assert _ended(found) == ["labels_revised"]


def test_an_event_recomputed_at_high_keeps_the_alert_and_refreshes_it() -> None:
    bench = _open()
    again = event("performance", D, "drift", "HIGH", revises=event("performance", D).id)
    (refreshed,) = bench.close(D + 1, again)
    assert news([refreshed]) == [None]
    assert again.id in refreshed.drift_event_ids
    assert refreshed.report["performance"]["event_id"] == again.id


def test_an_event_recomputed_higher_raises_the_alert() -> None:
    bench = _open()
    again = event("performance", D, "drift", "CRITICAL", revises=event("performance", D).id)
    assert news(bench.close(D + 1, again)) == ["severity"]


def test_a_recomputed_event_may_open_an_alert() -> None:
    bench = Bench()
    medium = event("performance", D, "drift", "MEDIUM")
    assert bench.close(D, medium) == []
    found = bench.close(D + 1, event("performance", D, "drift", "HIGH", revises=medium.id))
    assert news(found) == ["opened"]


def test_a_recomputed_event_counts_as_no_close() -> None:
    bench = _open("statistical", "performance")
    bench.close(D + 1, event("statistical", D + 1), event("performance", D + 1, "insufficient_evidence"))
    old = event("performance", D + 1)
    found = bench.close(
        D + 2, event("statistical", D + 2), event("performance", D + 1, revises=old.id), event("performance", D + 2)
    )
    assert _ended(found) == []  # of the two performance closes without drift, one is only recomputed
    assert _ended(bench.close(D + 3, event("performance", D + 3))) == ["no_drift"]


def test_a_close_recomputed_as_drift_is_no_longer_one_of_two_without() -> None:
    bench = _open()
    old = event("performance", D + 1)
    bench.close(D + 1, old)
    again = event("performance", D + 1, "drift", "HIGH", revises=old.id)
    assert _ended(bench.close(D + 2, again, event("performance", D + 2))) == []


def test_after_a_retraction_the_closes_own_comparison_may_open_the_next_alert() -> None:
    bench = _open()
    again = event("performance", D, revises=event("performance", D).id)
    found = bench.close(D + 1, again, event("performance", D + 1, "drift", "HIGH"))
    assert news(found) == ["resolved", "opened"]
    assert len({a.id for a in found}) == 2


@pytest.mark.parametrize(("since", "ended"), [(at(D, 5), ["version_replaced"]), (at(D), []), (at(D - 1), [])])
def test_only_a_kept_version_that_came_after_the_alert_opened_resolves_it(since: int, ended: list[str]) -> None:
    assert _ended(_open().close(D + 2, kept(since))) == ended


def test_a_rebaseline_resolves_the_alert_as_accepted() -> None:
    assert _ended(_open().close(D + 1, command("rebaseline"))) == ["accepted"]
    assert _ended(_open().close(D + 1, command("rebaseline", "*"))) == ["accepted"]
    assert _ended(_open().close(D + 1, command("rebaseline", "conflict:other"))) == []


def test_neither_a_new_version_nor_a_new_baseline_brings_missing_outcomes() -> None:
    assert _open("completeness").close(D + 1, kept(at(D, 5)), command("rebaseline")) == []


# -- by what ---------------------------------------------------------------------------------------------------------


def test_an_alert_whose_model_was_retrained_says_so_while_open_and_when_it_is_over() -> None:
    bench = _open()
    (told,) = bench.epoch(at(D, 5), replaced(at(D, 5)))
    by = told.replaced_by
    assert by is not UNSET
    assert (by.version, by.previous, by.how, by.since) == ("v2", "v1", "retrained", rfc3339(at(D, 5)))
    assert by.command_id == uuid5("training-command", MODEL, "v2")
    assert (told.notify, told.resolution) == (UNSET, UNSET)
    assert told.summary.endswith("retrained: v2 since 4 Mar")
    assert told.recommendation.startswith("Wait: v2 is on probation in place of v1")
    assert bench.epoch(at(D, 6), replaced(at(D, 5))) == [], "the same again is no news"
    (over,) = bench.close(D + 1, kept(at(D, 5)))
    assert (over.resolution_reason, over.resolution) == ("version_replaced", "retrained: v2 since 4 Mar")
    assert over.replaced_by == by
    assert over.summary.startswith("Over: retrained: v2 since 4 Mar, kept after its probation. It was: ")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("deployed", "replaced: v2 since 4 Mar, deployed from outside"),
        ("rolled_back", "rolled back from v1: v2 since 4 Mar"),
    ],
)
def test_other_changes_of_version_have_words_of_their_own(how: str, words: str) -> None:
    bench = _open()
    told = next(a for a in bench.epoch(at(D, 5), replaced(at(D, 5), how)) if a.type == "ML_DRIFT_DETECTED")
    assert told.summary.endswith(words)
    (over,) = bench.close(D + 1, command("rebaseline"))
    assert over.resolution == f"accepted as normal by sam; {words}"


def test_a_change_before_the_alert_opened_or_about_missing_outcomes_says_nothing() -> None:
    assert _open().epoch(at(D, 5), replaced(at(D))) == []
    assert _open("completeness").epoch(at(D, 5), replaced(at(D, 5))) == []
