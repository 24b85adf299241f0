"""One day of one kind of channel: from counts and reference to the terms that evidence adds up."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.evidence_state import FlyingDay
from stream_app.core.hourly.hours import FN, FP, HOURS, LABELS, TN, TP, HourCounts
from stream_app.core.hourly.references import ALTERNATIVES, SLOTS, Floats, HourlyReference
from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.hourly.terms import DayBlock, DayTerms

#: Hours over which the start of a loss is taken to be uniform: what every start hour weighs is one in so many.
START_HOURS: Final = 720
_reference_bytes: Final = msgspec.msgpack.Encoder().encode


class DayEvidence(NamedTuple):
    """Weighted terms of a day, natural logarithms, shape (slots, 4) each. ``whole`` multiplies what began before."""

    whole: Floats
    since: Floats
    best: Floats
    #: hours of the day
    best_hours: NDArray[np.int64]
    #: not a logarithm
    burst: float
    best_burst: float
    best_burst_hour: int
    best_burst_slot: int


class KindDay(NamedTuple):
    """A day of one kind: its counts, what they are compared with, and which hours a loss may begin at."""

    kind: HourlyKind
    reference: HourlyReference
    #: (h, 36): the hours that are over
    counts: HourCounts
    #: (h,)
    starts: NDArray[np.bool_]

    def block(self) -> DayBlock:
        """What its terms are reckoned from."""
        ones, events = ones_and_events(self.kind, self.reference, self.counts)
        return DayBlock(
            self.reference.channels(), events.astype(np.float64), ones.sum(axis=1).astype(np.float64), self.starts
        )

    def digest(self) -> bytes:
        """Of everything that its terms depend on."""
        used = self.counts[:, :LABELS] if self.kind == "errors" else self.counts[:, LABELS:]
        found = blake2b(np.ascontiguousarray(used, dtype="<i8").tobytes(), digest_size=8)
        found.update(self.starts.tobytes())
        found.update(_reference_bytes(self.reference))
        return found.digest()


def kind_day(
    kind: HourlyKind, reference: HourlyReference | None, counts: HourCounts | None, first_start: int, day: int, end: int
) -> KindDay | None:
    """A day's hours before ``end``; ``None`` if there is nothing to say of it: no counts or no channel.

    ``first_start``, ``end``: hours since 1970.
    """
    if counts is None or reference is None or not reference.slots:
        return None
    hours = min(HOURS, end - day * HOURS)
    seen = counts[:hours]
    starts = (seen[:, LABELS:].sum(axis=1) > 0) & (day * HOURS + np.arange(hours) >= first_start)
    return KindDay(kind, reference, seen, starts)


def ones_and_events(
    kind: HourlyKind, reference: HourlyReference, counts: HourCounts
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ones and events by channel and stratum, shape (C, S, h) each, of counts (h, 36)."""
    if kind == "scores":
        below = counts[:, LABELS:].cumsum(axis=1).T
        events = np.repeat(below[-1:], len(reference.edges), axis=0)
        ones = below[reference.edges]
        above = np.array(reference.slots) >= SLOTS["scores"] // 2
        return np.where(above[:, None], events - ones, ones)[:, None], events[:, None]
    missed, found = counts[:, FN], counts[:, TP]
    if reference.strata == 1:
        return missed[None, None], (missed + found)[None, None]
    false = counts[:, FP]
    return np.stack([false, missed])[None], np.stack([counts[:, TN] + false, missed + found])[None]


def weighted(day: KindDay, block: DayBlock, found: DayTerms) -> DayEvidence:
    """The terms of a day's channels together; a start hour weighs 1/720, shared by channels and alternatives."""
    slots, places = SLOTS[day.kind], day.reference.slots
    whole = np.zeros((slots, ALTERNATIVES))
    since, best = np.full_like(whole, -np.inf), np.full_like(whole, -np.inf)
    hours = np.zeros((slots, ALTERNATIVES), dtype=np.int64)
    share = START_HOURS * len(places)
    weight = np.log(share * (~np.isnan(block.channels.shifts)).sum(axis=1))[:, None]
    whole[places], hours[places] = found.whole, found.best_hour
    since[places], best[places] = found.since - weight, found.best - weight
    burst = 0.0
    for value in found.burst.tolist():
        burst += value / share
    largest, hour, slot = 0.0, 0, 0
    for i, value in enumerate(found.best_burst.tolist()):
        at = int(found.best_burst_hour[i])
        if (-value, at) < (-largest, hour):
            largest, hour, slot = value, at, places[i]
    alone = math.log(largest / share) if largest > 0 else -math.inf
    return DayEvidence(whole, since, best, hours, burst, alone, hour, slot)


def stored(day: int, digest: bytes, found: DayEvidence) -> FlyingDay:
    """As it is kept."""
    return FlyingDay(
        day, digest, floats(found.whole), floats(found.since), floats(found.best),
        found.best_hours.astype("u1").tobytes(), found.burst, found.best_burst, found.best_burst_hour,
        found.best_burst_slot,
    )  # fmt: skip


def restored(kept: FlyingDay) -> DayEvidence:
    """Inverse of :func:`stored`."""
    return DayEvidence(
        array(kept.whole), array(kept.since), array(kept.best),
        np.frombuffer(kept.best_hours, dtype="u1").reshape(-1, ALTERNATIVES).astype(np.int64), kept.burst,
        kept.best_burst, kept.best_burst_hour, kept.best_burst_slot,
    )  # fmt: skip


def floats(values: Floats) -> bytes:
    """Stored bytes of an array (slots, 4)."""
    return values.astype("<f8").tobytes()


def array(value: bytes) -> Floats:
    """Inverse of :func:`floats`."""
    return np.frombuffer(value, dtype="<f8").reshape(-1, ALTERNATIVES).astype(np.float64)
