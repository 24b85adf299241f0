"""What the alerts stage needs to know of the settings; names and meanings are those of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stream_app.core.kit.days import HOUR_MS
from stream_app.core.kit.live_settings import Fixed, Resolver


@dataclass(frozen=True, slots=True)
class AlertRules:
    """Rules of a model's alerts: hours, and closes in a row."""

    alert_gap_h: float = 24
    alert_reminder_h: float = 24
    alert_escalate_critical_h: float = 4
    alert_escalate_high_h: float = 24
    alert_resolve_closes: int = 2
    alert_no_evidence_closes: int = 14
    hourly_alerts: Literal["on", "shadow", "off"] = "on"
    owner: str = ""
    runbook_url: str = ""

    @property
    def gap_ms(self) -> int:
        """Between the nominal closes that open two alerts."""
        return round(self.alert_gap_h * HOUR_MS)

    @property
    def reminder_ms(self) -> int:
        """Between two reminders, counted from the opening."""
        return max(1, round(self.alert_reminder_h * HOUR_MS))

    def escalate_ms(self, severity: str) -> int:
        """From the opening, or the last rise in severity, to the escalation."""
        hours = self.alert_escalate_critical_h if severity == "CRITICAL" else self.alert_escalate_high_h
        return round(hours * HOUR_MS)


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """Settings of an alerts lane."""

    #: CloudEvents source, ``/plumbline/APP_ID``
    source: str
    #: address of the dashboard; an alert's page is ``/alerts/ID`` below it
    link: str = "http://127.0.0.1:8080"
    rules: Resolver[AlertRules] = field(default_factory=lambda: Fixed(lambda model: AlertRules()))
    #: partitions of the log: all of them answer a command about all models; a model of another one is a fault of ours
    model_partitions: int = 1
