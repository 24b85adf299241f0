"""What the alerts stage needs to know of the settings; names and meanings are those of the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AlertRules:
    """Rules of a line's alerts; hours of tick time, and closes."""

    alert_gap_h: float = 24.0
    alert_reminder_h: float = 24.0
    alert_escalate_critical_h: float = 4.0
    alert_escalate_high_h: float = 24.0
    alert_resolve_closes: int = 2
    alert_no_evidence_closes: int = 14


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """Settings of the alerts lanes. ``rules`` is pure: the same line gives the same rules while the worker runs."""

    source: str
    #: address of the dashboard, without a slash at its end
    link: str = "http://127.0.0.1:8080"
    rules: Callable[[str], AlertRules] = field(default=lambda line: AlertRules())
    settings_hash: str = "0" * 16
