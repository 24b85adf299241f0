"""A coordinator in each of its states, got there the way models get there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_app.core.retrain import ModelConfig, RetrainRules
from stream_app.core.retrain.events import Event, Forgotten, RunEnded, TickEvent
from stream_app.core.retrain.transitions import Kind, State
from tests.machine.world import FLOORS, MODEL, ON, REPAIR, World, seen

APPROVAL = RetrainRules(validation_floors=FLOORS, require_manual_approval=True)


def world(rules: RetrainRules | None = None) -> World:
    """A model on which v0 serves after something else did, so that there is a way back."""
    found = World(ModelConfig(MODEL, rules or RetrainRules(validation_floors=FLOORS), ON))
    found.do(found.changed("before", "observed"))
    found.do(found.changed("v0", "observed"))
    found.tick(15 * 24)
    assert found.state.state == "idle"
    return found


def requested() -> World:
    found = world()
    found.do(found.drift())
    return found


def training() -> World:
    found = requested()
    found.do(found.result("accepted"))
    return found


def validating(**rest: Any) -> World:
    found = training()
    found.do(found.result("succeeded", **{"candidate": "v1", **rest}))
    return found


def activating() -> World:
    found = validating()
    found.tick(0)
    return found


def probation() -> World:
    found = activating()
    found.do(found.result("activated"))
    return found


def rolling_back() -> World:
    found = probation()
    found.now += 24 * 3_600_000
    found.do(found.look(0.08))
    return found


def awaiting_approval() -> World:
    found = world(APPROVAL)
    found.do(found.drift())
    return found


def awaiting_activation() -> World:
    """A candidate of a type without thresholds."""
    found = world(RetrainRules())
    found.do(found.drift())
    found.do(found.result("succeeded", candidate="v1"))
    found.tick(0)
    return found


def repairing() -> World:
    found = world()
    found.do(found.drift(repair=REPAIR))
    return found


def repaired() -> World:
    """A repair on probation."""
    found = repairing()
    found.do(found.result("activated"))
    return found


def repair_taken_back() -> World:
    found = repaired()
    found.now += 24 * 3_600_000
    found.do(found.look(0.08))
    return found


def failed() -> World:
    found = requested()
    found.do(found.result("failed", error="out of memory"))
    return found


def halted() -> World:
    found = failed()
    found.tick(8 * 24)
    found.do(found.drift())
    found.do(found.result("failed"))
    return found


PLACES: dict[State, Callable[[], World]] = {
    "idle": world,
    "awaiting_approval": awaiting_approval,
    "repairing": repairing,
    "requested": requested,
    "training": training,
    "validating": validating,
    "activating": activating,
    "probation": probation,
    "rolling_back": rolling_back,
    "failed": failed,
    "halted": halted,
}


def event(found: World, kind: Kind) -> Event:
    """One of each kind, as it would fit if it can fit."""
    if kind == "drift":
        return found.drift()
    if kind == "run_ended":
        return RunEnded("performance")
    if kind == "policies":
        return found.policies()
    if kind == "version_changed":
        return found.changed("outsider", seen=seen())
    if kind == "probation_look":
        return found.look(0.08)
    if kind == "tick":
        return TickEvent(seen())
    if kind == "forgotten":
        return Forgotten(90, found.now)
    if kind == "retrain":
        return found.retrain()
    if kind == "approve":
        return found.approve()
    if kind in ("reject", "rollback", "reset_circuit", "dismiss"):
        return found.command(kind)
    return found.result(kind)
