"""A person's word: where approval is required, and while it is awaited, nothing starts by itself."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Answer, Context


def check(context: Context) -> Answer:
    """Passed if nobody is asked and nobody needs to be."""
    required = context.config.rules.require_manual_approval
    values = {"asked": context.asked, "required": required}
    if context.asked is not None:
        return Answer("approval", False, f"a person is asked already: to {context.asked}", values)
    if required:
        return Answer("approval", False, "a person must approve", values)
    return Answer("approval", True, "none required, none awaited", values)
