"""An alert's life: opened, refreshed, raised, remembered, escalated, resolved. Pure; time is an argument.

========================  ==============================================================================================
fact                      what it does to an open alert
========================  ==============================================================================================
drift, not more severe    refreshes it, silently; breaks its kind's closes in a row
drift, more severe        raises it (``severity``); the time to its escalation begins again
no drift                  counts for its kind; the last one needed resolves it (``no_drift``)
no evidence               counts towards ``no_evidence`` only, and not if what is missing is a healthy baseline
recomputed event          replaces its predecessor, and is no close: below HIGH, it retracts an alert that stood on that
                          predecessor alone (``labels_revised``); with drift, it does what drift does
acknowledged              ends reminders and escalation, silently; it stays so when severity rises
replaced                  another version came after it opened: it says so, silently, if it is about drift
accepted, kept            resolve it, if it is about drift (missing outcomes concern no version and no baseline)
forgotten                 resolves it, whatever it is about (``no_predictions``)
tick                      escalates once, then reminds; both count tick times
========================  ==============================================================================================

With no alert open, only drift at HIGH or above does anything: it opens one, unless the last one was opened by a nominal
close less than ``alert_gap_h`` before. The severity of an alert is the highest there was; it never falls.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from schemas.common import rfc3339, uuid5
from schemas.drift import RANK
from stream_app.core.alerts.facts import (
    Accepted,
    Acknowledged,
    EventPublished,
    ModelForgotten,
    TimePassed,
    VersionKept,
    VersionReplaced,
)
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.alerts.state import DRIFT, EVENTS, INCOMPLETE, REVISABLE, Book, Decision, OpenAlert, Streak
from stream_app.core.comparisons.finding import Finding

Notify = Literal["opened", "severity", "reminder", "escalated", "resolved"]
Resolution = Literal["no_drift", "no_evidence", "labels_revised", "version_replaced", "accepted", "no_predictions"]
Step = EventPublished | Acknowledged | Accepted | VersionReplaced | VersionKept | ModelForgotten | TimePassed

UNANSWERED: Final = Decision(False, [("coordinator", False, "coordinator not running")])
NEVER_OFFERED: Final = Decision(False, [("kind", False, "quality events are never offered for retraining")])


class AlertChange(NamedTuple):
    """A revision: the alert as it stands after it, why it is news, and all that was known at the time."""

    alert: OpenAlert
    notify: Notify | None
    resolution: Resolution | None
    book: Book


def types_of(finding: Finding) -> tuple[str, ...]:
    """Whose books an event is written into; the quality checks are shown in alerts about drift."""
    return (DRIFT, INCOMPLETE) if finding.check == "completeness" else (DRIFT,)


def step(rules: AlertRules, book: Book, fact: Step, now_ms: int) -> tuple[Book, list[AlertChange]]:
    """The book after a fact that became known at the tick ``now_ms``, and the revisions it causes."""
    if isinstance(fact, EventPublished):
        return _event(rules, book, fact, now_ms)
    alert = book.alert
    if alert is None:
        return book, []
    if isinstance(fact, TimePassed):
        return _timers(rules, book, alert, now_ms)
    if isinstance(fact, Acknowledged):
        if fact.alert_id not in (None, alert.id) or fact.actor == alert.acknowledged_by:
            return book, []
        return _revised(book, replace(alert, acknowledged_by=fact.actor))
    if isinstance(fact, ModelForgotten):
        return _resolved(book, alert, "no_predictions")
    if book.type != DRIFT:
        return book, []
    if isinstance(fact, Accepted):
        return _resolved(book, replace(alert, accepted_by=fact.actor), "accepted")
    if isinstance(fact, VersionReplaced):
        if fact.by.since_ms <= alert.opened_ms or fact.by == alert.replaced_by:
            return book, []
        return _revised(book, replace(alert, replaced_by=fact.by))
    if fact.since_ms > alert.opened_ms:
        return _resolved(book, alert, "version_replaced")
    return book, []


def next_due_ms(rules: AlertRules, alert: OpenAlert) -> int | None:
    """Earliest tick at which a timer of an alert can fall due; ``None`` once it is acknowledged."""
    if alert.acknowledged_by is not None:
        return None
    reminder = alert.opened_ms + (alert.reminders + 1) * rules.reminder_ms
    if alert.escalation_level:
        return reminder
    return min(reminder, alert.risen_ms + rules.escalate_ms(alert.severity))


# -- events --------------------------------------------------------------------------------------------------------


def _event(rules: AlertRules, book: Book, event: EventPublished, now_ms: int) -> tuple[Book, list[AlertChange]]:
    finding = event.finding
    if book.type == DRIFT and finding.kind == "quality":
        quality = {check: known for check, known in book.quality.items() if check != finding.slot}
        if finding.drift:
            quality[finding.slot] = finding
        return replace(book, quality=quality), []
    known = book.latest.get(finding.slot)
    if known is not None and _repeated(finding, known):
        return book, []
    book = replace(book, latest={**book.latest, finding.slot: finding})
    if book.alert is not None:
        return _while_open(rules, book, book.alert, event, now_ms)
    if not finding.severe or not _far_enough(rules, book.last_close_ms, finding.close_ms):
        return book, []
    alert = OpenAlert(
        id=uuid5("alert", book.type, finding.line, rfc3339(finding.close_ms)),
        type=book.type,
        line=finding.line,
        close_ms=finding.close_ms,
        opened_ms=now_ms,
        first_day=finding.day,
        risen_ms=now_ms,
        severity=finding.severity or "HIGH",
        version=finding.version,
        event_ids=[finding.id],
        decision=_decision(event),
        streaks={_kind(finding): Streak()},
        severe=1,
        severe_ids=[finding.id],
        found={finding.slot: finding},
    )
    book = replace(book, last_close_ms=finding.close_ms, alert=alert)
    return book, [AlertChange(alert, "opened", None, book)]


def _repeated(finding: Finding, known: Finding) -> bool:
    """The log carries every event once; a second one of the same close would count as a second close."""
    return finding.id == known.id or (finding.revises is None and finding.close_ms <= known.close_ms)


def _far_enough(rules: AlertRules, last_close_ms: int | None, close_ms: int) -> bool:
    # Strictly later whatever the gap: an alert's id is made of its close.
    return last_close_ms is None or (close_ms > last_close_ms and close_ms - last_close_ms >= rules.gap_ms)


def _decision(event: EventPublished) -> Decision:
    if event.decision is not None:
        return event.decision
    return NEVER_OFFERED if event.finding.kind == "quality" else UNANSWERED


def _kind(finding: Finding) -> str:
    """What counts closes: a hand-over is performance drift, and is over when the performance closes say so."""
    return finding.slot if finding.kind == "quality" else finding.kind


def _while_open(
    rules: AlertRules, book: Book, alert: OpenAlert, event: EventPublished, now_ms: int
) -> tuple[Book, list[AlertChange]]:
    finding = event.finding
    if finding.revises is not None and finding.revises in alert.severe_ids:
        left = [id for id in alert.severe_ids if id != finding.revises]
        alert = replace(alert, severe=alert.severe - 1, severe_ids=left)
        if not finding.severe and alert.severe == 0:
            return _resolved(book, alert, "labels_revised")
        book = replace(book, alert=alert)
    if finding.drift:
        return _more_drift(book, alert, event, now_ms)
    streak = alert.streaks.get(_kind(finding))
    if finding.revises is not None or finding.check == "handover" or streak is None:
        return book, []
    if finding.verdict == "no_drift":
        streak = Streak(streak.no_drift + 1, streak.without_drift + 1)
    else:
        counted = finding.reason != "no_healthy_baseline"
        streak = Streak(0, streak.without_drift + counted)
    alert = replace(alert, streaks={**alert.streaks, _kind(finding): streak})
    if all(s.no_drift >= rules.alert_resolve_closes for s in alert.streaks.values()):
        return _resolved(book, alert, "no_drift")
    if all(s.without_drift >= rules.alert_no_evidence_closes for s in alert.streaks.values()):
        return _resolved(book, alert, "no_evidence")
    return replace(book, alert=alert), []


def _more_drift(book: Book, alert: OpenAlert, event: EventPublished, now_ms: int) -> tuple[Book, list[AlertChange]]:
    finding = event.finding
    ids = [id for id in alert.event_ids if id != finding.id] + [finding.id]
    kind = _kind(finding)
    alert = replace(
        alert,
        version=finding.version,
        event_ids=ids[-EVENTS:],
        events=alert.events + (finding.id not in alert.event_ids),
        found={**alert.found, finding.slot: finding},
    )
    if finding.severe or kind in alert.streaks:
        alert = replace(alert, streaks={**alert.streaks, kind: Streak()})
    if finding.severe:  # what the coordinator says to a MEDIUM event is that it is MEDIUM
        alert = replace(
            alert,
            decision=_decision(event),
            severe=alert.severe + 1,
            severe_ids=[*alert.severe_ids, finding.id][-REVISABLE:],
        )
    if RANK[finding.severity] <= RANK[alert.severity]:
        return _revised(book, alert)
    return _revised(book, replace(alert, severity=finding.severity or "HIGH", risen_ms=now_ms), "severity")


# -- time and revisions --------------------------------------------------------------------------------------------


def _timers(rules: AlertRules, book: Book, alert: OpenAlert, now_ms: int) -> tuple[Book, list[AlertChange]]:
    changes: list[AlertChange] = []
    if alert.acknowledged_by is not None:
        return book, changes
    if not alert.escalation_level and now_ms - alert.risen_ms >= rules.escalate_ms(alert.severity):
        alert = replace(alert, escalation_level=1)
        book, escalated = _revised(book, alert, "escalated")
        changes += escalated
        alert = escalated[0].alert
    due = (now_ms - alert.opened_ms) // rules.reminder_ms
    if due > alert.reminders:  # a tick that passes several reminds once
        book, reminded = _revised(book, replace(alert, reminders=due), "reminder")
        changes += reminded
    return book, changes


def _revised(book: Book, alert: OpenAlert, notify: Notify | None = None) -> tuple[Book, list[AlertChange]]:
    alert = replace(alert, revision=alert.revision + 1)
    book = replace(book, alert=alert)
    return book, [AlertChange(alert, notify, None, book)]


def _resolved(book: Book, alert: OpenAlert, resolution: Resolution) -> tuple[Book, list[AlertChange]]:
    alert = replace(alert, revision=alert.revision + 1)
    book = replace(book, alert=None)
    return book, [AlertChange(alert, "resolved", resolution, book)]
