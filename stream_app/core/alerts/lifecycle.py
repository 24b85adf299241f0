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
acquitted                 outcomes have cleared the score shift: resolves an alert about scores alone (``no_loss``); in
                          any other, the statistical check counts as a close without drift
acknowledged              ends reminders and escalation, silently; it stays so when severity rises
taken back                lets them begin again from now on
remarked                  a verdict or a note stands on it from then on, silently, also when it is over
replaced                  another version came after it opened: it says so, silently, if it is about drift
accepted, kept            resolve it, if it is about drift (missing outcomes concern no version and no baseline)
hourly alarm              does what drift does; at HIGH or above, closes count from then on only if they have seen its
                          day, and as long as its episode lasts none resolves the alert
episode ended, acquitted  closes may resolve it again, those that counted meanwhile too
forgotten                 resolves it, whatever it is about (``no_predictions``)
tick                      escalates once, then reminds; both count tick times
========================  ==============================================================================================

Hourly alarms do nothing while ``hourly_alerts`` is not ``on``.

With no alert open, only drift at HIGH or above does anything: it opens one, unless the last one was opened by a nominal
close less than ``alert_gap_h`` before. The severity of an alert is the highest there was; it never falls.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from schemas.alerts import Resolution
from schemas.common import rfc3339, uuid5
from schemas.drift import RANK, DriftKind, Verdict
from stream_app.core.alerts.facts import (
    Accepted,
    Acknowledged,
    EpisodeEnded,
    EventPublished,
    ModelForgotten,
    Remarked,
    TimePassed,
    VersionKept,
    VersionReplaced,
)
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.alerts.state import (
    DRIFT,
    EVENTS,
    INCOMPLETE,
    NOTES,
    REVISABLE,
    AlertHistory,
    Decision,
    GivenVerdict,
    Note,
    OpenAlert,
    Streak,
)
from stream_app.core.comparisons.finding import HOURLY, Finding
from stream_app.core.kit.days import date_of

Notify = Literal["opened", "severity", "reminder", "escalated", "resolved"]
Step = (
    EventPublished
    | Acknowledged
    | Remarked
    | Accepted
    | VersionReplaced
    | VersionKept
    | EpisodeEnded
    | ModelForgotten
    | TimePassed
)

UNANSWERED: Final = Decision(False, [("coordinator", False, "coordinator not running")])
NEVER_OFFERED: Final = Decision(False, [("kind", False, "quality events are never offered for retraining")])


class AlertChange(NamedTuple):
    """A revision: the alert as it stands after it, why it is news, and all that was known at the time."""

    alert: OpenAlert
    notify: Notify | None
    resolution: Resolution | None
    history: AlertHistory


def types_of(finding: Finding) -> tuple[str, ...]:
    """Whose histories an event is written into; the quality checks are shown in alerts about drift."""
    return (DRIFT, INCOMPLETE) if finding.check == "completeness" else (DRIFT,)


def step(rules: AlertRules, history: AlertHistory, fact: Step, now_ms: int) -> tuple[AlertHistory, list[AlertChange]]:
    """The history after a fact that became known at the tick ``now_ms``, and the revisions it causes."""
    if isinstance(fact, EventPublished):
        return _event(rules, history, fact, now_ms)
    alert = history.alert
    if alert is None:
        return history, []
    if isinstance(fact, TimePassed):
        return _timers(rules, history, alert, now_ms)
    if isinstance(fact, Acknowledged):
        if fact.alert_id not in (None, alert.id):
            return history, []
        if fact.back:
            return _given_back(rules, history, alert, now_ms)
        if fact.actor == alert.acknowledged_by:
            return history, []
        return _revised(history, replace(alert, acknowledged_by=fact.actor))
    if isinstance(fact, Remarked):
        alert = remarked(alert, fact, now_ms)
        history = replace(history, alert=alert)
        return history, [AlertChange(alert, None, None, history)]
    if isinstance(fact, ModelForgotten):
        return _resolved(history, alert, "no_predictions")
    if history.type != DRIFT:
        return history, []
    if isinstance(fact, EpisodeEnded):
        if fact.kind not in alert.episodes:
            return history, []
        return _settled(rules, history, replace(alert, episodes=[kind for kind in alert.episodes if kind != fact.kind]))
    if isinstance(fact, Accepted):
        return _resolved(history, replace(alert, accepted_by=fact.actor), "accepted")
    if isinstance(fact, VersionReplaced):
        if fact.by.since_ms <= alert.opened_ms or fact.by == alert.replaced_by:
            return history, []
        return _revised(history, replace(alert, replaced_by=fact.by))
    if fact.since_ms > alert.opened_ms:
        return _resolved(history, alert, "version_replaced")
    return history, []


def remarked(alert: OpenAlert, fact: Remarked, now_ms: int) -> OpenAlert:
    """The alert with what somebody found it to be, or wrote on it; a later verdict takes the place of one before."""
    alert = replace(alert, revision=alert.revision + 1)
    if fact.verdict is not None:
        return replace(alert, judgement=GivenVerdict(fact.verdict, fact.actor, now_ms, fact.note))
    return replace(alert, notes=(*alert.notes, Note(fact.actor, now_ms, fact.note or ""))[-NOTES:])


def _given_back(
    rules: AlertRules, history: AlertHistory, alert: OpenAlert, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    """Nobody has it any more: the time to its escalation begins again, and reminders go on from now."""
    if alert.acknowledged_by is None:
        return history, []
    reminders = max(alert.reminders, (now_ms - alert.opened_ms) // rules.reminder_ms)
    return _revised(history, replace(alert, acknowledged_by=None, risen_ms=now_ms, reminders=reminders))


def next_due_ms(rules: AlertRules, alert: OpenAlert) -> int | None:
    """Earliest tick at which a timer of an alert can fall due; ``None``: it is acknowledged, or has no timers."""
    if alert.acknowledged_by is not None or alert.occasion is not None:
        return None
    reminder = alert.opened_ms + (alert.reminders + 1) * rules.reminder_ms
    if alert.escalation_level:
        return reminder
    return min(reminder, alert.risen_ms + rules.escalate_ms(alert.severity))


# -- events --------------------------------------------------------------------------------------------------------


def _event(
    rules: AlertRules, history: AlertHistory, event: EventPublished, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    finding = event.finding
    if finding.check == HOURLY and rules.hourly_alerts != "on":
        return history, []
    if history.type == DRIFT and finding.kind == "quality":
        quality = {check: known for check, known in history.quality.items() if check != finding.slot}
        if finding.drift:
            quality[finding.slot] = finding
        return replace(history, quality=quality), []
    known = history.latest.get(finding.slot)
    if known is not None and _repeated(finding, known):
        return history, []
    history = replace(history, latest={**history.latest, finding.slot: finding})
    if history.alert is not None:
        return _while_open(rules, history, history.alert, event, now_ms)
    if not finding.severe or not _far_enough(rules, history.last_close_ms, finding.close_ms):
        return history, []
    alert = OpenAlert(
        id=uuid5("alert", history.type, finding.model, rfc3339(finding.close_ms)),
        type=history.type,
        model=finding.model,
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
        raised_by=(_check(finding),),
    )
    alert = _alarmed(alert, finding)
    history = replace(history, last_close_ms=finding.close_ms, alert=alert)
    return history, [AlertChange(alert, "opened", None, history)]


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


def _check(finding: Finding) -> str:
    """The rule that found it."""
    return finding.check or finding.kind


def _while_open(
    rules: AlertRules, history: AlertHistory, alert: OpenAlert, event: EventPublished, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    finding = event.finding
    if finding.revises is not None and finding.revises in alert.severe_ids:
        left = [id for id in alert.severe_ids if id != finding.revises]
        alert = replace(alert, severe=alert.severe - 1, severe_ids=left)
        if not finding.severe and alert.severe == 0:
            return _resolved(history, alert, "labels_revised")
        history = replace(history, alert=alert)
    if finding.acquitted and set(alert.streaks) == {DriftKind.STATISTICAL}:
        return _resolved(history, alert, "no_loss")
    cleared = finding.acquitted and finding.kind == DriftKind.STATISTICAL
    if finding.drift and not cleared:
        return _more_drift(history, alert, event, now_ms)
    streak = alert.streaks.get(_kind(finding))
    if finding.revises is not None or finding.check == "handover" or streak is None:
        return history, []
    if alert.alarmed and not _has_seen(finding, max(alert.alarmed.values())):
        return history, []
    if cleared or finding.verdict == "no_drift":
        streak = Streak(streak.no_drift + 1, streak.without_drift + 1)
    else:
        counted = finding.reason != "no_healthy_baseline"
        streak = Streak(0, streak.without_drift + counted)
    return _settled(rules, history, replace(alert, streaks={**alert.streaks, _kind(finding): streak}))


def _settled(rules: AlertRules, history: AlertHistory, alert: OpenAlert) -> tuple[AlertHistory, list[AlertChange]]:
    """Over, if enough closes in a row say so and no hourly episode lasts."""
    if alert.episodes:
        return replace(history, alert=alert), []
    if all(s.no_drift >= rules.alert_resolve_closes for s in alert.streaks.values()):
        return _resolved(history, alert, "no_drift")
    if all(s.without_drift >= rules.alert_no_evidence_closes for s in alert.streaks.values()):
        return _resolved(history, alert, "no_evidence")
    return replace(history, alert=alert), []


def _has_seen(finding: Finding, day: int) -> bool:
    """Whether a close speaks of the day (since 1970) of an hourly alarm or of a later one.

    One without drift must have judged its newest day: seven days may be judged without the one that matters.
    """
    if finding.day < day or finding.kind != DriftKind.PERFORMANCE or finding.verdict != Verdict.NO_DRIFT:
        return finding.day >= day
    newest = date_of(finding.day)
    return any(w.from_[:10] == newest and w.recent is not None for w in finding.windows)


def _alarmed(alert: OpenAlert, finding: Finding) -> OpenAlert:
    """The alert, held open by an hourly alarm at HIGH or above if the finding is one."""
    if finding.check != HOURLY or not finding.severe:
        return alert
    kind = _kind(finding)
    episodes = sorted({*alert.episodes, kind})
    return replace(alert, alarmed={**alert.alarmed, kind: finding.day}, episodes=episodes)


def _more_drift(
    history: AlertHistory, alert: OpenAlert, event: EventPublished, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
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
    alert = _alarmed(alert, finding)
    if finding.severe or kind in alert.streaks:
        alert = replace(alert, streaks={**alert.streaks, kind: Streak()})
    if finding.severe:  # what the coordinator says to a MEDIUM event is that it is MEDIUM
        alert = replace(
            alert,
            decision=_decision(event),
            severe=alert.severe + 1,
            severe_ids=[*alert.severe_ids, finding.id][-REVISABLE:],
            raised_by=tuple(dict.fromkeys((*alert.raised_by, _check(finding)))),
        )
    if RANK[finding.severity] <= RANK[alert.severity]:
        return _revised(history, alert)
    return _revised(history, replace(alert, severity=finding.severity or "HIGH", risen_ms=now_ms), "severity")


# -- time and revisions --------------------------------------------------------------------------------------------


def _timers(
    rules: AlertRules, history: AlertHistory, alert: OpenAlert, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    changes: list[AlertChange] = []
    if alert.acknowledged_by is not None or alert.occasion is not None:
        return history, changes
    if not alert.escalation_level and now_ms - alert.risen_ms >= rules.escalate_ms(alert.severity):
        alert = replace(alert, escalation_level=1)
        history, escalated = _revised(history, alert, "escalated")
        changes += escalated
        alert = escalated[0].alert
    due = (now_ms - alert.opened_ms) // rules.reminder_ms
    if due > alert.reminders:  # a tick that passes several reminds once
        history, reminded = _revised(history, replace(alert, reminders=due), "reminder")
        changes += reminded
    return history, changes


def _revised(
    history: AlertHistory, alert: OpenAlert, notify: Notify | None = None
) -> tuple[AlertHistory, list[AlertChange]]:
    alert = replace(alert, revision=alert.revision + 1)
    history = replace(history, alert=alert)
    return history, [AlertChange(alert, notify, None, history)]


def _resolved(
    history: AlertHistory, alert: OpenAlert, resolution: Resolution
) -> tuple[AlertHistory, list[AlertChange]]:
    alert = replace(alert, revision=alert.revision + 1)
    history = replace(history, alert=None)
    return history, [AlertChange(alert, "resolved", resolution, history)]
