"""The clock topics, and this machine's own clock beside the broker's."""

from __future__ import annotations

import time

from aiokafka import TopicPartition

from schemas.common import rfc3339
from stream_app.doctor.report import Checkup, Diagnosis
from stream_app.kafka.clock_tail import AHEAD_MS, LATE_MS, ClockReader, ClockTail
from stream_app.kafka.reading import partitions

#: Seconds that this machine may differ from the broker.
SKEW_S = 60.0


async def ticks(context: Checkup) -> list[Diagnosis]:
    """Whether time goes on, in every partition of both clocks."""
    found = []
    newest_stamp = 0
    for topic in context.topics.clocks:
        latest = [
            (tail.at_ms, tail.stamped_ms, tail.mode or "live") for tail in await _tails(context, topic) if tail.at_ms
        ]
        if not latest:
            repair = "plumbline worker (it leads the clock), or plumbline replay, or plumbline backfill --then-live"
            found.append(Diagnosis("ticks", "fail", f"{topic} holds no tick: nothing is ever decided", repair))
            continue
        at_ms, stamp, mode = min(latest)
        newest_stamp = max([newest_stamp, *(stamp for _, stamp, mode in latest if mode == "live")])
        age_s = time.time() - stamp / 1000
        what = f"{topic}: {mode}, at {rfc3339(at_ms)[:19]}, written {age_s:.0f} s ago"
        newest_ms = max(at for at, _, _ in latest)
        if newest_ms > time.time() * 1000 + AHEAD_MS:
            what = (
                f"{topic}: time stands ahead, {mode}, at {rfc3339(newest_ms)[:19]}: no live tick is written before "
                "that, and what is sent meanwhile waits for one"
            )
            repair = "wait until then, or begin again under a new PLUMBLINE_INPUT_PREFIX"
            found.append(Diagnosis("ticks", "warn" if mode == "external" else "fail", what, repair))
        elif mode == "live" and age_s * 1000 > LATE_MS:
            found.append(
                Diagnosis("ticks", "fail", what + ": time stands still", "start a worker with PLUMBLINE_CLOCK=live")
            )
        elif mode == "external" and context.settings.clock == "live":
            still = ": time is simulated here, and no tick comes by itself"
            repair = "replay on, or hand the prefix over with `plumbline backfill --then-live`; no worker is restarted"
            found.append(Diagnosis("ticks", "warn", what + still, repair))
        else:
            found.append(Diagnosis("ticks", "ok", what))
    return found + _skew(newest_stamp)


async def _tails(context: Checkup, topic: str) -> list[ClockTail]:
    """Where each partition of a clock stands; none of a topic that does not exist."""
    async with context.consumer() as consumer:
        if topic not in await consumer.topics():
            return []
        tps = [TopicPartition(topic, partition) for partition in await partitions(consumer, topic)]
        return list((await ClockReader(consumer, tps).by_partition()).values())


def _skew(stamp_ms: int) -> list[Diagnosis]:
    """A live tick was stamped by the broker at most a minute ago; it cannot come from the future."""
    if not stamp_ms:
        return [Diagnosis("clock skew", "ok", "no live tick to compare with")]
    ahead_s = stamp_ms / 1000 - time.time()
    if ahead_s > SKEW_S:
        what = f"this machine is {ahead_s:.0f} s behind the broker"
        return [
            Diagnosis(
                "clock skew", "warn", what, "set the time (systemctl restart systemd-timesyncd); ticks do not use it"
            )
        ]
    return [Diagnosis("clock skew", "ok", "this machine and the broker agree as far as ticks can tell")]
