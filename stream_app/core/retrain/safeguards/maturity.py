"""Labels are heard first: drift of scores, and what the hourly check finds, waits for the performance checks of its run
and trains only where they come to no verdict. A model without labels is not held back."""

from __future__ import annotations

from fractions import Fraction

from stream_app.core.kit.days import DAY_MS, HOUR_MS, date_of, day_of
from stream_app.core.retrain.safeguards.context import Context, Coverage, SafeguardResult, Value

#: hour of the daily performance check
_CHECK_AT_MS = 4 * HOUR_MS


def check(context: Context) -> SafeguardResult:
    """Passed unless labels are still to speak, or have spoken."""
    least = context.config.rules.maturity_checks
    inside = [
        known
        for known in context.heard
        if known.close_ms < context.nominal_ms and known.day >= context.run_from and known.version == context.version
    ]
    judged = next((known for known in reversed(inside) if known.judged), None)
    unheard = len(inside) if judged is None else len(inside) - 1 - inside.index(judged)
    values: dict[str, Value] = {
        "run_from": date_of(context.run_from), "judged": None if judged is None else date_of(judged.day),
        "verdict": None if judged is None else judged.verdict, "without verdict": unheard, "checks": least,
    }  # fmt: skip
    found = context.coverage
    if context.check != "statistical" and not context.hourly:
        return SafeguardResult("maturity", True, "evaluated for drift of scores and hourly drift alone", values)
    if found is None or not _labelled(found, context.config.rules.min_coverage):
        return SafeguardResult("maturity", True, "too few labels come to wait for them", values)
    if unheard >= least:
        text = f"{unheard} performance checks in a row came to no verdict: it stands for itself"
        return SafeguardResult("maturity", True, text, values)
    if judged is not None:
        text = f"in the performance check of {date_of(day_of(judged.close_ms))}"
        # what labels found is a trigger of its own, with a severity of its own, and may be repaired
        said = f"drift {text} speaks for itself" if judged.verdict == "drift" else f"no drift {text}"
        return SafeguardResult("maturity", False, f"labels have spoken: {said}", values)
    return SafeguardResult("maturity", False, f"labels speak on {date_of(_speaks(context, found))}", values)


def _labelled(found: Coverage, least: float) -> bool:
    return found.predictions > 0 and found.labelled >= Fraction(str(least)) * found.predictions


def _speaks(context: Context, found: Coverage) -> int:
    """Date of the first performance check whose newest mature day lies in the run, or of the next one."""
    delay = day_of(context.nominal_ms) - found.day
    next_check = (context.nominal_ms - _CHECK_AT_MS) // DAY_MS + 1
    return max(context.run_from + delay, next_check)
