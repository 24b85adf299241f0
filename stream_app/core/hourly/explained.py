"""What the evidence of a full hour is made of, hour by hour: for the command that explains an event."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream_app.core.hourly.days import kind_day, ones_and_events
from stream_app.core.hourly.evidence import HourlyInput
from stream_app.core.hourly.hours import EDGES, HOURS
from stream_app.core.hourly.references import SLOTS
from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.hourly.terms import log_ratios


@dataclass(frozen=True, slots=True)
class ExplainedHour:
    """One hour of one channel."""

    #: hours since 1970
    hour: int
    slot: int
    #: scores: the edge, and whether it is the share above it
    edge: float | None
    above: bool
    events: int
    ones: int
    expected: float
    #: log10 of the ratio of this hour alone, and of all hours from it to the end of its day; mean over alternatives
    alone: float
    since: float


def explained_hours(kind: HourlyKind, item: HourlyInput) -> list[ExplainedHour]:
    """Every hour with events of the days that ``item`` holds, in order of time and channel."""
    out: list[ExplainedHour] = []
    references = item.references
    if references is None:
        return []
    for day in sorted(item.hours):
        first = item.state.of(kind).first_start if item.state is not None else 0
        about = kind_day(kind, references.at(kind, day), item.hours[day], first, day, item.hour)
        if about is None:
            continue
        block = about.block()
        since, alone = log_ratios([block])
        ones, events = ones_and_events(kind, about.reference, about.counts)
        expected = (events * block.channels.hourly[:, :, : events.shape[2]]).sum(axis=1)
        for c, (slot, edge) in enumerate(zip(about.reference.slots, about.reference.edges, strict=True)):
            there = ~np.isnan(block.channels.shifts[c])
            out += [
                ExplainedHour(
                    day * HOURS + h, slot, EDGES[edge] if edge >= 0 else None, slot >= SLOTS["scores"] // 2,
                    int(events[c, :, h].sum()), int(ones[c, :, h].sum()), float(expected[c, h]),
                    _mean10(alone[c, there, h].tolist()), _mean10(since[c, there, h].tolist()),
                )
                for h in np.flatnonzero(events[c].sum(axis=0)).tolist()
            ]  # fmt: skip
    return sorted(out, key=lambda row: (row.hour, row.slot))


def _mean10(logs: list[float]) -> float:
    """log10 of the mean of e^x."""
    top = max(logs)
    return (top + math.log(sum(math.exp(x - top) for x in logs) / len(logs))) / math.log(10)
