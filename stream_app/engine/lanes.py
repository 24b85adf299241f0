"""A lane: the task that owns one partition of one stage.

The agent hands chunks over and never blocks; the lane takes records only when the tick that covers them is here, lets
the stage fold them in memory, and checkpoints. Two things may end its run: the engine closes it, or something went
wrong between two clean checkpoints. Whatever that was (exception, timeout, fence, disk error), there is one way back:

1. stop the producer, drop all memory;
2. check that the partition is still ours: wait for an assignment or a successful heartbeat of the current generation;
3. a new producer with the same id, which settles the old transaction;
4. restore the store from the changelog to its end;
5. seek every input to the restored positions.

``abort_transaction`` is never used to go on, and nothing is guessed about a commit whose answer is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from faust.types import TP

from schemas.clock import TickView
from stream_app.engine import failpoints
from stream_app.engine.checkpoint import CheckpointFigures, checkpoint
from stream_app.engine.chunks import Chunk
from stream_app.engine.host import Host, check_bounds, first_positions
from stream_app.engine.inbox import Clock, Gap, Input, bytes_held
from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EmitTuple, EngineConfig, Positions, Stage, StageSpec
from stream_app.engine.restore import restore
from stream_app.engine.store import Memory, Store
from stream_app.errors import Incompatible, PlumblineError

log = logging.getLogger(__name__)

#: A tick whose broker time lags the newest by more is history, not the present: no live views are made at it.
LIVE_WITHIN_MS = 120_000

#: Ticks a lane may hold before it asks for no more; a tick is about 1 kB decoded.
MAX_TICKS = 1_000


class Lane:
    """One partition of one stage."""

    def __init__(self, spec: StageSpec, partition: int, config: EngineConfig, memory: Memory, host: Host) -> None:
        self.spec = spec
        self.partition = partition
        self.config = config
        self.host = host
        self.figures = CheckpointFigures()
        self.events = 0
        self.restores = 0
        self.restored_records = 0
        self.restore_seconds = 0.0
        self.waits_for: str | None = "assignment"
        self.running = False
        self._memory = memory
        self._most = min(spec.most_records or config.max_checkpoint_events, config.max_checkpoint_events)
        self._path = config.data_dir / spec.name / str(partition)
        self._tp = {alias: TP(topic, partition) for alias, topic in spec.inputs().items()}
        self._alias = {tp.topic: alias for alias, tp in self._tp.items()}
        self._inputs: dict[str, Input] = {}
        self._clock: Clock | None = None
        self._stage: Stage | None = None
        self._store: Store | None = None
        self._producer: LaneProducer | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._paused: set[str] = set()
        self._dirty_events = 0
        self._dirty = False
        self._reached_changelog = -1
        self._task: asyncio.Task[None] | None = None
        self._suspended = False

    # -- called by the engine ------------------------------------------------------------------------------------

    @property
    def store(self) -> Store | None:
        """Committed state, for views; ``None`` while the lane is not open."""
        return self._store if self.running else None

    @property
    def stage(self) -> Stage | None:
        """The stage object, for views."""
        return self._stage if self.running else None

    @property
    def clock(self) -> Clock | None:
        """The lane's clock, for views."""
        return self._clock

    @property
    def dirty(self) -> bool:
        """Whether something was folded that no checkpoint has yet."""
        return self._dirty

    def inputs(self) -> dict[str, Input]:
        """Input queues by alias, for views."""
        return self._inputs

    def paused(self) -> list[str]:
        """Inputs the lane asks no more of for now."""
        return sorted(self._paused)

    def deliver(self, chunk: Chunk) -> None:
        """Take a chunk; never blocks. Stale ones are dropped, a gap makes the lane recover."""
        if not self.running:
            return
        alias = self._alias[chunk.topic]
        try:
            if alias == "clock" and self._clock is not None:
                self._clock.put(chunk)
                if len(self._clock.ticks) > MAX_TICKS:
                    self._pause(alias)
            else:
                item = self._inputs[alias]
                item.put(chunk)
                if item.bytes > self.config.lane_buffer_bytes and not self._needed(alias):
                    self._pause(alias)
        except Gap as gap:
            self._broken(gap)
        self._wake.set()

    def fetch_failed(self, tp: TP) -> None:
        """The log no longer holds this input's position; opening again names the fault."""
        self._broken(Gap(f"{tp.topic}[{tp.partition}]: its position is out of range"))

    def start(self) -> None:
        """Open the lane in a task of its own: the rebalance callback must return at once."""
        self._suspended = False
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._life(), name=f"lane {self.spec.name}-{self.partition}")

    async def suspend(self, bound: float) -> None:
        """Take nothing more and let the checkpoint in hand finish; cut short after ``bound`` seconds."""
        self._suspended = True
        try:
            await asyncio.wait_for(self._idle.wait(), bound)
        except TimeoutError:
            log.warning("%s[%d]: drain cut short after %.1f s", self.spec.name, self.partition, bound)
        await self._cancel()

    async def close(self) -> None:
        """Give the partition up."""
        self._suspended = True
        await self._cancel()

    async def _cancel(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            # More than once: some of aiokafka's clean-up swallows a cancellation that meets it.
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)

    # -- life ----------------------------------------------------------------------------------------------------

    async def _life(self) -> None:
        """Open, run, and on any failure go through the one recovery path."""
        delay = 0.0
        try:
            while True:
                failed = time.monotonic()
                try:
                    await self._open()
                    delay = 0.0
                    await self._run()
                except Incompatible as error:
                    self.host.fatal(error)
                    return
                except PlumblineError as error:
                    log.error("%s[%d]: %s", self.spec.name, self.partition, error)
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    log.warning(
                        "%s[%d]: recovering after %s", self.spec.name, self.partition, _text(error), exc_info=True
                    )
                await self._drop()
                delay = min(max(0.1, delay * 2), 5.0)
                await asyncio.sleep(delay)
                self.waits_for = "a successful heartbeat"
                await self.host.still_ours(failed)
        finally:
            await self._drop()

    async def _open(self) -> None:
        """Producer, store, positions: steps 3 to 5 of the recovery path."""
        spec, partition = self.spec, self.partition
        self.waits_for = "its producer"
        self._producer = LaneProducer(self.config, f"{self.config.group}-{spec.name}-{partition}")
        await self._producer.start()
        failpoints.hit("restore.1-producer-ready", spec.name)
        self.waits_for = "its state"
        self._store = Store(self._path, self._memory, spec.segmenting)
        restored = await restore(spec, partition, self.config, self._store)
        self.restores += 1
        self.restored_records += restored.records
        self.restore_seconds += restored.seconds
        failpoints.hit("restore.3-restored", spec.name)
        bounds = await self.host.log_bounds(list(self._tp.values()))
        state = restored.positions or await first_positions(spec, partition, self._tp, bounds, self.host)
        check_bounds(spec, state, self._tp, bounds)
        self._stage = spec.make(partition)
        self._stage.load(state.memo or None, self._store)
        epochs = {alias: await self.host.seek(tp, state.positions[alias]) for alias, tp in self._tp.items()}
        self._inputs = {alias: Input(state.positions[alias], epochs[alias]) for alias in self._tp if alias != "clock"}
        if spec.clock is not None:
            self._clock = Clock(state.positions["clock"], epochs["clock"], state.tick, spec.by_topic(state.end_offsets))
        self._dirty, self._dirty_events = False, 0
        self._paused.clear()
        failpoints.hit("restore.4-sought", spec.name)
        self.running = True
        self.waits_for = None
        for tp in self._tp.values():
            self.host.resume(tp)
        self.host.gate(set(self._tp.values()), True)
        log.info(
            "%s[%d]: open, %d records restored in %.2f s, at %s",
            spec.name, partition, restored.records, restored.seconds, state.positions,
        )  # fmt: skip

    async def _drop(self) -> None:
        """Step 1: stop the producer, drop all memory."""
        self.running = False
        self.host.gate(set(self._tp.values()), False)
        self._stage, self._clock, self._inputs = None, None, {}
        producer, self._producer = self._producer, None
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except Exception as error:
                log.warning("%s[%d]: closing its store: %s", self.spec.name, self.partition, _text(error))
        if producer is not None:
            await producer.stop()
        self._idle.set()

    def _broken(self, why: Exception) -> None:
        log.info("%s[%d]: %s", self.spec.name, self.partition, why)
        self.running = False
        self._wake.set()

    # -- work ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        interval = self.config.checkpoint_interval_s
        while True:
            due = self.figures.at + interval
            if not self._dirty:
                await self._wake.wait()
            else:
                wait = due - time.monotonic()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()
            if not self.running:
                raise Gap("input must be fetched again")
            if self._suspended:
                await asyncio.Event().wait()
            full = self._work()
            if full:
                self._wake.set()
            if self._dirty and (full or time.monotonic() >= self.figures.at + interval):
                await self._checkpoint()
                if full:
                    failpoints.hit("tick.2-partly", self.spec.name)
            else:
                await asyncio.sleep(0)

    def _work(self) -> bool:
        """Fold what may be folded. ``True`` if the batch is full and must be written before going on."""
        stage, clock = self._stage, self._clock
        if stage is None:
            raise AssertionError("lane is not open")
        while self._dirty_events < self._most:
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
                if self._feed(stage, alias, tick, tick.barrier.get(topic, 0)):
                    return True
            behind = [a for a, topic in self.spec.gated.items() if self._inputs[a].reached < tick.barrier.get(topic, 0)]
            if behind:
                self.waits_for = f"{self.spec.gated[behind[0]]} up to {tick.barrier[self.spec.gated[behind[0]]]}"
                break
            self.waits_for = stage.waiting_for(tick)
            if self.waits_for is not None:
                break
            stage.live = clock.newest_broker_ms - broker_ms <= LIVE_WITHIN_MS
            self._dirty = self._dirty or tick.line or self._dirty_events > 0
            failpoints.hit("tick.1-started", self.spec.name)
            if not stage.advance(tick):
                self._dirty = True
                return True
            clock.handled(tick)
            failpoints.hit("tick.3-done", self.spec.name)
            self._dirty_events += 1
            if "clock" in self._paused and len(clock.ticks) < MAX_TICKS // 2:
                self._resume("clock")
        self._ease()
        return self._dirty_events >= self._most

    def _feed(self, stage: Stage, alias: str, tick: TickView | None, limit: int | None) -> bool:
        """Hand the stage what is here of one input. ``True`` if the batch is full."""
        item = self._inputs[alias]
        while item.chunks and (limit is None or item.reached < limit):
            records, position = item.take(limit, self._most)
            if records:
                taken = stage.accept(alias, records, tick)
                self._dirty_events += taken
                self.events += taken
                self._dirty = True
                if taken < len(records):
                    item.took(taken, records[taken].offset)
                    return True
            before = item.reached
            item.took(len(records), position)
            if self._dirty_events >= self._most:
                return True
            if not records and item.reached == before and item.chunks:
                break
        return False

    async def _checkpoint(self) -> None:
        """Write what was folded; nothing else touches the lane meanwhile."""
        stage, clock, store, producer = self._stage, self._clock, self._store, self._producer
        if stage is None or store is None or producer is None:
            raise AssertionError("lane is not open")
        drained = stage.drain()
        positions = Positions({a: i.reached for a, i in self._inputs.items()}, static=self.config.static)
        positions.memo = drained.memo
        refused: list[EmitTuple] = []
        if clock is not None:
            positions.positions["clock"] = clock.input.reached
            positions.tick, positions.end_offsets = clock.last_tick, self.spec.by_alias(clock.barrier)
            refused = [
                self.spec.dead_letter(record, self.spec.name, "invalid_tick", "the clock record cannot be read")
                for record in clock.refused()
            ]
        self._idle.clear()
        try:
            async with asyncio.timeout(2 * self.config.transaction_timeout_s):
                self._reached_changelog = await checkpoint(
                    self.spec, self.partition, self.config, producer, store, drained, refused, positions, self.figures
                )
        finally:
            self._idle.set()
        self._dirty, self._dirty_events = False, 0

    # -- back-pressure -------------------------------------------------------------------------------------------

    def _needed(self, alias: str) -> bool:
        """Whether the current tick cannot be handled without more of this input."""
        head = self._clock.current() if self._clock is not None else None
        topic = self.spec.gated.get(alias)
        if head is None or topic is None:
            return False
        return self._inputs[alias].arrived < head[0].barrier.get(topic, 0)

    def _pause(self, alias: str) -> None:
        if alias not in self._paused:
            self._paused.add(alias)
            self.host.pause(self._tp[alias])

    def _resume(self, alias: str) -> None:
        self._paused.discard(alias)
        self.host.resume(self._tp[alias])

    def _ease(self) -> None:
        """Ask for more where there is room again, or where the tick in hand needs it."""
        for alias in list(self._paused):
            if alias == "clock":
                continue
            if self._inputs[alias].bytes < self.config.lane_buffer_bytes // 2 or self._needed(alias):
                self._resume(alias)

    def bytes_held(self) -> int:
        """Fetched bytes waiting in memory."""
        return bytes_held(self._inputs.values())


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
