"""Only HIGH and CRITICAL drift is worth a training; MEDIUM is recorded and shown."""

from __future__ import annotations

from schemas.drift import SEVERE
from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed if the drift is HIGH or CRITICAL."""
    passed = context.severity in SEVERE
    found = context.severity or "no severity"
    return SafeguardResult(
        "severity", passed, found if passed else f"{found}, HIGH is needed", {"severity": context.severity}
    )
