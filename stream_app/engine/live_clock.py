"""The live clock: the leader of the app that leads a prefix writes ticks.

A tick's time is monotonic time plus the offset learnt from the broker's timestamp on the last tick's acknowledgement,
never the worker's own clock: a worker that is an hour off ticks as well as any other. Without an acknowledgement yet,
a record without ``at`` is written first, which lanes ignore.

Each second, partitions whose inputs moved get a tick that releases records; each minute, at each close, and in any
second in which commands or results came, every partition gets an epoch tick. End offsets are read-committed.

The ticks of one second are one Kafka transaction: either every partition has them or none. Its id is the prefix's, so
a second leader fences the first instead of ticking beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.common import rfc3339
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import present
from stream_app.kafka import clients
from stream_app.kafka.clock_tail import ClockReader

log = logging.getLogger(__name__)

MINUTE_MS = 60_000

#: How far the broker's time may leave this process' stop watch between two ticks, or its clock before the first.
DOUBT_MS = 300_000
#: Seconds after which the broker's time is looked at again although no tick was due, or it was not believed.
LOOK_S = 15.0
#: Seconds between two looks at a clock that holds simulated ticks: it may have been handed over to live time.
HANDED_OVER_S = 5.0


class ClockTopics(Protocol):
    """The topics a clock concerns."""

    @property
    def clock(self) -> str: ...
    @property
    def model_clock(self) -> str: ...
    @property
    def predictions(self) -> str: ...
    @property
    def outcomes(self) -> str: ...
    @property
    def operator_commands(self) -> str: ...
    @property
    def training_results(self) -> str: ...
    @property
    def input_partitions(self) -> int: ...
    @property
    def model_partitions(self) -> int: ...


class LiveClock:
    """Writes ticks while this worker leads. Call :meth:`beat` about once a second."""

    def __init__(
        self,
        config: EngineConfig,
        topics: ClockTopics,
        before_first: Callable[[], Awaitable[object]] | None = None,
        *,
        trust_broker_time: bool = False,
    ) -> None:
        """``before_first`` is awaited once, before this process' first tick. ``trust_broker_time``: whatever it is."""
        self._config = config
        self._topics = topics
        self._before_first = before_first
        self._producer: AIOKafkaProducer | None = None
        self._reader: Any = None
        self._tail: ClockReader | None = None
        self._offset_ms = 0.0
        self._last_ms = 0
        self._minute = -1
        self._seen: dict[Any, int] = {}
        self._trusting = trust_broker_time
        #: whether this process has written a tick: then its stop watch knows what the broker's time should be
        self._ticked = False
        self._doubted = False
        self._look_at = 0.0
        self.refused: str | None = None
        #: why no tick is written for now, for people
        self.waits_for: str | None = None

    async def start(self) -> None:
        """Connect, read where the clock stands, learn the broker's time.

        A clock that holds simulated ticks is left alone: no producer is started, which would fence the replay's.
        """
        self._reader = clients.log_reader(self._config.bootstrap, self._config.kafka_options)
        await self._reader.start()
        topics = self._topics
        tps = [TopicPartition(topics.clock, p) for p in range(topics.input_partitions)]
        tps += [TopicPartition(topics.model_clock, p) for p in range(topics.model_partitions)]
        self._tail = ClockReader(self._reader, tps)
        await self._lead()

    async def _lead(self) -> None:
        """Take the clock, unless time on it is simulated."""
        if await self._simulated():
            return
        self._producer = clients.producer(
            self._config.bootstrap,
            self._config.kafka_options,
            transactional_id=f"{self._topics.clock}-writer",
            transaction_timeout_ms=int(self._config.transaction_timeout_s * 1000),
        )
        await self._producer.start()
        if await self._simulated():  # by one that was about to begin
            await self._producer.stop()
            self._producer = None
            return
        if self._before_first is not None:
            await self._before_first()
            self._before_first = None
        await self._look()

    async def _simulated(self) -> bool:
        """Read where the clock stands; whether its newest tick is a simulated one, and then no live one is written."""
        topics = self._topics
        last = await present(self._tail, "the clock's reader").read()
        self._last_ms = last.at_ms
        self._look_at = time.monotonic() + HANDED_OVER_S
        if last.at_ms == 0 or last.mode != "external":
            if self.refused is not None:
                log.warning("the clock was handed over: time is live from here on")
            self.refused = None
            return False
        if self.refused is None:
            self.refused = (
                f"{topics.clock} holds simulated ticks of a replay; live ticks would mix two times. "
                "Run `plumbline backfill --then-live` to hand the prefix over to live time; no worker is restarted."
            )
            log.warning("%s", self.refused)
        return True

    async def _look(self) -> None:
        """Learn the broker's time from a record that is no tick, and say so if it cannot be believed."""
        before = self._offset_ms
        await self._write([(self._topics.clock, 0, orjson.dumps({"end_offsets": {}, "mode": "live"}))])
        self._doubt(before)

    def _doubt(self, before: float) -> None:
        """Compare the offset just learnt with what held before; keep that, and wait, if they are too far apart."""
        own_ms = time.monotonic() * 1000
        known = before if self._ticked else time.time() * 1000 - own_ms
        away = self._offset_ms - known
        self._doubted = abs(away) > DOUBT_MS and not self._trusting
        if not self._doubted:
            return
        broker, mine = rfc3339(int(own_ms + self._offset_ms)), rfc3339(int(own_ms + known))
        whose = "its stop watch since the last tick says" if self._ticked else "this machine's clock says"
        self._offset_ms = known if self._ticked else self._offset_ms
        self._wait(
            f"a broker's time that can be believed: it says {broker}, {whose} {mine}. No tick is written meanwhile. "
            "Set the clock that is wrong, or start the worker with --trust-broker-time"
        )

    def _wait(self, why: str | None) -> None:
        if why is not None and why[:40] != (self.waits_for or "")[:40]:
            log.warning("the clock waits for %s", why)
        self.waits_for = why

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None
        if self._reader is not None:
            await self._reader.stop()
            self._reader = None

    async def beat(self) -> None:
        """Write the ticks that are due; after a failure the next beat connects anew."""
        try:
            if self._reader is None and self._producer is None:
                await self.start()
            elif self.refused is not None and time.monotonic() >= self._look_at:
                await self._lead()
            if self.refused is None and time.monotonic() >= self._look_at:
                await self._look()
            if self.refused is None and not self._doubted:
                await self._beat()
        except BaseException:
            await self.stop()
            raise

    async def _beat(self) -> None:
        now_ms = int(time.monotonic() * 1000 + self._offset_ms)
        if now_ms <= self._last_ms:
            if now_ms < self._last_ms - 2_000:
                self._wait(f"the last tick, which stands ahead: none is written before {rfc3339(self._last_ms)}")
            return
        self._wait(None)
        ends = await self._ends()
        topics = self._topics
        inputs = (topics.predictions, topics.outcomes)
        orders = (topics.operator_commands, topics.training_results)
        moved = {tp for tp, end in ends.items() if end != self._seen.get(tp, 0)}
        minute = now_ms // MINUTE_MS
        ends_epoch = minute != self._minute or any(tp.topic in orders for tp in moved)
        if minute != self._minute and self._minute >= 0:
            now_ms = max(minute * MINUTE_MS, self._last_ms + 1)
        ticks = [
            (topics.clock, p, self._tick(now_ms, ends_epoch, ends, inputs, p))
            for p in range(topics.input_partitions)
            if ends_epoch or any(tp.partition == p and tp.topic in inputs for tp in moved)
        ]
        if ends_epoch:
            ticks += [
                (topics.model_clock, p, self._tick(now_ms, True, ends, orders, p))
                for p in range(topics.model_partitions)
            ]
        if ticks:
            before, ticked = self._offset_ms, self._ticked
            await self._write(ticks)
            self._last_ms, self._seen, self._ticked = now_ms, ends, True
            if ticked:
                self._doubt(before)
            if ends_epoch:
                self._minute = minute

    @staticmethod
    def _tick(at_ms: int, ends_epoch: bool, ends: dict[Any, int], topics: tuple[str, str], partition: int) -> bytes:
        end_offsets = {tp.topic: end for tp, end in ends.items() if tp.partition == partition and tp.topic in topics}
        body = {"at": rfc3339(at_ms), "end_offsets": end_offsets, "ends_epoch": ends_epoch, "mode": "live"}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    async def _write(self, ticks: list[tuple[str, int, bytes]]) -> None:
        """One transaction; learns the broker's time from the last answer."""
        producer = present(self._producer, "the clock's producer")
        async with producer.transaction():
            futures = [await producer.send(topic, value, partition=p) for topic, p, value in ticks]
            answers = [await future for future in futures]
        self._offset_ms = answers[-1].timestamp - time.monotonic() * 1000
        self._look_at = time.monotonic() + LOOK_S

    async def _ends(self) -> dict[Any, int]:
        topics = self._topics
        wanted = [
            TopicPartition(topic, partition)
            for names, count in (
                ((topics.predictions, topics.outcomes), topics.input_partitions),
                ((topics.operator_commands, topics.training_results), topics.model_partitions),
            )
            for topic in names
            for partition in range(count)
        ]
        ends: dict[Any, int] = await self._reader.end_offsets(wanted)
        return ends
