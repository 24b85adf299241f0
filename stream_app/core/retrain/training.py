"""From drift, or a person's wish, to a candidate that may serve."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from schemas import bounds
from schemas.common import rfc3339
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import repairing
from stream_app.core.retrain.effects import COORDINATOR, Decide, Grounds
from stream_app.core.retrain.events import (
    Approve,
    DriftFound,
    ManualCommand,
    Result,
    Retrain,
    RunEnded,
    Seen,
    TickEvent,
)
from stream_app.core.retrain.safeguards import (
    NOT_FOR_MANUAL,
    NOT_FOR_POLICIES,
    SAFEGUARDS,
    Check,
    Context,
    SafeguardResult,
    ask,
)
from stream_app.core.retrain.state import POLICIES, Cause, Refusals
from stream_app.core.retrain.transition import Transition, job_id
from stream_app.core.retrain.validation import validate

#: Characters of a refusal that is remembered in words.
_WHY: Final = 400


def drift(transition: Transition, event: DriftFound) -> None:
    """Ask every safeguard; repair or train if all agree, ask a person if only the approval is missing."""
    if not event.hourly:
        transition.change(runs={**transition.state.runs, event.check: event.run_from})
    job = transition.state.job
    # drift takes the place of a training that a policy asked a person for
    instead = job is not None and job.asked == "train" and job.cause.kind in POLICIES
    occasion = TrainingOccasion(event.close_ms, event.check, event.severity, event.version)
    asked = context(transition, event.seen, occasion, {}, unasked=instead)
    answers = ask(dataclasses.replace(asked, run_from=event.run_from, hourly=event.hourly))
    refused = [answer for answer in answers if not answer.passed]
    refusing = [answer.name for answer in refused]
    if instead and refusing in ([], ["approval"]):
        text = f"{event.check} drift takes its place"
        transition.audit("approve", "cancelled", job_id(transition.config.model, transition.job()), text)
    cause = Cause(
        event.check, (event.id,), f"{event.check} drift, {event.severity}, in {event.version}", COORDINATOR,
        event.close_ms, event.severity, event.run_from,
    )  # fmt: skip
    repair, note = repairing.considered(transition, event)
    action: Literal["train", "recalibrate"] = "train" if repair is None else "recalibrate"
    if not refusing:
        forget_refusals(transition, event.slot, "all safeguards pass now")
        transition.effects.append(Decide(event.id, True, answers, "ordered", action=action, note=note))
        if repair is None:
            order(transition, cause, event.seen)
        else:
            repairing.order(transition, cause, repair)
    elif refusing == ["approval"] and (instead or transition.state.state in ("idle", "failed")):
        forget_refusals(transition, event.slot, "it waits for a person now")
        transition.effects.append(Decide(event.id, False, answers, "awaiting_approval", action=action, note=note))
        transition.begin("awaiting_approval", cause, asked=action, repair=repair)
    else:
        again = _refused_again(transition, event, refused)
        transition.effects.append(Decide(event.id, False, answers, "refused", again))


def run_ended(transition: Transition, event: RunEnded) -> None:
    """No run of this kind stands any more."""
    if event.check in transition.state.runs:
        transition.change(runs={kind: day for kind, day in transition.state.runs.items() if kind != event.check})
        forget_refusals(transition, event.check, "the run of drift is over")


def _refused_again(transition: Transition, event: DriftFound, refusing: list[SafeguardResult]) -> Refusals:
    """The refusal, counted together with those before it of the same run of drift by the same safeguards."""
    names, known = tuple(answer.name for answer in refusing), transition.state.refusals.get(event.slot)
    why = bounds.cut("; ".join(f"{answer.name}: {answer.reason}" for answer in refusing), _WHY)
    if known is not None and (known.run_from, known.names) == (event.run_from, names):
        found = replace(known, count=known.count + 1, last=event.id, last_ms=transition.now_ms, why=why)
    else:
        same_run = known is not None and known.run_from == event.run_from
        forget_refusals(transition, event.slot, "other safeguards refuse now" if same_run else "another run of drift")
        found = Refusals(event.id, event.run_from, names, 1, transition.now_ms, event.id, transition.now_ms, why)
    transition.change(refusals={**transition.state.refusals, event.slot: found})
    return found


def forget_refusals(transition: Transition, check: str, over: str) -> None:
    """What asks next is not the same any more (``over``: why). The audit, which heard the first refusal, hears how many
    there were, and the last."""
    known = transition.state.refusals.get(check)
    if known is None:
        return
    transition.change(refusals={kind: found for kind, found in transition.state.refusals.items() if kind != check})
    if known.count > 1:
        text = f"{known.why}; refused alike at {known.count} checks, the last {rfc3339(known.last_ms)}: {over}"
        answers = tuple(
            SafeguardResult(name, name not in known.names, "as at the checks before", {}) for name in SAFEGUARDS
        )
        ids = (known.last, known.subject)
        transition.audit("train", "refused", known.subject, text, ids=ids, grounds=Grounds(answers, refusals=known))


def retrain(transition: Transition, event: Retrain) -> None:
    """Manually: flags, severity and approval are not asked. Takes the place of a training that waits for approval."""
    state = transition.state
    answers = ask(context(transition, event.seen, TrainingOccasion(transition.now_ms, "manual"), NOT_FOR_MANUAL))
    if _refused(transition, "retrain", event, answers):
        return
    if state.job is not None and state.state == "awaiting_approval":
        text = "a manual retraining takes its place"
        transition.audit(
            "approve", "cancelled", job_id(transition.config.model, state.job), text, ids=state.job.cause.event_ids
        )
    first_day = event.seen.plan.from_ms // DAY_MS
    cause = Cause("manual", (), event.reason, event.actor, transition.now_ms, None, first_day)
    grounds = Grounds(answers)
    transition.audit("retrain", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,), grounds=grounds)
    order(transition, cause, event.seen)


def approve(transition: Transition, event: Approve) -> None:
    """A person agrees. An approval skips only its own request: every other safeguard is asked again."""
    job = transition.job()
    if not _named(transition, "approve", event, event.command_id):
        return
    if job.asked == "activate":
        transition.audit("approve", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,))
        transition.send("activating", "activate")
        return
    skipped = {"approval": f"approved by {event.actor}"}
    if job.cause.kind in POLICIES:
        skipped |= NOT_FOR_POLICIES
    check = job.cause.kind if job.cause.kind != "probation" else "manual"
    occasion = TrainingOccasion(transition.now_ms, check, job.cause.severity, job.base)
    asked = context(transition, event.seen, occasion, skipped)
    answers = ask(dataclasses.replace(asked, run_from=job.cause.first_day))
    if _refused(transition, "approve", event, answers):
        return
    grounds = Grounds(answers)
    transition.audit("approve", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,), grounds=grounds)
    cause = replace(job.cause, nominal_ms=transition.now_ms)
    if job.asked == "recalibrate":
        transition.change_job(cause=cause)
        repairing.send(transition)
        return
    transition.change_job(cause=cause, plan=event.seen.plan)
    transition.change(last_train_ms=cause.nominal_ms)
    transition.send("requested", "train")


def reject(transition: Transition, event: ManualCommand) -> None:
    """A person declines; counts for nothing."""
    if _named(transition, "reject", event, event.target):
        ids = (event.id, *transition.job().cause.event_ids)
        transition.audit("reject", "rejected", event.id, event.reason, actor=event.actor, ids=ids)
        if transition.job().asked == "activate":
            _rejected(transition)
        _decline(transition)


def approval_lapses(transition: Transition, event: TickEvent) -> None:
    """Nobody answered in time; counts for nothing."""
    hours = transition.rules.approval_lapses_h
    if transition.now_ms >= transition.state.since_ms + round(hours * HOUR_MS):
        job = transition.job()
        text = f"nobody approved within {hours:g} h"
        transition.audit("approve", "lapsed", job_id(transition.config.model, job), text, ids=job.cause.event_ids)
        _decline(transition)


def _decline(transition: Transition) -> None:
    """A policy's clock starts anew: it asks again a period later, not at the next check."""
    asked = transition.job().asked == "train" and transition.job().cause.kind in POLICIES
    transition.rest(**({"declined_ms": transition.now_ms} if asked else {}))


def succeeded(transition: Transition, event: Result) -> None:
    """A candidate is there; it is judged when the epoch ends."""
    job, candidate = transition.job(), event.candidate
    if candidate is None or candidate == job.base:
        transition.fail(
            "the trainer named no candidate" if candidate is None else f"{candidate} is the version it began with"
        )
        return
    transition.change(
        state="validating",
        job=replace(
            job, candidate=candidate, artifact_sha256=event.artifact_sha256, candidate_metrics=event.candidate_metrics,
            champion_metrics=event.champion_metrics, comparison=event.comparison, learnt_from=event.learnt_from,
            tried=event.tried, sent=replace(transition.sent(), accepted=True),
        ),
    )  # fmt: skip
    if transition.state.failure is not None and transition.state.failure.command == "train":
        transition.change(failure=None)


def judge_candidate(transition: Transition, event: TickEvent) -> None:
    """Activate it, reject it, or ask a person where the type has no thresholds."""
    job = transition.job()
    found = validate(transition.rules, job.candidate_metrics, job.champion_metrics, job.comparison)
    ids = (transition.sent().id, *job.cause.event_ids)
    learnt = f", learnt from {job.learnt_from}" if job.learnt_from is not None else ""
    transition.audit(
        "validate", found.verdict, transition.sent().id, f"{job.candidate}{learnt}: {found.reason}", ids=ids,
        grounds=Grounds(comparison=found.comparison, tried=job.tried),
    )  # fmt: skip
    if found.verdict == "passed":
        transition.send("activating", "activate")
    elif found.verdict == "needs_person":
        transition.change(state="awaiting_approval", job=replace(job, asked="activate"))
    else:
        _rejected(transition)
        transition.rest()


def _rejected(transition: Transition) -> None:
    """A candidate comes to nothing. Where a floor asked for it, the next one is asked for later and later: what cannot
    be met is not tried for ever."""
    if transition.job().cause.kind == "floor":
        transition.change(floor_rejected=transition.state.floor_rejected + 1)


def order(transition: Transition, cause: Cause, seen: Seen) -> None:
    """Command a training."""
    transition.begin("requested", cause, plan=seen.plan)
    transition.change(last_train_ms=cause.nominal_ms)
    transition.send("requested", "train")


class TrainingOccasion(NamedTuple):
    """Why a model might be retrained: nominal time (epoch ms), what asks, and the severity and version it found."""

    nominal_ms: int
    check: Check
    severity: str | None = None
    version: str | None = None


def context(
    transition: Transition, seen: Seen, occasion: TrainingOccasion, skipped: Mapping[str, str], *, unasked: bool = False
) -> Context:
    """What safeguards are asked about now; ``unasked``: as if no person were asked for anything."""
    state = transition.state
    return Context(
        config=transition.config, nominal_ms=occasion.nominal_ms, check=occasion.check, severity=occasion.severity,
        labelled=seen.plan.labelled, lacks=seen.plan.lacks, coverage=seen.coverage, heard=seen.heard,
        faults=seen.faults, state="idle" if unasked else state.state,
        asked=state.job.asked if state.job is not None and not unasked else None,
        version=occasion.version, active=state.active,
        circuit_open=state.circuit_open, failures=state.failures, last_train_ms=state.last_train_ms,
        backoff_until_ms=transition.backing_off(), skipped=skipped,
    )  # fmt: skip


def _refused(
    transition: Transition, action: str, event: Retrain | Approve, answers: tuple[SafeguardResult, ...]
) -> bool:
    refusing = [answer for answer in answers if not answer.passed]
    if refusing:
        reason = "; ".join(f"{answer.name}: {answer.reason}" for answer in refusing)
        transition.refuse(action, refusing[0].name, event.id, reason, actor=event.actor, answers=answers)
    return bool(refusing)


def _named(transition: Transition, action: str, event: Approve | ManualCommand, named: str | None) -> bool:
    waiting = job_id(transition.config.model, transition.job())
    if named is None or named == waiting:
        return True
    transition.refuse(action, "another_job", event.id, f"{waiting} waits, not {named}", actor=event.actor)
    return False
