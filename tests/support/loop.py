"""Simulated time on a real broker, a turn at a time, and the same turns through the simulator."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import TopicPartition

from schemas.partitioning import partition_for
from stream_app.commands.send import NewCommand, send
from stream_app.kafka import clients
from stream_app.replay.clock_writer import ClockWriter
from stream_app.replay.follow import LogFollower
from stream_app.settings import Settings
from stream_app.simulator import Simulator
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from tests.support.kafka_io import Prefix, read, until
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, Day
from tests.support.worker import Worker

MINUTE_MS = 60_000

Answer = dict[str, Any]
#: (topic, key, value)
Record = tuple[str, bytes, bytes]


@dataclass
class Turn:
    """What a tick covers."""

    at_ms: int
    rows: list[Record] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    orders: list[NewCommand] = field(default_factory=list)


def rows_of(model: str, version: str, day: int, found: Day) -> list[Record]:
    """A day's predictions, spread over the morning, and their outcomes at once; topics without prefix."""
    model_type, _, tenant = model.partition(":")
    out: list[Record] = []
    step = 10 * HOUR_MS // max(len(found.scores), 1)
    for i in range(len(found.scores)):
        key = f"{tenant}-{day}-{i}"
        at = (FIRST_DAY + day) * DAY_MS + i * step
        row: dict[str, Any] = {
            "prediction_id": key, "model_type": model_type, "model_version": version, "tenant_id": tenant,
            "predicted_at": at, "score": float(found.scores[i]), "predicted": bool(found.predicted[i]),
        }  # fmt: skip
        out.append(("predictions", key.encode(), orjson.dumps(row)))
        if found.actual[i] >= 0:
            label = {"prediction_id": key, "actual": int(found.actual[i]), "observed_at": at + HOUR_MS}
            out.append(("outcomes", key.encode(), orjson.dumps(label)))
    return out


class Stepper:
    """Writes a turn's records and tick and waits until the last log has carried it. An async context manager."""

    def __init__(
        self, prefix: Prefix, workers: Sequence[Worker], after: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """``after`` is awaited after every turn."""
        self._after = after
        self.prefix = prefix
        self.workers = list(workers)
        self.turns: list[Turn] = []
        self._writer = ClockWriter(prefix.bootstrap, {}, prefix.topics)
        self._follower = LogFollower(prefix.bootstrap, {}, prefix.topics)
        self._producer = clients.producer(prefix.bootstrap, {})
        self._settings = prefix.settings()
        topics = prefix.topics
        self._news = {
            TopicPartition(name, partition): list[dict[str, Any]]()
            for name in (topics.training_commands, topics.training_jobs)
            for partition in range(topics.model_partitions)
        }
        self._reader = clients.consumer(prefix.bootstrap, {}, auto_offset_reset="earliest", fetch_max_wait_ms=20)

    async def __aenter__(self) -> Stepper:
        await self._writer.__aenter__()
        await self._follower.__aenter__()
        await self._producer.start()
        await self._reader.start()
        self._reader.assign(list(self._news))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._reader.stop()
        await self._producer.stop()
        await self._follower.__aexit__(*exc)
        await self._writer.__aexit__(*exc)

    async def turn(self, turn: Turn, bound_s: float = 60.0) -> None:
        """Write and wait."""
        topics = self.prefix.topics
        self.turns.append(turn)
        for answer in turn.answers:
            key = answer["model"].encode()
            partition = partition_for(key, topics.model_partitions)
            await self._producer.send_and_wait(topics.training_results, orjson.dumps(answer), key, partition)
        if turn.orders:
            await send(self._settings, topics, turn.orders)
        names = {"predictions": topics.predictions, "outcomes": topics.outcomes}
        await self._writer.write(turn.at_ms, [(names[name], key.decode(), value) for name, key, value in turn.rows])

        async def carried() -> bool:
            for worker in self.workers:
                assert worker.exit_code is None, f"worker ended with {worker.exit_code}\n{worker.tail()}"
            await self._follower.poll()
            return min(self._follower.ticks.values()) >= turn.at_ms

        try:
            await until(carried, bound_s, f"tick {turn.at_ms} in the last log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(w.tail() for w in self.workers)) from None
        if self._after is not None:
            await self._after()

    async def fresh(self, topic: str) -> list[dict[str, Any]]:
        """Commands, or jobs, since the last call, in order within a partition."""
        ends = await self._reader.end_offsets(list(self._news))
        while any([await self._reader.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await self._reader.getmany(timeout_ms=20)).items():
                self._news[tp] += [json.loads(record.value) for record in records]
        found = []
        for tp, news in self._news.items():
            if tp.topic == topic:
                found += news
                self._news[tp] = []
        return found


def simulate(turns: Sequence[Turn], settings: Settings, app_id: str) -> Simulator:
    """The same turns without a broker."""
    known = settings.model_copy(update={"app_id": app_id, "input_partitions": 1, "model_partitions": 1})
    sim = Simulator(
        metrics_config(known), drift_config(known), retrain_config(known, "r"), alerts_config(known),
        labels_config(known).for_source(0),
    )  # fmt: skip
    for turn in turns:
        for name in ("predictions", "outcomes"):
            sim.rows(name, [(key, value) for topic, key, value in turn.rows if topic == name], turn.at_ms)
        for order in turn.orders:
            sim.command(orjson.dumps(order._asdict(), option=orjson.OPT_SORT_KEYS), turn.at_ms)
        for answer in turn.answers:
            sim.answer(orjson.dumps(answer), turn.at_ms)
        sim.tick(turn.at_ms)
    return sim


def comparable(value: bytes | None) -> bytes:
    """A record without what partition counts, prefixes and the hash of the settings put into it."""
    row = json.loads(value or b"")
    for name in ("settings_hash", "reply_topic", "reply_partition"):
        row.pop(name, None)
    row.get("report", {}).pop("settings_hash", None)
    row.pop("inputs", None) if row["schema"].startswith("io.plumbline.audit") else None
    for part in ("train", "holdout"):
        row.get("data", {}).get(part, {}).pop("offsets", None)
    return json.dumps(row, sort_keys=True).encode()


async def compare(prefix: Prefix, sim: Simulator, topics: Sequence[str]) -> dict[str, int]:
    """Every record of the topics once, as the stages give them without a broker; returns how many there are."""
    counts = {}
    for name in topics:
        topic = prefix.topics.output_prefix + name
        parts = await read(prefix.bootstrap, topic, prefix.topics.model_partitions)
        found = sorted(comparable(record.value) for part in parts.values() for record in part)
        wanted = sorted(comparable(emit.value) for emit in sim.emits.get(name, []))
        assert found == wanted, f"{name}: {_difference(found, wanted)}"
        counts[name] = len(found)
    return counts


def _difference(found: list[bytes], wanted: list[bytes]) -> str:
    extra = [value for value in found if value not in wanted]
    missing = [value for value in wanted if value not in found]
    return f"{len(extra)} too many {extra[:1]}, {len(missing)} missing {missing[:1]}"


Respond = Callable[[dict[str, Any]], list[Answer]]


async def settle(stepper: Stepper, at_ms: int, respond: Respond, most: int = 12) -> int:
    """Answer what was commanded, ten minutes a turn, until nothing new is commanded; returns the last tick."""
    for _ in range(most):
        answers = [a for order in await stepper.fresh(stepper.prefix.topics.training_commands) for a in respond(order)]
        if not answers:
            return at_ms
        while answers:
            at_ms += 10 * MINUTE_MS
            # one answer of each model at a time: what a later one finds is what the one before made of the model
            models: set[str] = set()
            now = [a for a in answers if a["model"] not in models and not models.add(a["model"])]  # type: ignore[func-returns-value]
            answers = [a for a in answers if a not in now]
            await stepper.turn(Turn(at_ms, answers=now))
    raise AssertionError(f"commands without end at {at_ms}")
