"""The read model equals the topics, whatever happens to Redis, and nothing waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.kit.effects import Emit
from stream_app.doctor import machine
from stream_app.doctor.report import Checkup
from stream_app.projection.client import client
from stream_app.projection.keys import Keys
from stream_app.projection.projector import Projector
from stream_app.projection.reader import Reader
from stream_app.tasks import end
from tests.support.generate import Step, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, read, until, write
from tests.support.live import RedisServer, newest, publish, published
from tests.support.worker import Worker


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@contextlib.asynccontextmanager
async def projecting(prefix: Prefix, url: str) -> AsyncIterator[Reader]:
    """A projector in this process, and a reader of what it makes."""
    settings = prefix.settings(redis_url=url)
    task = asyncio.create_task(Projector(settings, prefix.topics, "a-cluster").run(lambda: True))
    redis = client(settings, answer_s=30)
    try:
        yield Reader(redis, Keys(settings.output_prefix))
    finally:
        await end(task)
        await redis.aclose()


async def whole(reader: Reader, bound_s: float = 60.0) -> None:
    async def is_whole() -> bool:
        return not (await reader.status()).degraded

    await until(is_whole, bound_s, "the read model to be whole")


def everything(row: dict[str, Any]) -> bool:
    return True


async def compare_with_topics(reader: Reader) -> None:
    """Every answer, against the last records by key in what was published."""
    snapshots = newest("metric-snapshots", lambda r: (r["model"], r["date"], r["model_version"]))
    models = sorted({model for model, _, _ in snapshots})
    entries = await reader.fleet.models()
    assert sorted(entry.model for entry in entries) == models
    for model in models:
        found = [orjson.loads(row) for row in (await reader.snapshots(model, None, None, None, 0, 100_000)).items]
        wanted = sorted(
            (r for (of, _, _), r in snapshots.items() if of == model and r["state"] == "closed"),
            key=lambda r: (r["date"], r["model_version"]),
        )
        assert found == wanted
        first, middle = wanted[0], wanted[len(wanted) // 2]
        some = await reader.snapshots(model, middle["model_version"], first["date"], middle["date"], 0, 100_000)
        assert [orjson.loads(row) for row in some.items] == [
            r for r in wanted if r["model_version"] == middle["model_version"] and r["date"] <= middle["date"]
        ]
        assert (await reader.model(model))["open"] == sorted(
            (r for (of, _, _), r in snapshots.items() if of == model and r["date"] > wanted[-1]["date"]),
            key=lambda r: (r["date"], r["model_version"]),
        )
        events = newest("drift-events", lambda r: (r["model"], r["kind"], r.get("check")))
        now = (await reader.model(model))["events"]
        assert now["statistical"] == events[model, "statistical", None]
        assert now["performance"] == events[model, "performance", None]
        assert {e["check"]: e for e in now["quality"]} == {
            check: e for (of, kind, check), e in events.items() if of == model and kind == "quality"
        }
    alerts = newest("alerts", lambda r: r["id"])
    page = await reader.alerts(None, everything, 0, 200)
    assert {json.loads(v)["id"]: json.loads(v) for v in page.items} == alerts
    for id, alert in alerts.items():
        told = await reader.alert(id)
        assert told is not None
        assert told[0] == alert
        assert told[1] == [r for e in published()["alerts"] if (r := json.loads(e.value or b""))["id"] == id]
    retracted = {r["revises"] for r in newest("drift-events", lambda r: r["id"]).values() if "revises" in r}
    drift = {
        id
        for id, r in newest("drift-events", lambda r: r["id"]).items()
        if r["verdict"] == "drift" and id not in retracted
    }
    ids: set[str] = set()
    at: int | None = 0
    while at is not None:
        found_page = await reader.events(None, everything, at, 100)
        ids |= {json.loads(v)["id"] for v in found_page.items}
        at = found_page.next
    assert ids == drift
    audit = await reader.audit(None, everything, 0, 200)
    # what was decided alike again and again stands there once, in its newest revision
    rows = {json.loads(e.value or b"")["id"]: e.value or b"" for e in published()["audit"]}
    assert len(rows) < len(published()["audit"])
    assert sorted(audit.items) == sorted(rows.values())
    jobs, commands = await reader.history("churn:step-25-300-on")
    for found_rows, kind in ((jobs, "training-jobs"), (commands, "training-commands")):
        written = [e.value or b"" for e in published()[kind] if b'"churn:step-25-300-on"' in (e.value or b"")]
        assert written, f"no {kind} in what was published"
        assert found_rows == written[::-1]


async def test_it_equals_the_topics_and_again_after_a_flush_and_a_restart(
    prefix: Prefix, redis_server: RedisServer
) -> None:
    await publish(prefix, published())
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)
        await compare_with_topics(reader)
        first = (await reader.status()).generation

        await reader.redis.flushall()

        async def renewed() -> bool:
            status = await reader.status()
            return not status.degraded and status.generation != first

        await until(renewed, 60, "a new generation")
        await compare_with_topics(reader)
        second = (await reader.status()).generation
    # another process goes on where the first one stood, and makes nothing twice
    async with projecting(prefix, redis_server.url) as reader:
        await publish(prefix, {"audit": published()["audit"][-1:]})
        audit = published()["audit"][-1].value

        async def taken() -> bool:
            positions = await reader.redis.hgetall(reader.keys.positions)
            return sum(int(p) for n, p in positions.items() if b".audit:" in n) == len(published()["audit"]) + 1

        await until(taken, 30, "the record that came later")
        assert (await reader.status()).generation == second
        assert (await reader.audit(None, everything, 0, 200)).items.count(audit) >= 1


async def test_a_model_that_was_forgotten_leaves_redis_and_stays_away_when_it_is_filled_anew(
    prefix: Prefix, redis_server: RedisServer
) -> None:
    alerts = published()["alerts"]
    opened = [json.loads(emit.value or b"") for emit in alerts]
    model = next(row["model"] for row in opened if row["status"] == "open")
    of_model = [emit for emit, row in zip(alerts, opened, strict=True) if row["model"] == model]
    gone = Emit("model-lifecycle", None, model.encode(), None, [])

    async def away(reader: Reader) -> bool:
        status = await reader.status()
        return not status.degraded and model not in {entry.model for entry in await reader.fleet.models()}

    async def keys_of_it(reader: Reader) -> list[bytes]:
        return [key async for key in reader.redis.scan_iter("*") if model.encode() in key and b":gone:" not in key]

    await publish(prefix, published())
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)
        assert model in {entry.model for entry in await reader.fleet.models()}
        await publish(prefix, {"model-lifecycle": (gone,)})
        await until(lambda: away(reader), 30, "the model to leave the fleet")
        # what later stages say of it comes after: it opens nothing again
        await publish(prefix, {"alerts": (of_model[-1],), "training-jobs": (gone,)})
        await publish(prefix, {"audit": published()["audit"][:1]})

        async def taken() -> bool:
            positions = await reader.redis.hgetall(reader.keys.positions)
            return sum(int(p) for n, p in positions.items() if b".audit:" in n) == len(published()["audit"]) + 1

        await until(taken, 30, "the records that came later")
        assert await away(reader)
        assert await keys_of_it(reader) == []
        page = await reader.alerts(None, everything, 0, 200)
        assert not [item for item in page.items if json.loads(item)["model"] == model]
        others = {entry.model for entry in await reader.fleet.models()}
        assert len(others) == 3

        first = (await reader.status()).generation
        await reader.redis.flushall()

        async def renewed() -> bool:
            return (await reader.status()).generation != first and await away(reader)

        await until(renewed, 60, "a new generation without it")
        assert {entry.model for entry in await reader.fleet.models()} == others
        assert await keys_of_it(reader) == []

        again = next(e for e in published()["model-lifecycle"] if e.key == model.encode())
        await publish(prefix, {"model-lifecycle": (again,)})

        async def back() -> bool:
            return model in {entry.model for entry in await reader.fleet.models()}

        await until(back, 30, "the model that came back")


async def test_a_tombstone_that_compaction_has_taken_keeps_the_model_away_all_the_same(
    prefix: Prefix, redis_server: RedisServer
) -> None:
    model = json.loads(published()["alerts"][0].value or b"")["model"]
    left = {
        kind: tuple(e for e in rows if not (kind == "model-lifecycle" and e.key == model.encode()))
        for kind, rows in published().items()
    }
    await publish(prefix, left)
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)

        async def away() -> bool:
            return model not in {entry.model for entry in await reader.fleet.models()}

        await until(away, 30, "the model to leave the fleet")
        assert len(await reader.fleet.models()) == 3


async def test_snapshots_beyond_the_days_that_are_kept_leave_redis_however_many_versions_have_them(
    prefix: Prefix, redis_server: RedisServer
) -> None:
    row = next(r for e in published()["metric-snapshots"] if (r := json.loads(e.value or b""))["state"] == "closed")

    def emits(day: str, count: int, state: str = "closed") -> list[Emit]:
        rows = ({**row, "date": day, "state": state, "model_version": f"v{n:04d}"} for n in range(count))
        return [Emit("metric-snapshots", None, b"x", json.dumps(r).encode(), []) for r in rows]

    async with projecting(prefix, redis_server.url) as reader:
        model = row["model"]
        days, opened = reader.keys.days(model), reader.keys.open(model)
        await whole(reader)  # what is met while it is filled, and has no active version, was forgotten

        async def opens() -> int:
            return len((await reader.model(model))["open"])

        await publish(prefix, {"metric-snapshots": tuple(emits("2026-01-01", 700, "open"))})

        async def shown() -> bool:
            return int(await reader.redis.hlen(opened)) == 700

        await until(shown, 60, "the first day")
        assert await opens() == 500, "the API has pages of five hundred"
        await publish(prefix, {"metric-snapshots": tuple(emits("2026-01-01", 700))})

        async def held(wanted: int) -> bool:
            return all(
                [
                    await reader.redis.hlen(days) == wanted,
                    await reader.redis.zcard(reader.keys.in_order(days)) == wanted,
                    await reader.redis.hlen(opened) == 0,
                    await reader.redis.zcard(reader.keys.in_order(opened)) == 0,
                ]
            )

        await until(lambda: held(700), 60, "every version of the first day, and none of it open")
        assert await opens() == 0
        await publish(prefix, {"metric-snapshots": tuple(emits("2026-04-01", 3))})
        await until(lambda: held(703), 60, "the newest day that leaves the first one kept")
        await publish(prefix, {"metric-snapshots": tuple(emits("2026-04-02", 3))})
        await until(lambda: held(6), 60, "the first day to leave")


async def test_doctor_names_the_models_without_an_outcome_in_30_days(prefix: Prefix, redis_server: RedisServer) -> None:
    row = next(r for e in published()["metric-snapshots"] if (r := json.loads(e.value or b""))["state"] == "closed")

    def emits(tenant: str, days: int, outcomes_on: int | None = None) -> tuple[Emit, ...]:
        of = {"model": f"churn:{tenant}", "tenant_id": tenant}
        rows = (
            row | of | {"date": f"{date(2026, 3, 1) + timedelta(days=n)}", "predictions": 200,
                        "outcomes": 40 if n == outcomes_on else 0}
            for n in range(days)
        )  # fmt: skip
        return tuple(Emit("metric-snapshots", None, b"x", json.dumps(r).encode(), []) for r in rows)

    settings = prefix.settings(redis_url=redis_server.url)
    late = prefix.settings(redis_url=redis_server.url, types={"churn": {"label_delay_days": 45}})

    async def said(of: Any = settings) -> tuple[str, str]:
        (found,) = await machine.outcomes(Checkup(of, prefix.topics))
        return found.level, found.what

    models = (emits("silent", 35), emits("labelled", 35, 20), emits("long-ago", 35, 2), emits("young", 29))
    await publish(prefix, {"metric-snapshots": tuple(emit for some in models for emit in some)})
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)
        level, what = await said()
        assert level == "warn"
        assert what.startswith(
            "2 models have predicted for 30 days without one outcome: churn:long-ago, churn:silent. "
        )
        assert (await said(late))[0] == "ok", "none is expected so soon"
    assert (await said(settings.model_copy(update={"redis_url": ""})))[0] == "ok"
    assert (await said(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})))[0] == "warn"


async def test_two_projectors_at_once_never_mix(prefix: Prefix, redis_server: RedisServer) -> None:
    await publish(prefix, published())
    async with projecting(prefix, redis_server.url) as reader, projecting(prefix, redis_server.url):
        await whole(reader)
        await compare_with_topics(reader)


async def test_a_slow_or_absent_redis_holds_no_checkpoint_and_is_made_whole_again(
    prefix: Prefix, worker: Callable[..., Worker], redis_server: RedisServer
) -> None:
    """Frozen for five seconds, killed, and empty when it comes back, all under load."""
    steps = history(seed=71, days=4, per_day=300)
    running = worker(redis_url=redis_server.url).start()
    async with contextlib.aclosing(client(prefix.settings(redis_url=redis_server.url), answer_s=30)) as redis:
        await _under_load(prefix, running, redis_server, Reader(redis, Keys(prefix.topics.output_prefix)), steps)


async def _under_load(
    prefix: Prefix, running: Worker, redis_server: RedisServer, reader: Reader, steps: list[Step]
) -> None:
    part = len(steps) // 4
    await write(prefix, steps[:part])
    await finished(prefix, steps[part - 1][0], [running])
    await whole(reader)

    began = time.monotonic()
    redis_server.signal(signal.SIGSTOP)
    await write(prefix, steps[part : 2 * part])
    await finished(prefix, steps[2 * part - 1][0], [running])
    slow = time.monotonic() - began
    await until(lambda: time.monotonic() - began > 5, 10, "five seconds")
    redis_server.signal(signal.SIGCONT)
    await whole(reader)

    redis_server.kill()
    await write(prefix, steps[2 * part :])
    follower = await finished(prefix, steps[-1][0], [running])
    assert (await reader.status()).degraded
    await compare(prefix, follower)
    redis_server.start()
    await whole(reader)
    print(f"with Redis frozen the worker had caught up after {slow:.1f} s")
    found = await prefix_snapshots(prefix)
    for model in {model for model, _, _ in found}:
        wanted = sorted((r for (of, _, _), r in found.items() if of == model), key=lambda r: r["id"])
        held = (await reader.snapshots(model, None, None, None, 0, 100_000)).items
        assert sorted(map(orjson.loads, held), key=lambda r: r["id"]) == wanted


async def prefix_snapshots(prefix: Prefix) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Newest closed snapshot by model, date and version, from the topic."""
    parts = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    found = {}
    for records in parts.values():
        for record in records:
            row = json.loads(record.value)
            if row["state"] == "closed":
                found[row["model"], row["date"], row["model_version"]] = row
    return found
