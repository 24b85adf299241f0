"""Trainers and deployers answer whatever they like, as often and as late as they like, in any order, or not at all.

Every state of a coordinator meets every answer: to the command on its way, to an earlier one, to none that was ever
sent; of this attempt or another; with the version that was commanded, another, the one that serves, or none. Then the
story goes on with partners who answer as they should, or with none. ``World`` compares every step with what is
promised, above all that no attempt of a command is sent twice; here it is asked whether the loop closes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from schemas.training import Answer
from stream_app.core.kit.days import HOUR_MS
from stream_app.core.retrain.events import Result
from stream_app.core.retrain.transitions import REST
from tests.machine.world import GOOD, World, seen
from tests.unit.retrain import places

STATUSES: tuple[Answer, ...] = Answer.__args__  # type: ignore[attr-defined]
PLACES: dict[str, Callable[[], World]] = {
    **places.PLACES,
    "awaiting_activation": places.awaiting_activation,
    "repaired": places.repaired,
    "repair_taken_back": places.repair_taken_back,
}
#: last word of whoever does as told
DONE: dict[str, Answer] = {
    "repairing": "activated", "requested": "succeeded", "training": "succeeded", "activating": "activated",
    "rolling_back": "rolled_back",
}  # fmt: skip
WHOSE = ("own", "earlier", "nobody's")
CANDIDATES = ("as commanded", "another", "the active one", "none")
#: more steps than any story here takes
MANY = 60


def answer(world: World, status: Answer, whose: str, attempt: str, candidate: str) -> Result:
    job = world.state.job
    sent = job.sent if job is not None else None
    earlier = sorted(id for id, _, _ in world.sent if sent is None or id != sent.id)
    id = {
        "own": sent.id if sent is not None else "none",
        "earlier": earlier[0] if earlier else "none",
        "nobody's": "00000000-0000-5000-8000-000000000000",
    }[whose]
    number = sent.attempt if sent is not None else 1
    named = {
        "as commanded": (job.candidate if job is not None else None) or "v9",
        "another": "stranger",
        "the active one": world.state.active,
        "none": None,
    }[candidate]
    metrics: dict[str, Any] = {"metrics": GOOD, "champion": GOOD} if status == "succeeded" else {}
    number += attempt == "another"
    return world.result(status, command_id=id, attempt=number, candidate=named, **metrics)


def goes_on(world: World, honest: bool) -> None:
    """Until the model is at rest: partners do as told, or none is there. Metrics believes whoever reports a version."""
    for _ in range(MANY):
        state = world.state.state
        if state in REST:
            return
        if honest and state in DONE:
            world.do(world.result("accepted"))
            found = world.result(DONE[world.state.state])
            world.do(found)
            believed(world, found)
        elif honest and state == "probation":
            world.now += 24 * HOUR_MS
            world.do(world.look(0.0))
        else:
            due = world.due()
            assert due is not None, f"nothing ends {state}"
            world.tick(max(due - world.now, 0) / HOUR_MS)
    pytest.fail(f"still {world.state.state} after {MANY} steps")


def believed(world: World, found: Result) -> None:
    """Metrics takes a deployer at its word, whoever asked for it."""
    if found.status in ("activated", "rolled_back") and found.candidate is not None:
        world.do(world.changed(found.candidate))


@pytest.mark.parametrize("honest", [True, False], ids=["then as told", "then silence"])
@pytest.mark.parametrize("place", PLACES)
def test_whatever_is_answered_the_loop_closes(place: str, honest: bool) -> None:
    for status, whose, attempt, candidate in product(STATUSES, WHOSE, ("same", "another"), CANDIDATES):
        for word in (True, False):
            world = PLACES[place]()
            found = answer(world, status, whose, attempt, candidate)
            world.do(found)
            if word:
                believed(world, found)
            goes_on(world, honest)


@pytest.mark.parametrize("place", PLACES)
def test_two_answers_in_any_order_close_the_loop(place: str) -> None:
    for one, other, whose, candidate in product(STATUSES, STATUSES, WHOSE[:2], CANDIDATES[:2]):
        world = PLACES[place]()
        first = answer(world, one, "own", "same", candidate)
        second = answer(world, other, whose, "same", candidate)
        for found in (first, second, first, second):  # each again: delivered at least once
            world.do(found)
        goes_on(world, True)


@pytest.mark.parametrize("place", PLACES)
def test_answers_that_come_when_all_is_over_move_nothing_but_what_serves(place: str) -> None:
    """Every command's every answer once more, after the story's end."""
    for honest in (True, False):
        world = PLACES[place]()
        goes_on(world, honest)
        commands = sorted(world.sent)
        for (id, _, attempt), status in product(commands, STATUSES):
            before = world.state
            world.do(world.result(status, command_id=id, attempt=attempt, candidate="v9"))
            after = world.state
            assert (after.state, after.job, after.active, after.failures) == (
                before.state, before.job, before.active, before.failures,
            )  # fmt: skip


@pytest.mark.parametrize("status", ["unsupported", "failed", None])
def test_a_deployer_that_never_does_as_told_ends_in_a_failure_and_one_training(status: Answer | None) -> None:
    """One that does not repair, activate or roll back: each is tried, said, and over."""
    world = places.repairing()
    for _ in range(MANY):
        if world.state.state in REST:
            break
        if world.state.state in ("requested", "training"):
            world.do(world.result("succeeded"))
        elif status is not None and world.state.state in DONE:
            world.do(world.result(status))
        else:
            due = world.due()
            assert due is not None
            world.tick(max(due - world.now, 0) / HOUR_MS)
    trained = {id for id, command, _ in world.sent if command == "train"}
    assert len(trained) == 1
    assert world.state.state == "failed"
    assert world.state.failure is not None
    assert world.state.failure.command == "activate"


def test_a_trainer_of_the_old_form_closes_the_loop() -> None:
    """One range, no comparison, nothing tried: candidate's and champion's metrics decide."""
    world = places.requested()
    world.do(world.result("succeeded", candidate="v1"))
    job = world.state.job
    assert job is not None
    assert (job.comparison, job.tried, job.learnt_from) == (None, (), None)
    goes_on(world, True)
    assert (world.state.state, world.state.active) == ("idle", "v1")
    worse = places.requested()
    worse.do(worse.result("succeeded", candidate="v1", champion={"accuracy": 0.9, "precision": 0.9}))
    worse.tick(0)
    assert (worse.state.state, worse.state.active) == ("idle", "v0")
    none = places.requested()
    none.do(none.result("succeeded", candidate="v1", metrics={}, champion={}, seen=seen()))
    none.tick(0)
    assert (none.state.state, none.state.active) == ("idle", "v0")
