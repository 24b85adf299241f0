"""The bridge's loop: at least once, in order for each alert, and nothing lost while a destination is away.

Each destination has a consumer group of its own, so one that is dead holds nobody else. An offset is committed when
the destination has said yes. What was delivered before is read from the topic again when a partition is taken over;
nothing else is stored.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from schemas import alerts, bounds, deadletters
from schemas.common import parse_ms
from schemas.partitioning import partition_for
from schemas.unreadable import Unreadable
from stream_app.bridge.destinations import Alert, DeliveryRefused, Destination, Unreachable, dedup_key, session
from stream_app.core.kit.days import DAY_MS
from stream_app.core.kit.effects import dead_letter
from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded, skip
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import started
from stream_app.kafka.reached import Reached
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings
from stream_app.worker.metrics import MetricFamilies

log = logging.getLogger(__name__)

_REVISION: Final = msgspec.json.Decoder(alerts.Alert)

#: Seconds: first pause, longest pause, of one request, between two refreshes.
FIRST_S, LONGEST_S, REQUEST_S, REFRESH_S = 0.5, 60.0, 10.0, 60.0
#: Times a refused alert is tried before it goes to the dead-lettered records.
TRIES: Final = 5
#: A destination may be away for days; only then would the group take the partitions from a bridge that waits for it.
_PATIENCE_MS: Final = 7 * DAY_MS


class Bridge(ConsumerRebalanceListener):  # type: ignore[misc]
    """One destination. Runs until it is cancelled."""

    def __init__(
        self, settings: Settings, topics: Topics, destination: Destination, refresh_s: float = REFRESH_S
    ) -> None:
        self._settings, self._topics, self._destination = settings, topics, destination
        self._options = settings.kafka_client_options()
        self._refresh_s = refresh_s
        #: partition → id of each alert that is open → its newest revision here, and the newest that was delivered
        self._open: dict[int, dict[str, Alert]] = {}
        self._delivered: dict[str, Alert] = {}
        #: what is delivered first, with the offset to commit after the last of a partition
        self._due: list[tuple[TopicPartition, int | None, Alert, Any]] = []
        #: how often each partition was given up: what was begun before is not gone on with
        self._given_up: Counter[int] = Counter()
        #: held while something is under way that the next owner of a partition must not overtake
        self._under_way = asyncio.Lock()
        #: partitions whose history is known; the client hands records out while it still waits for us to learn it
        self._ready: set[TopicPartition] = set()
        self._draw = random.Random()
        self._consumer: Any = None
        self.counts = {"delivered": 0, "retried": 0, "dead_lettered": 0}
        #: Unix time of the last delivery; 0: none yet
        self._delivered_at = 0.0
        self._reached = Reached()

    async def run(self) -> None:
        """Deliver for ever."""
        group = f"{self._settings.app_id}-bridge-{self._destination.name}"
        bootstrap = self._settings.kafka_bootstrap
        self._consumer = clients.consumer(
            bootstrap, self._options, group_id=group, auto_offset_reset="earliest", max_poll_interval_ms=_PATIENCE_MS
        )
        self._producer = clients.producer(
            bootstrap, self._options, enable_idempotence=True, max_request_size=bounds.DEAD_LETTER
        )
        async with (
            started(self._producer, self._settings.kafka_bootstrap, self._options),
            session(REQUEST_S) as self._http,
        ):
            self._consumer.subscribe([self._topics.alerts], listener=self)
            await self._consumer.start()
            log.info("%s: delivering alerts of %s", self._destination.name, self._topics.alerts)
            try:
                await self._loop()
            finally:
                await self._consumer.stop()

    async def _loop(self) -> None:
        refreshed = time.monotonic()
        while True:
            while self._due:
                tp, next_offset, alert, record = self._due.pop(0)
                since = self._given_up[tp.partition]
                await self._deliver(tp.partition, alert, record, since)
                if next_offset is not None and self._given_up[tp.partition] == since:
                    await self._commit(tp, next_offset)
            fetched = await self._fetched()
            before = {tp: self._given_up[tp.partition] for tp in fetched}
            if not fetched and self._ready:
                await self._reached.idle(self._consumer)
            for tp, records in fetched.items():
                for record in records:
                    if self._given_up[tp.partition] != before[tp]:
                        break
                    last = record.value.last_offset if isinstance(record.value, Unreadable) else record.offset
                    for alert in _alerts([record]):
                        await self._take(tp.partition, alert, record, before[tp])
                    if self._given_up[tp.partition] == before[tp]:
                        await self._commit(tp, last + 1)
            if time.monotonic() - refreshed >= self._refresh_s:
                refreshed = time.monotonic()
                await self._refresh()

    def put(self, page: MetricFamilies) -> None:
        """Tell Prometheus."""
        name = self._destination.name
        for figure, text, value in (
            ("delivered", "Alerts that the destination took.", self.counts["delivered"]),
            ("retries", "Deliveries that have to be tried again.", self.counts["retried"]),
            ("dead_letters", "Alerts that the destination refused for good.", self.counts["dead_lettered"]),
        ):
            page.put(f"bridge_{figure}_total", "counter", text, value, destination=name)
        held = sum(map(len, self._open.values()))
        page.put("bridge_open_alerts", "gauge", "Open alerts of the partitions that are here.", held, destination=name)
        for topic, lag in self._reached.lags(self._consumer).items() if self._consumer is not None else ():
            page.put("bridge_lag_records", "gauge", "Revisions of alerts that are not handled yet.", lag,
                     destination=name, topic=topic)  # fmt: skip
        if self._delivered_at:
            page.put("bridge_last_success_timestamp_seconds", "gauge", "When the destination took an alert last.",
                     self._delivered_at, destination=name)  # fmt: skip

    async def _commit(self, tp: TopicPartition, next_offset: int) -> None:
        self._reached.handled(tp, next_offset)
        try:
            await self._consumer.commit({tp: next_offset})
        except (CommitFailedError, IllegalStateError):
            # this process stood still, and whoever has the partition now delivers once more
            log.info("%s: %s was not noted up to %d: the group has rebalanced", self._destination.name, tp, next_offset)

    async def _fetched(self) -> dict[TopicPartition, list[Any]]:
        """Records of the partitions that are ready; those given up meanwhile are somebody else's."""
        ready = tuple(self._ready)
        if not ready:
            await asyncio.sleep(0.1)
            return {}
        found: dict[TopicPartition, list[Any]] = await self._consumer.getmany(*ready, timeout_ms=500)
        return {tp: records for tp, records in found.items() if tp in self._ready}

    async def _take(self, partition: int, alert: Alert, record: Any, since: int = 0) -> None:
        """A revision: news is delivered, the rest is only remembered. One that is older than what is known of an open
        alert came again, and is no news. ``since``: how often the partition had been given up when it was fetched."""
        known = self._open.get(partition, {}).get(alert["id"])
        if known is not None and alert["revision"] < known["revision"]:
            skip(record, f"revision {alert['revision']} of {alert['id']} is older than {known['revision']}")
            return
        if "notify" in alert:
            await self._deliver(partition, alert, record, since)
        if self._given_up[partition] == since:
            self._remember(partition, alert)

    def _remember(self, partition: int, alert: Alert) -> None:
        known = self._open.setdefault(partition, {})
        newest = known.get(alert["id"])
        if newest is not None and alert["revision"] < newest["revision"]:
            return
        # one that ended under a mute goes on there, until people may hear that it is over
        owed = "muted_until" in alert and alert["id"] in self._delivered
        if alert["status"] == "resolved" and not owed:
            known.pop(alert["id"], None)
            self._delivered.pop(alert["id"], None)
        else:
            known[alert["id"]] = alert

    # -- delivering ------------------------------------------------------------------------------------------------

    async def _deliver(self, partition: int, alert: Alert, record: Any, since: int) -> None:
        """Until the destination has taken it, or it is dead-lettered, or the partition is given up: then its next owner
        delivers it, and what they deliver after it must not be followed by it."""
        pause, refusals = FIRST_S, 0
        while True:
            async with self._under_way:
                if self._given_up[partition] != since:
                    log.info("%s: %s is left to another bridge", self._destination.name, dedup_key(alert))
                    return
                try:
                    await self._destination.deliver(self._http, alert, self._delivered.get(alert["id"]))
                except Unreachable as error:
                    wait = error.after_s if error.after_s is not None else pause * self._draw.uniform(0.5, 1.0)
                    log.warning("%s: %s; again in %.1f s", self._destination.name, error, wait)
                except DeliveryRefused as error:
                    refusals += 1
                    if refusals >= TRIES:
                        log.error("%s: %s refused %d times: %s", self._destination.name, dedup_key(alert), TRIES, error)
                        await self._dead_letter(alert, record, str(error))
                        return
                    wait = pause * self._draw.uniform(0.5, 1.0)
                else:
                    self.counts["delivered"] += 1
                    self._delivered_at = time.time()
                    self._delivered[alert["id"]] = alert
                    log.info("%s: %s %s", self._destination.name, dedup_key(alert), alert.get("notify", "open"))
                    return
            self.counts["retried"] += 1
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_S)

    async def _dead_letter(self, alert: Alert, record: Any, why: str) -> None:
        """What a destination does not want must not hold back what comes after it."""
        self.counts["dead_lettered"] += 1
        stage = f"bridge-{self._destination.name}"
        refused = dead_letter(record, stage, deadletters.REFUSED_BY_DESTINATION, why)
        partition = partition_for(alert["model"].encode(), self._topics.model_partitions)
        await self._producer.send_and_wait(
            self._topics.dead_letters, refused.value, key=refused.key, partition=partition, headers=refused.headers
        )

    async def _refresh(self) -> None:
        # of one that is muted the revision that people know: its labels may have changed since
        known = [
            self._delivered[id] if "muted_until" in alert else alert
            for alerts in self._open.values()
            for id, alert in alerts.items()
            if id in self._delivered
        ]
        try:
            await self._destination.refresh(self._http, known)
        except (DeliveryRefused, Unreachable) as error:
            log.warning("%s: open alerts could not be refreshed: %s", self._destination.name, error)

    # -- partitions ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Somebody else goes on from the committed offsets."""
        self._ready -= set(revoked)
        # heartbeats go on meanwhile, and a request in hand ends within its own bound
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * REQUEST_S):
                await self._under_way.acquire()
                self._under_way.release()
        for tp in revoked:
            self._given_up[tp.partition] += 1
            for id in self._open.pop(tp.partition, {}):
                self._delivered.pop(id, None)
        self._due = [item for item in self._due if item[0] not in set(revoked)]

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Learn what is open. Where nothing was ever delivered, history is passed over but for what is still open."""
        for tp in assigned:
            committed = await self._consumer.committed(tp)
            first, end = committed is None, (await self._consumer.end_offsets([tp]))[tp]
            # a topic made anew may end before what was committed, and would be waited for in vain
            until = end if committed is None else min(committed, end)
            newest: dict[str, Any] = {}
            async for alert, record in self._history(tp, until):
                newest[alert["id"]] = record
                if alert["status"] == "resolved":
                    newest.pop(alert["id"])
                self._remember(tp.partition, alert)
                if not first and "notify" in alert:
                    self._delivered[alert["id"]] = alert
            known = self._open.get(tp.partition, {})
            self._delivered = {id: alert for id, alert in self._delivered.items() if self._is_open(id)}
            if first:
                # of one that is muted people hear when its mute is over
                told = {id: alert for id, alert in known.items() if "muted_until" not in alert}
                # committed with the last of them: a bridge that is killed among them begins with the first again
                for left, (id, alert) in zip(reversed(range(len(told))), told.items(), strict=True):
                    self._due.append((tp, None if left else until, alert, newest[id]))
                self._consumer.seek(tp, until)
            self._ready.add(tp)

    def _is_open(self, id: str) -> bool:
        return any(id in known for known in self._open.values())

    async def _history(self, tp: TopicPartition, until: int) -> AsyncIterator[tuple[Alert, Any]]:
        """Revisions before an offset, in order, and the records they stand in."""
        reader = clients.consumer(self._settings.kafka_bootstrap, self._options, auto_offset_reset="earliest")
        async with reader:
            reader.assign([tp])
            while await reader.position(tp) < until:
                for record in (await reader.getmany(tp, timeout_ms=200)).get(tp, []):
                    for alert in _alerts([record]) if record.offset < until else ():
                        yield alert, record


def _alerts(records: Iterable[Any]) -> Iterator[Alert]:
    """The alerts among the records; what nobody can read is passed by and counted."""
    for record in readable(records):
        alert = decoded(_alert, record)
        if alert is not None:
            yield alert


def _alert(value: bytes) -> Alert:
    found = Alert(msgspec.to_builtins(_REVISION.decode(value)))
    parse_ms(found["opened_at"])
    if found["status"] == "resolved" and "resolution_reason" not in found:
        raise ValueError("a resolved alert has no resolution_reason")
    # what stands in a report is anybody's: numbers and depths that no destination could be sent are refused here
    orjson.dumps(found)
    return found
