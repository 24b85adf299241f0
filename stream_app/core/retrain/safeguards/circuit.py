"""After two failed or rolled-back trainings in a row a person looks first."""

from __future__ import annotations

from stream_app.core.retrain.safeguards.context import Context, SafeguardResult


def check(context: Context) -> SafeguardResult:
    """Passed while the circuit is closed."""
    values = {"open": context.circuit_open, "failures": context.failures}
    if context.circuit_open:
        text = f"open after {context.failures} failed or rolled-back trainings in a row; reset_circuit closes it"
        return SafeguardResult("circuit", False, text, values)
    return SafeguardResult("circuit", True, f"closed, {context.failures} failures in a row", values)
