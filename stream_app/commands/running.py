"""What holds in the running system, as its topics say it: for commands, which need no Redis and may stand anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from aiokafka.errors import KafkaError

from schemas.owner import Owner
from stream_app.core.kit.changes import by_type
from stream_app.core.kit.live_settings import LiveSettings, Values
from stream_app.errors import PlumblineError
from stream_app.kafka import admin
from stream_app.kafka.owner import KEY, Kafka, claim_of
from stream_app.kafka.reading import records
from stream_app.kafka.topics import topics_of
from stream_app.projection.published import Published
from stream_app.projection.records import taken
from stream_app.settings import Settings, TypeSettings, base
from stream_app.settings.layers import TABLES, changeable
from stream_app.settings.resolver import values_of
from stream_app.worker.ownership import runs

#: Seconds that a cluster has to say what runs.
_PATIENCE_S: Final = 20.0


class Differs(NamedTuple):
    """A setting that the running system holds otherwise than the settings here say. ``owner``: ``*``, a type, a model;
    ``by``: who changed it, when and why, where somebody did."""

    owner: str
    key: str
    here: Any
    holds: Any
    by: str


@dataclass(frozen=True)
class Running:
    """Settings of the application that owns the output prefix; ``says``: whether it runs, in a sentence."""

    state: Literal["runs", "stopped", "never", "unknown"]
    says: str
    settings: Settings
    #: newest record of each setting that was changed
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    at_start: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether anything is known of what holds."""
        return self.state in ("runs", "stopped")

    @cached_property
    def _holds(self) -> LiveSettings[None, Values]:
        return Published(self.records.values()).under(values_of(base(self.settings)))

    def value(self, name: str, model_type: str = "", model: str = "") -> Any:
        """What holds for all, for a type or for a model; ``None`` for what each process is told by itself."""
        if name in self.at_start:
            return self.at_start[name]
        if not changeable(name):
            return None
        if not model_type:
            return getattr(self._holds.everywhere().settings, name)
        return self._holds.rules_of(model or f"{model_type}:")[name]

    def by(self, name: str, model_type: str = "", model: str = "") -> str:
        """Who changed what holds, when and why; empty where nobody did."""
        wanted = [(model, name)] if model else []
        wanted += [("*", f"types.{model_type}.{name}")] if model_type else []
        value = self.value(name, model_type, model)
        holds = list(value) if isinstance(value, tuple) else value
        for key in [*wanted, ("*", name)]:
            row = self.records.get(key)
            if row is not None and row["value"] == holds:  # or it was taken back, or is set aside
                return f"{row['actor']}, {row['at'][:16].replace('T', ' ')} UTC: {row['reason']}"
        return ""

    def differences(self) -> Iterator[Differs]:
        """Every setting that holds otherwise than the settings here say: those for all, of types, of models."""
        here = self.settings
        for name in Settings.model_fields:
            if name in TABLES:
                continue
            said: Any = getattr(here, name)
            if name in self.at_start:
                said = str(said)
            elif not changeable(name):
                continue
            if said != self.value(name):
                yield Differs("*", name, said, self.value(name), self.by(name))
        of_types = by_type({key: None for owner, key in self.records if owner == "*" and key.startswith("types.")})
        for model_type in sorted({*of_types, *here.named_types}):
            rules = here.for_type(model_type)
            for name in sorted({*of_types.get(model_type, {}), *here.types.get(model_type, {})}):
                said, holds = getattr(rules, name), self.value(name, model_type)
                if changeable(name) and said != holds:
                    yield Differs(f"types.{model_type}", name, said, holds, self.by(name, model_type))
        models = {owner for owner, _ in self.records if owner != "*"}
        for model in sorted({*models, *here.models}):
            model_type, rules = model.partition(":")[0], here.for_model(model)
            names = {key for owner, key in self.records if owner == model} | here.models.get(model, {}).keys()
            for name in sorted(names & TypeSettings.model_fields.keys()):
                said, holds = getattr(rules, name), self.value(name, model_type, model)
                if said != holds:
                    yield Differs(model, name, said, holds, self.by(name, model_type, model))


async def running(settings: Settings) -> Running:
    """Ask the topics of the output prefix, and the group of the application that owns it."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _asked(settings)
    except TimeoutError:
        return Running("unknown", f"{settings.kafka_bootstrap} does not answer within {_PATIENCE_S:.0f} s", settings)
    except (PlumblineError, KafkaError) as error:
        return Running("unknown", f"what runs cannot be asked: {error}", settings)


async def _asked(settings: Settings) -> Running:
    topics, options = topics_of(settings), settings.kafka_client_options()
    bootstrap, prefix = settings.kafka_bootstrap, topics.output_prefix
    never = Running("never", f"no worker has run yet on the output prefix {prefix}", settings)
    async with admin.admin(bootstrap, options) as client:
        there = set(await client.list_topics())
    if topics.owner not in there or topics.settings not in there:
        return never
    owner: Owner | None = None
    async for record in records(bootstrap, options, topics.owner):
        if record.key == KEY:
            owner = claim_of(record.value, topics.owner) if record.value is not None else None
    if owner is None:
        return never
    found = {
        (row["model"], row["key"]): row
        async for record in records(bootstrap, options, topics.settings)
        if record.value is not None
        if (row := taken("settings", record)) is not None
    }
    app = owner.app
    alive = await runs(Kafka(bootstrap, options), app)
    says = f"a worker of {app} runs" if alive else f"no worker of {app} runs now; this is what it held at last"
    return Running("runs" if alive else "stopped", says, settings, found, owner.at_start)
