"""What deployers say unasked is believed and said once; a candidate's digest goes from trainer to deployer."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from schemas.training import Answer
from stream_app.core.retrain import ModelConfig
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain import state as states
from stream_app.core.retrain.events import Result
from stream_app.core.retrain.transitions import STATES, State
from tests.machine.world import MODEL, World
from tests.unit.retrain import places
from tests.unit.retrain.places import PLACES

DIGEST = "ab" * 32
DEPLOYED: tuple[Answer, ...] = ("activated", "rolled_back")


def said(effects: list[fx.Effect]) -> list[tuple[str, str]]:
    """Audit records of effects: action and decision, or the name of a refusal."""
    found = [e for e in effects if isinstance(e, fx.Audit | fx.CommandRefused)]
    return [(e.action, e.decision if isinstance(e, fx.Audit) else e.name) for e in found]


def report(world: World, status: Answer, version: str | None, number: int = 1) -> list[fx.Effect]:
    """A result of a stranger, and the change of version that metrics makes of it in the same epoch."""
    before = world.state.active
    effects = world.do(Result(f"stranger-{number}", 1, status, version))
    if version is not None and version != before:
        effects += world.do(world.changed(version))
    return effects


@pytest.mark.parametrize("status", DEPLOYED)
@pytest.mark.parametrize("state", STATES)
def test_a_version_that_nobody_ordered_is_one_record_and_the_end_of_the_job(state: State, status: Answer) -> None:
    world = PLACES[state]()
    effects = report(world, status, "stranger")
    open_job = state not in ("idle", "failed", "halted", "probation")
    records = said(effects)
    assert records.count(("probation", "began")) == 1
    assert len(records) == 1 + open_job
    (began,) = [e for e in effects if isinstance(e, fx.Audit) and e.action == "probation"]
    assert "stranger is active in place of" in began.reason
    assert "as a deployer reported; no command here asked for it" in began.reason
    assert world.state.active == "stranger"


@pytest.mark.parametrize("status", DEPLOYED)
def test_the_same_fact_said_again_and_again_is_nothing_new(status: Answer) -> None:
    world = places.world()
    report(world, status, "stranger")
    for number in range(2, 200):
        assert said(report(world, DEPLOYED[number % 2], "stranger", number)) == []


@pytest.mark.parametrize("state", STATES)
def test_a_report_that_changes_nothing_is_named_once(state: State) -> None:
    world = PLACES[state]()
    before_plain, active = msgspec.structs.replace(world.state, recent=(), noted=()), world.state.active
    assert active is not None
    assert said(report(world, "activated", active)) == [("result_activated", "not_ordered")]
    for number in range(2, 50):
        assert said(report(world, DEPLOYED[number % 2], active, number)) == []
    assert said(report(world, "activated", None, 50)) == [("result_activated", "not_ordered")]
    for number in range(51, 99):
        assert said(report(world, DEPLOYED[number % 2], None, number)) == []
    assert msgspec.structs.replace(world.state, recent=(), noted=()) == before_plain


def test_the_first_version_of_a_model_may_be_reported_and_is_said_once() -> None:
    world = World(ModelConfig(MODEL))
    effects = report(world, "activated", "v1")
    assert said(effects) == [("version", "reported")]
    assert said(report(world, "activated", "v1", 2)) == []
    # one that predictions showed is no report of anybody
    other = World(ModelConfig(MODEL))
    assert said(other.do(other.changed("v1", "observed"))) == []


def test_versions_that_change_to_and_fro_are_a_record_each() -> None:
    world = places.world()
    for number in range(6):
        world.tick(1)
        assert said(report(world, "activated", ("a", "b")[number % 2], number)) == [("probation", "began")]


# -- digests ---------------------------------------------------------------------------------------------------------


def activation(effects: list[fx.Effect]) -> fx.SendCommand:
    (found,) = [e for e in effects if isinstance(e, fx.SendCommand)]
    return found


def test_the_digest_that_a_trainer_names_stands_in_the_command_to_activate_and_in_every_repetition() -> None:
    world = places.training()
    world.do(replace(world.result("succeeded", candidate="v1"), artifact_sha256=DIGEST))
    command = activation(world.tick(0))
    assert (command.command, command.candidate_version, command.artifact_sha256) == ("activate", "v1", DIGEST)
    again = activation(world.tick(1 / 6))
    assert (again.attempt, again.artifact_sha256) == (2, DIGEST)
    assert states.decode(states.encode(world.state)) == world.state


def test_a_person_who_approves_a_candidate_sends_its_digest_too() -> None:
    world = places.world(places.RetrainRules())
    world.do(world.drift())
    world.do(replace(world.result("succeeded", candidate="v1"), artifact_sha256=DIGEST))
    world.tick(0)
    assert world.state.state == "awaiting_approval"
    assert activation(world.do(places.event(world, "approve"))).artifact_sha256 == DIGEST


def test_a_rollback_and_a_cancel_carry_none() -> None:
    world = places.training()
    world.do(replace(world.result("succeeded", candidate="v1"), artifact_sha256=DIGEST))
    world.tick(0)
    world.do(world.result("activated"))
    world.now += 24 * 3_600_000
    command = activation(world.do(world.look(0.08)))
    assert (command.command, command.artifact_sha256) == ("rollback", None)
