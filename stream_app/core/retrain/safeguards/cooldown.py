"""Time between two trainings, so that a new model is judged on every kind of day. Nominal times, so a late tick or a
replay decides the same."""

from __future__ import annotations

from schemas.common import rfc3339
from stream_app.core.kit.days import DAY_MS
from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed if the last train command, whatever became of it, is long enough ago."""
    last, days = context.last_train_ms, context.config.rules.retrain_cooldown_days
    values = {"last_train_ms": last, "nominal_ms": context.nominal_ms, "cooldown_days": days}
    if last is None:
        return SafeguardResult("cooldown", True, "never trained", values)
    until = last + round(days * DAY_MS)
    if context.nominal_ms >= until:
        return SafeguardResult("cooldown", True, f"last trained {rfc3339(last)}", values)
    return SafeguardResult("cooldown", False, f"trained {rfc3339(last)}, next at {rfc3339(until)}", values)
