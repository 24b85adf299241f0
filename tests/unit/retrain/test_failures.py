"""What failed, and what is refused again and again: how long either stands, and how it is counted."""

from __future__ import annotations

import dataclasses

from stream_app.core.kit.days import DAY_MS
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain.events import Forgotten, RunEnded
from tests.machine.world import World, seen
from tests.unit.retrain import places
from tests.unit.retrain.test_transitions import audits, sent


def test_a_failure_says_what_why_and_since_when_and_time_does_not_end_it() -> None:
    world = places.requested()
    while world.state.state == "requested":
        world.tick(1 / 6)
    failure, gave_up = world.state.failure, world.now
    assert failure is not None
    assert (failure.command, failure.attempt, failure.at_ms) == ("train", 3, gave_up)
    assert failure.reason == "not accepted in 3 attempts"
    world.tick(400 * 24)
    assert (world.state.state, world.state.failure) == ("failed", failure)
    assert world.due() is None


def test_a_failure_stands_beside_the_next_training_until_that_succeeds() -> None:
    world = places.failed()
    world.tick(8 * 24)
    assert sent(world.do(world.drift())) == [("train", 1)]
    assert world.state.failure is not None
    world.do(world.result("succeeded", candidate="v1"))
    assert (world.state.state, world.state.failure) == ("validating", None)


def test_a_request_that_comes_to_nothing_leaves_the_failure_before_it() -> None:
    world = places.failed()
    world.config = dataclasses.replace(world.config, rules=places.APPROVAL)
    world.tick(8 * 24)
    world.do(world.drift())
    assert world.state.state == "awaiting_approval"
    world.do(world.command("reject"))
    assert world.state.state == "failed"


def test_a_person_ends_a_failure_and_the_back_off_goes_on() -> None:
    world = places.failed()
    effects = world.do(world.command("dismiss"))
    assert audits(effects) == [("dismiss", "dismissed")]
    assert (world.state.state, world.state.failure, world.state.failures) == ("idle", None, 1)
    said = next(e for e in effects if isinstance(e, fx.Audit))
    assert "out of memory" in said.reason
    decided = next(e for e in world.do(world.drift()) if isinstance(e, fx.Decide))
    assert {a.name for a in decided.answers if not a.passed} == {"active_job", "cooldown"}
    again = world.do(world.command("dismiss"))
    assert [e.name for e in again if isinstance(e, fx.CommandRefused)] == ["nothing_failed"]


def test_while_the_circuit_is_open_closing_it_is_what_ends_the_failure() -> None:
    world = places.halted()
    assert [e.name for e in world.do(world.command("dismiss")) if isinstance(e, fx.CommandRefused)] == ["circuit_open"]
    world.do(world.command("reset_circuit"))
    assert (world.state.state, world.state.failure) == ("idle", None)


# -- refusals --------------------------------------------------------------------------------------------------------


def _refused(world: World, check: str = "performance", **rest: object) -> tuple[str, int, int]:
    """Subject, count and first time of the refusal that the drift of the next day meets."""
    world.now += DAY_MS
    found = next(e for e in world.do(world.drift(check, **rest)) if isinstance(e, fx.Decide))
    assert found.refusals is not None
    return found.refusals.subject, found.refusals.count, found.refusals.first_ms


def test_the_same_refusal_day_after_day_is_one_fact_with_a_count() -> None:
    world = places.world()
    run_from = world.now // DAY_MS
    first = _refused(world, severity="MEDIUM", run_from=run_from)
    assert first[1:] == (1, world.now)
    for count in range(2, 60):
        assert _refused(world, severity="MEDIUM", run_from=run_from) == (first[0], count, first[2])
    assert _refused(world, "statistical", severity="MEDIUM", run_from=run_from)[1] == 1, "another trigger"
    assert _refused(world, severity="MEDIUM", run_from=run_from)[1] == 60
    other = _refused(world, severity="MEDIUM", run_from=run_from, seen=seen(labelled=9))
    assert other[1:] == (1, world.now), "another set of safeguards"
    assert _refused(world, severity="MEDIUM", run_from=run_from + 70)[1] == 1, "another run"
    world.do(RunEnded("performance"))
    assert _refused(world, severity="MEDIUM", run_from=run_from + 70)[1] == 1, "a run that ended is over"


def test_a_refusal_that_is_over_is_summed_up_once() -> None:
    """Whatever ends it: another set, another run, its end, a pass, a person who is asked, or a model that is gone."""
    for end, why in (
        (lambda w, run: w.drift(severity="MEDIUM", run_from=run, seen=seen(labelled=9)), "other safeguards refuse now"),
        (lambda w, run: w.drift(severity="MEDIUM", run_from=run + 5), "another run of drift"),
        (lambda w, run: RunEnded("performance"), "the run of drift is over"),
        (lambda w, run: w.drift(run_from=run), "all safeguards pass now"),
        (lambda w, run: Forgotten(90, w.now), "no predictions for 90 days"),
    ):
        world = places.world()
        run = world.now // DAY_MS
        first = _refused(world, severity="MEDIUM", run_from=run)
        for _ in range(3):
            _refused(world, severity="MEDIUM", run_from=run)
        last = world.now
        world.now += DAY_MS
        (said,) = [e for e in world.do(end(world, run)) if isinstance(e, fx.Audit) and e.grounds.refusals is not None]
        assert said.grounds.refusals is not None
        assert (said.action, said.decision, said.subject, said.grounds.refusals.count) == (
            "train",
            "refused",
            first[0],
            4,
        )
        assert said.grounds.refusals.last_ms == last
        assert "severity: MEDIUM, HIGH is needed" in said.reason
        assert said.reason.endswith(why)
        assert [a.name for a in said.grounds.answers if not a.passed] == ["severity"]
