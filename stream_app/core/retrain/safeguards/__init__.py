"""Nine conditions of retraining, one a file, in the contract's order. All are always evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream_app.core.retrain.safeguards import (
    active_job,
    approval,
    circuit,
    cooldown,
    coverage,
    flags,
    maturity,
    samples,
    severity,
)
from stream_app.core.retrain.safeguards.context import Check, Context, Coverage, PerformanceCheck, SafeguardResult

SAFEGUARDS: Final[dict[str, Callable[[Context], SafeguardResult]]] = {
    "flags": flags.check,
    "severity": severity.check,
    "maturity": maturity.check,
    "cooldown": cooldown.check,
    "samples": samples.check,
    "coverage": coverage.check,
    "active_job": active_job.check,
    "approval": approval.check,
    "circuit": circuit.check,
}

#: `retrain` manually skips these and nothing else.
NOT_FOR_MANUAL: Final = dict.fromkeys(("flags", "severity", "approval"), "not evaluated for a manual command")

#: Only drift has a severity.
NOT_FOR_POLICIES: Final = {"severity": "evaluated for drift alone"}


def ask(context: Context) -> tuple[SafeguardResult, ...]:
    """Every safeguard's answer. One that is skipped passes, and its reason says what it would have said."""
    answers = []
    for name, check in SAFEGUARDS.items():
        answer = check(context)
        skipped = context.skipped.get(name)
        if skipped is not None and not answer.passed:
            answer = answer._replace(passed=True, reason=f"{skipped}; otherwise: {answer.reason}")
        answers.append(answer)
    return tuple(answers)


__all__ = [
    "NOT_FOR_MANUAL",
    "NOT_FOR_POLICIES",
    "SAFEGUARDS",
    "Check",
    "Context",
    "Coverage",
    "PerformanceCheck",
    "SafeguardResult",
    "ask",
]
