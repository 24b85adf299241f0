"""The coordinator of one model: ``step`` looks the pair of state and event up in the table and lets its handler act.

Pure: the same config, state, event and time give the same state and effects. A repeated event gives the same state and
no effects; one that does not fit is refused by name and moves nothing but the memory of having been seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import policies, sent_commands, training, unrepaired, watching
from stream_app.core.retrain.config import ModelConfig, RetrainRules
from stream_app.core.retrain.effects import COORDINATOR, Effect, PublishJob
from stream_app.core.retrain.events import Event, Result
from stream_app.core.retrain.state import REMEMBERED, ModelState
from stream_app.core.retrain.transition import Transition
from stream_app.core.retrain.transitions import TABLE, Go, Refuse
from stream_app.errors import Broken

_HANDLERS: Final[dict[str, Callable[[Transition, Any], None]]] = {
    "drift": training.drift,
    "run_ended": training.run_ended,
    "policies": policies.check,
    "retrain": training.retrain,
    "approve": training.approve,
    "reject": training.reject,
    "approval_lapses": training.approval_lapses,
    "succeeded": training.succeeded,
    "validate": training.judge_candidate,
    "accepted": sent_commands.accepted,
    "progress": sent_commands.accepted,
    "reported": sent_commands.reported,
    "order_failed": sent_commands.order_failed,
    "deadlines": sent_commands.deadlines,
    "repair_failed": unrepaired.failed,
    "repair_deadlines": unrepaired.deadlines,
    "version_changed": watching.version_changed,
    "activated": watching.deployed,
    "rolled_back": watching.deployed,
    "probation_look": watching.probation_look,
    "probation_ends": watching.probation_ends,
    "rollback": watching.rollback,
    "reset_circuit": watching.reset_circuit,
    "dismiss": sent_commands.dismiss,
    "forgotten": watching.forgotten,
}


def step(config: ModelConfig, state: ModelState, event: Event, *, now_ms: int) -> tuple[ModelState, list[Effect]]:
    """The model's state after ``event``, and what is to be done, in order."""
    key = event.key
    if key is not None and key in state.recent:
        return state, []
    cell = TABLE[state.state][event.kind]
    transition = Transition(config, state, now_ms)
    if isinstance(cell, Refuse):
        _refuse(transition, event, cell)
    elif isinstance(cell, Go) and (
        not isinstance(event, Result) or cell.handler == "reported" or sent_commands.ours(transition, event)
    ):
        _HANDLERS[cell.handler](transition, event)
        reached = transition.state.state
        if reached != state.state and reached not in cell.to:
            raise Broken(f"{config.model}: {event.kind} led from {state.state} to {reached}; please report it")
    if _shown(transition.state) != _shown(state):
        transition.effects.append(PublishJob(transition.state))
    if key is not None:
        transition.state = replace(transition.state, recent=(*transition.state.recent, key)[-REMEMBERED:])
    return transition.state, transition.effects


def next_due_ms(rules: RetrainRules, state: ModelState) -> int | None:
    """Tick at which a timer of this state can first do something; ``None``: none runs."""
    if state.state == "awaiting_approval":
        return state.since_ms + round(rules.approval_lapses_h * HOUR_MS)
    if state.state == "validating":
        return 0
    if state.state in ("repairing", "requested", "training", "activating", "rolling_back"):
        sent = state.job.sent if state.job is not None else None
        return 0 if sent is None else sent.finish_by_ms if sent.accepted else sent.accept_by_ms
    if state.state == "probation":
        return state.watch.since_ms + rules.probation_days * DAY_MS if state.watch is not None else 0
    return None


def _refuse(transition: Transition, event: Event, cell: Refuse) -> None:
    action = f"result_{event.status}" if isinstance(event, Result) else event.kind
    actor = getattr(event, "actor", COORDINATOR)
    transition.refuse(
        action, cell.name, event.key or "", f"{cell.why}; the model is {transition.state.state}", actor=actor
    )


def _shown(state: ModelState) -> tuple[Any, ...]:
    """What readers of the job see."""
    job, sent = state.job, state.job.sent if state.job is not None else None
    return (
        state.state, state.circuit_open, state.since_ms, state.failure, job and (job.episode, job.candidate, job.asked),
        sent and (sent.id, sent.attempt),
    )  # fmt: skip
