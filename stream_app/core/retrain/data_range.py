"""Which rows a candidate learns from and which it is judged on: by time, and by the offsets they lie between.

Times are times of prediction. ``from`` is 00:00 of the range's first day, ``to`` the tick that commands the training.

How exact the split is. Known are the labelled rows of each closed day, over all versions, as its newest snapshot
published them; within a day, how the model's predictions lay over the hours of the last days. The hold-out is to hold
the newest 20 % of those rows: whole days are taken from the end while they fit, and the day in which the share is
reached is cut at the full hour from which on as much of a usual day comes, so that the hold-out is not smaller than
asked: cut as if rows came evenly, it would be empty for whoever predicts in the morning only. The share is exact to
what an hour holds if the day was a usual one, and in any case to that day's rows. Rows of days that are not closed yet
lie in the hold-out uncounted, hence it is the larger rather than the smaller one. ``labelled`` leaves them out too: at
least as many rows are there.

Offsets are a superset, the trainer filters by time: from the end offset of the last tick before the day before ``from``
(a producer's clock may be ahead, an outcome may come before its prediction) to the end offset of the commanding tick,
for both ranges alike, as an outcome of an old row can come last. Of rows older than the memory of end offsets, 0 is
said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from stream_app.core.kit.days import DAY_MS, HOUR_MS, day_of
from stream_app.core.retrain.profile import cut

Offsets = dict[str, dict[int, tuple[int, int]]]


class Plan(msgspec.Struct, frozen=True):
    """Training [from, split) and hold-out [split, to), epoch ms; rows lie between the offsets."""

    from_ms: int
    split_ms: int
    to_ms: int
    #: labelled rows known in the whole range
    labelled: int
    #: topic → partition → (first offset, the one after the last)
    offsets: Offsets = {}


def plan(
    first_day: int,
    to_ms: int,
    share: float,
    labelled: Mapping[int, int],
    hours: Sequence[int],
    start: Mapping[str, Mapping[int, int]],
    end: Mapping[str, Mapping[int, int]],
) -> Plan:
    """The range from ``first_day`` to the tick ``to_ms`` with the newest ``share`` of its labelled rows held out.

    ``labelled``: day → labelled rows; ``hours``: how a usual day's rows lie over its 24 hours, empty if that is not
    known: then they come evenly; ``start``, ``end``: end offsets (topic → partition → offset) around the range.
    Without any labelled row the hold-out is the newest share of the time.
    """
    from_ms = min(first_day * DAY_MS, to_ms)
    rows = {day: n for day, n in labelled.items() if first_day <= day <= day_of(to_ms) and n > 0}
    offsets = {
        topic: {p: (min(start.get(topic, {}).get(p, 0), last), last) for p, last in sorted(end[topic].items())}
        for topic in sorted(end)
    }
    return Plan(from_ms, _split(from_ms, to_ms, share, rows, hours), to_ms, sum(rows.values()), offsets)


def _split(from_ms: int, to_ms: int, share: float, rows: Mapping[int, int], hours: Sequence[int]) -> int:
    total = sum(rows.values())
    if not total:
        return _inside(from_ms, to_ms, to_ms - int((to_ms - from_ms) * share))
    wanted = share * total
    for day in sorted(rows, reverse=True):
        if rows[day] >= wanted:
            begin = day * DAY_MS
            hour = cut(hours, wanted / rows[day])
            if hour is not None:
                return _inside(from_ms, to_ms, begin + hour * HOUR_MS)
            length = min(DAY_MS, to_ms - begin)
            return _inside(from_ms, to_ms, begin + length - int(length * wanted / rows[day]))
        wanted -= rows[day]
    return from_ms


def _inside(from_ms: int, to_ms: int, at_ms: int) -> int:
    """The full hour at or before, within the range."""
    return min(max(at_ms // HOUR_MS * HOUR_MS, from_ms), to_ms)
