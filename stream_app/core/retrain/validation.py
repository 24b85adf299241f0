"""Whether a candidate may be activated (CONTRACT section 5): better than the active version by the primary metric on
the same rows of a hold-out, and above the floors.

The primary metric alone decides between the two. Any other one can favour a version that has collapsed: one that hardly
ever says yes has the better precision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from schemas.training import VersionComparison
from stream_app.core.retrain.config import RetrainRules

Values = Mapping[str, float | None]

#: A difference of metrics says nothing in its last bits.
_NOISE = 1e-9
#: A trainer may round its figures to two digits, or take the middle of resampled differences.
_ROUNDED = 0.015


class Validation(NamedTuple):
    """``needs_person``: the type has no thresholds, or both versions miss them and the candidate is not clearly
    better, so only a person can let it serve."""

    verdict: Literal["passed", "rejected", "needs_person"]
    reason: str
    #: what was compared, if anything was
    comparison: VersionComparison | None = None


def validate(
    rules: RetrainRules, candidate: Values | None, champion: Values | None, told: VersionComparison | None
) -> Validation:
    """Judge a candidate by what its trainer reports of rows that it was not trained on.

    ``told`` is the trainer's own comparison; without it the two versions' metrics are compared, and no interval is
    known. A value that the champion lacks because it is undefined there beats nobody.
    """
    primary = rules.primary
    senseless = _senseless({primary, *rules.validation_floors}, candidate, champion, told)
    if senseless is not None:
        return Validation("rejected", senseless)
    found = told if told is not None else _compared(primary, candidate, champion)
    if isinstance(found, str):
        return Validation("rejected", found)
    if found is not None and found.metric != primary:
        return Validation("rejected", f"compared by {found.metric}, and {primary} is the primary metric")
    if found is not None and 100 * found.difference < rules.validation_min_gain_points - _NOISE:
        text = f"{words(found)}, {rules.validation_min_gain_points:+g} points are needed"
        return Validation("rejected", text, found)
    better = words(found) if found is not None else f"{primary} is undefined of the active version"
    if not rules.validation_floors:
        return Validation("needs_person", f"{better}; this model type has no thresholds: a person decides", found)
    mine, theirs = dict(candidate or {}), dict(champion or {})
    if found is not None:
        mine[primary], theirs[primary] = found.candidate, found.champion
    return _by_floors(rules.validation_floors, mine, theirs, found, better)


def words(found: VersionComparison) -> str:
    """A comparison in a sentence's part."""
    text = f"{found.metric} {found.candidate:.4f}, the active version has {found.champion:.4f} on the same rows: "
    text += f"{100 * found.difference:+.1f} points"
    if found.lower is None or found.upper is None:
        return text
    return f"{text}, 95 % between {100 * found.lower:+.1f} and {100 * found.upper:+.1f}"


def _senseless(
    judged: Collection[str], candidate: Values | None, champion: Values | None, told: VersionComparison | None
) -> str | None:
    """What no rows can give: per cent pass every floor, and a difference of other figures is won by whoever says so.

    Of the metrics only those are looked at that are ``judged``: a trainer may report what it likes beside them.
    """
    named = [
        (f"{name} of the {whose}", values[name])
        for whose, values in (("candidate", candidate or {}), ("active version", champion or {}))
        for name in sorted(judged)
        if name in values
    ]
    if told is not None:
        compared = (("candidate", told.candidate), ("active version", told.champion))
        named += [(f"{told.metric} of the {whose} in the comparison", value) for whose, value in compared]
    for what, value in named:
        if value is not None and not -_NOISE <= value <= 1 + _NOISE:
            return f"{what} is {value:g}, and metrics are 0 to 1"
    if told is None:
        return None
    left = told.candidate - told.champion
    if abs(told.difference - left) > _ROUNDED:
        return f"the comparison says that {told.metric} differs by {told.difference:.4f}, and its figures by {left:.4f}"
    if told.lower is not None and told.upper is not None and told.lower > told.upper:
        return f"the comparison's interval is upside down: {told.lower:g} to {told.upper:g}"
    return None


def _compared(primary: str, candidate: Values | None, champion: Values | None) -> VersionComparison | str | None:
    """By the two versions' metrics; ``None`` where the active version's is undefined, a sentence if it is missing."""
    if candidate is None:
        return "the trainer reported no candidate_metrics"
    if champion is None:
        return "the trainer reported no champion_metrics, so it may be worse than the active version"
    mine, theirs = candidate.get(primary), champion.get(primary)
    if mine is None:
        how = "undefined" if primary in candidate else "not reported"
        return f"{primary}, the primary metric, is {how}"
    if theirs is None:
        return None if primary in champion else f"the trainer reported no {primary} of the active version"
    return VersionComparison(metric=primary, candidate=mine, champion=theirs, difference=mine - theirs)


def _by_floors(
    floors: Mapping[str, float], mine: Values, theirs: Values, found: VersionComparison | None, better: str
) -> Validation:
    """A floor that the active version misses as well says nothing against the candidate, only less for it."""
    missed, below, shown = [], [], []
    for metric, floor in sorted(floors.items()):
        value, other = mine.get(metric), theirs.get(metric)
        if value is not None and value >= floor:
            shown.append(f"{metric} {value:.4f} ≥ {floor:.2f}")
            continue
        text = f"{metric} is undefined" if value is None else f"{metric} {value:.4f}"
        if metric in theirs and (other is None or other < floor):
            below.append(f"{text}, and {'undefined' if other is None else f'{other:.4f}'} of the active version, "
                         f"{floor:.2f} is needed")  # fmt: skip
        else:
            missed.append(f"{text}, {floor:.2f} is needed")
    if missed:
        return Validation("rejected", "; ".join([*missed, *below, better]), found)
    if not below:
        return Validation("passed", "; ".join([better, *shown]), found)
    certain = found is not None and found.lower is not None and found.lower > 0
    reason = "; ".join([better, "below_floor: " + ", ".join(below), *shown])
    if certain:
        return Validation("passed", reason, found)
    return Validation("needs_person", f"{reason}; not certainly better: a person decides", found)
