"""Ticks for topics that hold records and no time: which offsets had been written when."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import msgspec

from schemas.inputs import OUTCOME_DECODER, PREDICTION_DECODER, time_ms
from stream_app.commands.announce import announce
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.errors import Incompatible
from stream_app.ingest.span import bulk
from stream_app.kafka.admin import prepare_tools
from stream_app.kafka.reading import records
from stream_app.kafka.topics import Topics
from stream_app.replay.clock_writer import ClockWriter, refuse_live
from stream_app.replay.ticks import Every, last_tick, next_tick
from stream_app.settings import Settings

Track = tuple[list[int], list[int]]

#: A record that counts so much later than it was made stands behind later ones: more than an hourly tick explains.
LATE_MS: Final = 3 * HOUR_MS


@dataclass(slots=True)
class Backfilled:
    """What a backfill did. ``told``: sentences on records that count late or not at all."""

    ticks: int = 0
    at_ms: int = 0
    told: list[str] = field(default_factory=list)


async def tracks(settings: Settings, topics: Topics) -> tuple[dict[tuple[str, int], Track], list[str]]:
    """What stands in each input partition, placed in time (:func:`place`)."""
    found: dict[tuple[str, int], Track] = {}
    now_ms = time.time_ns() // 1_000_000
    for topic in (topics.predictions, topics.outcomes):
        async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic, all_of_it=True):
            offsets, times = found.setdefault((topic, record.partition), ([], []))
            offsets.append(record.offset)
            times.append(_event_ms(topic == topics.predictions, record.value, now_ms))
    return place(found, topics, now_ms)


def place(
    found: dict[tuple[str, int], Track], topics: Topics, now_ms: int
) -> tuple[dict[tuple[str, int], Track], list[str]]:
    """For each partition offsets, and the latest event time up to each (a record may be late, never early).

    A tick covers the beginning of a partition, so what stands behind a later record counts with that one. ``plumbline
    load`` writes in the order of time; sentences say how many records of other writers count late, and how much. Times
    far outside the bulk move nothing: their records go with their neighbours, and are refused as too old or future.
    """
    days: dict[str, Counter[int]] = {topics.predictions: Counter(), topics.outcomes: Counter()}
    for (topic, _), (_, times) in found.items():
        days[topic].update(at // DAY_MS for at in times if at)
    span = bulk(days[topics.predictions] or days[topics.outcomes], now_ms // DAY_MS)
    placed: dict[tuple[str, int], Track] = {}
    late, of, most, stray = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for (topic, partition), (offsets, times) in found.items():
        stray[topic] += sum(at > 0 and not span.holds(at // DAY_MS) for at in times)
        held = [at if span.holds(at // DAY_MS) else 0 for at in times]
        latest = list(accumulate(held, max))
        placed[topic, partition] = offsets, latest
        waits = [reached - at for at, reached in zip(held, latest, strict=True) if at]
        of[topic] += len(waits)
        late[topic] += sum(wait > LATE_MS for wait in waits)
        most[topic] = max([most[topic], *waits])
    told = [
        f"{count:,} records of {topic} lie far outside the other times: they move no time and will be refused"
        for topic, count in stray.items()
        if count
    ]
    told += [
        f"{count:,} of {of[topic]:,} records of {topic} stand behind later ones and count up to "
        f"{most[topic] / DAY_MS:,.1f} days late. Bring them in by one `plumbline load` or `plumbline replay` under a "
        "new PLUMBLINE_INPUT_PREFIX, which put them in the order of time."
        for topic, count in late.items()
        if count
    ]
    return placed, told


def _event_ms(prediction: bool, value: bytes | None, now_ms: int) -> int:
    """A record's time; 0 for one without a usable time, which then goes with its neighbours."""
    try:
        if prediction:
            at = time_ms(PREDICTION_DECODER.decode(value or b"").predicted_at)
        else:
            at = time_ms(OUTCOME_DECODER.decode(value or b"").observed_at)
    except (msgspec.DecodeError, UnicodeError):
        return 0
    return at if at <= now_ms else 0


async def backfill(
    settings: Settings, topics: Topics, every: Every, then_live: bool, on_tick: Callable[[int, int], None]
) -> Backfilled:
    """Write the ticks that are missing. Interrupted and run again, it goes on after its last tick.

    ``on_tick`` hears of each tick and the last one to come (epoch ms).
    """
    kafka = (settings.kafka_bootstrap, settings.kafka_client_options(), topics)
    await prepare_tools(*kafka, settings.replication_factor)
    await refuse_live(*kafka)
    done = Backfilled()
    found, done.told = await tracks(settings, topics)
    times = [at for _, latest in found.values() for at in latest if at]
    if not times:
        raise Incompatible(f"{topics.predictions} and {topics.outcomes} hold no record with a usable time")
    events = sorted(set(times))
    # Never beyond the present: live time goes on from the last tick.
    first, end = events[0], min(last_tick(events[-1]), time.time_ns() // 1_000_000)
    async with ClockWriter(*kafka) as writer:
        await announce(settings, topics)
        at_ms = writer.stand.at_ms or first - 1
        while at_ms < end:
            position = bisect_left(events, at_ms)
            at_ms = min(end, next_tick(at_ms, events[position] if position < len(events) else None, every))
            await writer.write_covering(at_ms, {key: _covered(track, at_ms) for key, track in found.items()})
            done.ticks += 1
            on_tick(at_ms, end)
        if then_live:
            await writer.hand_over()
        done.at_ms = writer.stand.at_ms
    return done


def _covered(track: Track, at_ms: int) -> int:
    """Offset before which every record's time is earlier than the tick."""
    offsets, latest = track
    count = bisect_left(latest, at_ms)
    return offsets[count] if count < len(offsets) else offsets[-1] + 1


def run(settings: Settings, topics: Topics, every: Every, then_live: bool, on_tick: Any) -> Backfilled:
    """:func:`backfill`, from a command."""
    return asyncio.run(backfill(settings, topics, every, then_live, on_tick))
