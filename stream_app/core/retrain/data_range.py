"""Which rows a candidate may learn from and which it is judged on: by time, and by the offsets they lie between.

Times are times of prediction, and of full days: ranges begin at 00:00, and the hold-out ends with the last mature day,
whose outcomes can be expected. It begins where every range ends: at the newest 20 % of the labelled rows since the
drift began, or of the last 30 days where no drift asks, further back until it holds 100 rows with 30 of each class, but
neither 30 days nor half of those rows. Where that cannot be met, ``lacks`` says what is missing, and the safeguard
`samples` refuses: nobody is sent to fail.

How exact the split is. Known are the labelled rows of each closed day and their positives, over all versions, as its
newest snapshot published them; within a day, how the model's predictions lay over the hours of the last days. Whole
days are taken from the end while they are needed, and the last of them is cut at the full hour from which on as much of
a usual day comes, so that the hold-out is not smaller than asked: cut as if rows came evenly, it would be empty for
whoever predicts in the morning only. The share is exact to what an hour holds if the day was a usual one, and in any
case to that day's rows.

Offsets are a superset, the trainer filters by time: from the end offset of the last tick before the day before the
longest range (a producer's clock may be ahead, an outcome may come before its prediction) to the end offset of the
commanding tick, for all ranges alike, as an outcome of an old row can come last. Of rows older than the memory of end
offsets, 0 is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from schemas.training import MOST_RANGES
from stream_app.core.kit.days import DAY_MS, HOUR_MS, date_of
from stream_app.core.retrain.config import RetrainRules
from stream_app.core.retrain.profile import cut

Offsets = dict[str, dict[int, tuple[int, int]]]
#: end offsets of the inputs: topic → partition → offset
Ends = Mapping[str, Mapping[int, int]]


class PlannedRange(msgspec.Struct, frozen=True, array_like=True):
    """Rows to learn from, [from, where the hold-out begins), epoch ms."""

    name: str
    from_ms: int
    #: labelled rows that are known in it
    rows: int


class Plan(msgspec.Struct, frozen=True):
    """Training [from, split) and hold-out [split, to), epoch ms; rows lie between the offsets."""

    from_ms: int
    split_ms: int
    to_ms: int
    #: labelled rows known in the whole range
    labelled: int
    #: topic → partition → (first offset, the one after the last)
    offsets: Offsets = {}
    #: what a candidate may learn from instead, longest last
    ranges: tuple[PlannedRange, ...] = ()
    #: why nobody could learn from these rows and be judged on them; ``None``: one could
    lacks: str | None = None


class LabelledRows(NamedTuple):
    """What is known of a model's labelled rows."""

    #: day → (labelled rows, positives among them)
    by_day: Mapping[int, tuple[int, int]]
    #: how a usual day's rows lie over its 24 hours; empty if that is not known: then they come evenly
    hours: Sequence[int]
    #: the day after the last mature one
    end: int


class Asked(NamedTuple):
    """What a plan is for."""

    #: first day of the run of drift; ``None``: no drift asks
    onset: int | None = None
    #: names of ranges, where a person names some
    ranges: Sequence[str] = ()


class _Held(NamedTuple):
    split_ms: int
    #: what is missing
    lacks: str | None


def plan(asked: Asked, known: LabelledRows, rules: RetrainRules, ends: Callable[[int], Ends], end: Ends) -> Plan:
    """Training, ranges and hold-out. ``ends``: end offsets before a day; ``end``: those of the tick."""
    back = known.end - rules.retrain_range_days
    onset = asked.onset if asked.onset is not None else back
    since = min(max(onset, known.end - rules.retrain_all_days), known.end)
    rows = {day: found for day, found in known.by_day.items() if since <= day < known.end and found[0] > 0}
    total = sum(count for count, _ in rows.values())
    held = _hold_out(since, known, rules, rows)
    found = _ranges(asked, known, rules, since, held.split_ms)
    first = since if not asked.ranges else min((item.from_ms for item in found[:1]), default=since * DAY_MS) // DAY_MS
    lacks = held.lacks
    if lacks is None and not any(_enough(item, known, rules, held.split_ms) for item in found):
        lacks = f"no range holds {rules.retrain_min_samples} labelled rows of both classes before the hold-out"
    start = ends(min([first, *(item.from_ms // DAY_MS for item in found)]) - 1)
    offsets = {
        topic: {p: (min(start.get(topic, {}).get(p, 0), last), last) for p, last in sorted(end[topic].items())}
        for topic in sorted(end)
    }
    return Plan(first * DAY_MS, held.split_ms, known.end * DAY_MS, total, offsets, found, lacks)


def _hold_out(since: int, known: LabelledRows, rules: RetrainRules, rows: Mapping[int, tuple[int, int]]) -> _Held:
    """Where the hold-out begins, and whether it can be had."""
    total = sum(count for count, _ in rows.values())
    wanted = max(rules.holdout_share * total, float(rules.holdout_min_rows))
    least = rules.holdout_min_class
    held = positives = 0.0
    oldest = max(since, known.end - rules.holdout_max_days)
    for day in sorted((day for day in rows if day >= oldest), reverse=True):
        count, yes = rows[day]
        share = max(
            _part(wanted - held, count),
            _part(least - positives, yes),
            _part(least - (held - positives), count - yes),
        )
        if share > 1:
            held, positives = held + count, positives + yes
            continue
        at, part = _cut(day, share, known.hours)
        return _within_half(at, held + part * count, total, since)
    if held >= rules.holdout_min_rows and least <= positives <= held - least:
        return _within_half(oldest * DAY_MS, held, total, since)  # a fifth would reach back further than it may
    days = f"from {date_of(oldest)} to {date_of(known.end - 1)}"
    text = f"{held:.0f} labelled rows {days}, {positives:.0f} of them positive"
    if known.end <= oldest:
        text = f"no day since {date_of(oldest)} has closed"
    needed = f"the hold-out needs {rules.holdout_min_rows}, and {least} of each class"
    return _Held(_half(since, known.end), f"{text}; {needed}")


def _within_half(at_ms: int, held: float, total: int, since: int) -> _Held:
    if 2 * held <= total:
        return _Held(at_ms, None)
    text = f"the hold-out would take {held:.0f} of {total} labelled rows since {date_of(since)}, half at most"
    return _Held(at_ms, text)


def _part(missing: float, of: int) -> float:
    """Share of a day's rows that is needed; above 1: more than it has."""
    if missing <= 0:
        return 0.0
    return missing / of if of else 2.0


def _cut(day: int, share: float, hours: Sequence[int]) -> tuple[int, float]:
    """Full hour from which on at least a share of a day's rows comes (epoch ms), and how much that is."""
    hour = cut(hours, share)
    if hour is not None:
        return day * DAY_MS + hour * HOUR_MS, sum(hours[hour:]) / sum(hours)
    at = (DAY_MS - int(DAY_MS * share)) // HOUR_MS * HOUR_MS
    return day * DAY_MS + at, (DAY_MS - at) / DAY_MS


def _half(since: int, end: int) -> int:
    """Somewhere inside, for a plan that nobody carries out."""
    return (since * DAY_MS + end * DAY_MS) // 2 // HOUR_MS * HOUR_MS


def _ranges(
    asked: Asked, known: LabelledRows, rules: RetrainRules, since: int, split_ms: int
) -> tuple[PlannedRange, ...]:
    """By name, in the order in which they are named; of several that begin alike the first. Those that would begin in
    the hold-out are left out."""
    first = min((day for day, found in known.by_day.items() if found[0] > 0), default=since)
    begins: dict[int, str] = {}
    for name in asked.ranges or rules.retrain_ranges:
        if name == "onset":
            if asked.onset is None:
                continue
            day = since
        else:
            day = max(known.end - (rules.retrain_all_days if name == "all" else int(name[:-1])), first)
        if day * DAY_MS < split_ms:
            begins.setdefault(day, name)
    if not begins:
        begins[since] = "onset" if asked.onset is not None else f"{rules.retrain_range_days}d"
    return tuple(
        PlannedRange(name, day * DAY_MS, _before(known, day, split_ms)[0])
        for day, name in list(begins.items())[:MOST_RANGES]
    )


def _before(known: LabelledRows, first: int, split_ms: int) -> tuple[int, int]:
    """Labelled rows from a day on before the split, and positives among them."""
    last, inside = divmod(split_ms, DAY_MS)
    rows = yes = 0.0
    for day, (count, positive) in known.by_day.items():
        if first <= day <= last:
            part = 1.0
            if day == last:
                total = sum(known.hours)
                part = sum(known.hours[: inside // HOUR_MS]) / total if total else inside / DAY_MS
            rows, yes = rows + part * count, yes + part * positive
    return round(rows), round(yes)


def _enough(item: PlannedRange, known: LabelledRows, rules: RetrainRules, split_ms: int) -> bool:
    rows, yes = _before(known, item.from_ms // DAY_MS, split_ms)
    return rows >= rules.retrain_min_samples and 0 < yes < rows
