"""The only writer of alerts: one open alert per model and type, and what becomes of it (CONTRACT section 4)."""

from stream_app.core.alerts.rules import AlertRules, AlertsConfig
from stream_app.core.alerts.stage import AlertsStage

__all__ = ["AlertRules", "AlertsConfig", "AlertsStage"]
