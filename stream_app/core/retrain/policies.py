"""Trainings that no drift asks for: below a floor, on a schedule, or once so many labels have come
(``retrain_policies``).

Asked at every daily performance check. Their clocks start at the last train command, whatever asked for it, or at a
request that lapsed or was rejected; of a model that was never trained at its first known day, the first schedule moved
back by a part of the period that its name decides, so that a fleet is not due at once. What is due and refused stays
due: that is said when it falls due and when other safeguards refuse, not at every check. What passes and finds too many
trainings of policies on their way in its partition waits, the oldest first.
"""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from schemas.common import uuid5
from stream_app.core.kit.days import DAY_MS, date_of, day_of
from stream_app.core.retrain.config import RetrainRules
from stream_app.core.retrain.effects import COORDINATOR, Grounds, Wait
from stream_app.core.retrain.events import PolicyCheck
from stream_app.core.retrain.safeguards import NOT_FOR_POLICIES, ask
from stream_app.core.retrain.state import POLICIES, Cause, ModelState, Policy, Refusals
from stream_app.core.retrain.training import TrainingOccasion, context, forget_refusals, order
from stream_app.core.retrain.transition import Transition


def check(transition: Transition, event: PolicyCheck) -> None:
    """Train by the first policy that is due and passes its safeguards; the others stay due."""
    rules, job = transition.rules, transition.state.job
    if job is not None and job.asked == "train" and job.cause.kind in POLICIES:
        return  # a person is asked for it already
    if transition.state.first_day is None:
        transition.change(first_day=min(event.labelled, default=day_of(event.close_ms)))
    for policy in POLICIES:
        why = _due(policy, transition.config.model, rules, transition.state, event)
        if why is None:
            forget_refusals(transition, policy, "it is not due any more")
        elif _asked(transition, event, policy, why):
            return


def _due(policy: Policy, model: str, rules: RetrainRules, state: ModelState, event: PolicyCheck) -> str | None:
    """Why a policy wants a training now; ``None``: it does not."""
    if policy not in rules.retrain_policies:
        return None
    start = max(state.last_train_ms or 0, state.declined_ms or 0)
    since = f"since {date_of(day_of(start))}" if start else "so far"
    if policy == "floor":
        return _below_floor(rules, state, event, start, since)
    if policy == "labels":
        rows = sum(n for day, n in event.labelled.items() if day > day_of(start))
        return f"{rows} labelled rows {since}" if 0 < rules.retrain_every_labels <= rows else None
    every = max(rules.retrain_every_days, rules.retrain_cooldown_days)
    if not start:
        known = state.first_day if state.first_day is not None else day_of(event.close_ms)
        start = (known - UUID(uuid5("schedule", model)).int % rules.retrain_every_days) * DAY_MS
    days = (event.close_ms - start) / DAY_MS
    return f"a training every {every:g} days, none {since}" if days >= every else None


def _below_floor(rules: RetrainRules, state: ModelState, event: PolicyCheck, start: int, since: str) -> str | None:
    """A metric whose upper bound over seven days lies below its floor, at so many daily checks of the active version in
    a row. Each candidate that was rejected doubles the wait after a train command."""
    rejected = state.floor_rejected
    wait = min(rules.retrain_floor_wait_days * 2 ** min(rejected, 16), rules.retrain_floor_wait_most_days)
    if start and event.close_ms - start < max(wait, rules.retrain_cooldown_days) * DAY_MS:
        return None
    checks = event.seen.heard[-rules.retrain_floor_checks :]
    if len(checks) < rules.retrain_floor_checks or any(check.version != state.active for check in checks):
        return None
    if any(later.close_ms - check.close_ms != DAY_MS for check, later in pairwise(checks)):
        return None
    for metric, floor in sorted(rules.validation_floors.items()):
        bounds = [bound for check in checks for bound in check.bounds if bound.metric == metric]
        if len(bounds) == len(checks) and all(bound.upper < floor for bound in bounds):
            last = bounds[-1]
            text = f"{metric} {last.value:.4f} over seven days, at most {last.upper:.4f}, below {floor:.2f} at "
            text += f"{len(checks)} checks in a row, no training {since}"
            return f"{text}; {rejected} rejected: a wait of {wait} days" if rejected else text
    return None


def _asked(transition: Transition, event: PolicyCheck, policy: Policy, why: str) -> bool:
    """Whether the policy takes the job, or a place in the queue."""
    answers = ask(context(transition, event.seen, TrainingOccasion(event.close_ms, policy), NOT_FOR_POLICIES))
    refusing, grounds = tuple(answer.name for answer in answers if not answer.passed), Grounds(answers)
    subject = f"{policy}/{event.close_ms}"
    reason = f"{policy}: {why}"
    cause = Cause(policy, (), reason, COORDINATOR, event.close_ms, None, event.seen.plan.from_ms // DAY_MS)
    if not refusing and event.free:
        forget_refusals(transition, policy, "all safeguards pass now")
        transition.audit("train", "ordered", subject, f"{reason}; all safeguards passed", grounds=grounds)
        order(transition, cause, event.seen)
        return True
    if refusing == ("approval",) and transition.state.state in ("idle", "failed"):
        forget_refusals(transition, policy, "it waits for a person now")
        transition.audit("train", "awaiting_approval", subject, reason, grounds=grounds)
        transition.begin("awaiting_approval", cause, asked="train")
        return True
    known = transition.state.refusals.get(policy)
    names = refusing or ("retrain_at_once",)
    if known is None or known.names != names:
        first = known.first_ms if known is not None else transition.now_ms
        found = Refusals(subject, 0, names, 1, first)
        transition.change(refusals={**transition.state.refusals, policy: found})
        if refusing:
            text = "; ".join(f"{answer.name}: {answer.reason}" for answer in answers if not answer.passed)
            transition.audit("train", "refused", subject, f"{reason}; {text}", grounds=grounds)
        else:
            text = f"{transition.rules.retrain_at_once} trainings of policies are on their way in this partition"
            transition.audit("train", "waiting", subject, f"{reason}; {text}", grounds=grounds)
            transition.effects.append(Wait(event.close_ms))
    return not refusing


def under_way(state: ModelState) -> bool:
    """Whether a policy's train command is on its way."""
    job = state.job
    return state.state in ("requested", "training") and job is not None and job.cause.kind in POLICIES
