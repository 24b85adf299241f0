"""Repair first: when the command is `recalibrate`, and every way on from there."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import RetrainRules
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain.repairing import repaired_version
from tests.machine.world import FLOORS, NO_REPAIR, POOR, REPAIR, World, seen
from tests.unit.retrain import places


def sent(effects: list[fx.Effect]) -> list[fx.SendCommand]:
    return [e for e in effects if isinstance(e, fx.SendCommand)]


def commands(effects: list[fx.Effect]) -> list[tuple[str, int]]:
    return [(e.command, e.attempt) for e in sent(effects)]


def audits(effects: list[fx.Effect]) -> list[tuple[str, str]]:
    return [(e.action, e.decision) for e in effects if isinstance(e, fx.Audit)]


def decided(effects: list[fx.Effect]) -> fx.Decide:
    return next(e for e in effects if isinstance(e, fx.Decide))


def test_a_drift_that_can_be_repaired_is() -> None:
    world = places.world()
    effects = world.do(world.drift(repair=REPAIR))
    (command,) = sent(effects)
    assert (command.command, command.model_version, command.expected_current_version) == ("recalibrate", "v0", "v0")
    assert command.repair == REPAIR
    assert command.candidate_version == repaired_version("conflict:global", "v0", command.command_id)
    assert world.state.last_train_ms is None, "a repair starts no cooldown"
    assert decided(effects).action == "recalibrate"
    assert "ROC AUC 0.9100 of 1000 rows, 0.9200 in the baseline" in decided(effects).note


@pytest.mark.parametrize(
    ("rules", "event", "why"),
    [
        (RetrainRules(validation_floors=FLOORS), {"repair": NO_REPAIR}, "the order of the scores is lost"),
        (RetrainRules(validation_floors=FLOORS, primary_metric="f1"), {"repair": REPAIR}, "proposed by accuracy"),
        (RetrainRules(validation_floors=FLOORS, repair_first=False), {"repair": REPAIR}, ""),
        (RetrainRules(validation_floors=FLOORS), {"check": "statistical", "repair": REPAIR}, ""),
        (RetrainRules(validation_floors=FLOORS), {}, ""),
    ],
)
def test_what_cannot_be_repaired_is_trained_at_the_same_tick(
    rules: RetrainRules, event: dict[str, Any], why: str
) -> None:
    world = places.world(rules)
    effects = world.do(world.drift(**event))
    assert commands(effects) == [("train", 1)]
    note = decided(effects).note
    assert why in note
    assert bool(note) == bool(why)
    assert ("ROC AUC" in note) == bool(why)


def test_a_refused_drift_repairs_nothing() -> None:
    world = places.world()
    effects = world.do(world.drift(repair=REPAIR, seen=seen(50)))
    assert (commands(effects), decided(effects).decision) == ([], "refused")


@pytest.mark.parametrize(
    ("base", "named"),
    [
        ("v7", "v7"),
        ("v7-r1a2b3c4d", "v7"),
        ("v7-c1a2b3c4d", "v7"),
        ("v7-x1a2b3c4d", "v7-x1a2b3c4d"),
        ("v" * 128, "v" * 118),
    ],
)
def test_a_repair_is_named_after_the_version_it_wraps(base: str, named: str) -> None:
    name = repaired_version("conflict:global", base, "d0ddb7e0-5f0b-5c2c-8a6f-0f6f2b5e8a11")
    assert name.startswith(f"{named}-c")
    assert len(name) == len(named) + 10
    assert name != repaired_version("conflict:global", base, "another")


# -- what comes of it --------------------------------------------------------------------------------------------------


def test_a_repair_that_serves_is_on_probation_and_kept_without_a_cooldown() -> None:
    world = places.repaired()
    assert world.state.state == "probation"
    world.now += 24 * HOUR_MS
    effects = world.do(world.look(0.0))
    assert audits(effects) == [("probation", "kept")]
    assert (world.state.state, world.state.last_train_ms, world.state.backoff_until_ms) == ("idle", None, None)


def test_it_is_news_that_it_came_by_a_repair() -> None:
    world = places.repairing()
    command = world.state.job.sent.id  # type: ignore[union-attr]
    found = next(e for e in world.do(world.result("activated")) if isinstance(e, fx.Replaced))
    assert (found.how, found.command_id) == ("recalibrated", command)


def test_a_repair_is_not_repaired_again() -> None:
    world = places.repaired()
    world.tick(15 * 24)
    assert world.state.state == "idle"
    effects = world.do(world.drift(repair=REPAIR))
    assert commands(effects) == [("train", 1)]
    assert "is a repair already" in decided(effects).note


@pytest.mark.parametrize(("days", "expected"), [(6.9, "train"), (7, "recalibrate")])
def test_another_version_is_repaired_a_week_later_at_the_earliest(days: float, expected: str) -> None:
    world = places.repairing()
    began = world.now
    world.do(world.result("activated"))
    world.do(world.changed("v9"))
    world.do(world.look(0.0)) if world.tick(24) else None
    world.state = replace(world.state, state="idle", job=None, watch=None)
    world.now = began + round(days * DAY_MS)
    assert commands(world.do(world.drift(repair=REPAIR)))[0][0] == expected


def nothing(world: World) -> list[fx.Effect]:
    """Nobody answers: three attempts, ten minutes each."""
    effects = []
    for attempt in (2, 3):
        again = world.tick(1 / 6)
        assert commands(again) == [("recalibrate", attempt)]
        effects += [e for e in again if not isinstance(e, fx.SendCommand | fx.Audit)]
    return [*effects, *world.tick(1 / 6)]


def unfinished(world: World) -> list[fx.Effect]:
    world.do(world.result("accepted"))
    assert world.state.state == "repairing"
    return world.tick(6)


def failed(world: World) -> list[fx.Effect]:
    return world.do(world.result("failed", error="disk full"))


def unsupported(world: World) -> list[fx.Effect]:
    return world.do(world.result("unsupported"))


def taken_back(world: World) -> list[fx.Effect]:
    world.do(world.result("activated"))
    world.now += 24 * HOUR_MS
    effects = world.do(world.look(0.08))
    (back,) = sent(effects)
    assert (back.command, back.candidate_version, back.expected_current_version) == (
        "rollback", "v0", world.state.active,
    )  # fmt: skip
    assert (world.state.state, world.state.failures) == ("rolling_back", 0)
    return world.do(world.result("rolled_back"))


def seen_to_be_back(world: World) -> list[fx.Effect]:
    """Metrics sees the version before the deployer says so."""
    world.do(world.result("activated"))
    world.now += 24 * HOUR_MS
    world.do(world.look(0.08))
    return world.do(world.changed("v0", "observed"))


ENDS = [nothing, unfinished, failed, unsupported, taken_back, seen_to_be_back]


@pytest.mark.parametrize("end", ENDS)
def test_a_repair_that_comes_to_nothing_leads_to_a_training(end: Any) -> None:
    world = places.repairing()
    before = world.state.job
    assert before is not None
    effects = end(world)
    (command,) = sent(effects)
    assert (command.command, command.model_version, command.expected_current_version) == ("train", "v0", "v0")
    assert command.plan is not None
    assert ("train", "ordered") in audits(effects)
    after = world.state.job
    assert after is not None
    assert (world.state.state, after.episode, after.repair) == ("requested", before.episode, None)
    assert replace(after.cause, nominal_ms=0) == replace(before.cause, nominal_ms=0), "its cause is kept"
    assert (world.state.failures, world.state.failure, world.state.backoff_until_ms) == (0, None, None)
    assert world.state.last_train_ms == world.now
    world.do(world.result("succeeded", candidate="v1"))
    world.tick(0)
    world.do(world.result("activated"))
    assert (world.state.state, world.state.active) == ("probation", "v1")


@pytest.mark.parametrize("end", ENDS)
def test_safeguards_are_asked_again_before_that_training(end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = places.repairing()
    poor = seen(50)
    monkeypatch.setattr("tests.machine.world.seen", lambda *args, **rest: poor)
    effects = end(world)
    assert sent(effects) == []
    refused = next(e for e in effects if isinstance(e, fx.Audit) and e.decision == "refused")
    assert "50 labelled rows" in refused.reason
    assert [a.name for a in refused.grounds.answers if not a.passed] == ["samples"]
    assert world.state.state == ("probation" if end in (taken_back, seen_to_be_back) else "idle")


def test_a_rollback_by_hand_ends_a_repair_and_counts_for_nothing() -> None:
    for place in (places.repairing, places.repaired):
        world = place()
        effects = world.do(world.command("rollback"))
        assert commands(effects) == [("rollback", 1)]
        assert (world.state.state, world.state.failures) == ("rolling_back", 0)
        world.do(world.result("rolled_back"))
        assert world.state.state == "probation", "a person's word: nothing is trained in its place"


def test_another_version_that_comes_ends_the_repair() -> None:
    world = places.repairing()
    effects = world.do(world.changed("outsider"))
    assert ("recalibrate", "cancelled") in audits(effects)
    assert world.state.state == "probation"


def test_a_repair_that_cannot_be_taken_back_is_said_and_backs_nothing_off() -> None:
    world = places.repair_taken_back()
    world.do(world.result("failed", error="no disk"))
    assert world.state.state == "failed"
    assert world.state.failure is not None
    assert world.state.failure.command == "rollback"
    assert (world.state.failures, world.state.backoff_until_ms) == (0, None)


# -- a repair that comes late ------------------------------------------------------------------------------------------


def train_requested(world: World) -> None:
    unsupported(world)


def train_accepted(world: World) -> None:
    nothing(world)
    world.do(world.result("accepted"))


def trained(world: World) -> None:
    unsupported(world)
    world.do(world.result("succeeded", candidate="v1"))


def train_activating(world: World) -> None:
    trained(world)
    world.tick(0)


def train_failed(world: World) -> None:
    unsupported(world)
    world.do(world.result("failed", error="disk full"))


def train_rejected(world: World) -> None:
    unsupported(world)
    world.do(world.result("succeeded", candidate="v1", metrics=POOR))
    world.tick(0)


def train_refused(world: World) -> None:
    poor = seen(50)
    world.do(world.result("failed", error="disk full", seen=poor))


LATE = {
    "requested": train_requested, "training": train_accepted, "validating": trained, "activating": train_activating,
    "failed": train_failed, "idle, rejected": train_rejected, "idle, refused": train_refused,
}  # fmt: skip


def late_repair(place: str) -> tuple[World, Any, list[fx.Effect]]:
    """The answer of a repair that was given up, and metrics' word that its version serves."""
    world = places.repairing()
    job = world.state.job
    assert job is not None
    assert job.sent is not None
    LATE[place](world)
    assert world.state.state == place.split(",")[0]
    assert world.state.given_up is not None
    late = world.result("activated", command_id=job.sent.id, attempt=1, candidate=job.candidate)
    effects = world.do(late)
    assert sent(effects) == []
    return world, job, [*effects, *world.do(world.changed(job.candidate))]


@pytest.mark.parametrize("place", LATE)
def test_a_repair_that_comes_after_it_was_given_up_is_its_own_commands(place: str) -> None:
    world, job, effects = late_repair(place)
    assert ("recalibrate", "activated") in audits(effects)
    assert ("probation", "began") not in audits(effects), "nobody from outside"
    assert commands(effects) == ([("cancel", 1)] if place in ("requested", "training") else [])
    cancelled = [pair for pair in audits(effects) if pair[1] == "cancelled"]
    assert len(cancelled) == (place in ("requested", "training", "validating", "activating"))
    found = next(e for e in effects if isinstance(e, fx.Replaced))
    assert (found.how, found.command_id, found.previous) == ("recalibrated", job.sent.id, "v0")
    watch = world.state.watch
    assert watch is not None
    assert (world.state.state, watch.version, watch.by, world.state.given_up) == (
        "probation", job.candidate, "coordinator", None,
    )  # fmt: skip
    assert world.state.failure is None
    world.now += 24 * HOUR_MS
    assert audits(world.do(world.look(0.0))) == [("probation", "kept")]
    assert world.state.state == "idle"


@pytest.mark.parametrize("place", LATE)
def test_a_late_repair_that_is_worse_is_taken_back_and_trained_in_place_of_when_the_cooldown_allows(place: str) -> None:
    world, _, _ = late_repair(place)
    trained_at, ids = world.state.last_train_ms, {id for id, _, _ in world.sent}
    world.now += 24 * HOUR_MS
    assert commands(world.do(world.look(0.08))) == [("rollback", 1)]
    effects = world.do(world.result("rolled_back"))
    if trained_at is None:
        (command,) = sent(effects)
        assert (command.command, command.model_version) == ("train", "v0")
        assert command.command_id not in ids, "an id of its own"
        assert world.state.state == "requested"
    else:
        refused = next(e for e in effects if isinstance(e, fx.Audit) and e.decision == "refused")
        assert [a.name for a in refused.grounds.answers if not a.passed] == ["cooldown"]
        assert (world.state.state, world.state.active) == ("probation", "v0")
    assert world.state.failures <= (place == "failed"), "nothing of it counts"


def test_the_trainer_that_was_called_back_counts_for_nothing() -> None:
    world, _, _ = late_repair("training")
    train = next(id for id, command, _ in world.sent if command == "train")
    effects = world.do(world.result("succeeded", command_id=train, attempt=1, candidate="v1"))
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["answered_already"]
    assert world.state.state == "probation"


@pytest.mark.parametrize("between", ["outsider", "trained"])
def test_after_another_change_of_version_a_late_repair_is_from_outside(between: str) -> None:
    world = places.repairing()
    assert world.state.job is not None
    late = world.state.job.candidate
    if between == "outsider":
        unsupported(world)
        world.do(world.changed("outsider"))
    else:
        train_activating(world)
        world.do(world.result("activated"))
    assert world.state.given_up is None
    effects = world.do(world.changed(late or ""))
    assert ("probation", "began") in audits(effects)
    assert world.state.watch is not None
    assert world.state.watch.by == "outside"


# -- approvals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("repair", "command"), [(REPAIR, "recalibrate"), (NO_REPAIR, "train")])
def test_an_approval_covers_whichever_it_shows(repair: Any, command: str) -> None:
    world = places.world(places.APPROVAL)
    effects = world.do(world.drift(repair=repair))
    assert (commands(effects), decided(effects).decision) == ([], "awaiting_approval")
    assert decided(effects).action == command
    assert world.state.job is not None
    assert world.state.job.asked == command
    assert commands(world.do(world.approve())) == [(command, 1)]


def test_a_manual_retraining_takes_the_place_of_a_repair_that_waits() -> None:
    world = places.world(places.APPROVAL)
    world.do(world.drift(repair=REPAIR))
    assert commands(world.do(world.retrain())) == [("train", 1)]


@pytest.mark.parametrize("place", ["requested", "training", "activating", "rolling_back"])
def test_unsupported_is_a_failure_where_nothing_else_can_be_tried(place: Any) -> None:
    world = places.PLACES[place]()
    world.do(world.result("unsupported"))
    assert world.state.state in ("failed", "halted")
    assert world.state.failure is not None
    assert "it does not" in world.state.failure.reason
