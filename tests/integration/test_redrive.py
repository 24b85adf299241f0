"""Dead-lettered records are sent again: after the cause was repaired here, or repaired themselves; then nothing is
missing."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.kafka.topics import Topics
from tests.support.generate import DAY, START, Row, Step, history
from tests.support.judge import closed_snapshots, compare, expected, finished, same
from tests.support.kafka_io import Prefix, Reached, end_offsets, read, time_text, write
from tests.support.worker import Worker

Body = dict[str, Any]


@dataclass(frozen=True)
class Damage:
    """What a producer does to a record, and which records it can be done to so that it can be told again."""

    topic: str
    fits: Callable[[Body], bool]
    do: Callable[[Body], None]


def _text(*names: str) -> Callable[[Body], None]:
    def do(row: Body) -> None:
        for name in names:
            row[name] = str(row[name])

    return do


def _naive(name: str) -> Callable[[Body], None]:
    def do(row: Body) -> None:
        row[name] = time_text(row[name]).removesuffix("Z")

    return do


def _rename(row: Body) -> None:
    row["probability"] = row.pop("score")


def _yes(name: str) -> Callable[[Body], None]:
    def do(row: Body) -> None:
        row[name] = "yes" if row[name] else "no"

    return do


#: Ten kinds. A value that is set when they are repaired stands for all of its kind.
DAMAGES = (
    Damage("predictions", lambda row: True, _text("score")),
    Damage("predictions", lambda row: "ci_lower" in row, _text("ci_lower", "ci_upper")),
    Damage("predictions", lambda row: "predicted" in row, _yes("predicted")),
    Damage("predictions", lambda row: isinstance(row["predicted_at"], int), _naive("predicted_at")),
    Damage("predictions", lambda row: True, _rename),
    Damage("predictions", lambda row: row["model_version"] == "v2", lambda row: row.pop("model_version")),
    Damage(
        "predictions", lambda row: (row["model_type"], row.get("tenant_id")) == ("fraud", "a"),
        lambda row: row.pop("tenant_id"),
    ),
    Damage("predictions", lambda row: row["model_type"] == "conflict", lambda row: row.update(model_type="con flict")),
    Damage("outcomes", lambda row: True, _yes("actual")),
    Damage("outcomes", lambda row: isinstance(row["observed_at"], int), _naive("observed_at")),
)  # fmt: skip

#: What an operator would do about them, in turn.
REPAIRS = (
    ("--reason", "missing_tenant", "--set", "tenant_id=a"),
    ("--reason", "bad_name", "--set", "model_type=conflict"),
    ("--reason", "invalid_field", "--coerce"),
    ("--reason", "invalid_field", "--assume-utc"),
    ("--reason", "invalid_field", "--map", "score=probability"),
    ("--reason", "invalid_field", "--set", "model_version=v2"),
)


def _spoil(clean: list[Step], share: float) -> tuple[list[Step], Counter[tuple[str, bytes, bytes | None]]]:
    """The same steps with some records damaged, and what they are then; only such as come once, so that order does
    not matter."""
    draw = random.Random(8)
    times = Counter((row.topic, row.key) for _, rows in clean for row in rows)
    kinds = Counter[int]()
    out, spoiled = [], Counter[tuple[str, bytes, bytes | None]]()
    for at, rows in clean:
        mixed = []
        for row in rows:
            body = json.loads(row.value or b"")
            fit = [i for i, d in enumerate(DAMAGES) if d.topic == row.topic and d.fits(body)]
            if times[row.topic, row.key] == 1 and draw.random() < share:
                number = min(fit, key=lambda i: kinds[i])
                kinds[number] += 1
                DAMAGES[number].do(body)
                row = Row(row.topic, row.key, json.dumps(body).encode())
                spoiled[row.topic, row.key, row.value] += 1
            mixed.append(row)
        out.append((at, mixed))
    assert len(kinds) == len(DAMAGES)
    return out, spoiled


@pytest.fixture
def redrive(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, with a worker's settings."""

    async def call(running: Worker, *words: str) -> str:
        for key, value in running.env.items():
            if key.startswith("PLUMBLINE_"):
                monkeypatch.setenv(key, value)
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "redrive", *words])
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.output

    return call


async def test_mended_letters_of_ten_kinds_leave_the_metrics_that_would_be_without_them(
    prefix: Prefix, worker: Callable[..., Worker], redrive: Callable[..., Any]
) -> None:
    clean = history(seed=53, days=4, per_day=1_500, with_poison=False)
    steps, spoiled = _spoil(clean, 0.01)
    reached: Reached = {}
    running = worker(max_checkpoint_events="500").start()
    await write(prefix, steps, reached)
    await finished(prefix, steps[-1][0], [running])
    topics = prefix.topics
    names = {topics.predictions: "predictions", topics.outcomes: "outcomes"}
    found: Counter[tuple[str, bytes, bytes | None]] = Counter()
    for part in (await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)).values():
        for record in part:
            header = dict(record.headers)
            if header["plumbline.reason"] != b"contradictory":
                found[names[header["__connect.errors.topic"].decode()], record.key, record.value] += 1
    assert found == spoiled

    told = [await redrive(running, *words) for words in REPAIRS]
    assert sum(int(text.split()[1]) for text in told) == spoiled.total(), told
    assert all("cannot be repaired" not in text for text in (*told[:2], told[-1])), told
    assert "cannot be repaired" in told[2], "what one repair makes nothing of stays for the next"
    for topic in names:
        reached[topic] = await end_offsets(prefix.bootstrap, topic, topics.input_partitions)
    later = [(steps[-1][0] + hour * DAY // 24, list[Row]()) for hour in (1, 24)]
    await write(prefix, later, reached)
    follower = await finished(prefix, later[-1][0], [running])
    await compare(prefix, follower)

    other = Topics(topics.input_prefix + "clean.", topics.output_prefix + "clean.", 3, 2)
    without = await Prefix(prefix.bootstrap, other).create()
    await write(without, clean + later)
    want = await expected(without)
    got = {(row["model"], row["model_version"], row["date"]): row async for row in _newest(prefix)}
    last = {key[:3]: fields for key, fields in sorted(want.snapshots.items(), key=lambda item: item[0][3])}
    assert got.keys() == last.keys()
    for key, fields in last.items():
        for name, value in fields.items():
            assert same(got[key][name], value, name), (key, name, got[key][name], value)
    for side, counts in (("predictions", want.predictions), ("outcomes", want.outcomes)):
        sent = sum(n for (topic, _, _), n in spoiled.items() if topic == side)
        assert Counter({k: v for k, v in follower.dispositions[side].items() if v}) == counts + Counter(
            dead_lettered=sent
        ), side
    print(f"{spoiled.total()} of {sum(len(rows) for _, rows in clean)} records were damaged; {len(got)} days agree")


async def _newest(prefix: Prefix) -> Any:
    for _, value in await closed_snapshots(prefix):
        yield json.loads(value)


async def test_redriven_after_a_fix_every_pair_counts_as_if_nothing_had_been_wrong(
    prefix: Prefix, worker: Callable[..., Worker], redrive: Callable[..., Any]
) -> None:
    """Outcomes that came too early for the worker's clock: a producer's clock was an hour ahead, then it was set."""
    now = START + DAY
    rows = [
        Row(
            "predictions", b"k%d" % i,
            json.dumps({
                "prediction_id": f"k{i}", "model_type": "churn", "model_version": "v1", "predicted_at": now - 3_600_000,
                "score": i / 100,
            }).encode(),
        )
        for i in range(100)
    ]  # fmt: skip
    late = [
        Row(
            "outcomes", b"k%d" % i,
            json.dumps({"prediction_id": f"k{i}", "actual": i % 2, "observed_at": now + 3_000_000}).encode(),
        )
        for i in range(100)
    ]  # fmt: skip
    reached: Reached = {}
    running = worker().start()
    await write(prefix, [(now, rows + late)], reached)
    await finished(prefix, now, [running])
    letters = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.model_partitions)
    assert sum(map(len, letters.values())) == 100
    assert "sent 100 records" in await redrive(running, "--reason", "future")
    # an hour later their time has come
    outcomes = prefix.topics.outcomes
    reached[outcomes] = await end_offsets(prefix.bootstrap, outcomes, prefix.topics.input_partitions)
    later = now + 3_600_000
    await write(prefix, [(later, []), (START + 3 * DAY, [])], reached)
    follower = await finished(prefix, START + 3 * DAY, [running])
    await compare(prefix, follower)
    assert follower.dispositions["outcomes"]["joined"] == 100
    assert follower.dispositions["outcomes"]["dead_lettered"] == 100
