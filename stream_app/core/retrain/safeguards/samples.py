"""A model of few labelled rows is a model of noise, and judged on few it is luck."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed if the training range holds enough labelled rows, and a hold-out can be kept back from them."""
    least = context.config.rules.retrain_min_samples
    enough = context.labelled >= least
    reason = f"{context.labelled} labelled rows in the training range"
    reason = reason if enough else f"{reason}, {least} are needed"
    if context.lacks is not None:
        reason = f"{reason}; {context.lacks}"
    values = {"labelled": context.labelled, "least": least, "lacks": context.lacks}
    return SafeguardResult("samples", enough and context.lacks is None, reason, values)
