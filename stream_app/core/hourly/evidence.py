"""Evidence of a loss at a full hour (CONTRACT section 3a).

For each channel and alternative M = Σ over start hours of (1/720)·Π over days L(data since the start): what began in
days that are frozen is one number R, multiplied by the ratio of each whole day since; the days in flight are counted
anew. B adds up what each hour alone says, 1/720 each; its frozen part loses a thirtieth with every day. Evidence is
(mean M + B)/2, over channels and alternatives. Days are folded one by one, in order, in logarithms; freezing a day is
the same step, so when it happens changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.days import (
    DayEvidence,
    KindDay,
    array,
    floats,
    kind_day,
    restored,
    stored,
    weighted,
)
from stream_app.core.hourly.evidence_state import FlyingDay, KindEvidence, ModelEvidence
from stream_app.core.hourly.hours import HOURS, HourCounts
from stream_app.core.hourly.references import ALTERNATIVES, SLOTS, Floats, ModelReferences
from stream_app.core.hourly.rules import KEPT_DAYS, KINDS, HourlyKind, HourlyRules, flying_days, off_reason
from stream_app.core.hourly.terms import day_terms

#: What is left of the frozen part of B after a day: single hours are forgotten within some months.
BURST_KEPT: Final = 29 / 30
#: Least log10 that is published: evidence of nothing at all is 0.
LEAST: Final = -9.0
_LN10: Final = math.log(10)
_LN2: Final = math.log(2)


@dataclass(frozen=True, slots=True)
class HourlyInput:
    """One model at one full hour."""

    #: the active version, and what is stored; of another version it is dropped
    version: str
    state: ModelEvidence | None
    references: ModelReferences | None
    #: hour records of the version, those of :func:`wanted_days`; days without a record are left out
    hours: Mapping[int, HourCounts]
    #: the full hour (hours since 1970): hours before it count
    hour: int
    rules: HourlyRules


@dataclass(frozen=True, slots=True)
class HourlyReading:
    """What one kind of channel says at a full hour."""

    #: log10 of the evidence, three decimals; ``None``: the channel is off
    evidence: float | None
    #: the same of the days in flight alone
    in_flight: float | None
    threshold: float
    #: hours (since 1970) that the largest term is about: from, to; ``None`` without any
    start: int | None = None
    end: int | None = None
    #: channel it is in, by its slot
    slot: int | None = None
    #: why the channel is off
    reason: str | None = None

    @property
    def alarm(self) -> bool:
        """Whether the evidence has reached the threshold."""
        return self.evidence is not None and self.evidence >= self.threshold


@dataclass(frozen=True, slots=True)
class HourlyResult:
    """The state to store, and the two readings."""

    state: ModelEvidence
    errors: HourlyReading
    scores: HourlyReading

    def of(self, kind: HourlyKind) -> HourlyReading:
        """The reading of a kind."""
        return self.errors if kind == "errors" else self.scores


@dataclass(slots=True)
class _Sum:
    """What is added up day by day."""

    rest: Floats
    best: Floats
    best_hours: NDArray[np.int64]
    burst: float = 0.0
    best_burst: float = -math.inf
    best_burst_hour: int = 0
    best_burst_slot: int = 0

    @classmethod
    def nothing(cls, kind: HourlyKind) -> _Sum:
        """Before any day."""
        shape = (SLOTS[kind], ALTERNATIVES)
        return cls(np.full(shape, -np.inf), np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64))

    @classmethod
    def frozen(cls, kind: HourlyKind, state: KindEvidence) -> _Sum:
        """That of the days that are frozen."""
        if not state.rest:
            return cls.nothing(kind)
        hours = np.frombuffer(state.best_hours, dtype="<i4").reshape(-1, ALTERNATIVES).astype(np.int64)
        alone = -math.inf if state.best_burst is None else state.best_burst
        return cls(
            array(state.rest), array(state.best), hours,
            state.burst, alone, state.best_burst_hour, state.best_burst_slot,
        )  # fmt: skip

    def add(self, day: int, found: DayEvidence) -> None:
        """A day more."""
        self.rest = np.logaddexp(self.rest + found.whole, found.since)
        before = self.best + found.whole
        newer = found.best > before
        self.best = np.where(newer, found.best, before)
        self.best_hours = np.where(newer, day * HOURS + found.best_hours, self.best_hours)
        self.burst += found.burst
        if found.best_burst > self.best_burst:
            self.best_burst, self.best_burst_slot = found.best_burst, found.best_burst_slot
            self.best_burst_hour = day * HOURS + found.best_burst_hour

    def fade(self) -> None:
        """A day freezes: what single hours said before it counts less."""
        self.burst *= BURST_KEPT
        self.best_burst += math.log(BURST_KEPT)

    def log10(self) -> float:
        """Evidence, as it is published and compared."""
        top = float(self.rest.max())
        together = -math.inf
        if top > -math.inf:
            together = top + math.log(float(np.exp(self.rest.ravel() - top).sum()))
        if self.burst > 0:
            alone = math.log(self.burst)
            high, low = max(together, alone), min(together, alone)
            together = high + math.log1p(math.exp(low - high))
        if together == -math.inf:
            return LEAST
        return max(LEAST, round((together - _LN2) / _LN10, 3))

    def about(self, hour: int) -> tuple[int | None, int | None, int | None]:
        """Hours from and to of the largest term, and its channel: the earliest where terms are equal."""
        top = float(self.best.max())
        if top == -math.inf and self.best_burst == -math.inf:
            return None, None, None
        if self.best_burst > top:
            return self.best_burst_hour, self.best_burst_hour + 1, self.best_burst_slot
        first = np.where(self.best == top, self.best_hours, np.iinfo(np.int64).max)
        return int(first.min()), hour, int(first.argmin()) // ALTERNATIVES


@dataclass(slots=True)
class _Plan:
    """One kind of one model: which days are added, and what is known of them."""

    kind: HourlyKind
    state: KindEvidence
    flying: range
    days: dict[int, KindDay] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    found: dict[int, DayEvidence] = field(default_factory=dict)


def fresh(hour: int) -> KindEvidence:
    """Evidence that begins with the last complete hour before a full hour: as many start hours as hours looked at."""
    return KindEvidence(hour - 1, (hour - 1) // HOURS)


def wanted_days(version: str, state: ModelEvidence | None, hour: int) -> range:
    """Days whose hour records :func:`advance` needs: those in flight, and those that freeze now."""
    today = (hour - 1) // HOURS
    if state is None or state.version != version:
        return range(today, today + 1)
    first = min(state.of(kind).frozen_to for kind in KINDS)
    return range(max(first, today + 1 - KEPT_DAYS), today + 1)


def advance(batch: Sequence[HourlyInput]) -> list[HourlyResult]:
    """Evidence of some models at a full hour. One model alone and in any batch gives the same bits."""
    plans = [[_plan(item, kind) for kind in KINDS] for item in batch]
    owners = [(plan, day) for pair in plans for plan in pair for day in plan.days if day not in plan.found]
    blocks = [plan.days[day].block() for plan, day in owners]
    for (plan, day), block, terms in zip(owners, blocks, day_terms(blocks), strict=True):
        plan.found[day] = weighted(plan.days[day], block, terms)
    return [_result(item, *pair) for item, pair in zip(batch, plans, strict=True)]


def _plan(item: HourlyInput, kind: HourlyKind) -> _Plan:
    known = item.state is not None and item.state.version == item.version
    state = item.state.of(kind) if item.state is not None and known else fresh(item.hour)
    plan = _Plan(kind, state, flying_days(item.rules, kind, item.hour))
    references = item.references
    if references is None or references.version != item.version:
        return plan
    kept = {day.day: day for day in state.flying}
    for day in range(max(state.frozen_to, plan.flying.stop - KEPT_DAYS), plan.flying.stop):
        about = kind_day(
            kind, references.at(kind, day), item.hours.get(day), state.first_start, day, item.hour
        )  # fmt: skip
        if about is None:
            continue
        plan.days[day] = about
        if day < plan.flying.stop - 1:
            digest = plan.digests[day] = about.digest()
            if day in kept and kept[day].digest == digest:
                plan.found[day] = restored(kept[day])
    return plan


def _result(item: HourlyInput, errors: _Plan, scores: _Plan) -> HourlyResult:
    made, read = [], []
    for plan in (errors, scores):
        state, reading = _kind_result(item, plan)
        made.append(state)
        read.append(reading)
    return HourlyResult(ModelEvidence(item.version, made[0], made[1]), read[0], read[1])


def _kind_result(item: HourlyInput, plan: _Plan) -> tuple[KindEvidence, HourlyReading]:
    state, kind, today = plan.state, plan.kind, plan.flying.stop - 1
    frozen = _Sum.frozen(kind, state)
    frozen_to = max(state.frozen_to, plan.flying.start)
    for day in range(state.frozen_to, frozen_to):
        frozen.fade()
        if day in plan.found:
            frozen.add(day, plan.found[day])
    kept: list[FlyingDay] = []
    whole = _Sum(
        frozen.rest, frozen.best, frozen.best_hours,
        frozen.burst, frozen.best_burst, frozen.best_burst_hour, frozen.best_burst_slot,
    )  # fmt: skip
    alone = _Sum.nothing(kind)
    for day in range(frozen_to, today + 1):
        if day in plan.found:
            whole.add(day, plan.found[day])
            alone.add(day, plan.found[day])
            if day < today:
                kept.append(stored(day, plan.digests[day], plan.found[day]))
    anything = bool(np.isfinite(frozen.rest).any())
    state = KindEvidence(
        state.first_start,
        frozen_to,
        floats(frozen.rest) if anything else b"",
        floats(frozen.best) if anything else b"",
        frozen.best_hours.astype("<i4").tobytes() if anything else b"",
        frozen.burst,
        None if frozen.best_burst == -math.inf else frozen.best_burst,
        frozen.best_burst_hour,
        frozen.best_burst_slot,
        kept,
        state.episode,
        [span for span in state.touched if span[1] > today - KEPT_DAYS],
    )
    return state, _reading(item, kind, whole, alone, today)


def _reading(item: HourlyInput, kind: HourlyKind, whole: _Sum, alone: _Sum, today: int) -> HourlyReading:
    reason = off_reason(item.rules, kind)
    if reason is None:
        references = item.references
        own = references is not None and references.version == item.version
        reference = references.at(kind, today) if references is not None and own else None
        reason = "no reference has been made yet" if reference is None else reference.reason
    threshold = item.rules.threshold
    if reason is not None:
        return HourlyReading(None, None, threshold, reason=reason)
    return HourlyReading(whole.log10(), alone.log10(), threshold, *whole.about(item.hour))
