"""A repair that came to nothing: refused by the deployer, unanswered, or taken back. Then a training, if it may be.

Nothing of it counts for the circuit, nor does anything back off. The cooldown is not asked again: the repair was in
place of the training that it had let pass.

A deployer may still do what it was asked when the coordinator has long given it up. The version that serves then is the
repair's own, and is watched as such; the training that was commanded in its place is called back, because it is judged
beside a version that no longer serves. If that late repair is taken back, the cooldown counts from that training.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import replace

from stream_app.core.retrain.effects import Grounds
from stream_app.core.retrain.events import Result, Seen, TickEvent
from stream_app.core.retrain.safeguards import SAFEGUARDS, ask
from stream_app.core.retrain.sent_commands import overdue
from stream_app.core.retrain.state import Job
from stream_app.core.retrain.training import TrainingOccasion, context
from stream_app.core.retrain.transition import Transition
from stream_app.errors import present

#: What may have changed since the drift was found.
_ASKED_AGAIN: Final = ("samples", "coverage", "maturity", "circuit")
_NOT_AGAIN: Final = {name: "passed before the repair" for name in SAFEGUARDS if name not in _ASKED_AGAIN}


def failed(transition: Transition, event: Result) -> None:
    """The deployer gave up, or cannot repair at all."""
    text = "the deployer does not recalibrate" if event.status == "unsupported" else "no reason given"
    _given_up(transition, event.seen, event.error or text)


def deadlines(transition: Transition, event: TickEvent) -> None:
    """Not accepted in time: again, a few times, then no more. Accepted and not finished in time: no more."""
    overdue(transition, partial(_given_up, transition, event.seen))


def train_instead(transition: Transition, seen: Seen | None) -> bool:
    """Command the training that the repair was in place of, with a plan made now; whether it may be.

    Of the version that is active now, in the same episode and for the same cause."""
    job = transition.job()
    seen = present(seen, f"the data of {transition.config.model}, whose repair came to nothing")
    transition.change_job(repair=None, asked=None)
    cause = replace(job.cause, nominal_ms=transition.now_ms)
    check = cause.kind if cause.kind != "probation" else "manual"
    skipped = _NOT_AGAIN if not job.late else {name: why for name, why in _NOT_AGAIN.items() if name != "cooldown"}
    answers = ask(context(transition, seen, TrainingOccasion(transition.now_ms, check, cause.severity), skipped))
    grounds = Grounds(answers)
    subject, ids = present(job.sent, "the repair's command").id, cause.event_ids
    refusing = [answer for answer in answers if not answer.passed]
    if refusing:
        text = "; ".join(f"{answer.name}: {answer.reason}" for answer in refusing)
        transition.audit("train", "refused", subject, f"in place of the repair: {text}", ids=ids, grounds=grounds)
        return False
    text = "in place of the repair: all safeguards that are asked again passed"
    transition.audit("train", "ordered", subject, text, ids=ids, grounds=grounds)
    active = present(transition.state.active, f"the active version of {transition.config.model}")
    # a training may have gone out under the episode of a late repair, and ids are made of episodes
    episode = job.episode if not job.late else transition.state.episode + 1
    transition.change(
        job=Job(episode, cause, active, plan=seen.plan), episode=max(episode, transition.state.episode), watch=None,
        last_train_ms=transition.now_ms,
    )  # fmt: skip
    transition.send("requested", "train")
    return True


def _given_up(transition: Transition, seen: Seen | None, reason: str, counts: bool = False) -> None:
    """``counts`` or not, nothing of a repair does."""
    job, sent = transition.job(), transition.sent()
    transition.audit("recalibrate", "failed", f"{sent.id}/{sent.attempt}", reason, ids=(sent.id, *job.cause.event_ids))
    transition.change(given_up=job)
    if not train_instead(transition, seen):
        transition.rest()
