"""From drift, or a person's wish, to a candidate that may serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain.effects import COORDINATOR, Decide
from stream_app.core.retrain.events import Approve, DriftFound, OrderByHand, Result, Retrain, RunEnded, Seen, TickEvent
from stream_app.core.retrain.safeguards import BY_HAND, Answer, Context, ask
from stream_app.core.retrain.state import Cause, Refusals
from stream_app.core.retrain.turn import Turn, job_id
from stream_app.core.retrain.validation import validate


def drift(turn: Turn, event: DriftFound) -> None:
    """Ask every safeguard; train if all agree, ask a person if only the approval is missing."""
    turn.change(runs={**turn.state.runs, event.check: event.run_from})
    answers = ask(context(turn, event.seen, event.close_ms, event.check, event.severity, event.version, {}))
    refusing = [answer.name for answer in answers if not answer.passed]
    cause = Cause(
        event.check, (event.id,), f"{event.check} drift, {event.severity}, in {event.version}", COORDINATOR,
        event.close_ms, event.severity, event.run_from,
    )  # fmt: skip
    if not refusing:
        _forget_refusals(turn, event.check)
        turn.effects.append(Decide(event.id, True, answers, "ordered"))
        _train(turn, cause, event.seen)
    elif refusing == ["approval"] and turn.state.state in ("idle", "failed"):
        _forget_refusals(turn, event.check)
        turn.effects.append(Decide(event.id, False, answers, "awaiting_approval"))
        turn.begin("awaiting_approval", cause, asked="train")
    else:
        again = _refused_again(turn, event, tuple(refusing))
        turn.effects.append(Decide(event.id, False, answers, "refused", again))


def run_ended(turn: Turn, event: RunEnded) -> None:
    """No run of this kind stands any more."""
    if event.check in turn.state.runs:
        turn.change(runs={kind: day for kind, day in turn.state.runs.items() if kind != event.check})
        _forget_refusals(turn, event.check)


def _refused_again(turn: Turn, event: DriftFound, names: tuple[str, ...]) -> Refusals:
    """The refusal, counted together with those before it of the same run of drift by the same safeguards."""
    known = turn.state.refusals.get(event.check)
    if known is not None and (known.run_from, known.names) == (event.run_from, names):
        found = replace(known, count=known.count + 1)
    else:
        found = Refusals(event.id, event.run_from, names, 1, turn.now_ms)
    turn.change(refusals={**turn.state.refusals, event.check: found})
    return found


def _forget_refusals(turn: Turn, check: str) -> None:
    if check in turn.state.refusals:
        turn.change(refusals={kind: known for kind, known in turn.state.refusals.items() if kind != check})


def retrain(turn: Turn, event: Retrain) -> None:
    """By hand: flags, severity and approval are not asked. Takes the place of a training that waits for approval."""
    state = turn.state
    answers = ask(context(turn, event.seen, turn.now_ms, "manual", None, None, BY_HAND))
    if _refused(turn, "retrain", event, answers):
        return
    if state.job is not None and state.state == "awaiting_approval":
        text = "a retraining by hand takes its place"
        turn.audit("approve", "cancelled", job_id(turn.config.line, state.job), text, ids=state.job.cause.event_ids)
    first_day = event.seen.plan.from_ms // DAY_MS
    cause = Cause("manual", (), event.reason, event.actor, turn.now_ms, None, first_day)
    turn.audit("retrain", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,), answers=answers)
    _train(turn, cause, event.seen)


def approve(turn: Turn, event: Approve) -> None:
    """A person agrees. An approval skips only its own request: every other safeguard is asked again."""
    job = turn.job()
    if not _named(turn, "approve", event, event.command_id):
        return
    if job.asked == "activate":
        turn.audit("approve", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,))
        turn.change_job(validated=True)
        turn.send("activating", "activate")
        return
    skipped = {"approval": f"approved by {event.actor}"}
    check = job.cause.kind if job.cause.kind != "probation" else "manual"
    answers = ask(context(turn, event.seen, turn.now_ms, check, job.cause.severity, job.base, skipped))
    if _refused(turn, "approve", event, answers):
        return
    turn.audit("approve", "ordered", event.id, event.reason, actor=event.actor, ids=(event.id,), answers=answers)
    cause = replace(job.cause, nominal_ms=turn.now_ms)
    turn.change_job(cause=cause, plan=event.seen.plan)
    turn.change(last_train_ms=cause.nominal_ms)
    turn.send("requested", "train")


def reject(turn: Turn, event: OrderByHand) -> None:
    """A person declines; counts for nothing."""
    if _named(turn, "reject", event, event.target):
        ids = (event.id, *turn.job().cause.event_ids)
        turn.audit("reject", "rejected", event.id, event.reason, actor=event.actor, ids=ids)
        turn.rest()


def approval_lapses(turn: Turn, event: TickEvent) -> None:
    """Nobody answered in time; counts for nothing."""
    hours = turn.rules.approval_lapses_h
    if turn.now_ms >= turn.state.since_ms + round(hours * HOUR_MS):
        job = turn.job()
        text = f"nobody approved within {hours:g} h"
        turn.audit("approve", "lapsed", job_id(turn.config.line, job), text, ids=job.cause.event_ids)
        turn.rest()


def succeeded(turn: Turn, event: Result) -> None:
    """A candidate is there; it is judged when the epoch ends."""
    job, candidate = turn.job(), event.candidate
    if candidate is None or candidate == job.base:
        turn.fail(
            "the trainer named no candidate" if candidate is None else f"{candidate} is the version it began with"
        )
        return
    turn.change(
        state="validating",
        job=replace(
            job, candidate=candidate, artifact_sha256=event.artifact_sha256, candidate_metrics=event.candidate_metrics,
            champion_metrics=event.champion_metrics, order=replace(turn.order(), accepted=True),
        ),
    )  # fmt: skip
    if turn.state.failure is not None and turn.state.failure.command == "train":
        turn.change(failure=None)


def judge_candidate(turn: Turn, event: TickEvent) -> None:
    """Activate it, reject it, or ask a person where the type has no thresholds."""
    job = turn.job()
    found = validate(turn.rules, job.candidate_metrics, job.champion_metrics)
    ids = (turn.order().id, *job.cause.event_ids)
    turn.audit("validate", found.verdict, turn.order().id, f"{job.candidate}: {found.reason}", ids=ids)
    if found.verdict == "passed":
        turn.change_job(validated=True)
        turn.send("activating", "activate")
    elif found.verdict == "needs_person":
        turn.change(state="awaiting_approval", job=replace(job, asked="activate"))
    else:
        turn.rest()


def _train(turn: Turn, cause: Cause, seen: Seen) -> None:
    turn.begin("requested", cause, plan=seen.plan)
    turn.change(last_train_ms=cause.nominal_ms)
    turn.send("requested", "train")


def context(
    turn: Turn,
    seen: Seen,
    nominal_ms: int,
    check: Literal["statistical", "performance", "manual"],
    severity: str | None,
    version: str | None,
    skipped: Mapping[str, str],
) -> Context:
    """What safeguards are asked about now."""
    state = turn.state
    return Context(
        config=turn.config, nominal_ms=nominal_ms, check=check, severity=severity, labelled=seen.plan.labelled,
        coverage=seen.coverage, faults=seen.faults, state=state.state,
        asked=state.job.asked if state.job is not None else None, version=version, active=state.active,
        circuit_open=state.circuit_open, failures=state.failures, last_train_ms=state.last_train_ms,
        backoff_until_ms=turn.backing_off(), skipped=skipped,
    )  # fmt: skip


def _refused(turn: Turn, action: str, event: Retrain | Approve, answers: tuple[Answer, ...]) -> bool:
    refusing = [answer for answer in answers if not answer.passed]
    if refusing:
        reason = "; ".join(f"{answer.name}: {answer.reason}" for answer in refusing)
        turn.refuse(action, refusing[0].name, event.id, reason, actor=event.actor, answers=answers)
    return bool(refusing)


def _named(turn: Turn, action: str, event: Approve | OrderByHand, named: str | None) -> bool:
    waiting = job_id(turn.config.line, turn.job())
    if named is None or named == waiting:
        return True
    turn.refuse(action, "another_job", event.id, f"{waiting} waits, not {named}", actor=event.actor)
    return False
