"""Records the alerts stage publishes, made from changes."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from schemas.alerts import Alert, AlertNote, AlertVerdict, AutoRetrain, ReplacedBy, Safeguard
from schemas.common import ce_headers, encode, rfc3339, uuid5
from stream_app.core.alerts import state, words
from stream_app.core.alerts.lifecycle import AlertChange
from stream_app.core.alerts.rules import AlertRules, AlertsConfig
from stream_app.core.alerts.state import INCOMPLETE, AlertHistory, OpenAlert
from stream_app.core.comparisons.finding import Finding
from stream_app.core.kit.days import DAY_MS, date_of, day_of
from stream_app.core.kit.effects import Emit

ALERTS: Final = "alerts"


def alert_record(
    config: AlertsConfig, partition: int, change: AlertChange, at_ms: int, *, rules: AlertRules, settings_hash: str
) -> Emit:
    """The revision a change makes."""
    alert = change.alert
    model_type, _, tenant = alert.model.partition(":")
    status = "resolved" if change.resolution is not None else "open" if alert.revision == 1 else "updated"
    record = Alert(
        schema="io.plumbline.alert.v1",
        id=alert.id,
        at=rfc3339(at_ms),
        model=alert.model,
        model_type=model_type,
        tenant_id=tenant,
        type=alert.type,  # type: ignore[arg-type]
        revision=alert.revision,
        notify=change.notify or UNSET,
        status=status,  # type: ignore[arg-type]
        severity=alert.severity,  # type: ignore[arg-type]
        escalation_level=alert.escalation_level,
        model_version=alert.version,
        opened_at=rfc3339(alert.opened_ms),
        acknowledged_by=alert.acknowledged_by or UNSET,
        correlation_id=uuid5("alert-correlation", model_type, date_of(day_of(alert.close_ms))),
        summary=words.summary(alert, change.history, change.resolution),
        recommendation=words.recommendation(alert, change.history, change.resolution),
        auto_retrain=AutoRetrain(alert.decision.eligible, [Safeguard(*answer) for answer in alert.decision.safeguards]),
        drift_event_ids=alert.event_ids,
        drift_event_count=alert.events,
        resolution_reason=change.resolution or UNSET,
        resolution=words.ending(alert, change.resolution) if change.resolution is not None else UNSET,
        replaced_by=_replaced(alert.replaced_by) if alert.replaced_by is not None else UNSET,
        link=f"{config.link.rstrip('/')}/alerts/{alert.id}",
        report=report(alert, change.history, settings_hash),
        raised_by=list(alert.raised_by),
        muted_until=rfc3339(alert.muted_until_ms) if alert.muted_until_ms is not None else UNSET,
        verdict=_verdict(alert.judgement) if alert.judgement is not None else UNSET,
        notes=[AlertNote(note.actor, rfc3339(note.at_ms), note.note) for note in alert.notes],
        deadline=_deadline(alert.occasion),
        owner=rules.owner or UNSET,
        runbook_url=rules.runbook_url or UNSET,
    )
    headers = ce_headers("alert", alert.id, alert.model, at_ms, config.source)
    return Emit(ALERTS, partition, alert.id.encode(), encode(record), headers)


def _verdict(found: state.GivenVerdict) -> AlertVerdict:
    return AlertVerdict(found.verdict, found.actor, rfc3339(found.at_ms), found.note or UNSET)  # type: ignore[arg-type]


def _deadline(occasion: state.Occasion | None) -> str | UnsetType:
    return rfc3339(occasion.lapses_ms) if occasion is not None and occasion.lapses_ms is not None else UNSET


def _replaced(by: state.Replacement) -> ReplacedBy:
    since = rfc3339(by.since_ms)
    return ReplacedBy(by.version, by.previous, since, by.how, by.command_id or UNSET)  # type: ignore[arg-type]


def report(alert: OpenAlert, history: AlertHistory, settings_hash: str) -> dict[str, Any]:
    """The evidence in numbers: every check's latest event, and its last one of drift where that is another.

    Bounded: at most eleven events of 16 windows, and six quality checks. No histograms, no features.
    """
    if alert.occasion is not None:
        known = alert.occasion
        return {
            "settings_hash": settings_hash,
            "command": known.command,
            "reason": known.reason,
            "version": known.version,
            "candidate": known.candidate,
        }
    out: dict[str, Any] = {
        "opened_close": rfc3339(alert.close_ms),
        "settings_hash": settings_hash,
        "faults": words.faults(alert, history),
        "last_drift": {
            slot: short(finding) for slot, finding in alert.found.items() if history.latest.get(slot) != finding
        },
    }
    checks = ("completeness",) if alert.type == INCOMPLETE else ("statistical", "performance")
    out |= dict.fromkeys(checks) | {slot: short(finding) for slot, finding in history.latest.items()}
    if alert.type != INCOMPLETE:
        newest = words.newest_date(list(history.latest.values()))
        out["quality"] = [
            short(history.quality[check])
            for check in sorted(history.quality)
            if history.quality[check].close_ms // DAY_MS == newest
        ]
    return out


def short(finding: Finding) -> dict[str, Any]:
    """One event for the dashboard."""
    return {
        "event_id": finding.id,
        "kind": finding.kind,
        "check": finding.check,
        "as_of": rfc3339(finding.close_ms),
        "day": date_of(finding.day),
        "model_version": finding.version,
        "verdict": finding.verdict,
        "rule_verdict": finding.rule_verdict,
        "severity": finding.severity,
        "statistic": finding.statistic,
        "p_value": finding.p_value,
        "metric": finding.metric,
        "reason": finding.reason,
        **({"evidence": finding.evidence} if finding.evidence is not None else {}),
        "revises": finding.revises,
        "since": date_of(finding.run_from) if finding.run_from is not None else None,
        "faults": finding.faults,
        "baseline": {"kind": finding.baseline_kind, "version": finding.baseline_version},
        "windows": [
            {
                "from": w.from_,
                "to": w.to,
                "metric": w.metric,
                "statistic": w.statistic,
                "recent": w.recent,
                "baseline": w.baseline,
                "recent_rows": w.recent_rows,
                "baseline_rows": w.baseline_rows,
                "interval": w.interval,
                "dispersion": w.dispersion,
            }
            for w in finding.windows
        ],
    }
