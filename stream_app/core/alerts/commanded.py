"""What an operator's command means for alerts."""

from __future__ import annotations

from stream_app.core.alerts import facts
from stream_app.core.alerts.facts import Fact
from stream_app.core.model_log import CommandEntry


def fact(found: CommandEntry) -> Fact | None:
    """The fact; one that cannot be read means nothing, and the coordinator says so."""
    if found.unreadable is not None:
        return None
    if found.values is not None:
        return facts.Changed(found.model, found.values)
    if found.command == "rebaseline":
        return facts.Accepted(found.model, found.actor, found.id, found.reason)
    if found.command in ("acknowledge", "unacknowledge"):
        back = found.command == "unacknowledge"
        return facts.Acknowledged(
            found.model, found.actor, found.id, found.reason, alert_id=found.subject, unusable=found.unusable, back=back
        )
    if found.command in ("mute", "unmute"):
        return _muted(found)
    if found.command in ("verdict", "note"):
        return facts.Remarked(
            found.model,
            found.actor,
            found.id,
            found.reason,
            alert_id=found.subject,
            command=found.command,
            verdict=found.verdict,
            note=found.note,
            unusable=found.unusable,
        )
    return None


def _muted(found: CommandEntry) -> facts.Muted:
    terms = found.mute
    return facts.Muted(
        found.model,
        terms.model_type if terms is not None else None,
        terms.kinds if terms is not None else (),
        terms.from_ms if terms is not None else None,
        terms.until_ms if terms is not None else 0,
        found.actor,
        found.id,
        found.reason,
        command=found.command,
        unusable=found.unusable,
    )
