"""The broker, the topics, the group, and what could not be used."""

from __future__ import annotations

import time
from collections import Counter

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas import deadletters
from stream_app.doctor.report import Checkup, Diagnosis, tails
from stream_app.kafka import admin
from stream_app.kafka.reading import partitions

#: Records behind which a lane is worth a look: some seconds of work.
LAG = 100_000
#: Minutes without a checkpoint while there is work.
STALE_MIN = 5.0
#: Newest dead-lettered records that are counted.
LETTERS = 5_000


async def broker(context: Checkup) -> list[Diagnosis]:
    """Reachable, and which generation of Kafka it is."""
    settings = context.settings
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        described = await client.describe_cluster()
        count = len(described.get("brokers", []))
    what = f"{count} broker{'s' if count != 1 else ''} at {settings.kafka_bootstrap}"
    found = [Diagnosis("broker", "ok", what)]
    if settings.environment == "production" and count < 3:
        found.append(
            Diagnosis(
                "broker", "warn", f"production on {count} of them: the loss of one is an outage",
                "run three, with PLUMBLINE_REPLICATION_FACTOR=3 and min.insync.replicas=2",
            )
        )  # fmt: skip
    return found


async def topics(context: Checkup) -> list[Diagnosis]:
    """There, with the partitions, cleanup and retention that the pipeline needs."""
    settings, names = context.settings, context.topics
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        found = await admin.check(client, names, names.specs())
    if not found:
        return [Diagnosis("topics", "ok", f"{len(names.specs())} topics as they should be")]
    return [Diagnosis("topics", "fail" if f.fatal else "warn", f"{f.topic} {f.problem}", f.remedy) for f in found]


async def lag(context: Checkup) -> list[Diagnosis]:
    """How far the group's committed offsets are behind each input."""
    names, group = context.topics, context.settings.app_id
    inputs = (
        names.predictions, names.outcomes, names.model_deltas, names.model_log, names.drift_log, names.decision_log,
    )  # fmt: skip
    settings = context.settings
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        try:
            offsets = await client.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # a broker that no group has ever joined
            offsets = {}
    async with context.consumer() as consumer:
        known = await consumer.topics()
        # those that are there, not those that are configured: another check compares them
        tps = [TopicPartition(t, p) for t in inputs if t in known for p in await partitions(consumer, t)]
        ends = await consumer.end_offsets(tps)
    if not offsets:
        return [Diagnosis("lag", "warn", f"no worker of {group} has ever committed", "plumbline worker")]
    behind: Counter[str] = Counter()
    for tp, end in ends.items():
        behind[tp.topic] += max(0, end - (offsets[tp].offset if tp in offsets else 0))
    found = []
    for topic, count in sorted(behind.items()):
        if count > LAG:
            found.append(
                Diagnosis(
                    "lag", "warn", f"{topic}: {count:,} records behind",
                    "look at /readyz of the workers for what each lane waits for; add a worker if they are busy",
                )
            )  # fmt: skip
    return found or [Diagnosis("lag", "ok", f"at most {max(behind.values(), default=0):,} records behind in any topic")]


async def checkpoints(context: Checkup) -> list[Diagnosis]:
    """When each stage's changelog was written last, by the broker's time."""
    now_ms, found = time.time() * 1000, []
    for stage in ("labels", "metrics"):
        records = await tails(context, context.topics.changelog(stage), 2)
        newest = max((r.timestamp for part in records.values() for r in part), default=None)
        if newest is None:
            found.append(Diagnosis("checkpoints", "warn", f"{stage} has never checkpointed", "plumbline worker"))
            continue
        minutes = (now_ms - newest) / 60_000
        level = "warn" if minutes > STALE_MIN and context.settings.clock == "live" else "ok"
        repair = "is a worker running? `curl -s http://127.0.0.1:6066/readyz` on its machine" if level == "warn" else ""
        found.append(Diagnosis("checkpoints", level, f"{stage}: the last one {_ago(minutes)}", repair))  # type: ignore[arg-type]
    return found


async def dead_letters(context: Checkup) -> list[Diagnosis]:
    """What could not be used, by reason."""
    records = await tails(context, context.topics.dead_letters, LETTERS)
    reasons: Counter[str] = Counter()
    bounds: dict[str, str] = {}
    for part in records.values():
        for record in part:
            headers = dict(record.headers)
            reason = headers.get(deadletters.REASON, b"unknown").decode("utf-8", "replace")
            reasons[reason] += 1
            if reason == deadletters.TOO_MANY_MODELS:
                message = headers.get(deadletters.MESSAGE, b"").decode("utf-8", "replace")
                bounds[message.rpartition(" ")[2]] = message
    if not reasons:
        return [Diagnosis("dead-lettered records", "ok", "none")]
    shown = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    full = [
        Diagnosis(
            "names", "warn", f"{message}: its predictions are refused, models that are known go on",
            f"find the producer that makes up names; if they are wanted, raise {setting} and restart all workers",
        )
        for setting, message in sorted(bounds.items())
    ]  # fmt: skip
    return [
        *full,
        Diagnosis(
            "dead-lettered records", "warn", shown, "plumbline dead-letters list, repair the cause, then redrive"
        ),
    ]


def _ago(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s ago"
    return f"{minutes:.0f} min ago" if minutes < 180 else f"{minutes / 60:.0f} h ago"
