"""What a mute does to an alert: it is recorded as ever, and nobody is told until the mute is over. Pure.

While a mute holds, revisions carry no ``notify`` and say ``muted_until``; reminders and escalation wait. When it ends
and the alert is still open, that is a ``reminder``. An alert that people were told of and that is resolved meanwhile is
*owed*: its end is news as soon as nothing mutes it any more (:mod:`stream_app.core.alerts.closed`).

An alert about several kinds of drift is muted while every one of them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from stream_app.core.alerts import lifecycle
from stream_app.core.alerts.facts import TimePassed
from stream_app.core.alerts.lifecycle import AlertChange, Step
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.alerts.state import DRIFT, INCOMPLETE, AlertHistory, Mute, OpenAlert

#: Kind of a mute that is about missing outcomes.
OUTCOMES: Final = "outcomes"


def kinds_of(alert: OpenAlert) -> set[str]:
    """What has to be muted for an alert to be."""
    if alert.type == DRIFT:
        return set(alert.streaks)
    return {OUTCOMES} if alert.type == INCOMPLETE else {alert.type}


def muted_until(mutes: Sequence[Mute], alert: OpenAlert, now_ms: int) -> int | None:
    """The tick from which on somebody may be told of an alert again; ``None``: now."""
    ends = [_muted_until(mutes, kind, now_ms) for kind in sorted(kinds_of(alert))]
    known = [end for end in ends if end is not None]
    return min(known) if known and len(known) == len(ends) else None


def _muted_until(mutes: Sequence[Mute], kind: str, now_ms: int) -> int | None:
    """The same of one kind; mutes that follow each other are one."""
    until = None
    at_ms = now_ms
    while ends := [m.until_ms for m in mutes if m.from_ms <= at_ms < m.until_ms and (not m.kinds or kind in m.kinds)]:
        at_ms = until = max(ends)
    return until


def step(
    rules: AlertRules, history: AlertHistory, fact: Step, now_ms: int, mutes: Sequence[Mute]
) -> tuple[AlertHistory, list[AlertChange]]:
    """As :func:`stream_app.core.alerts.lifecycle.step`, under the mutes of the model and of its type."""
    first: list[AlertChange] = []
    if isinstance(fact, TimePassed) and history.alert is not None:
        history, first, muted = _begins_or_ends(rules, history, history.alert, now_ms, mutes)
        if muted:
            return history, first
    after, news = lifecycle.step(rules, history, fact, now_ms)
    if news:
        after, news = _silenced(rules, history, after, news, now_ms, mutes)
    return after, first + news


def next_due_ms(rules: AlertRules, alert: OpenAlert, now_ms: int, mutes: Sequence[Mute]) -> int | None:
    """Earliest tick at which a timer of an alert, or a mute, can do something; ``None``: none ever."""
    if alert.muted_until_ms is not None:
        return alert.muted_until_ms
    own = lifecycle.next_due_ms(rules, alert)
    found = [mute.from_ms for mute in mutes if mute.from_ms > now_ms] + ([own] if own is not None else [])
    return min(found, default=None)


def _begins_or_ends(
    rules: AlertRules, history: AlertHistory, alert: OpenAlert, now_ms: int, mutes: Sequence[Mute]
) -> tuple[AlertHistory, list[AlertChange], bool]:
    until = muted_until(mutes, alert, now_ms)
    if until == alert.muted_until_ms:
        return history, [], until is not None
    ended = until is None
    alert = replace(
        alert,
        revision=alert.revision + 1,
        muted_until_ms=until,
        delivered=alert.delivered or ended,
        reminders=_reminders(rules, alert, now_ms) if ended else alert.reminders,
    )
    history = replace(history, alert=alert)
    return history, [AlertChange(alert, "reminder" if ended else None, None, history)], not ended


def _reminders(rules: AlertRules, alert: OpenAlert, now_ms: int) -> int:
    """Reminders there are when a mute is over: what fell due meanwhile is said by that one."""
    return max(alert.reminders, (now_ms - alert.opened_ms) // rules.reminder_ms)


def _silenced(
    rules: AlertRules,
    before: AlertHistory,
    after: AlertHistory,
    news: list[AlertChange],
    now_ms: int,
    mutes: Sequence[Mute],
) -> tuple[AlertHistory, list[AlertChange]]:
    """The same revisions, without what would be news; of an alert that is muted no more the next one is."""
    was_muted = before.alert is not None and before.alert.muted_until_ms is not None
    delivered = before.alert is not None and before.alert.delivered
    found = []
    for change in news:
        alert, notify = change.alert, change.notify
        until = muted_until(mutes, alert, now_ms)
        if until is not None:
            notify = None
        elif notify is None and was_muted:
            notify = "reminder"
        if until is None and was_muted:
            alert = replace(alert, reminders=_reminders(rules, alert, now_ms))
        was_muted, delivered = until is not None, delivered or notify is not None
        alert = replace(alert, muted_until_ms=until, delivered=delivered)
        known = replace(change.history, alert=alert) if change.history.alert is not None else change.history
        found.append(AlertChange(alert, notify, change.resolution, known))
    if after.alert is not None:
        last = found[-1].alert
        kept = replace(after.alert, muted_until_ms=last.muted_until_ms, delivered=delivered, reminders=last.reminders)
        after = replace(after, alert=kept)
    return after, found
