"""Labels are heard first: what the lane makes of drift of scores, of the hourly check and of performance checks."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core import model_log
from stream_app.core.retrain.history import HEARD
from tests.unit.retrain.bench import MODEL, Bench, D, at, completeness, event, snapshot, tick


def day(bench: Bench, number: int, performance: Any = "no_drift", labelled: int = 950) -> Bench:
    """The daily checks of a date on which scores drift since D; ``performance``: verdict, or events."""
    bench.feed(completeness(number, labelled), tick(at(number, 1)), snapshot(number - 1), tick(at(number, 2)))
    bench.feed(event("statistical", number, run_from=D), tick(at(number, 3)))
    events = [event("performance", number, performance)] if isinstance(performance, str) else performance
    return bench.feed(*events, tick(at(number)))


def answers(bench: Bench) -> list[tuple[str, str]]:
    """Of every decision on drift: what came of it, and what maturity said."""
    return [
        (
            "ordered" if entry.eligible else "refused",
            next(why for name, _, why in entry.safeguards if name == "maturity"),
        )
        for entry in bench.log()
        if isinstance(entry, model_log.DecisionEntry)
    ]


def test_drift_of_scores_waits_for_the_first_check_of_its_run_and_that_trains_if_it_finds_drift() -> None:
    bench = Bench().serving()
    for number in (D + 1, D + 2):
        day(bench, number, "no_drift" if number < D + 2 else "drift")
    assert [found for found, _ in answers(bench)] == ["refused", "refused", "ordered"]
    assert {why for _, why in answers(bench)[:2]} == {"labels speak on 2026-03-06"}
    assert bench.of("training-commands")[0].trigger.kind == "performance"


@pytest.mark.parametrize("seed", [None, 4])
def test_without_loss_the_run_is_left_to_acquittal_however_long(seed: int | None) -> None:
    bench = Bench(seed=seed).serving()
    for number in range(D + 1, D + 20):
        day(bench, number)
    assert {found for found, _ in answers(bench)} == {"refused"}
    assert not bench.of("training-commands")


def test_after_three_checks_without_a_verdict_scores_stand_for_themselves() -> None:
    bench = Bench().serving()
    for number in range(D + 1, D + 6):
        day(bench, number, "insufficient_evidence")
        assert bool(bench.of("training-commands")) == (number == D + 5)
    assert bench.of("training-commands")[0].trigger.kind == "statistical"


def test_a_check_that_is_made_again_is_one_check() -> None:
    bench = Bench().serving()
    for number in range(D + 1, D + 5):
        once = event("performance", number, "insufficient_evidence")
        again = event("performance", number, "insufficient_evidence", revises=once.id)
        day(bench, number, [once, again, again])
    assert not bench.of("training-commands")
    # of the first day of the run, made again days later: it counts as no check of its own either
    late = event("performance", D + 2, "insufficient_evidence", revises="x")
    assert not bench.feed(late, tick(at(D + 4, 5))).of("training-commands")
    # what counts is its last word
    day(bench, D + 5, "insufficient_evidence")
    assert bench.of("training-commands")


def test_the_last_word_of_a_check_counts() -> None:
    bench = Bench().serving()
    day(bench, D + 1)
    once = event("performance", D + 2, "insufficient_evidence")
    day(bench, D + 2, [once, event("performance", D + 2, "no_drift", revises=once.id)])
    day(bench, D + 3)
    assert answers(bench)[-1][1] == "labels have spoken: no drift in the performance check of 2026-03-06"


def test_a_model_without_labels_is_not_held_back_by_it() -> None:
    bench = Bench().serving()
    day(bench, D + 1, labelled=100)
    refused = bench.of("audit")[-1]
    assert [s.name for s in refused.safeguards if not s.passed] == ["samples", "coverage"]


@pytest.mark.parametrize("kind", ["statistical", "performance"])
def test_the_hourly_check_is_answered_and_waits_for_labels_and_moves_no_run(kind: str) -> None:
    bench = Bench().serving()
    found = event(kind, D, check="hourly", close_ms=at(D, 14), run_from=D, version="v0")
    log = bench.feed(found, tick(at(D, 14))).log()
    decided = next(entry for entry in log if isinstance(entry, model_log.DecisionEntry))
    assert (decided.event_id, decided.eligible) == (found.id, False)
    refused = [(name, why) for name, passed, why in decided.safeguards if not passed]
    assert refused[0] == ("maturity", "labels speak on 2026-03-06")
    state = bench.stage._memory
    state.read([MODEL])
    assert state.states[MODEL].runs == {}


def test_an_hourly_check_without_drift_is_nothing_to_answer_and_asks_no_policy() -> None:
    bench = Bench().serving()
    before = len(bench.of("audit"))
    bench.feed(event("performance", D, "no_drift", check="hourly", close_ms=at(D, 14)), tick(at(D, 14)))
    assert len(bench.of("audit")) == before
    assert bench.stage._memory.history(MODEL).heard == ()


def test_no_more_checks_are_remembered_than_may_be_asked_for() -> None:
    bench = Bench().serving()
    for number in range(D, D + 30):
        bench.feed(event("performance", number, "no_drift"), tick(at(number)))
    assert len(bench.stage._memory.history(MODEL).heard) == HEARD
