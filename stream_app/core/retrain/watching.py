"""Changes of the active version, the probation that follows each, and the way back."""

from __future__ import annotations

from typing import Final, Literal

from stream_app.core.drift.events import event_id
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain.effects import COORDINATOR, Decide, HandOver, Kept, Replaced
from stream_app.core.retrain.events import (
    Forgotten,
    OrderByHand,
    ProbationLook,
    Result,
    Seen,
    TickEvent,
    VersionChanged,
)
from stream_app.core.retrain.probation import Look, judge
from stream_app.core.retrain.safeguards import ask
from stream_app.core.retrain.state import Cause, LineState, Watch
from stream_app.core.retrain.training import context
from stream_app.core.retrain.turn import Turn, command_id
from stream_app.errors import present

OPEN_JOB = ("awaiting_approval", "requested", "training", "validating", "activating", "rolling_back")


def version_changed(turn: Turn, event: VersionChanged) -> None:
    """Another version serves. If an order here asked for it, it is the order's end; if not, it ends the job."""
    state = turn.state
    if event.version == state.active:
        if state.watch is not None and state.watch.version == event.version:
            # the deployer's own report came first; comparisons name the change by metrics' time
            _watch(turn, event.version, state.watch.previous, event.since_ms, state.watch.by)
        return
    turn.change(active=event.version, previous=event.previous, active_since_ms=event.since_ms)
    job = state.job
    order = job.order if job is not None else None
    deploying = order is not None and order.command != "train" and state.state not in ("awaiting_approval", "probation")
    if job is not None and order is not None and deploying and event.version == job.candidate:
        # seen to serve before the deployer said so, or after its order was given up: it was ordered all the same
        _watch(
            turn, event.version, job.base, event.since_ms, "coordinator" if order.command == "activate" else "restored"
        )
        turn.change(failure=None)
        decision = "activated" if order.command == "activate" else "rolled_back"
        text = f"{event.version} serves in place of {job.base} ({event.how})"
        turn.audit(order.command, decision, order.id, text, ids=(order.id, *job.cause.event_ids))
    elif event.previous is None:
        if event.how == "commanded":
            text = f"{event.version} serves, as a deployer reported; no order here asked for it, and none served before"
            turn.audit("version", "reported", f"{event.version}/{event.since_ms}", text)
            turn.note(f"reported/{event.version}/{event.since_ms}")
    else:
        why = f"{event.version} became active ({event.how}), which nobody here ordered"
        _end_open_job(turn, why, f"{event.version}/{event.since_ms}")
        turn.change(job=None)
        _watch(turn, event.version, event.previous, event.since_ms, "outside")
        whose = "as a deployer reported" if event.how == "commanded" else event.how
        text = f"{event.version} serves in place of {event.previous}, {whose}; no order here asked for it"
        turn.audit("probation", "began", f"{event.version}/{event.since_ms}", text)
        if event.how == "commanded":
            turn.note(f"reported/{event.version}/{event.since_ms}")


def forgotten(turn: Turn, event: Forgotten) -> None:
    """The model made no predictions for so long that nothing of it is kept; a job about it has no meaning."""
    why = f"no predictions for {event.days} days"
    subject = f"forgotten/{event.close_ms}"
    _end_open_job(turn, why, subject)
    turn.audit("forget", "no_predictions", subject, why)
    turn.state = LineState(since_ms=turn.now_ms, episode=turn.state.episode)


def deployed(turn: Turn, event: Result) -> None:
    """The deployer did as it was told."""
    job = turn.job()
    if event.candidate != job.candidate:
        text = f"{job.candidate} was ordered, {event.candidate} was reported"
        turn.refuse(f"result_{event.status}", "wrong_version", event.key or "", text)
        return
    candidate = present(job.candidate, f"the candidate of {turn.config.line}'s job")
    _watch(turn, candidate, job.base, turn.now_ms, _by(turn.state.state))
    turn.change(active=candidate, previous=job.base, active_since_ms=turn.now_ms, failure=None)
    action = turn.order().command
    text = f"{job.candidate} serves in place of {job.base}"
    turn.audit(action, event.status, turn.order().id, text, ids=(turn.order().id, *job.cause.event_ids))


def probation_look(turn: Turn, event: ProbationLook) -> None:
    """Judge the version under watch; comparisons of another one, or of an older change, say nothing here."""
    watch = turn.state.watch
    if watch is None or (watch.version, watch.since_ms) != (event.version, event.since_ms):
        return
    hours = (turn.now_ms - watch.since_ms) / HOUR_MS
    _conclude(turn, watch, judge(turn.rules, hours, event.windows, watch.run_from), event.seen)


def probation_ends(turn: Turn, event: TickEvent) -> None:
    """The time is up and nothing spoke against the version."""
    watch = turn.state.watch
    if watch is not None and turn.now_ms >= watch.since_ms + turn.rules.probation_days * DAY_MS:
        text = f"{turn.rules.probation_days} days have passed without enough labels to judge by"
        _conclude(turn, watch, Look("kept_without_evidence", text))


def rollback(turn: Turn, event: OrderByHand) -> None:
    """Back to the version before, or to the one that is named, at any time. Ends whatever job there is."""
    state = turn.state
    target = event.target or (state.watch.previous if state.watch is not None else state.previous)
    if state.active is None or target is None or target == state.active:
        text = f"{state.active} serves, and there is no other to go back to" if state.active else "no version is active"
        turn.refuse("rollback", "no_previous_version", event.id, text, actor=event.actor)
        return
    turn.audit("rollback", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,))
    _end_open_job(turn, f"{event.actor} ordered a rollback to {target}", event.id)
    if state.watch is not None and state.watch.by == "coordinator":
        _count_rolled_back(turn, state.watch, event.id)
    cause = Cause("manual", (), event.reason, event.actor, turn.now_ms)
    turn.begin("rolling_back", cause, candidate=target)
    turn.send("rolling_back", "rollback")


def reset_circuit(turn: Turn, event: OrderByHand) -> None:
    """A person has looked: trainings may be tried again."""
    if not turn.state.circuit_open:
        turn.refuse("reset_circuit", "circuit_closed", event.id, "the circuit is closed", actor=event.actor)
        return
    turn.audit("reset_circuit", "closed", event.id, event.reason, actor=event.actor, ids=(event.id,))
    if turn.state.state == "halted":
        turn.rest(circuit_open=False, failures=0, failure=None)
    else:
        turn.change(circuit_open=False, failures=0, failure=None)


def _conclude(turn: Turn, watch: Watch, look: Look, seen: Seen | None = None) -> None:
    if look.verdict == "undecided":
        return
    subject = f"{watch.version}/{watch.since_ms}"
    ids = turn.state.job.cause.event_ids if turn.state.job is not None else ()
    turn.audit("probation", look.verdict, subject, f"{watch.version}: {look.reason}", ids=ids)
    if look.verdict != "failed":
        if watch.by != "restored":
            turn.effects.append(Kept(watch.version, watch.since_ms))
        turn.rest(**({"failures": 0} if watch.by == "coordinator" else {}))
    elif watch.by == "coordinator":
        _count_rolled_back(turn, watch, subject)
        cause = Cause("probation", ids, look.reason, COORDINATOR, turn.now_ms)
        turn.begin("rolling_back", cause, candidate=watch.previous)
        turn.send("rolling_back", "rollback")
    else:
        _hand_over(turn, watch, look, present(seen, f"what a probation of {turn.config.line} looked at"))
        turn.rest()


def _hand_over(turn: Turn, watch: Watch, look: Look, seen: Seen) -> None:
    """State the fact. It is answered as any drift is, and refused, because the probation is still the line's job."""
    metric = present(look.metric, f"the metric that {turn.config.line}'s probation failed by")
    close_ms = turn.now_ms // HOUR_MS * HOUR_MS
    id = event_id(turn.config.line, "performance", "handover", close_ms)
    turn.effects.append(
        HandOver(id, close_ms, watch.version, watch.previous, watch.since_ms, metric, look.window, look.points)
    )
    answers = ask(context(turn, seen, close_ms, "performance", "HIGH", watch.version, {}))
    turn.effects.append(Decide(id, False, answers, "refused"))


def _watch(
    turn: Turn, version: str, previous: str, since_ms: int, by: Literal["coordinator", "outside", "restored"]
) -> None:
    """Watch a version from its change on; a run of drift that stands now says which days to compare with.

    The performance run if there is one: quality is what probation measures.
    """
    known = turn.state.watch
    runs = turn.state.runs
    run_from = runs.get("performance", runs.get("statistical"))
    counted = turn.state.state in ("failed", "halted")
    if known is not None and known.version == version:
        run_from, counted = known.run_from, known.counted
    watch = Watch(version, previous, since_ms, by, run_from, counted)
    if known is None or (known.version, known.since_ms) != (version, since_ms):
        turn.effects.append(Replaced(version, previous, since_ms, _HOW[by], _came_by(turn, by)))
    turn.change(state="probation", watch=watch)


_HOW: Final[dict[str, Literal["retrained", "deployed", "rolled_back"]]] = {
    "coordinator": "retrained",
    "outside": "deployed",
    "restored": "rolled_back",
}


def _came_by(turn: Turn, by: str) -> str | None:
    """Id of the command that a version came from: its training's, or the rollback's."""
    job = turn.state.job
    if job is None or by == "outside":
        return None
    return command_id(turn.config.line, job.episode, "train" if by == "coordinator" else "rollback")


def _by(state: str) -> Literal["coordinator", "restored"]:
    return "coordinator" if state == "activating" else "restored"


def _end_open_job(turn: Turn, why: str, subject: str) -> None:
    """Cancel the job there is; it counts for nothing."""
    job, state = turn.state.job, turn.state.state
    if job is None or state not in OPEN_JOB:
        return
    if state in ("requested", "training"):
        turn.cancel()
    ids = (*((job.order.id,) if job.order is not None else ()), *job.cause.event_ids)
    turn.audit(job.order.command if job.order is not None else "train", "cancelled", subject, why, ids=ids)


def _count_rolled_back(turn: Turn, watch: Watch, subject: str) -> None:
    if watch.counted:
        return
    was_open = turn.state.circuit_open
    turn.count_failure()
    if turn.state.circuit_open and not was_open:
        text = f"{turn.state.failures} failed or rolled-back trainings in a row"
        turn.audit("circuit", "opened", subject, text)
