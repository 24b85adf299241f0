"""What an alert about retraining says to people: what happened, what to do, and why it is over."""

from __future__ import annotations

from typing import Final

from schemas.common import rfc3339
from stream_app.core.alerts.state import APPROVAL, CIRCUIT, FAILED, ROLLED_BACK, Occasion, OpenAlert

#: Why it is over, in few words.
ENDED: Final = {
    APPROVAL: "the request was answered, or it lapsed",
    FAILED: "a later success ended it, or a person did",
    ROLLED_BACK: "the version that was put back is kept, or another one came",
    CIRCUIT: "a person closed the circuit",
}
_WHAT: Final = {"train": "a training", "activate": "an activation", "rollback": "a rollback"}


def summary(alert: OpenAlert, occasion: Occasion) -> str:
    """One sentence of facts."""
    because = f": {occasion.reason}" if occasion.reason else ""
    if alert.type == APPROVAL:
        what = f"activate {occasion.candidate}" if occasion.command == "activate" else f"retrain {occasion.version}"
        until = f", until {rfc3339(occasion.lapses_ms)[:16]}Z" if occasion.lapses_ms is not None else ""
        return f"a person is asked to {what}{until}{because}"
    if alert.type == FAILED:
        return f"{_WHAT.get(occasion.command, occasion.command)} of {alert.model} came to nothing{because}"
    if alert.type == ROLLED_BACK:
        return f"{occasion.candidate} was rolled back to {occasion.version}"
    return f"nothing is trained any more, because trainings failed or were rolled back in a row{because}"


def recommendation(alert: OpenAlert, occasion: Occasion) -> str:
    """The next step."""
    model = alert.model
    if alert.type == APPROVAL:
        return f"Look at what it is based on, then `plumbline approve {model}` or `plumbline reject {model}`."
    if alert.type == FAILED:
        return (
            f"Look at the log of whoever carries commands out. It is tried again when the back-off is over; "
            f"`plumbline dismiss {model}` ends what is shown."
        )
    if alert.type == ROLLED_BACK:
        return f"Find out what made {occasion.candidate} worse before another version goes out."
    return f"Repair the cause, then `plumbline reset-circuit {model}`."
