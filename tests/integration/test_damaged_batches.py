"""Batches damaged in every way, on a real broker's disk: what is good beside them counts once, each loss is named.

Everything of a step is written behind a transaction that stays open until the damage is done, so a worker that runs
sees all of it at once and nothing before.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas import deadletters
from schemas.common import rfc3339
from schemas.partitioning import partition_for
from schemas.unreadable import Unreadable
from stream_app.kafka import clients, faults
from stream_app.kafka.topics import Topics
from tests.oracle import batch as oracle
from tests.support import damaged
from tests.support.damage import Disk, put
from tests.support.damaged import AT_ONCE, DAMAGE, Kind, Row, Written, unseen
from tests.support.generate import DAY, HOUR, START
from tests.support.judge import compare_counts, finished
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.relay import make_topic, plumbline, records_of
from tests.support.worker import Worker

PACKED = ("gzip", "snappy", "lz4", "zstd")
#: codec and whether it is written in a transaction; each has an input partition of its own
COMBINATIONS = [(codec, transactional) for codec in PACKED for transactional in (False, True)]
MODEL = "churn:global"
#: CONTRACT section 9: a lane goes on within
GOES_ON_S = 10


class Source:
    """Rows of a partition, each with an id of its own."""

    def __init__(self, partition: int, partitions: int) -> None:
        numbers = (n for n in range(1 << 30) if partition_for(b"p%d" % n, partitions) == partition)
        self._predictions: list[Any] = []
        self._outcomes: list[Any] = []
        self._numbers: Iterator[int] = numbers
        self._ready: list[int] = []

    def predictions(self, count: int, at: int) -> list[Row]:
        """So many new ones."""
        rows = []
        for _ in range(count):
            number = next(self._numbers)
            self._ready.append(number)
            row = {"prediction_id": f"p{number}", "model_type": "churn", "model_version": "v1", "predicted_at": at}
            rows.append((b"p%d" % number, json.dumps({**row, "score": number % 10 / 10}).encode()))
        return rows

    def outcomes(self, count: int, at: int) -> list[Row]:
        """Of the predictions that have none yet, the newest first, so that good ones stand beside lost ones."""
        rows = []
        for _ in range(count):
            number = self._ready.pop()
            row = {"prediction_id": f"p{number}", "actual": number % 3 == 0, "observed_at": at}
            rows.append((b"p%d" % number, json.dumps(row).encode()))
        return rows


@pytest.fixture
async def wide(kafka: str, prefix: Prefix) -> AsyncIterator[Prefix]:
    """An input partition for each codec, plain and transactional."""
    name = f"{prefix.topics.input_prefix}wide."
    made = await Prefix(kafka, Topics(name, name, len(COMBINATIONS), 2)).create()
    yield made
    await made.delete(name)


async def _step(
    prefix: Prefix, written: Written, running: Worker, at: int, kinds: list[list[Kind]], sources: list[Source]
) -> float:
    """Write predictions and outcomes of these kinds to every partition, then a tick; seconds until it has come out."""
    topics = prefix.topics
    everywhere = list(range(topics.input_partitions))
    async with unseen(prefix, written, {topics.predictions: everywhere, topics.outcomes: everywhere}) as writer:
        for partition, (codec, transactional) in enumerate(COMBINATIONS):
            source = sources[partition]
            for topic, kind, make in zip(
                (topics.predictions, topics.outcomes), kinds, (source.predictions, source.outcomes), strict=True
            ):
                for each in kind:
                    rows = make(5, at - HOUR)
                    await writer.put(topic, partition, rows, each(rows, codec), transactional)
                    one = make(1, at - HOUR)
                    await writer.put(topic, partition, one, damaged.sound(one, codec), transactional)
    begun = time.monotonic()
    await write(prefix, [(at, [])], {name: dict(written.ends[name]) for name in (topics.predictions, topics.outcomes)})
    await finished(prefix, at, [running])
    return time.monotonic() - begun


async def _check_letters(prefix: Prefix, written: Written, opening: int) -> None:
    """Every loss is named once; the others are the records that opened the steps."""
    topics = prefix.topics
    clock = {
        place: ("invalid_tick", *rest) for place, (_, *rest) in written.letters.items() if place[0] == topics.clock
    }
    wanted = written.letters | clock

    async def letters() -> list[dict[str, str]]:
        parts = await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)
        return [deadletters.added(record.headers) for part in parts.values() for record in part]

    async def all_there() -> bool:
        return len(await letters()) >= len(wanted) + opening

    await until(all_there, 30, f"{len(wanted) + opening} dead-lettered records")
    got: dict[tuple[str, int, int], tuple[str, int, int, str]] = {}
    plain = 0
    for added in await letters():
        if deadletters.RECORDS not in added:
            plain += 1
            continue
        place = added[deadletters.TOPIC], int(added[deadletters.PARTITION]), int(added[deadletters.OFFSET])
        assert place not in got, "dead-lettered twice"
        numbers = int(added[deadletters.LAST_OFFSET]), int(added[deadletters.RECORDS])
        got[place] = (added[deadletters.REASON], *numbers, added[deadletters.SHA256])
    assert got == wanted
    assert plain == opening


async def test_damage_of_every_kind_costs_itself_alone_in_every_codec_plain_and_transactional(
    wide: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = wide.topics
    running = worker(topics=topics).start()
    await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
    written = Written()
    sources = [Source(p, topics.input_partitions) for p in range(topics.input_partitions)]
    at = START + HOUR
    spent = await _step(wide, written, running, at, [AT_ONCE, AT_ONCE[::-1]], sources)
    assert spent < GOES_ON_S
    # one of each in a partition: what fails its checksum is fetched again for ten seconds
    waited = await _step(
        wide,
        written,
        running,
        at + HOUR,
        [[damaged.sound, damaged.flipped], [damaged.length, damaged.sound]],
        sources,
    )
    assert waited < 10 + GOES_ON_S
    close = START + DAY + 3 * HOUR
    await write(wide, [(close, [])], {n: dict(written.ends[n]) for n in (topics.predictions, topics.outcomes)})
    follower = await finished(wide, close, [running])
    parts = await read(wide.bootstrap, topics.clock, topics.input_partitions)
    ticks = {p: [(r.offset, r.value) for r in part] for p, part in parts.items()}
    names = (topics.predictions, topics.outcomes)
    want = oracle.compute(names, written.rows[names[0]], written.rows[names[1]], ticks)
    await compare_counts(wide, follower, want)
    assert want.predictions["joined"] > 200
    await _check_letters(wide, written, opening=4 * topics.input_partitions)
    assert "recovering" not in running.log.read_text()
    print(f"{len(written.letters)} dead-lettered; out after {spent:.1f} s, and {waited:.1f} s with wrong checksums")


async def test_damage_of_commands_results_and_ticks_is_dead_lettered_and_of_own_logs_parks_the_lane(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    running = worker().start()
    await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
    written, commands = Written(), set()
    models = list(range(topics.model_partitions))
    partition = partition_for(MODEL.encode(), topics.model_partitions)
    opened = {topics.operator_commands: models, topics.training_results: models, topics.clock: [0, 1, 2]}
    async with unseen(prefix, written, opened) as writer:
        for codec, transactional in COMBINATIONS:
            for kind in (damaged.unknown_codec, damaged.inside, damaged.odd_header):
                names = [f"{codec}-{transactional}-{kind.__name__}-{i}" for i in range(3)]
                arguments = {"values": {"drop_points": 5.5}}
                row = {"model": MODEL, "command": "set", "arguments": arguments, "actor": "a", "reason": "r"}
                rows = [(MODEL.encode(), json.dumps({**row, "id": name}).encode()) for name in names]
                made = kind(rows, codec)
                commands |= {name for i, name in enumerate(names) if i in made.good}
                await writer.put(topics.operator_commands, partition, rows, made, transactional)
                row = {"model": MODEL, "attempt": 1, "status": "failed", "error": "e"}
                rows = [(MODEL.encode(), json.dumps({**row, "command_id": name}).encode()) for name in names]
                await writer.put(topics.training_results, partition, rows, kind(rows, codec), transactional)
            rows = [(b"", b"{}")] * 3
            await writer.put(topics.clock, 1, rows, damaged.not_packed(rows, codec), transactional)
    at, reached = START + HOUR, Reached()
    begun = time.monotonic()
    await write(prefix, [(at, [])], reached)
    await finished(prefix, at, [running])
    spent = time.monotonic() - begun
    assert spent < GOES_ON_S

    async def audited() -> set[str]:
        parts = await read(prefix.bootstrap, topics.audit, topics.model_partitions)
        rows = [json.loads(record.value) for part in parts.values() for record in part]
        return {row["id"] for row in rows if (row["action"], row["decision"]) == ("set", "applied")}

    async def all_audited() -> bool:
        return len(await audited()) >= len(commands)

    await until(all_audited, 30, "the audit of every good command")
    assert len(await audited()) == len(commands)
    await _check_letters(prefix, written, opening=7)

    # in a transaction of its own, a batch is not seen before it ends
    source = Source(0, topics.input_partitions)
    async with unseen(prefix, written, {}) as writer:
        rows = source.predictions(5, at)
        bad = await writer.put(topics.model_deltas, 1, rows, damaged.unknown_codec(rows, "lz4"), True)
    await until(lambda: _lanes(running)["metrics-1"]["parked"], 30, "metrics-1 to park")
    lanes = _lanes(running)
    assert lanes["metrics-1"]["parked"]["reason"] == "unreadable_log"
    place = f"{topics.model_deltas}[1] cannot be read at offsets {bad.first} to {bad.first + 4}"
    assert place in lanes["metrics-1"]["parked"]["sentence"]
    assert all(lane["open"] for name, lane in lanes.items() if name != "metrics-1")
    await write(prefix, [(at + HOUR, [])], reached)
    goes_on = rfc3339(at + HOUR)
    await until(lambda: all(_lanes(running)[f"labels-{p}"]["tick"] == goes_on for p in range(3)), 30, "labels to go on")

    assert running.stop() == 0
    shutil.rmtree(running.folder / "data")
    changelog = topics.changelog("labels")
    first, last = (await Disk.of(prefix.bootstrap)).flip(changelog, 1)
    running.start()
    await until(lambda: _lanes(running).get("labels-1", {}).get("parked"), 60, "labels-1 to park")
    parked = _lanes(running)["labels-1"]["parked"]
    assert parked["reason"] == "unreadable_log"
    assert f"{changelog}[1] cannot be read at offsets {first} to {last}" in parked["sentence"]
    assert _lanes(running)["labels-0"]["open"]
    assert running.view("/livez")[0] == 200
    print(f"{len(written.letters)} dead-lettered; the lanes went on after {spent:.1f} s")


def _lanes(running: Worker) -> dict[str, Any]:
    assert running.exit_code is None, running.tail()
    try:
        found: dict[str, Any] = json.loads(running.ready())["lanes"]
    except ValueError:  # it does not listen yet
        return {}
    return found


@pytest.mark.parametrize(("layouts", "readers"), [(len(DAMAGE), 2), pytest.param(20, 10, marks=pytest.mark.long)])
async def test_of_four_partitions_with_one_poisoned_every_good_record_is_read_once(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch, layouts: int, readers: int
) -> None:
    """Layouts by seed, read by consumers that fetch in pieces of other sizes: every kind of damage, or 200 runs."""
    monkeypatch.setattr(faults, "AGAIN_S", (0.01, 0.01, 0.01))
    topic = await make_topic(prefix, "four", 4 * layouts)
    disk = await Disk.of(prefix.bootstrap)
    for seed in range(layouts):
        draw = random.Random(seed)
        partitions = range(4 * seed, 4 * seed + 4)
        poisoned, kind = draw.choice(partitions), DAMAGE[seed % len(DAMAGE)]
        good: dict[tuple[int, int], bytes] = {}
        lost: set[tuple[int, int]] = set()
        async with clients.producer(prefix.bootstrap, {}, max_batch_size=1 << 20) as producer:
            for partition in partitions:
                place = draw.randrange(1, 4) if kind is damaged.length else draw.randrange(5)
                for number in range(5):
                    rows = [(b"k", b"%d-%d-%d" % (partition, number, i)) for i in range(draw.randrange(3, 9))]
                    bad = partition == poisoned and number == place
                    made = (kind if bad else damaged.sound)(rows, draw.choice(PACKED))
                    found = await put(disk, producer, topic, partition, made.content, made.spoil)
                    for i, (_, value) in enumerate(rows):
                        if i in made.good:
                            good[partition, found.first + i] = value
                        else:
                            lost.add((partition, found.first + i))
        ends = Counter(partition for partition, _ in (*good, *lost))
        # behind a length that is wrong, a broker serves what it already sent with what was before, or nothing
        small = () if kind is damaged.length else (200, 400, 1_000)
        sizes = [draw.choice((*small, 1 << 20)) for _ in range(readers)]
        runs = [_everything(prefix, topic, ends, size, draw.choice((None, 1, 3))) for size in sizes]
        for got in await asyncio.gather(*runs):
            assert len(got) == len(set(got)), f"seed {seed}: read twice"
            assert {(p, o): v for p, o, v in got if not isinstance(v, Unreadable)} == good, f"seed {seed}"
            spans = [(p, o) for p, _, v in got if isinstance(v, Unreadable) for o in range(v.offset, v.last_offset + 1)]
            assert sorted(spans) == sorted(lost), f"seed {seed}"


async def _everything(
    prefix: Prefix, topic: str, ends: dict[int, int], size: int, most: int | None
) -> list[tuple[int, int, bytes]]:
    async with clients.consumer(prefix.bootstrap, {}, max_partition_fetch_bytes=size) as consumer:
        tps = [TopicPartition(topic, partition) for partition in ends]
        consumer.assign(tps)
        for tp in tps:
            consumer.seek(tp, 0)
        got: list[Any] = []

        async def all_read() -> bool:
            for tp, records in (await consumer.getmany(timeout_ms=200, max_records=most)).items():
                got.extend((tp.partition, record.offset, record.value) for record in records)
            return all([await consumer.position(tp) >= ends[tp.partition] for tp in tps])

        await until(all_read, 60, "every offset to be read")
        return got


MAP = """
[[emit]]
to = "predictions"
[emit.fields]
prediction_id = "value.id"
model_type = "'churn'"
model_version = "'v1'"
predicted_at = "value.at"
score = "value.p"
"""


async def test_the_relay_sends_on_what_is_good_beside_damage_in_every_codec(prefix: Prefix, tmp_path: Path) -> None:
    source, written = await make_topic(prefix, "events", len(COMBINATIONS)), Written()
    sent, number = set(), 0
    async with unseen(prefix, written, {source: list(range(len(COMBINATIONS)))}) as writer:
        for partition, (codec, transactional) in enumerate(COMBINATIONS):
            for kind in AT_ONCE:
                ids = [f"e{number + i}" for i in range(5)]
                number += 5
                rows = [(i.encode(), json.dumps({"id": i, "at": START, "p": 0.5}).encode()) for i in ids]
                made = kind(rows, codec)
                await writer.put(source, partition, rows, made, transactional)
                sent |= {id for i, id in enumerate(ids) if i in made.good}
    path = tmp_path / "events.toml"
    path.write_text(MAP)
    done = await plumbline(prefix, "relay", source, "--map", str(path), "--until-end", "--json")
    assert done.code == 0, done.err
    topics = prefix.topics
    got = [json.loads(r.value)["prediction_id"] for r in await records_of(prefix, topics.predictions, 3)]
    assert (len(got), set(got)) == (len(sent), sent)
    await _check_letters(prefix, written, opening=len(COMBINATIONS))
