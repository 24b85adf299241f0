"""An alert's life: opened, refreshed, raised, remembered, escalated, resolved. Pure; time is an argument.

Every change is a new revision of the record. ``notify`` says why it is news; without it nobody need be told.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from schemas.alerts import Alert, AutoRetrain, Safeguard
from schemas.common import encode, rfc3339, uuid5
from stream_app.core.alerts import words
from stream_app.core.alerts.rules import AlertRules, AlertsConfig
from stream_app.core.alerts.state import EVENTS, AlertState, LineState, OpenAlert, Streak
from stream_app.core.days import date_of
from stream_app.core.line_log import EventEntry

HOUR_MS: Final = 3_600_000
RANK: Final[dict[str | None, int]] = {None: 0, "MEDIUM": 1, "HIGH": 2, "CRITICAL": 3}
HIGH: Final = RANK["HIGH"]

DRIFT: Final = "ML_DRIFT_DETECTED"
INCOMPLETE: Final = "ML_OUTCOMES_INCOMPLETE"

NOBODY: Final = AutoRetrain(False, [Safeguard("coordinator", False, "coordinator not running")])

Resolution = Literal["no_drift", "no_evidence", "labels_revised", "version_replaced", "accepted"]

_decoder = msgspec.json.Decoder(Alert)


def kind_of(event: EventEntry) -> tuple[str, str] | None:
    """(alert type, kind) that an event speaks to; ``None`` for the quality checks that never alert."""
    if event.kind != "quality":
        return DRIFT, event.kind
    return (INCOMPLETE, "completeness") if event.check == "completeness" else None


class Lifecycle:
    """Alerts of one line. Collects the revisions that facts cause."""

    def __init__(self, config: AlertsConfig, line: str, state: LineState) -> None:
        self.config = config
        self.rules: AlertRules = config.rules(line)
        self.line = line
        self.state = state
        self.out: list[Alert] = []

    # -- facts ---------------------------------------------------------------------------------------------------

    def event(self, event: EventEntry, found: dict[str, Any], auto: AutoRetrain | None, now_ms: int) -> None:
        """A drift event; ``found`` is its record, ``auto`` the coordinator's decision on it."""
        if event.kind == "quality":
            if event.verdict == "drift":
                self.state.quality[event.check or ""] = words.short(found)
            else:
                self.state.quality.pop(event.check or "", None)
        else:
            since = {"since": date_of(event.run_from)} if event.run_from is not None else {}
            self.state.latest[event.kind] = words.short(found) | since
        about = kind_of(event)
        if about is None:
            return
        type_, kind = about
        known = self.state.alerts.setdefault(type_, AlertState())
        if known.open is not None:
            self._while_open(known, known.open, type_, kind, event, auto, now_ms)
        elif RANK[event.severity] >= HIGH and event.verdict == "drift":
            gap = self.rules.alert_gap_h * HOUR_MS
            if known.last_close_ms is None or event.close_ms - known.last_close_ms >= gap:
                self._open(known, type_, kind, event, auto, now_ms)

    def tick(self, now_ms: int) -> None:
        """Timers of what nobody has acknowledged: escalation once, and reminders."""
        for known in self.state.alerts.values():
            alert = known.open
            if alert is None:
                continue
            last = _decoder.decode(alert.record)
            if last.acknowledged_by is not UNSET:
                continue
            rules = self.rules
            hours = rules.alert_escalate_critical_h if last.severity == "CRITICAL" else rules.alert_escalate_high_h
            if last.escalation_level == 0 and now_ms - alert.risen_ms >= hours * HOUR_MS:
                self._revise(alert, now_ms, notify="escalated", escalation_level=1)
            due = int((now_ms - alert.opened_ms) // (rules.alert_reminder_h * HOUR_MS))
            if due > alert.reminders:
                alert.reminders = due
                self._revise(alert, now_ms, notify="reminder")

    def acknowledge(self, actor: str, alert_id: str | None, now_ms: int) -> None:
        """Somebody takes it: silent from then on, until it gets worse."""
        for known in self.state.alerts.values():
            if known.open is not None:
                last = _decoder.decode(known.open.record)
                if alert_id in (None, last.id) and last.acknowledged_by is UNSET:
                    self._revise(known.open, now_ms, acknowledged_by=actor)

    def accept(self, now_ms: int) -> None:
        """An operator takes the present as normal."""
        known = self.state.alerts.get(DRIFT)
        if known is not None and known.open is not None:
            self._resolve(known, "accepted", now_ms)

    def kept(self, since_ms: int, now_ms: int) -> None:
        """Probation kept a version that became active at ``since_ms``."""
        known = self.state.alerts.get(DRIFT)
        if known is not None and known.open is not None and since_ms > known.open.opened_ms:
            self._resolve(known, "version_replaced", now_ms)

    # -- changes -------------------------------------------------------------------------------------------------

    def _open(
        self, known: AlertState, type_: str, kind: str, event: EventEntry, auto: AutoRetrain | None, now_ms: int
    ) -> None:
        model_type, _, tenant = self.line.partition(":")
        id = uuid5("alert", type_, self.line, rfc3339(event.close_ms))
        record = Alert(
            schema="io.plumbline.alert.v1",
            id=id,
            at=rfc3339(now_ms),
            line=self.line,
            model_type=model_type,
            tenant_id=tenant,
            type=type_,  # type: ignore[arg-type]
            revision=1,
            notify="opened",
            status="open",
            severity=event.severity,  # type: ignore[arg-type]
            escalation_level=0,
            model_version=event.version,
            opened_at=rfc3339(now_ms),
            correlation_id=uuid5("alert-correlation", model_type, rfc3339(event.close_ms)[:10]),
            drift_event_ids=[event.id],
            link=f"{self.config.link}/alerts/{id}",
            **self._told(type_, event.faults, auto or NOBODY),
        )
        known.last_close_ms = event.close_ms
        known.open = OpenAlert(
            now_ms, event.close_ms, now_ms, encode(record), kinds={kind: Streak()}, severe=[event.id]
        )  # fmt: skip
        self.out.append(record)

    def _while_open(
        self, known: AlertState, alert: OpenAlert, type_: str, kind: str, event: EventEntry, auto: AutoRetrain | None,
        now_ms: int,
    ) -> None:  # fmt: skip
        severe = event.verdict == "drift" and RANK[event.severity] >= HIGH
        if event.revises is not None and event.revises in alert.severe:
            alert.severe.remove(event.revises)
            if not severe and not alert.severe:
                self._resolve(known, "labels_revised", now_ms)
                return
        if severe:
            alert.kinds.setdefault(kind, Streak())
            alert.severe = [*alert.severe, event.id][-EVENTS:]
        if event.verdict == "drift":
            last = _decoder.decode(alert.record)
            ids = last.drift_event_ids if event.id in last.drift_event_ids else [*last.drift_event_ids, event.id]
            changes: dict[str, Any] = {
                "drift_event_ids": ids if len(ids) <= EVENTS else ids[: EVENTS // 2] + ids[-EVENTS // 2 :],
                **self._told(type_, event.faults, auto or last.auto_retrain),
            }
            if RANK[event.severity] > RANK[last.severity]:
                alert.risen_ms = now_ms
                changes |= {"severity": event.severity, "notify": "severity"}
            self._revise(alert, now_ms, **changes)
        if event.revises is None:
            self._count(known, alert, kind, event, now_ms)

    def _count(self, known: AlertState, alert: OpenAlert, kind: str, event: EventEntry, now_ms: int) -> None:
        """A close of a kind: how many in a row are without drift."""
        streak = alert.kinds.get(kind)
        if streak is None:
            return
        if event.verdict == "drift":
            alert.kinds[kind] = Streak()
            return
        if event.verdict == "no_drift":
            streak.no_drift += 1
            streak.without_drift += 1
        else:
            streak.no_drift = 0
            if event.reason != "no_healthy_baseline":
                streak.without_drift += 1
        if all(s.no_drift >= self.rules.alert_resolve_closes for s in alert.kinds.values()):
            self._resolve(known, "no_drift", now_ms)
        elif all(s.without_drift >= self.rules.alert_no_evidence_closes for s in alert.kinds.values()):
            self._resolve(known, "no_evidence", now_ms)

    def _resolve(self, known: AlertState, reason: Resolution, now_ms: int) -> None:
        if known.open is not None:
            self._revise(known.open, now_ms, status="resolved", notify="resolved", resolution_reason=reason)
            known.open = None

    def _revise(self, alert: OpenAlert, now_ms: int, **changes: Any) -> None:
        last = _decoder.decode(alert.record)
        base = {"at": rfc3339(now_ms), "revision": last.revision + 1, "notify": UNSET, "status": "updated"}
        record = msgspec.structs.replace(last, **(base | changes))
        alert.record = encode(record)
        self.out.append(record)

    def _told(self, type_: str, faults: list[str], auto: AutoRetrain) -> dict[str, Any]:
        """Words and evidence as they stand."""
        latest, quality = self.state.latest, self.state.quality
        if type_ == INCOMPLETE:
            text = words.incomplete(self.line, quality["completeness"], faults)
            faults = faults or ["outcomes missing"]
        else:
            text = words.summary(self.line, latest, quality, faults)
        return {
            "summary": text,
            "recommendation": words.recommendation(latest, faults, auto),
            "auto_retrain": auto,
            "report": {
                "statistical": latest.get("statistical"),
                "performance": latest.get("performance"),
                "quality": [quality[check] for check in sorted(quality)],
                "faults": faults,
            },
        }
