"""A person's word: where approval is required, and while it is awaited, nothing starts by itself."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed if nobody is asked and nobody needs to be."""
    required = context.config.rules.require_manual_approval
    values = {"asked": context.asked, "required": required}
    if context.asked is not None:
        return SafeguardResult("approval", False, f"a person is asked already: to {context.asked}", values)
    if required:
        return SafeguardResult("approval", False, "a person must approve", values)
    return SafeguardResult("approval", True, "none required, none awaited", values)
