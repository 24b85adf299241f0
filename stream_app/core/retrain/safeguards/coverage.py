"""Nothing is learnt from broken data: outcomes that are missing, predictions that fell off."""

from __future__ import annotations

from fractions import Fraction

from stream_app.core.kit.days import date_of
from stream_app.core.retrain.safeguards.context import Context, SafeguardResult, Value


def check(context: Context) -> SafeguardResult:
    """Passed if the last mature day is known, covered, and no pipeline fault stands at the close date."""
    found, least = context.coverage, context.config.rules.min_coverage
    values: dict[str, Value] = {
        "day": None if found is None else date_of(found.day),
        "predictions": None if found is None else found.predictions,
        "labelled": None if found is None else found.labelled,
        "least": least,
        "faults": "; ".join(context.faults),
    }
    problems = list(context.faults)
    text = "coverage unknown"
    if found is None:
        problems.append("no mature day is known yet")
    elif not found.predictions:
        problems.append(f"no predictions on {date_of(found.day)}, the last mature day")
    else:
        text = f"{100 * found.labelled / found.predictions:.1f} % of {date_of(found.day)} is labelled"
        if found.labelled < Fraction(str(least)) * found.predictions:
            problems.append(f"{text}, {100 * least:g} % are needed")
    return SafeguardResult("coverage", not problems, "; ".join(problems) or text, values)
