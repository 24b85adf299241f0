"""Changes of the active version, the probation that follows each, and the way back."""

from __future__ import annotations

from typing import Final, Literal

from msgspec.structs import replace

from stream_app.core.drift.events import event_id
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain.effects import COORDINATOR, Decide, Kept, Replaced, WorseVersion
from stream_app.core.retrain.events import (
    Forgotten,
    ManualCommand,
    ProbationWindows,
    Result,
    Seen,
    TickEvent,
    VersionChanged,
)
from stream_app.core.retrain.probation import ProbationCheck, judge
from stream_app.core.retrain.safeguards import ask
from stream_app.core.retrain.state import POLICIES, Cause, Job, ModelState, Watch
from stream_app.core.retrain.training import TrainingOccasion, context, forget_refusals
from stream_app.core.retrain.transition import Transition, command_id
from stream_app.core.retrain.unrepaired import train_instead
from stream_app.errors import present

OPEN_JOB = ("awaiting_approval", "repairing", "requested", "training", "validating", "activating", "rolling_back")


def version_changed(transition: Transition, event: VersionChanged) -> None:
    """Another version is active. If a command here asked for it, it is the command's end; if not, it ends the job."""
    state = transition.state
    if event.version == state.active:
        if state.watch is not None and state.watch.version == event.version:
            # the deployer's own report came first; comparisons name the change by metrics' time
            _watch(transition, event.version, state.watch.previous, event.since_ms, state.watch.by)
        return
    transition.change(active=event.version, previous=event.previous, active_since_ms=event.since_ms, given_up=None)
    job, late = state.job, state.given_up
    sent = job.sent if job is not None else None
    deploying = sent is not None and sent.command != "train" and state.state not in ("awaiting_approval", "probation")
    if job is not None and sent is not None and deploying and event.version == job.candidate:
        # seen to serve before the deployer said so, or after its command was given up: it was commanded all the same
        back = sent.command == "rollback"
        repair_taken_back = state.state == "rolling_back" and job.repair is not None
        _watch(transition, event.version, job.base, event.since_ms, "restored" if back else "coordinator")
        transition.change(failure=None)
        text = f"{event.version} is active in place of {job.base} ({event.how})"
        transition.audit(
            sent.command, "rolled_back" if back else "activated", sent.id, text, ids=(sent.id, *job.cause.event_ids)
        )
        if repair_taken_back:
            train_instead(transition, event.seen)
    elif late is not None and event.version == late.candidate:
        _repaired_late(transition, event, late)
    elif event.previous is None:
        if event.how == "commanded":
            text = f"{event.version} is active, as a deployer reported; no command asked for it, and none came before"
            transition.audit("version", "reported", f"{event.version}/{event.since_ms}", text)
            transition.note(f"reported/{event.version}/{event.since_ms}")
    else:
        why = f"{event.version} became active ({event.how}), which nobody here commanded"
        _end_open_job(transition, why, f"{event.version}/{event.since_ms}")
        transition.change(job=None)
        _watch(transition, event.version, event.previous, event.since_ms, "outside")
        whose = "as a deployer reported" if event.how == "commanded" else event.how
        text = f"{event.version} is active in place of {event.previous}, {whose}; no command here asked for it"
        transition.audit("probation", "began", f"{event.version}/{event.since_ms}", text)
        if event.how == "commanded":
            transition.note(f"reported/{event.version}/{event.since_ms}")


def _repaired_late(transition: Transition, event: VersionChanged, late: Job) -> None:
    """A repair that was given up serves after all: it is watched as one that came in time, and is the model's job again
    in place of the training that was commanded instead."""
    sent = present(late.sent, f"the repair that {transition.config.model}'s coordinator gave up")
    text = f"{event.version} is active in place of {late.base} ({event.how}): the repair was given up before it came"
    _end_open_job(transition, f"{event.version} is active, as a repair commanded", f"{event.version}/{event.since_ms}")
    transition.change(job=replace(late, late=True))
    _watch(transition, event.version, late.base, event.since_ms, "coordinator")
    transition.change(failure=None)
    transition.audit("recalibrate", "activated", sent.id, text, ids=(sent.id, *late.cause.event_ids))


def forgotten(transition: Transition, event: Forgotten) -> None:
    """The model made no predictions for so long that nothing of it is kept; a job about it has no meaning."""
    why = f"no predictions for {event.days} days"
    subject = f"forgotten/{event.close_ms}"
    _end_open_job(transition, why, subject)
    for check in transition.state.refusals:
        forget_refusals(transition, check, why)
    transition.audit("forget", "no_predictions", subject, why)
    transition.state = ModelState(since_ms=transition.now_ms, episode=transition.state.episode)


def deployed(transition: Transition, event: Result) -> None:
    """The deployer did as commanded."""
    job = transition.job()
    if event.candidate != job.candidate:
        text = f"{job.candidate} was commanded, {event.candidate} was reported"
        transition.refuse(f"result_{event.status}", "wrong_version", event.key or "", text)
        return
    candidate = present(job.candidate, f"the candidate of {transition.config.model}'s job")
    repair_taken_back = transition.state.state == "rolling_back" and job.repair is not None
    _watch(transition, candidate, job.base, transition.now_ms, _by(transition.state.state))
    transition.change(
        active=candidate, previous=job.base, active_since_ms=transition.now_ms, failure=None, given_up=None
    )
    action = transition.sent().command
    text = f"{job.candidate} is active in place of {job.base}"
    transition.audit(action, event.status, transition.sent().id, text, ids=(transition.sent().id, *job.cause.event_ids))
    if repair_taken_back:
        train_instead(transition, event.seen)


def probation_look(transition: Transition, event: ProbationWindows) -> None:
    """Judge the version under watch; comparisons of another one, or of an older change, say nothing here."""
    watch = transition.state.watch
    if watch is None or (watch.version, watch.since_ms) != (event.version, event.since_ms):
        return
    hours = (transition.now_ms - watch.since_ms) / HOUR_MS
    _conclude(transition, watch, judge(transition.rules, hours, event.windows, watch.run_from), event.seen)


def probation_ends(transition: Transition, event: TickEvent) -> None:
    """The time is up and nothing spoke against the version."""
    watch = transition.state.watch
    if watch is not None and transition.now_ms >= watch.since_ms + transition.rules.probation_days * DAY_MS:
        text = f"{transition.rules.probation_days} days have passed without enough labels to judge by"
        _conclude(transition, watch, ProbationCheck("kept_without_evidence", text))


def rollback(transition: Transition, event: ManualCommand) -> None:
    """Back to the version before, or to the one that is named, at any time. Ends whatever job there is."""
    state = transition.state
    target = event.target or (state.watch.previous if state.watch is not None else state.previous)
    if state.active is None or target is None or target == state.active:
        text = (
            f"{state.active} is active, and there is no other to go back to" if state.active else "no version is active"
        )
        transition.refuse("rollback", "no_previous_version", event.id, text, actor=event.actor)
        return
    transition.audit("rollback", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,))
    _end_open_job(transition, f"{event.actor} commanded a rollback to {target}", event.id)
    if state.watch is not None and state.watch.by == "coordinator":
        _count_rolled_back(transition, state.watch, event.id)
    cause = Cause("manual", (), event.reason, event.actor, transition.now_ms)
    transition.begin("rolling_back", cause, candidate=target)
    transition.send("rolling_back", "rollback")


def reset_circuit(transition: Transition, event: ManualCommand) -> None:
    """A person has looked: trainings may be tried again."""
    if not transition.state.circuit_open:
        transition.refuse("reset_circuit", "circuit_closed", event.id, "the circuit is closed", actor=event.actor)
        return
    transition.audit("reset_circuit", "closed", event.id, event.reason, actor=event.actor, ids=(event.id,))
    if transition.state.state == "halted":
        transition.rest(circuit_open=False, failures=0, failure=None)
    else:
        transition.change(circuit_open=False, failures=0, failure=None)


def _conclude(transition: Transition, watch: Watch, look: ProbationCheck, seen: Seen | None = None) -> None:
    if look.verdict == "undecided":
        return
    subject = f"{watch.version}/{watch.since_ms}"
    ids = transition.state.job.cause.event_ids if transition.state.job is not None else ()
    transition.audit("probation", look.verdict, subject, f"{watch.version}: {look.reason}", ids=ids)
    if look.verdict != "failed":
        if watch.by != "restored":
            transition.effects.append(Kept(watch.version, watch.since_ms))
        transition.rest(**({"failures": 0} if watch.by == "coordinator" and not _repair(transition) else {}))
    elif watch.by == "coordinator" and _repair(transition):
        # the same episode: what the repair was in place of comes next
        transition.change_job(base=watch.version, candidate=watch.previous)
        transition.change(watch=None)
        transition.send("rolling_back", "rollback")
    elif watch.by == "coordinator":
        _count_rolled_back(transition, watch, subject)
        cause = Cause("probation", ids, look.reason, COORDINATOR, transition.now_ms)
        transition.begin("rolling_back", cause, candidate=watch.previous)
        transition.send("rolling_back", "rollback")
    else:
        _hand_over(transition, watch, look, present(seen, f"what a probation of {transition.config.model} looked at"))
        transition.rest()


def _hand_over(transition: Transition, watch: Watch, look: ProbationCheck, seen: Seen) -> None:
    """State the fact. It is answered as any drift is, and refused, because the probation is still the model's job."""
    metric = present(look.metric, f"the metric that {transition.config.model}'s probation failed by")
    close_ms = transition.now_ms // HOUR_MS * HOUR_MS
    id = event_id(transition.config.model, "performance", "handover", close_ms)
    transition.effects.append(
        WorseVersion(id, close_ms, watch.version, watch.previous, watch.since_ms, metric, look.window, look.points)
    )
    answers = ask(context(transition, seen, TrainingOccasion(close_ms, "performance", "HIGH", watch.version), {}))
    transition.effects.append(Decide(id, False, answers, "refused"))


def _watch(
    transition: Transition,
    version: str,
    previous: str,
    since_ms: int,
    by: Literal["coordinator", "outside", "restored"],
) -> None:
    """Watch a version from its change on; a run of drift that stands now says which days to compare with.

    The performance run if there is one: quality is what probation measures.
    """
    known = transition.state.watch
    runs = transition.state.runs
    run_from = runs.get("performance", runs.get("statistical"))
    failure = transition.state.failure
    counted = transition.state.state in ("failed", "halted") and failure is not None and failure.counted
    if known is not None and known.version == version:
        run_from, counted = known.run_from, known.counted
    watch = Watch(version, previous, since_ms, by, run_from, counted)
    if known is None or (known.version, known.since_ms) != (version, since_ms):
        how = "recalibrated" if by == "coordinator" and _repair(transition) else _HOW[by]
        transition.effects.append(Replaced(version, previous, since_ms, how, _came_by(transition, by)))
    if by != "restored":
        transition.change(floor_rejected=0)
    transition.change(state="probation", watch=watch)


def _repair(transition: Transition) -> bool:
    """Whether the job is a repair, or what came of one."""
    return transition.state.job is not None and transition.state.job.repair is not None


_HOW: Final[dict[str, Literal["retrained", "recalibrated", "deployed", "rolled_back"]]] = {
    "coordinator": "retrained",
    "outside": "deployed",
    "restored": "rolled_back",
}


def _came_by(transition: Transition, by: str) -> str | None:
    """Id of the command that a version came from: its training's, its repair's, or the rollback's."""
    job = transition.state.job
    if job is None or by == "outside":
        return None
    made = "train" if job.repair is None else "recalibrate"
    return command_id(transition.config.model, job.episode, made if by == "coordinator" else "rollback")


def _by(state: str) -> Literal["coordinator", "restored"]:
    return "coordinator" if state in ("activating", "repairing") else "restored"


def _end_open_job(transition: Transition, why: str, subject: str) -> None:
    """Cancel the job there is; it counts for nothing."""
    job, state = transition.state.job, transition.state.state
    if job is None or state not in OPEN_JOB:
        return
    if state in ("requested", "training"):
        transition.cancel()
    ids = (*((job.sent.id,) if job.sent is not None else ()), *job.cause.event_ids)
    transition.audit(job.sent.command if job.sent is not None else "train", "cancelled", subject, why, ids=ids)


def _count_rolled_back(transition: Transition, watch: Watch, subject: str) -> None:
    job = transition.state.job
    if watch.counted or _repair(transition) or (job is not None and job.cause.kind in POLICIES):
        # a candidate that nothing was wrong before came too early, and a repair learns nothing: no failure to learn
        return
    was_open = transition.state.circuit_open
    transition.count_failure()
    if transition.state.circuit_open and not was_open:
        text = f"{transition.state.failures} failed or rolled-back trainings in a row"
        transition.audit("circuit", "opened", subject, text)
