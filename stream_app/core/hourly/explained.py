"""What the evidence of a full hour is made of, hour by hour: for the command that explains an event."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_app.core.hourly.days import kind_day, ones_and_events
from stream_app.core.hourly.evidence import HourlyInput
from stream_app.core.hourly.hours import EDGES, HOURS
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
    out = []
    references = item.references
    if references is None:
        return []
    for day in sorted(item.hours):
        first = item.state.of(kind).first_start if item.state is not None else 0
        about = kind_day(kind, references.at(kind, day), item.hours[day], first, day, item.hour)
        if about is None:
            continue
        jobs = about.jobs()
        since, alone = log_ratios(jobs)
        for c, (job, channel) in enumerate(zip(jobs, about.reference.channels, strict=True)):
            ones, events = ones_and_events(channel, about.counts)
            there = [j for j, shift in enumerate(channel.shifts) if shift is not None]
            for h in range(events.shape[1]):
                if not events[:, h].sum():
                    continue
                out.append(
                    ExplainedHour(
                        day * HOURS + h, channel.slot, EDGES[channel.edge] if channel.edge >= 0 else None,
                        channel.above, int(events[:, h].sum()), int(ones[:, h].sum()),
                        float((events[:, h] * job.probabilities[:, h]).sum()),
                        _mean10([float(alone[c, j, h]) for j in there]),
                        _mean10([float(since[c, j, h]) for j in there]),
                    )
                )  # fmt: skip
    return sorted(out, key=lambda row: (row.hour, row.slot))


def _mean10(logs: list[float]) -> float:
    """log10 of the mean of e^x."""
    top = max(logs)
    return (top + math.log(sum(math.exp(x - top) for x in logs) / len(logs))) / math.log(10)
