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

What would only repeat itself (:mod:`~stream_app.engine.parking`) parks the lane instead: memory and store are let go,
an open transaction is settled so that it holds no reader back, and the lane stays closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from faust.types import TP

from stream_app.engine import failpoints
from stream_app.engine.checkpoint import CheckpointFigures, CheckpointTarget, checkpoint
from stream_app.engine.chunks import Chunk
from stream_app.engine.host import Host, check_bounds, first_positions
from stream_app.engine.identity import compare
from stream_app.engine.inbox import Clock, Gap, Input, bytes_held
from stream_app.engine.lane_core import LaneCore, LaneLimits
from stream_app.engine.open_lane import OpenLane
from stream_app.engine.parking import parked_by, pure, way_out
from stream_app.engine.pressure import Pressure
from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EngineConfig, Stage, StageSpec
from stream_app.engine.restore import restore
from stream_app.engine.store import Store, StoreMemory
from stream_app.errors import Broken, Incompatible, Parked, PlumblineError
from stream_app.tasks import end

log = logging.getLogger(__name__)


class Lane:
    """One partition of one stage."""

    def __init__(self, spec: StageSpec, partition: int, config: EngineConfig, memory: StoreMemory, host: Host) -> None:
        self.spec = spec
        self.partition = partition
        self.config = config
        self.host = host
        self.figures = CheckpointFigures()
        self.restores = 0
        self.restored_records = 0
        self.restore_seconds = 0.0
        self.running = False
        #: why the lane reads and writes nothing until a new assignment or process
        self.parked: Parked | None = None
        self._memory = memory
        self._most = min(spec.most_records or config.max_checkpoint_events, config.max_checkpoint_events)
        self._path = config.data_dir / spec.name / str(partition)
        self._tp = {alias: TP(topic, partition) for alias, topic in spec.inputs().items()}
        self._alias = {tp.topic: alias for alias, tp in self._tp.items()}
        self._waits_for: str | None = "assignment"
        self._events = 0
        self._opened: OpenLane | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pressure = Pressure(spec, config.lane_buffer_bytes, self._fetch)
        self._task: asyncio.Task[None] | None = None
        self._suspended = False
        self._asked_to_park: Parked | None = None
        #: whether a transaction may be open that nobody has settled
        self._unsettled = False

    # -- called by the engine ------------------------------------------------------------------------------------

    @property
    def store(self) -> Store | None:
        """Committed state, for views; ``None`` while the lane is not open."""
        return self._opened.store if self._opened is not None and self.running else None

    @property
    def stage(self) -> Stage | None:
        """The stage object, for views."""
        return self._opened.core.stage if self._opened is not None and self.running else None

    @property
    def core(self) -> LaneCore | None:
        """What it works on; ``None`` while the lane is not open."""
        return self._opened.core if self._opened is not None and self.running else None

    @property
    def clock(self) -> Clock | None:
        """The lane's clock, for views."""
        return self._opened.core.clock if self._opened is not None else None

    @property
    def waits_for(self) -> str | None:
        """What it cannot go on without for now."""
        opened = self._opened
        return self._waits_for if self._waits_for is not None or opened is None else opened.core.waits_for

    @property
    def events(self) -> int:
        """Records handled since the lane came here."""
        return self._events + (self._opened.core.events if self._opened is not None else 0)

    @property
    def dirty(self) -> bool:
        """Whether something was folded that no checkpoint has yet."""
        return self._opened is not None and self._opened.core.dirty

    def inputs(self) -> dict[str, Input]:
        """Input queues by alias, for views."""
        return self._opened.core.inputs if self._opened is not None else {}

    def paused(self) -> list[str]:
        """Inputs the lane asks no more of for now."""
        return sorted(self._pressure.paused)

    def deliver(self, chunk: Chunk) -> None:
        """Take a chunk; never blocks. Stale ones are dropped, a gap makes the lane recover."""
        core = self.core
        if core is None:
            return
        alias = self._alias[chunk.topic]
        try:
            if alias == "clock" and core.clock is not None:
                core.clock.put(chunk)
                self._pressure.ticked(core.clock)
            else:
                item = core.inputs[alias]
                item.put(chunk)
                self._pressure.received(alias, item, core.clock)
        except Gap as gap:
            self._broken(gap)
        self._wake.set()

    def fetch_failed(self, tp: TP) -> None:
        """The log no longer holds this input's position; opening again names the fault."""
        if self.running:
            self._broken(Gap(f"{tp.topic}[{tp.partition}]: its position is out of range"))

    def park(self, why: Parked) -> None:
        """Park from outside: at once, or after the checkpoint in hand. The first reason stays."""
        if self.parked is not None or self._asked_to_park is not None:
            return
        self._asked_to_park = why
        self._wake.set()
        if self._idle.is_set() and self._task is not None:
            self._task.cancel()

    def start(self) -> None:
        """Open the lane in a task of its own: the rebalance callback must return at once."""
        self._suspended = False
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._life(), name=f"lane {self.spec.name}-{self.partition}")

    async def suspend(self, bound: float) -> None:
        """Take nothing more and let the checkpoint in hand finish; cut short after ``bound`` seconds."""
        self._suspended = True
        try:
            async with asyncio.timeout(bound):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%s[%d]: drain cut short after %.1f s", self.spec.name, self.partition, bound)
        await self._cancel()

    async def close(self) -> None:
        """Give the partition up."""
        self._suspended = True
        await self._cancel()

    async def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end(task, again_s=0.2)

    # -- life ----------------------------------------------------------------------------------------------------

    async def _life(self) -> None:
        """Until it is closed, parked, or something is met that ends the worker."""
        try:
            try:
                await self._recover_for_ever()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._asked_to_park is None or self._suspended or task is None:
                    raise
                task.uncancel()
                await self._park(self._asked_to_park)
            except Parked as why:
                await self._park(why)
            except Incompatible as error:
                self.host.fatal(error)
        finally:
            await self._drop()

    async def _recover_for_ever(self) -> None:
        """Open, run, and on a failure that may pass go through the one recovery path."""
        delay = 0.0
        while True:
            failed = time.monotonic()
            try:
                opened = await self._open()
                delay = 0.0
                await self._run(opened)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                parked = parked_by(error, self.spec.name, self.partition)
                if parked is error or (isinstance(error, Incompatible) and parked is None):
                    raise
                if parked is not None:
                    raise parked from error
                if isinstance(error, PlumblineError):
                    log.error("%s[%d]: %s", self.spec.name, self.partition, error)
                else:
                    log.warning(
                        "%s[%d]: recovering after %s", self.spec.name, self.partition, _text(error), exc_info=True
                    )
            self._waits_for = "its recovery"
            await self._drop()
            delay = min(max(0.1, delay * 2), 5.0)
            await asyncio.sleep(delay)
            self._waits_for = "a successful heartbeat"
            await self.host.still_ours(failed)
            self._heed()

    def _heed(self) -> None:
        if self._asked_to_park is not None:
            raise self._asked_to_park

    async def _park(self, why: Parked) -> None:
        """Let everything go and leave no open transaction behind: it would hold back what others commit after it."""
        if isinstance(why, Broken):
            log.info("%s[%d]: where an invariant broke, for the report", self.spec.name, self.partition, exc_info=why)
        # Without its traceback: that would keep what the lane held in memory.
        why.__cause__ = why.__context__ = why.__traceback__ = None
        self.parked, self._waits_for = why, None
        log.error(
            "%s[%d]: parked (%s): %s. %s", self.spec.name, self.partition, why.reason,
            str(why).rstrip("."), way_out(why.reason),
        )  # fmt: skip
        await self._drop()
        if not self._unsettled:
            return
        heir = self._new_producer()
        try:
            async with asyncio.timeout(2 * self.config.transaction_timeout_s):
                await heir.start()
            self._unsettled = False
        except Exception as error:
            log.warning(
                "%s[%d]: its open transaction is left to the broker, which ends it %.0f to %.0f s from now: %s",
                self.spec.name, self.partition, self.config.transaction_timeout_s,
                self.config.transaction_timeout_s + 10, _text(error),
            )  # fmt: skip
        finally:
            await heir.stop()

    def _new_producer(self) -> LaneProducer:
        return LaneProducer(self.config, f"{self.config.group}-{self.spec.name}-{self.partition}")

    async def _open(self) -> OpenLane:
        """Producer, store, positions: steps 3 to 5 of the recovery path. What fails half-way leaves nothing open."""
        spec, partition = self.spec, self.partition
        async with contextlib.AsyncExitStack() as held:
            self._waits_for = "its producer"
            producer = self._new_producer()
            held.push_async_callback(producer.stop)
            await producer.start()
            self._unsettled = False
            failpoints.hit("restore.1-producer-ready", spec.name)
            # After the producer: who took the prefix over fenced the one before, and this one must see the claim.
            self._waits_for = "topics and owner to be known"
            ids = await self.host.identify(spec)
            self._waits_for = "its state"
            store = Store(self._path, self._memory, spec.segmenting)
            held.callback(self._close, store)
            restored = await restore(spec, partition, self.config, store)
            self.restores += 1
            self.restored_records += restored.records
            self.restore_seconds += restored.seconds
            failpoints.hit("restore.3-restored", spec.name)
            bounds = await self.host.log_bounds(list(self._tp.values()))
            state = restored.positions or await first_positions(spec, partition, self._tp, bounds, self.host)
            compare(spec, state.ids, ids)
            check_bounds(spec, state, self._tp, bounds)
            with pure(spec.name, partition):
                stage = spec.make(partition)
                stage.load(state.lane_state or None, store)
            epochs = {alias: await self.host.seek(tp, state.positions[alias]) for alias, tp in self._tp.items()}
            self._pressure.paused.clear()
            limits = LaneLimits(self._most, self._pressure)
            core = LaneCore(spec, stage, state, epochs, limits, reached=self._reached)
            self._heed()
            failpoints.hit("restore.4-sought", spec.name)
            opened = self._opened = OpenLane(producer, store, core, ids, held.pop_all())
        self.running = True
        self._waits_for = None
        for tp in self._tp.values():
            self.host.resume(tp)
        self.host.gate(set(self._tp.values()), True)
        log.info(
            "%s[%d]: open, %d records restored in %.2f s, at %s",
            spec.name, partition, restored.records, restored.seconds, state.positions,
        )  # fmt: skip
        return opened

    async def _drop(self) -> None:
        """Step 1: stop the producer, drop all memory."""
        self.running = False
        self.host.gate(set(self._tp.values()), False)
        self._events, opened, self._opened = self.events, self._opened, None
        if opened is not None:
            await opened.held.aclose()
        self._idle.set()

    def _close(self, store: Store) -> None:
        try:
            store.close()
        except Exception as error:
            log.warning("%s[%d]: closing its store: %s", self.spec.name, self.partition, _text(error))

    def _fetch(self, alias: str, more: bool) -> None:
        (self.host.resume if more else self.host.pause)(self._tp[alias])

    def _reached(self, step: str) -> None:
        failpoints.hit(step, self.spec.name)
        failpoints.stop("stop-the-event-loop")

    def _broken(self, why: Exception) -> None:
        log.info("%s[%d]: %s", self.spec.name, self.partition, why)
        self.running = False
        self._wake.set()

    # -- work ----------------------------------------------------------------------------------------------------

    async def _run(self, opened: OpenLane) -> None:
        core, interval = opened.core, self.config.checkpoint_interval_s
        while True:
            due = self.figures.at + interval
            if not core.dirty:
                await self._wake.wait()
            else:
                wait = due - time.monotonic()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._wake.wait()
            self._wake.clear()
            self._heed()
            if not self.running:
                raise Gap("input must be fetched again")
            if self._suspended:
                await asyncio.Event().wait()
            with pure(self.spec.name, self.partition):
                full = core.work()
            if full:
                self._wake.set()
            if core.dirty and (full or time.monotonic() >= self.figures.at + interval):
                await self._checkpoint(opened)
                if full:
                    failpoints.hit("tick.2-partly", self.spec.name)
            else:
                await asyncio.sleep(0)

    async def _checkpoint(self, opened: OpenLane) -> None:
        """Write what was folded; nothing else touches the lane meanwhile."""
        core = opened.core
        with pure(self.spec.name, self.partition):
            drained, refused, positions = core.drain(self.config.static, opened.ids)
        target = CheckpointTarget(
            self.spec, self.partition, self.config, opened.producer, opened.store, self.figures
        )  # fmt: skip
        self._idle.clear()
        self._unsettled = True
        try:
            async with asyncio.timeout(2 * self.config.transaction_timeout_s):
                await checkpoint(target, drained, refused, positions)
        finally:
            self._idle.set()
        self._unsettled = False
        core.written()

    def bytes_held(self) -> int:
        """Fetched bytes waiting in memory."""
        return bytes_held(self.inputs().values())


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
