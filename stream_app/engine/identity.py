"""What a worker must be sure of while it runs: that its topics are the ones its state was built from, and that the
output prefix is still its own (CONTRACT section 9, "Identity" and "Owner").
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.owner import Owner
from stream_app.engine.protocol import EngineConfig, StageSpec
from stream_app.errors import Incompatible, Parked
from stream_app.kafka import clients, owner
from stream_app.kafka.topic_ids import Described, described

#: Alias of a stage's changelog among the ids of its topics.
CHANGELOG = "changelog"


class Identity:
    """Asks the cluster for topic ids and for the claim, over clients of its own that are made when they are needed."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._admin: Any = None
        self._reader: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()
        self._reading = asyncio.Lock()
        #: topic → id that the lanes of this process were opened with
        self._known: dict[str, str] = {}
        self._claim: owner.ClaimsRead | None = None
        #: topics that were not there when they were last asked for
        self._missing: set[str] = set()

    # -- topics --------------------------------------------------------------------------------------------------

    async def of(self, spec: StageSpec) -> dict[str, str]:
        """Ids of a stage's inputs and changelog by alias, empty where the cluster has none. Raises ``Parked``."""
        topics = _topics(spec)
        found = await self._ask(topics.values())
        if found is None:
            return {}
        for topic in topics.values():
            if topic in found and found[topic].partitions != spec.partitions:
                raise await self._more_partitions(topic, spec.partitions, found[topic].partitions)
        ids = {alias: found[topic].id for alias, topic in topics.items() if topic in found}
        self._known |= {topics[alias]: known for alias, known in ids.items()}
        return ids

    async def changed(self, specs: Iterable[StageSpec]) -> dict[str, Parked]:
        """Stage → why its lanes cannot go on: a topic of it is another one now, or has more partitions."""
        stages = list(specs)
        found = await self._ask(topic for spec in stages for topic in _topics(spec).values())
        if found is None:
            return {}
        out: dict[str, Parked] = {}
        missing: set[str] = set()
        for spec in stages:
            for topic in _topics(spec).values():
                now, known = found.get(topic), self._known.get(topic)
                if now is None:
                    missing.add(topic)
                    # once may be a broker that has just started and does not know its topics yet
                    if topic in self._missing and known is not None:
                        out[spec.name] = Parked("topic_changed", f"{topic} does not exist any more")
                elif now.partitions != spec.partitions:
                    out[spec.name] = await self._more_partitions(topic, spec.partitions, now.partitions)
                elif known is not None and now.id != known:
                    out[spec.name] = made_anew(topic, known, now.id)
        self._missing = missing
        return out

    async def _more_partitions(self, topic: str, known: int, now: int) -> Parked:
        text = f"{topic} has {now} partitions, the state was built with {known}"
        if now < known:
            return Parked("partitions_changed", f"{text}: it was deleted and made anew")
        extra = [TopicPartition(topic, p) for p in range(known, now)]
        async with self._reading:
            reader = await self._consumer()
            begin, end = await reader.beginning_offsets(extra), await reader.end_offsets(extra)
        count = sum(end[tp] - begin[tp] for tp in extra)
        return Parked("partitions_changed", f"{text}: {count} records stand in partitions that nobody reads")

    async def _ask(self, names: Iterable[str]) -> dict[str, Described] | None:
        async with self._asking:
            if self._admin is None:
                admin = clients.admin(self._config.bootstrap, self._config.kafka_options)
                await admin.start()
                self._admin = admin
            return await described(self._admin, names)

    # -- owner ---------------------------------------------------------------------------------------------------

    async def check_owner(self) -> None:
        """Read the claim; ``Parked`` if it is another application's, ``Incompatible`` if its workers count otherwise.

        Every call reads anew: a claim that was read before a lane's producer was ready says nothing.
        """
        config = self._config
        if not config.owner_topic:
            return
        async with self._reading:
            self._claim = await owner.read(await self._consumer(), config.owner_topic, self._claim)
            stands = self._claim.owner
        if stands is None or stands.app != config.group:
            raise not_owner(config.owner_topic, config.group, stands)
        differs(stands, config.at_start)

    async def _consumer(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = clients.consumer(
                self._config.bootstrap, self._config.kafka_options, auto_offset_reset="none", fetch_max_wait_ms=50
            )
            await reader.start()
            self._reader = reader
        return self._reader

    async def stop(self) -> None:
        """Disconnect; the next question connects anew."""
        self._claim = None
        admin, self._admin = self._admin, None
        reader, self._reader = self._reader, None
        if admin is not None:
            await admin.close()
        if reader is not None:
            await reader.stop()


def _topics(spec: StageSpec) -> dict[str, str]:
    return {**spec.inputs(), CHANGELOG: spec.changelog}


def made_anew(topic: str, known: str, now: str) -> Parked:
    """A topic under the name of another: its records stand under offsets that were counted already."""
    return Parked("topic_changed", f"{topic} was deleted and made anew: its id is {now}, the state knows {known}")


def compare(spec: StageSpec, known: dict[str, str], now: dict[str, str]) -> None:
    """``Parked`` if a topic of the stage is not the one that its state was built from."""
    for alias, topic in _topics(spec).items():
        if alias in known and alias in now and known[alias] != now[alias]:
            raise made_anew(topic, known[alias], now[alias])


def not_owner(topic: str, app: str, stands: Owner | None) -> Parked:
    """Another application owns the output prefix, or nobody does any more."""
    prefix = topic.removesuffix("owner")
    if stands is None:
        return Parked("not_owner", f"nobody owns the output prefix {prefix}: {topic} was emptied; this is {app}")
    return Parked(
        "not_owner", f"the output prefix {prefix} belongs to {stands.app} since {stands.since}; this is {app}"
    )


def differs(stands: Owner, at_start: dict[str, str]) -> None:
    """``Incompatible`` if a worker would count by other settings than those that run."""
    for name, value in sorted(at_start.items()):
        theirs = stands.at_start.get(name)
        if theirs is not None and theirs != value:
            raise Incompatible(
                f"{name} is {value} here, the running workers of {stands.app} count by {theirs}: a record would count "
                "on one partition and not on another. Set it alike, or stop all of them before this one starts."
            )
