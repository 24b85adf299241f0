"""Whether a candidate may be activated (CONTRACT section 5): floors, no worse than the active one on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stream_app.core.retrain.config import RetrainRules

Values = Mapping[str, float | None]

#: A difference of metrics says nothing in its last bits.
_NOISE = 1e-9


class Validation(NamedTuple):
    """``needs_person``: the type has no thresholds, so only a person can let the candidate serve."""

    verdict: Literal["passed", "rejected", "needs_person"]
    reason: str


def validate(rules: RetrainRules, candidate: Values | None, champion: Values | None) -> Validation:
    """Judge a candidate by its metrics (0 to 1) on a hold-out it was not trained on.

    Compared with the champion are the metrics that have a floor; for a type without floors its rollback metrics, where
    both sides report them. A value the champion lacks because it is undefined there beats nobody.
    """
    floors = rules.validation_floors
    if candidate is None:
        return Validation("rejected", "the trainer reported no candidate_metrics")
    faults, shown = [], []
    for metric in sorted(floors):
        value = candidate.get(metric)
        if value is None:
            faults.append(f"{metric} is undefined, {floors[metric]:.2f} is needed")
        elif value < floors[metric]:
            faults.append(f"{metric} {value:.4f}, {floors[metric]:.2f} is needed")
        else:
            shown.append(f"{metric} {value:.4f} ≥ {floors[metric]:.2f}")
    if champion is None:
        faults.append("the trainer reported no champion_metrics, so it may be worse than the active version")
    else:
        for metric in sorted(floors) or sorted(rules.rollback_metrics):
            mine, other = candidate.get(metric), champion.get(metric)
            if other is None or (mine is None and metric in floors):
                if metric in floors and metric not in champion:
                    faults.append(f"the trainer reported no {metric} of the active version")
                continue
            if mine is None:
                faults.append(f"{metric} is undefined, the active version has {other:.4f}")
            elif 100 * (other - mine) > rules.validation_max_loss_points + _NOISE:
                faults.append(f"{metric} {mine:.4f}, the active version has {other:.4f} on the same rows")
    if faults:
        return Validation("rejected", "; ".join(faults))
    if not floors:
        return Validation("needs_person", "this model type has no thresholds: a person decides")
    return Validation("passed", "; ".join(shown) + "; not worse than the active version")
