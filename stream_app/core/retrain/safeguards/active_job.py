"""One thing at a time: no job, probation or back-off, and the drift is of the active version."""

from __future__ import annotations

from schemas.common import rfc3339
from stream_app.core.retrain.safeguards.context import Context, SafeguardResult

#: `awaiting_approval` of a training or a repair is the approval safeguard's matter: no command has gone out.
FREE = ("idle", "failed", "halted")


def check(context: Context) -> SafeguardResult:
    """Passed if nothing is under way on the model."""
    values = {"state": context.state, "version": context.version, "active": context.active}
    if context.active is None:
        return SafeguardResult("active_job", False, "no version is active", values)
    only_asked = context.state == "awaiting_approval" and context.asked in ("train", "recalibrate")
    if context.state not in FREE and not only_asked:
        return SafeguardResult("active_job", False, f"a job is under way: {context.state}", values)
    if context.backoff_until_ms is not None:
        until = rfc3339(context.backoff_until_ms)
        return SafeguardResult("active_job", False, f"backing off until {until} after a failure", values)
    if context.version is not None and context.version != context.active:
        return SafeguardResult(
            "active_job", False, f"{context.version} drifted, {context.active} is active now", values
        )
    return SafeguardResult("active_job", True, "none", values)
