"""Orders on their way: what is accepted, what is late, what came to nothing. Results count by id and attempt."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from schemas.common import rfc3339
from stream_app.core.retrain.events import OrderByHand, Result, TickEvent
from stream_app.core.retrain.turn import Turn

#: a deployer's last words
DEPLOYED: Final = ("activated", "rolled_back")


def ours(turn: Turn, event: Result) -> bool:
    """Whether a result answers the order on its way; refuses it by name if not."""
    order = turn.order()
    if event.command_id != order.id and event.status in DEPLOYED:
        reported(turn, event)
    elif event.command_id != order.id:
        turn.refuse(f"result_{event.status}", "unknown_command", event.key or "", f"{order.id} is on its way")
    elif event.attempt != order.attempt:
        text = f"attempt {order.attempt} is on its way, not {event.attempt}"
        turn.refuse(f"result_{event.status}", "other_attempt", event.key or "", text)
    else:
        return True
    return False


def reported(turn: Turn, event: Result) -> None:
    """A deployer says what serves, and no order waits for that. Metrics believes it: where the active version changes,
    that change is the record. What changes nothing is said once for each version, as often as it may be repeated."""
    version = event.candidate
    if version is not None and version != turn.state.active:
        return
    if turn.note(f"reported/{version}/{turn.state.active_since_ms}"):
        text = f"{version} serves already" if version is not None else "it names no version"
        turn.refuse(f"result_{event.status}", "not_ordered", event.key or "", f"no order here waits for it; {text}")


def accepted(turn: Turn, event: Result) -> None:
    """Somebody took the order: it is not sent again, and only ``finish_by`` counts from now on."""
    turn.change_job(order=replace(turn.order(), accepted=True))
    if turn.state.state == "requested":
        turn.change(state="training")


def order_failed(turn: Turn, event: Result) -> None:
    """The trainer or the deployer gave up, or refused."""
    turn.fail(event.error or "no reason given")


def deadlines(turn: Turn, event: TickEvent) -> None:
    """Not accepted in time: again, a few times. Accepted and not finished in time: cancelled, failed."""
    order = turn.order()
    if not order.accepted:
        if turn.now_ms < order.accept_by_ms:
            return
        if order.attempt < turn.rules.command_attempts:
            turn.resend()
            text = f"not accepted by {rfc3339(order.accept_by_ms)}: attempt {order.attempt + 1}"
            turn.audit(order.command, "sent_again", f"{order.id}/{order.attempt + 1}", text, ids=(order.id,))
        else:
            turn.fail(f"not accepted in {order.attempt} attempts")
    elif turn.now_ms >= order.finish_by_ms:
        turn.cancel()
        turn.fail(f"accepted, and not finished by {rfc3339(order.finish_by_ms)}")


def dismiss(turn: Turn, event: OrderByHand) -> None:
    """A person has seen the failure, and it is over. The back-off and the count of failures stay as they are."""
    failure = turn.state.failure
    if failure is None:
        turn.refuse("dismiss", "nothing_failed", event.id, "no failure stands", actor=event.actor)
        return
    text = f"{failure.command} of {rfc3339(failure.at_ms)}, {failure.reason}: {event.reason}"
    turn.audit("dismiss", "dismissed", event.id, text, actor=event.actor, ids=(event.id, failure.id))
    if turn.state.state == "failed":
        turn.rest(failure=None)
    else:
        turn.change(failure=None)
