"""Where the pipeline stands: what ``plumbline doctor`` and the workers' ``/readyz`` know, for the page of the pipeline.

Gathered when somebody asks and kept for some seconds, whoever asks; what does not answer is a problem with a sentence,
and takes no more than its own time.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Request, Response
from redis.exceptions import RedisError

from schemas import deadletters
from schemas.common import MAX_MS, rfc3339
from stream_app.errors import PlumblineError
from stream_app.kafka import admin, clients
from stream_app.kafka.clock_tail import ClockTail, read_tail
from stream_app.kafka.reach import started
from stream_app.kafka.reading import newest, partitions
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings
from stream_app.web.answers import answer
from stream_app.web.pipeline_workers import PipelinePart, Problem, WorkerWatch
from stream_app.web.reading import Viewer, in_slices
from stream_app.web.site import Site, site_of

router = APIRouter(prefix="/api/v1", tags=["reading"])

#: Seconds that what was gathered is shown again. With the two seconds after which a page asks anew, a dead-lettered
#: record is seen within five; each gathering opens connections, so that fewer would cost more than anybody sees.
KEPT_S: Final = 1.5
#: Seconds that each question to Kafka has.
KAFKA_S: Final = 8.0
#: Newest dead-lettered records of each partition that are counted.
LETTERS: Final = 300
#: Fields of a sample that are named, and characters of each name; a sample shows no values, which may be personal.
FIELDS, NAMED = 30, 64
#: Consumer groups of the reference trainer and deployer, unless they were started with others.
TRAINER, DEPLOYER = "plumbline-trainer", "plumbline-deployer"
_FIELD: Final = re.compile(r"\$\.?([A-Za-z0-9_.\[\]-]+)")
_FIRST: Final = re.compile(r"^([a-z][a-z0-9_]*) (?:is|has|must|lies)\b")


class PipelineView:
    """What was gathered last, by one task at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._workers = WorkerWatch(site.settings)
        self._lock = asyncio.Lock()
        self._at = 0.0
        self._known: dict[str, Any] = {}
        #: group → when it had a member last (RFC 3339)
        self._seen: dict[str, str] = {}

    async def now(self) -> dict[str, Any]:
        """Where everything stands, some seconds old at most."""
        async with self._lock:
            if not self._known or time.monotonic() - self._at > KEPT_S:
                self._known = await self._gather()
                self._at = time.monotonic()
            return self._known

    async def _gather(self) -> dict[str, Any]:
        site = self._site
        workers, tick, letters, groups, checks = await asyncio.gather(
            _bounded(_WORKERS, self._workers.look, []),
            _bounded(_CLOCK, lambda: _tick(site.settings, site.topics), {"at": None, "age_s": None, "mode": None}),
            _bounded(_LETTERS, lambda: _letters(site.settings, site.topics), {"reasons": []}),
            _bounded(_GROUPS, lambda: self._groups(site.settings), {}),
            _bounded(_READ_MODEL, lambda: _checks(site), []),
        )
        lanes = [lane for worker in workers.rows for lane in worker.pop("lanes")]
        rest = groups.rows or {}
        refused = sum(
            row["count"] for row in letters.rows["reasons"] if row["reason"] == deadletters.REFUSED_BY_DESTINATION
        )
        return {
            "at": rfc3339(time.time_ns() // 1_000_000),
            "workers": workers.rows,
            "lanes": lanes,
            "tick": tick.rows,
            "checks_today": checks.rows,
            "dead_letters": letters.rows,
            "bridge": {**rest.get("bridge", _NOBODY | {"deliveries": None}), "failed": refused},
            "trainer": rest.get("trainer", _NOBODY),
            "deployer": rest.get("deployer", _NOBODY),
            "problems": together([p for part in (workers, tick, letters, groups, checks) for p in part.problems]),
        }

    async def _groups(self, settings: Settings) -> PipelinePart:
        """Whose group has members, and how far the bridge has come."""
        names = [
            name
            for name, address in (
                ("alertmanager", settings.bridge_alertmanager_url),
                ("webhook", settings.bridge_webhook_url),
            )
            if address
        ]
        bridges = [f"{settings.app_id}-bridge-{name}" for name in names]
        wanted = [*bridges, TRAINER, DEPLOYER]
        problems = []
        async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
            groups = {name: await admin.consumer_group(client, name) for name in wanted}
            offsets = [
                await client.list_consumer_group_offsets(group) for group in bridges if groups[group].state != "Dead"
            ]
        now = rfc3339(time.time_ns() // 1_000_000)
        running = {name for name, group in groups.items() if group.members}
        self._seen |= dict.fromkeys(running, now)
        for group in bridges:
            if group not in running:
                text = f"no bridge is running for {group}: alerts are recorded and nobody is told"
                problems.append({"sentence": text, "remedy": "`plumbline bridge` starts it"})
        rows: dict[str, Any] = {}
        for name, group, undone, remedy in (
            ("trainer", TRAINER, "trainings are commanded and nobody does them", "`plumbline trainer`"),
            ("deployer", DEPLOYER, "versions are commanded and nobody activates them", "`plumbline predictor deploy`"),
        ):
            rows[name] = {"running": group in running, "last_seen": self._seen.get(group)}
            # a group that is known and empty had a member once; one that never had any may be somebody else's trainer
            if group not in running and (groups[group].state == "Empty" or group in self._seen):
                problems.append({"sentence": f"the {name} has stopped: {undone}", "remedy": f"{remedy} starts it"})
        if bridges:
            handled = sum(meta.offset for found in offsets for meta in found.values())
            seen = [self._seen[group] for group in bridges if group in self._seen]
            rows["bridge"] = {
                "running": running.issuperset(bridges), "last_seen": max(seen, default=None), "deliveries": handled,
            }  # fmt: skip
        return PipelinePart(rows, problems)


#: What is asked about, as a problem names it.
_WORKERS, _CLOCK, _LETTERS, _GROUPS, _READ_MODEL = _ASKED = (
    "the workers", "the clock", "dead-lettered records", "consumer groups", "the read model",
)  # fmt: skip


def together(problems: list[Problem]) -> list[Problem]:
    """Each trouble once: of several questions that met the same one, a broker that is away, all are named in it."""
    about: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        what, _, text = problem["sentence"].partition(": ")
        asked = what in _ASKED
        named = about.setdefault((text if asked else problem["sentence"], problem["remedy"]), [])
        if asked:
            named.append(what)
    return [
        {"sentence": f"{', '.join(named)}: {text}" if named else text, "remedy": remedy}
        for (text, remedy), named in about.items()
    ]


_NOBODY: Final = {"running": False, "last_seen": None}


async def _bounded(what: str, ask: Callable[[], Awaitable[PipelinePart]], nothing: Any) -> PipelinePart:
    """What a question finds; one that breaks, or takes too long, is a problem and hides no other."""
    try:
        async with asyncio.timeout(KAFKA_S):
            return await ask()
    except TimeoutError:
        why = f"{what}: no answer within {KAFKA_S:.0f} s"
    except PlumblineError as error:
        why = f"{what}: {error}"
    except (KafkaError, RedisError, OSError) as error:
        why = f"{what}: {type(error).__name__}: {error}"
    return PipelinePart(nothing, [{"sentence": why, "remedy": "`plumbline doctor` examines the installation"}])


async def _tick(settings: Settings, topics: Topics) -> PipelinePart:
    """The newest tick of the models' clock, and whether another will come."""
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    reader = clients.consumer(bootstrap, options, fetch_max_wait_ms=100)
    async with started(reader, bootstrap, options):
        known = topics.model_clock in await reader.topics()
        there = await partitions(reader, topics.model_clock) if known else ()
        tail = await read_tail(reader, [TopicPartition(topics.model_clock, number) for number in sorted(there)])
    now_ms = time.time_ns() // 1_000_000
    row = {
        "at": rfc3339(tail.at_ms) if tail.at_ms else None,
        "age_s": round((now_ms - tail.stamped_ms) / 1000, 1) if tail.at_ms else None,
        "mode": tail.mode,
    }
    still = _still(settings, tail, now_ms)
    remedy = "`plumbline worker` writes them, and so does `plumbline replay`"
    return PipelinePart(row, [{"sentence": still, "remedy": remedy}] if still else [])


def _still(settings: Settings, tail: ClockTail, now_ms: int) -> str | None:
    """Why no tick comes by itself, where one should: a pipeline that follows recorded ticks has none to expect."""
    if tail.mode == "external" and settings.clock == "follow":
        return None
    return tail.no_tick_comes(now_ms)


async def _letters(settings: Settings, topics: Topics) -> PipelinePart:
    """What could not be used, by reason, with the newest of each and the field that failed."""
    reasons: dict[str, dict[str, Any]] = {}
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    reader = clients.consumer(bootstrap, options, auto_offset_reset="earliest", fetch_max_wait_ms=100)
    async with started(reader, bootstrap, options):
        async for record in newest(reader, topics.dead_letters, LETTERS):
            added = deadletters.added(list(record.headers))
            reason = added[deadletters.REASON] if deadletters.origin(added) is not None else deadletters.FOREIGN
            known = reasons.setdefault(reason, {"reason": reason, "count": 0, "newest": -1, "sample": {}})
            known["count"] += 1
            if record.timestamp >= known["newest"]:
                known["newest"] = record.timestamp
                known["sample"] = _sample(added, record.timestamp) | {"fields": _fields(record.value)}
    rows = sorted(reasons.values(), key=lambda row: (-row["count"], row["reason"]))
    for row in rows:
        del row["newest"]
    text = ", ".join(
        f"{row['count']:,} {'record' if row['count'] == 1 else 'records'} ({row['reason'].replace('_', ' ')})"
        for row in rows
    )
    remedy = "repair the cause, then send them again below, or with `plumbline dead-letters redrive`"
    return PipelinePart({"reasons": rows}, [{"sentence": f"dead-lettered: {text}", "remedy": remedy}] if rows else [])


def _sample(added: dict[str, str], at_ms: int) -> dict[str, Any]:
    message = added.get(deadletters.MESSAGE, "")
    found = _FIELD.search(message) or _FIRST.search(message)
    places = (deadletters.number(added.get(name, "")) for name in (deadletters.PARTITION, deadletters.OFFSET))
    partition, offset = (-1 if place is None else place for place in places)
    sample = {
        "topic": added.get(deadletters.TOPIC, ""),
        "partition": partition,
        "offset": offset,
        "message": message,
        "at": rfc3339(at_ms) if 0 <= at_ms <= MAX_MS else None,
    }
    return sample | ({"field": found[1].rstrip(".`")} if found is not None else {})


def _fields(value: bytes | None) -> list[str] | None:
    """The names of a record's fields and what each holds, without the values; ``None`` for what is no JSON object."""
    try:
        row = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict):
        return None
    return [f"{name[:NAMED]}: {_HELD.get(type(held), 'nothing')}" for name, held in list(row.items())[:FIELDS]]


_HELD: Final = {str: "text", int: "number", float: "number", bool: "true or false", list: "list", dict: "object"}


async def _checks(site: Site) -> PipelinePart:
    """Of how many models each daily check of the newest tick's date is there."""
    tick_ms = (await site.reader.status()).tick_ms
    today = rfc3339(tick_ms)[:10] if tick_ms is not None else ""
    done = dict.fromkeys(("quality", "statistical", "performance"), 0)
    expected = 0
    async for entry in in_slices(await site.reader.fleet.models()):
        drift = entry.view["drift"]
        expected += entry.view["active_version"] is not None
        done["quality"] += (drift["quality_checked"] or "")[:10] == today
        for kind in ("statistical", "performance"):
            done[kind] += drift[kind] is not None and drift[kind]["as_of"][:10] == today
    return PipelinePart([{"check": check, "expected": expected, "done": count} for check, count in done.items()], [])


@router.get("/pipeline")
async def pipeline(request: Request, user: Viewer) -> Response:
    """Where the pipeline stands, some seconds old at most: workers and their lanes, the clock, the daily checks of
    today, dead-lettered records by reason with the newest of each, bridge, trainer and deployer, and what is wrong with
    what repairs it."""
    view = getattr(request.app.state, "pipeline", None)
    if view is None:
        view = request.app.state.pipeline = PipelineView(site_of(request))
    return answer(await view.now())
