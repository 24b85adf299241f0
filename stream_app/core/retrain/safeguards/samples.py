"""A model of few labelled rows is a model of noise."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed if the training range holds enough labelled rows."""
    least = context.config.rules.retrain_min_samples
    passed = context.labelled >= least
    reason = f"{context.labelled} labelled rows in the training range"
    return SafeguardResult(
        "samples", passed, reason if passed else f"{reason}, {least} are needed",
        {"labelled": context.labelled, "least": least},
    )  # fmt: skip
