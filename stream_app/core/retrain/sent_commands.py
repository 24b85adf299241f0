"""Commands on their way: what is accepted, what is late, what came to nothing. Results count by id and attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from schemas.common import rfc3339
from schemas.training import ROWS_EXPIRED
from stream_app.core.retrain.events import ManualCommand, Result, TickEvent
from stream_app.core.retrain.transition import Transition

#: a deployer's last words
DEPLOYED: Final = ("activated", "rolled_back")


def ours(transition: Transition, event: Result) -> bool:
    """Whether a result answers the command on its way; refuses it by name if not."""
    sent = transition.sent()
    if event.command_id != sent.id and event.status in DEPLOYED:
        reported(transition, event)
    elif event.command_id != sent.id:
        transition.refuse(f"result_{event.status}", "unknown_command", event.key or "", f"{sent.id} is on its way")
    elif event.attempt != sent.attempt:
        text = f"attempt {sent.attempt} is on its way, not {event.attempt}"
        transition.refuse(f"result_{event.status}", "other_attempt", event.key or "", text)
    else:
        return True
    return False


def reported(transition: Transition, event: Result) -> None:
    """A deployer says what is active, and no command waits for that. Metrics believes it: where the active version
    changes, that change is the record. What changes nothing is said once for each version, as often as it may be
    repeated."""
    version = event.candidate
    if version is not None and version != transition.state.active:
        return
    if transition.note(f"reported/{version}/{transition.state.active_since_ms}"):
        text = f"{version} is active already" if version is not None else "it names no version"
        transition.refuse(
            f"result_{event.status}", "not_ordered", event.key or "", f"no command here waits for it; {text}"
        )


def accepted(transition: Transition, event: Result) -> None:
    """Somebody took the command: it is not sent again, and only ``finish_by`` counts from now on."""
    transition.change_job(sent=replace(transition.sent(), accepted=True))
    if transition.state.state == "requested":
        transition.change(state="training")


def order_failed(transition: Transition, event: Result) -> None:
    """The trainer or the deployer gave up, or refused."""
    text = "no reason given" if event.status == "failed" else f"it does not {transition.sent().command}"
    error = event.error or text
    transition.fail(error, counts=not error.startswith(ROWS_EXPIRED))


def deadlines(transition: Transition, event: TickEvent) -> None:
    """Not accepted in time: again, a few times. Accepted and not finished in time: cancelled, failed."""
    overdue(transition, transition.fail)


def overdue(transition: Transition, give_up: Callable[[str, bool], None]) -> None:
    """What the deadlines of the command on its way say at this tick; ``give_up`` hears why it came to nothing, and
    whether that counts for the circuit."""
    sent = transition.sent()
    if not sent.accepted:
        if transition.now_ms < sent.accept_by_ms:
            return
        if sent.attempt < transition.rules.command_attempts:
            transition.resend()
            text = f"not accepted by {rfc3339(sent.accept_by_ms)}: attempt {sent.attempt + 1}"
            transition.audit(sent.command, "sent_again", f"{sent.id}/{sent.attempt + 1}", text, ids=(sent.id,))
        else:
            give_up(f"not accepted in {sent.attempt} attempts", False)
    elif transition.now_ms >= sent.finish_by_ms:
        transition.cancel()
        give_up(f"accepted, and not finished by {rfc3339(sent.finish_by_ms)}", True)


def dismiss(transition: Transition, event: ManualCommand) -> None:
    """A person has seen the failure, and it is over. The back-off and the count of failures stay as they are."""
    failure = transition.state.failure
    if failure is None:
        transition.refuse("dismiss", "nothing_failed", event.id, "no failure stands", actor=event.actor)
        return
    text = f"{failure.command} of {rfc3339(failure.at_ms)}, {failure.reason}: {event.reason}"
    transition.audit("dismiss", "dismissed", event.id, text, actor=event.actor, ids=(event.id, failure.id))
    if transition.state.state == "failed":
        transition.rest(failure=None)
    else:
        transition.change(failure=None)
