"""The coordinator's rules as a table: every pair of state and event is a transition, a quiet stay or a named refusal.

Theory. A model is at rest (`idle`; `failed` once a command came to nothing, until a success of its kind or a person
ends that; `halted` while the circuit is open), or it has a job (`awaiting_approval` to `activating`, `repairing` among
them, and `rolling_back`), or it watches a version (`probation`). At most one command is on its way at any time, and it
belongs to the job. Results count only for the command that is on its way, by id and attempt. An `activated` or
`rolled_back` that no command waits for is a report of what serves: it is said once.

A change of the active version that no command here asked for ends whatever job there is and begins a probation; a model
that metrics forgets, for want of predictions, ends it too, and nothing is kept. The circuit is not a state but a flag,
because a probation must go on while it is open: `halted` is how it shows at rest. So is a failure: it is remembered
while the next training is under way, and `failed` is how it shows at rest. The back-off is no state either: the
safeguard `active_job` refuses while it lasts.

A repair is tried before a training, and in place of it: whatever it comes to but a version that serves leads to
`requested`, in the same episode, unless a safeguard that is asked again refuses. So does the way back from a repair
that its probation found worse. None of it is a failure.

Dead ends, on purpose: nothing leaves `halted` for a job but through ``reset_circuit``, which is a person's word on the
failures too.

Deadlines, lapses and the end of a probation are all answers to ``tick``: nothing else knows the time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stream_app.core.retrain.events import Kind
from stream_app.core.retrain.state import State

STATES: Final[tuple[State, ...]] = State.__args__  # type: ignore[attr-defined]
REST: Final[tuple[State, ...]] = ("idle", "failed", "halted")
RESULTS: Final[tuple[Kind, ...]] = (
    "accepted", "progress", "succeeded", "failed", "unsupported", "activated", "rolled_back",
)  # fmt: skip


class Go(NamedTuple):
    """The handler of the event, and the states it may lead to. It may still refuse by name what does not fit."""

    handler: str
    to: tuple[State, ...]


class Stay(NamedTuple):
    """Nothing to do, and nothing wrong with that."""

    why: str


class Refuse(NamedTuple):
    """Nothing moves; the name says why, the sentence says it to people."""

    name: str
    why: str


Cell = Go | Stay | Refuse

_NO_ORDER: Final = Refuse("no_order", "no command is on its way")
_NOT_ASKED: Final = Refuse("nothing_awaits", "nothing waits for a person's word")
_LATE: Final = Refuse("answered_already", "the command was answered already")
#: the change of version that follows, if one does, says it
_REPORTED: Final = Go("reported", ())
_WRONG: Final = Refuse("no_such_answer", "this command cannot be answered so")
_UNASKED: Final[dict[Kind, Cell]] = {"activated": _REPORTED, "rolled_back": _REPORTED}
_JUDGED: Final = Stay("no probation is under way; metrics writes its comparisons unasked")
_BUSY: Final = Refuse("active_job", "a job is under way")
_CLOSED: Final = Refuse("circuit_closed", "the circuit is closed")

#: safeguards decide; in a state with a job `active_job` is among those that refuse
_RUN_ENDED: Final = Go("run_ended", ())
_DRIFT_BUSY: Final = Go("drift", ())
_FORGOTTEN: Final = Go("forgotten", ("idle",))
_CHANGED: Final = Go("version_changed", ("probation",))
_ROLLBACK: Final = Go("rollback", ("rolling_back",))
_RESET: Final = Go("reset_circuit", ("idle",))
_RESET_BESIDE: Final = Go("reset_circuit", ())
_DISMISS_BESIDE: Final = Go("dismiss", ())
_DISMISS: Final[dict[State, Cell]] = {
    "idle": Refuse("nothing_failed", "no failure stands"),
    "failed": Go("dismiss", ("idle",)),
    "halted": Refuse("circuit_open", "the circuit is open: reset_circuit closes it and ends the failure"),
}


def _at_rest(state: State) -> dict[Kind, Cell]:
    free = state in ("idle", "failed")
    train: tuple[State, ...] = ("requested", "awaiting_approval") if free else ()
    repair: tuple[State, ...] = ("repairing",) if free else ()
    return {
        "drift": Go("drift", (*train, *repair)),
        "run_ended": _RUN_ENDED,
        "policies": Go("policies", train),
        "version_changed": _CHANGED,
        "forgotten": _FORGOTTEN,
        "probation_look": _JUDGED,
        "tick": Stay("no timer runs"),
        **dict.fromkeys(RESULTS, _NO_ORDER),
        **_UNASKED,
        "retrain": Go("retrain", ("requested",) if free else ()),
        "approve": _NOT_ASKED,
        "reject": _NOT_ASKED,
        "rollback": _ROLLBACK,
        "reset_circuit": _RESET if state == "halted" else _CLOSED,
        "dismiss": _DISMISS[state],
    }


_JOB: Final[dict[Kind, Cell]] = {
    "drift": _DRIFT_BUSY,
    "run_ended": _RUN_ENDED,
    "policies": Go("policies", ()),
    "version_changed": _CHANGED,
    "forgotten": _FORGOTTEN,
    "probation_look": _JUDGED,
    **dict.fromkeys(RESULTS, _NO_ORDER),
    **_UNASKED,
    "retrain": _DRIFT_BUSY._replace(handler="retrain"),
    "approve": _NOT_ASKED,
    "reject": _NOT_ASKED,
    "rollback": _ROLLBACK,
    "reset_circuit": _CLOSED,
    "dismiss": _DISMISS_BESIDE,
}

TABLE: Final[dict[State, dict[Kind, Cell]]] = {
    "idle": _at_rest("idle"),
    "failed": _at_rest("failed"),
    "halted": _at_rest("halted"),
    "awaiting_approval": {
        **_JOB,
        "drift": Go("drift", ("requested", "repairing")),
        "tick": Go("approval_lapses", ("idle", "failed")),
        "retrain": Go("retrain", ("requested",)),
        "approve": Go("approve", ("requested", "repairing", "activating")),
        "reject": Go("reject", ("idle", "failed")),
    },
    "repairing": {
        **_JOB,
        "tick": Go("repair_deadlines", ("requested", *REST)),
        "accepted": Go("accepted", ()),
        "progress": Go("progress", ()),
        "succeeded": _WRONG,
        "failed": Go("repair_failed", ("requested", *REST)),
        "unsupported": Go("repair_failed", ("requested", *REST)),
        "activated": Go("activated", ("probation",)),
    },
    "requested": {
        **_JOB,
        "tick": Go("deadlines", ("failed", "halted")),
        "accepted": Go("accepted", ("training",)),
        "progress": Go("progress", ("training",)),
        "succeeded": Go("succeeded", ("validating", "failed", "halted")),
        "failed": Go("order_failed", ("failed", "halted")),
        "unsupported": Go("order_failed", ("failed", "halted")),
    },
    "training": {
        **_JOB,
        "tick": Go("deadlines", ("failed", "halted")),
        "accepted": _LATE,
        "progress": Go("progress", ()),
        "succeeded": Go("succeeded", ("validating", "failed", "halted")),
        "failed": Go("order_failed", ("failed", "halted")),
        "unsupported": Go("order_failed", ("failed", "halted")),
    },
    "validating": {
        **_JOB,
        "tick": Go("validate", ("activating", "awaiting_approval", "idle", "failed")),
        **dict.fromkeys(RESULTS, _LATE),
        **_UNASKED,
    },
    "activating": {
        **_JOB,
        "tick": Go("deadlines", ("failed", "halted")),
        "accepted": Go("accepted", ()),
        "progress": Go("progress", ()),
        "succeeded": _WRONG,
        "failed": Go("order_failed", ("failed", "halted")),
        "unsupported": Go("order_failed", ("failed", "halted")),
        "activated": Go("activated", ("probation",)),
    },
    "probation": {
        **_JOB,
        "tick": Go("probation_ends", REST),
        "probation_look": Go("probation_look", ("rolling_back", *REST)),
        **dict.fromkeys(RESULTS, _LATE),
        **_UNASKED,
        "reset_circuit": _RESET_BESIDE,
    },
    "rolling_back": {
        **_JOB,
        "tick": Go("deadlines", ("failed", "halted")),
        "accepted": Go("accepted", ()),
        "progress": Go("progress", ()),
        "succeeded": _WRONG,
        "failed": Go("order_failed", ("failed", "halted")),
        "unsupported": Go("order_failed", ("failed", "halted")),
        "rolled_back": Go("rolled_back", ("probation", "requested")),
        "version_changed": Go("version_changed", ("probation", "requested")),
        "rollback": _BUSY._replace(name="rollback_under_way", why="a rollback is under way"),
        "reset_circuit": _RESET_BESIDE,
    },
}
