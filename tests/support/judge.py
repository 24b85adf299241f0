"""Comparing what a run published with the oracle."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from schemas import bounds, deadletters
from stream_app.replay.follow import LogFollower
from tests.oracle import batch
from tests.oracle.batch import Result, Rules
from tests.support.kafka_io import Prefix, end_offsets, read, until
from tests.support.worker import Worker


async def finished(prefix: Prefix, at_ms: int, workers: list[Worker], bound_s: float = 90.0) -> LogFollower:
    """Return when the model log of every partition has carried the tick; a worker that ends is a failure."""
    async with LogFollower(prefix.bootstrap, {}, prefix.topics) as follower:

        async def done() -> bool:
            for worker in workers:
                assert worker.exit_code is None, f"worker ended with {worker.exit_code}\n{worker.tail()}"
            await follower.poll()
            return min(follower.ticks.values()) >= at_ms

        try:
            await until(done, bound_s, f"tick {at_ms} in the model log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(w.tail() for w in workers)) from None
        return follower


async def told(prefix: Prefix, *workers: Worker, bound_s: float = 60.0) -> None:
    """Return when the workers' alerts lanes have taken in all of the last log and committed what it caused."""
    topics = prefix.topics
    ends = await end_offsets(prefix.bootstrap, topics.last_log, topics.model_partitions)

    def done() -> bool:
        lanes = [_lanes(worker) for worker in workers]
        return all(
            any(_has_taken(found.get(f"alerts-{p}", {}), ends[p]) for found in lanes)
            for p in range(topics.model_partitions)
        )

    await until(done, bound_s, "the alerts lanes to take in the last log")


def _lanes(worker: Worker) -> dict[str, Any]:
    try:
        return dict(json.loads(worker.ready())["lanes"])
    except (ValueError, KeyError):
        return {}


def _has_taken(lane: dict[str, Any], end: int) -> bool:
    return bool(lane.get("open")) and not lane["uncommitted"] and lane["inputs"]["log"]["reached"] >= end


async def expected(prefix: Prefix, rules: Rules | None = None) -> Result:
    """The oracle's answer for the topics as they are."""
    topics = prefix.topics
    raw = {
        name: {
            p: [(r.offset, r.value) for r in records]
            for p, records in (await read(prefix.bootstrap, name, topics.input_partitions)).items()
        }
        for name in (topics.predictions, topics.outcomes, topics.clock)
    }
    names = (topics.predictions, topics.outcomes)
    return batch.compute(names, raw[topics.predictions], raw[topics.outcomes], raw[topics.clock], rules)


async def closed_snapshots(prefix: Prefix) -> list[tuple[bytes, bytes]]:
    """(key, value) of every committed closed snapshot, in a canonical order."""
    records = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    found = [(r.key, r.value) for part in records.values() for r in part if json.loads(r.value)["state"] == "closed"]
    return sorted(found, key=lambda item: (item[0], json.loads(item[1])["revision"]))


async def compare(prefix: Prefix, follower: LogFollower, rules: Rules | None = None) -> Result:
    """Everything that came out against the oracle: snapshots by revision, dispositions, dead-lettered records."""
    want = await expected(prefix, rules)
    topics = prefix.topics
    await compare_counts(prefix, follower, want)
    dead = await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)
    places = []
    for record in (r for part in dead.values() for r in part):
        headers = dict(record.headers)
        place = tuple(headers[f"__connect.errors.{x}"].decode() for x in ("topic", "partition", "offset"))
        places.append((place[0], int(place[1]), int(place[2])))
        original = await _original(prefix, *places[-1])
        kept = original.value
        if deadletters.TRUNCATED in headers:
            assert len(original.key) + len(kept) > (rules or Rules()).record_bytes
            kept = kept[: bounds.KEPT]
        assert (record.key, record.value) == (original.key, kept)
    assert len(places) == len(set(places)), "a record was dead-lettered twice"
    assert set(places) == want.dead
    return want


async def compare_counts(prefix: Prefix, follower: LogFollower, want: Result) -> None:
    """Snapshots by revision and dispositions against the oracle's answer."""
    got = counted_revisions([json.loads(value) for _, value in await closed_snapshots(prefix)])
    assert sorted(got) == sorted(want.snapshots)
    for key, fields in want.snapshots.items():
        for name, value in fields.items():
            assert same(got[key][name], value, name), f"{key} {name}: {got[key][name]!r}, the oracle says {value!r}"
    dispositions = follower.dispositions
    for side, counts in (("predictions", want.predictions), ("outcomes", want.outcomes)):
        assert Counter({k: v for k, v in dispositions[side].items() if v}) == +counts, side


def counted_revisions(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """Revisions by (model, version, date, number) as the oracle counts them: those that only add a drift comparison or
    a newer estimate, which are judged elsewhere, are taken out. Every revision must be there once and say something
    new."""
    got: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    last: dict[tuple[str, str, str], tuple[int, int, dict[str, Any], Any]] = {}
    for row in rows:
        cell = (row["model"], row["model_version"], row["date"])
        figures = {k: v for k, v in row.items() if k not in ("revision", "at", "drift", "estimated")}
        judged = (row["drift"], row.get("estimated"))
        number, counted, before, then = last.get(cell, (0, 0, {}, None))
        assert row["revision"] == number + 1, f"{cell}: revision {row['revision']} follows {number}"
        if figures != before:
            counted += 1
            got[*cell, counted] = row
        else:
            assert judged != then, f"{cell}: revision {row['revision']} says nothing new"
        last[cell] = (row["revision"], counted, figures, judged)
    return got


def same(got: Any, want: Any, name: str) -> bool:
    """Counts exactly, ratios to 1e-9."""
    if want is None or isinstance(want, int) or got is None:
        return bool(got == want)
    return math.isclose(got, want, rel_tol=0, abs_tol=1e-7 if name == "narrow_interval_pct" else 1e-9)


_cache: dict[tuple[str, str], dict[tuple[int, int], Any]] = {}


async def _original(prefix: Prefix, topic: str, partition: int, offset: int) -> Any:
    key = (prefix.bootstrap, topic)
    if key not in _cache:
        records = await read(prefix.bootstrap, topic, prefix.topics.input_partitions)
        _cache[key] = {(p, r.offset): r for p, part in records.items() for r in part}
    return _cache[key][partition, offset]
