"""The coordinator of one line: ``step`` looks the pair of state and event up in the table and lets its handler act.

Pure: the same config, state, event and time give the same state and effects. A repeated event gives the same state and
no effects; one that does not fit is refused by name and moves nothing but the memory of having been seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import orders, training, watching
from stream_app.core.retrain.config import LineConfig, RetrainRules
from stream_app.core.retrain.effects import COORDINATOR, Effect, PublishJob
from stream_app.core.retrain.events import Event, Result
from stream_app.core.retrain.state import REMEMBERED, LineState
from stream_app.core.retrain.transitions import TABLE, Go, Refuse
from stream_app.core.retrain.turn import Turn
from stream_app.errors import Broken

_HANDLERS: Final[dict[str, Callable[[Turn, Any], None]]] = {
    "drift": training.drift,
    "run_ended": training.run_ended,
    "retrain": training.retrain,
    "approve": training.approve,
    "reject": training.reject,
    "approval_lapses": training.approval_lapses,
    "succeeded": training.succeeded,
    "validate": training.judge_candidate,
    "accepted": orders.accepted,
    "progress": orders.accepted,
    "reported": orders.reported,
    "order_failed": orders.order_failed,
    "deadlines": orders.deadlines,
    "version_changed": watching.version_changed,
    "activated": watching.deployed,
    "rolled_back": watching.deployed,
    "probation_look": watching.probation_look,
    "probation_ends": watching.probation_ends,
    "rollback": watching.rollback,
    "reset_circuit": watching.reset_circuit,
    "dismiss": orders.dismiss,
    "forgotten": watching.forgotten,
}


def step(config: LineConfig, state: LineState, event: Event, *, now_ms: int) -> tuple[LineState, list[Effect]]:
    """The line's state after ``event``, and what is to be done, in order."""
    key = event.key
    if key is not None and key in state.recent:
        return state, []
    cell = TABLE[state.state][event.kind]
    turn = Turn(config, state, now_ms)
    if isinstance(cell, Refuse):
        _refuse(turn, event, cell)
    elif isinstance(cell, Go) and (
        not isinstance(event, Result) or cell.handler == "reported" or orders.ours(turn, event)
    ):
        _HANDLERS[cell.handler](turn, event)
        reached = turn.state.state
        if reached != state.state and reached not in cell.to:
            raise Broken(f"{config.line}: {event.kind} led from {state.state} to {reached}; please report it")
    if _shown(turn.state) != _shown(state):
        turn.effects.append(PublishJob(turn.state))
    if key is not None:
        turn.state = replace(turn.state, recent=(*turn.state.recent, key)[-REMEMBERED:])
    return turn.state, turn.effects


def next_due_ms(rules: RetrainRules, state: LineState) -> int | None:
    """Tick at which a timer of this state can first do something; ``None``: none runs."""
    if state.state == "awaiting_approval":
        return state.since_ms + round(rules.approval_lapses_h * HOUR_MS)
    if state.state == "validating":
        return 0
    if state.state in ("requested", "training", "activating", "rolling_back"):
        order = state.job.order if state.job is not None else None
        return 0 if order is None else order.finish_by_ms if order.accepted else order.accept_by_ms
    if state.state == "probation":
        return state.watch.since_ms + rules.probation_days * DAY_MS if state.watch is not None else 0
    return None


def _refuse(turn: Turn, event: Event, cell: Refuse) -> None:
    action = f"result_{event.status}" if isinstance(event, Result) else event.kind
    actor = getattr(event, "actor", COORDINATOR)
    turn.refuse(action, cell.name, event.key or "", f"{cell.why}; the line is {turn.state.state}", actor=actor)


def _shown(state: LineState) -> tuple[Any, ...]:
    """What readers of the job see."""
    job, order = state.job, state.job.order if state.job is not None else None
    return (
        state.state, state.circuit_open, state.since_ms, state.failure, job and (job.episode, job.candidate, job.asked),
        order and (order.id, order.attempt),
    )  # fmt: skip
