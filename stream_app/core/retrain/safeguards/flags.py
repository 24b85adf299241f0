"""Retraining without a person must be switched on: everywhere, for the kind of drift, the model type and the tenant."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Context, SafeguardResult, Value


def check(context: Context) -> SafeguardResult:
    """Passed if every flag is on; the first that is off, in the contract's order, is the reason."""
    flags = context.config.flags
    model_type, _, tenant = context.config.model.partition(":")
    type_flag = (
        f"auto_retrain_{model_type}" if model_type in ("conflict", "fraud") else f"auto_retrain_types.{model_type}"
    )
    values: dict[str, Value] = {
        "monitoring": flags.monitoring,
        "statistical_drift": flags.statistical_drift or context.check != "statistical",
        "performance_drift": flags.performance_drift or context.check != "performance",
        "drift in retrain_policies": context.check not in ("statistical", "performance")
        or "drift" in context.config.rules.retrain_policies,
        "auto_retrain": flags.auto_retrain,
        type_flag: flags.model_type,
        f"auto_retrain_tenants for {tenant}": flags.tenant,
    }
    off = next((name for name, on in values.items() if not on), None)
    reason = f"{off} is off in {flags.environment}" if off is not None else "all on"
    return SafeguardResult("flags", off is None, reason, values)
