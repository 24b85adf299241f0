"""What an open lane works on: gating by ticks, feeding, advancing, draining. No I/O, no asyncio.

Made whole when a lane opens and dropped whole when it closes. A worker's lane (:mod:`~stream_app.engine.lanes`) puts
Kafka and RocksDB around it, :mod:`~stream_app.engine.lane_driver` lists and any table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.clock import TickView
from stream_app.engine.inbox import Clock, Input
from stream_app.engine.pressure import Pressure
from stream_app.engine.protocol import DrainedEffects, EmitTuple, Positions, Stage, StageSpec

#: A tick whose broker time lags the newest by more is history, not the present: no live views are made at it.
LIVE_WITHIN_MS = 120_000


class LaneLimits(NamedTuple):
    """How much a lane takes: records in one checkpoint, and which inputs are paused."""

    most: int
    pressure: Pressure


class LaneCore:
    """Queues, clock and stage of one open lane, and what was folded since the last checkpoint."""

    def __init__(
        self, spec: StageSpec, stage: Stage, state: Positions, epochs: Mapping[str, int], limits: LaneLimits, *,
        reached: Callable[[str], None], live_views: bool = True,
    ) -> None:  # fmt: skip
        """A loaded stage whose inputs stand where the last checkpoint left them.

        ``epochs``: of the chunks to come, by alias. ``reached`` is called at the named steps of a tick: a test may end
        everything there. ``live_views``: whether the stage is told when its clock is at the present.
        """
        self.spec = spec
        self.stage = stage
        self.inputs = {
            alias: Input(state.positions[alias], epochs[alias]) for alias in spec.inputs() if alias != "clock"
        }
        self.clock = Clock(epochs["clock"], state, spec.by_topic(state.end_offsets)) if spec.clock else None
        self.waits_for: str | None = None
        #: records taken since the lane opened, and since the last checkpoint
        self.events = self.fresh = 0
        #: whether something was folded that no checkpoint has yet
        self.dirty = False
        #: passes through the work, for those who watch whether it moves
        self.steps = 0
        self._most = limits.most
        self._pressure = limits.pressure
        self._reached = reached
        self._live_views = live_views

    def work(self) -> bool:
        """Fold what may be folded. ``True`` if the batch is full and must be written before going on."""
        self.steps += 1
        stage, clock = self.stage, self.clock
        while self.fresh < self._most:
            for alias in self.spec.ungated:
                if self._feed(stage, alias, None, None):
                    return True
            if clock is None:
                break
            head = clock.current()
            if head is None:
                self.waits_for = "a tick"
                break
            tick, broker_ms = head
            for alias, topic in self.spec.gated.items():
                if self._feed(stage, alias, tick, tick.end_offsets.get(topic, 0)):
                    return True
            behind = [
                a for a, topic in self.spec.gated.items() if self.inputs[a].reached < tick.end_offsets.get(topic, 0)
            ]
            if behind:
                self.waits_for = f"{self.spec.gated[behind[0]]} up to {tick.end_offsets[self.spec.gated[behind[0]]]}"
                break
            self.waits_for = stage.waiting_for(tick)
            if self.waits_for is not None:
                break
            stage.live = self._live_views and clock.newest_broker_ms - broker_ms <= LIVE_WITHIN_MS
            self.dirty = self.dirty or tick.ends_epoch or self.fresh > 0
            self._reached("tick.1-started")
            if not stage.advance(tick):
                self.dirty = True
                return True
            clock.handled(tick)
            self._reached("tick.3-done")
            self.fresh += 1
            self._pressure.ticked(clock)
        self._pressure.ease(self.inputs, clock)
        return self.fresh >= self._most

    def _feed(self, stage: Stage, alias: str, tick: TickView | None, limit: int | None) -> bool:
        """Hand the stage what is here of one input. ``True`` if the batch is full."""
        item = self.inputs[alias]
        while item.chunks and (limit is None or item.reached < limit):
            records, position = item.take(limit, self._most)
            if records:
                taken = stage.accept(alias, records, tick)
                self.fresh += taken
                self.events += taken
                self.dirty = True
                if taken < len(records):
                    item.took(taken, records[taken].offset)
                    return True
            before = item.reached
            item.took(len(records), position)
            if self.fresh >= self._most:
                return True
            if not records and item.reached == before and item.chunks:
                break
        return False

    def able(self) -> bool:
        """Whether something is here that could be done at once: fetched, and held back by no tick."""
        if self.dirty or any(self.inputs[alias].chunks for alias in self.spec.ungated):
            return True
        head = self.clock.current() if self.clock is not None else None
        if head is None:
            return False
        below = {alias: head[0].end_offsets.get(topic, 0) for alias, topic in self.spec.gated.items()}
        behind = [item for alias, end in below.items() if (item := self.inputs[alias]).reached < end]
        return any(item.chunks for item in behind) if behind else self.stage.waiting_for(head[0]) is None

    def lacks(self) -> list[str]:
        """Inputs of which the tick in hand covers more than has come."""
        head = self.clock.current() if self.clock is not None else None
        if head is None:
            return []
        gated = self.spec.gated.items()
        return [alias for alias, topic in gated if self.inputs[alias].arrived < head[0].end_offsets.get(topic, 0)]

    def drain(self, static: dict[str, str], ids: dict[str, str]) -> tuple[DrainedEffects, list[EmitTuple], Positions]:
        """What a checkpoint writes: effects of the stage, clock records refused, and where every input stands."""
        drained, clock = self.stage.drain(), self.clock
        positions = Positions({alias: item.reached for alias, item in self.inputs.items()}, static=static, ids=ids)
        positions.lane_state = drained.lane_state
        if clock is None:
            return drained, [], positions
        positions.positions["clock"] = clock.input.reached
        positions.tick, positions.live = clock.last_tick, clock.live
        positions.end_offsets = self.spec.by_alias(clock.end_offsets)
        refused = [
            self.spec.dead_letter(record, self.spec.name, "invalid_tick", f"the clock record is no tick: {why}")
            for record, why in clock.refused()
        ]
        return drained, refused, positions

    def written(self) -> None:
        """The checkpoint of what was drained stands."""
        self.dirty, self.fresh = False, 0
