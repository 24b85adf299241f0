"""The stages in memory over a file's rows, with the ticks that a replay of it would write: the same verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from stream_app.commands.announce import split
from stream_app.commands.send import as_bytes
from stream_app.ingest.faults import Faults
from stream_app.ingest.inputs import Inputs, Survey
from stream_app.kafka.topics import topics_of
from stream_app.replay.ticks import Every, last_tick, next_tick
from stream_app.replay.timeline import PREDICTION, Timeline, events
from stream_app.settings import Settings, announcements
from stream_app.simulator import Simulator
from stream_app.stage_configs import configs, labels_config

#: Called with the rows that are through, and all of them.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """What the stages published, in order, and the time of the last tick (epoch ms)."""

    published: dict[str, list[bytes]]
    last_tick_ms: int

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """A topic's records."""
        return [orjson.loads(value) for value in self.published.get(topic, [])]


def in_memory(
    settings: Settings, inputs: Inputs, known: Survey, every: Every, progress: Progress | None = None
) -> Trial:
    """Run every stage over the files. ``known``: what a survey of them found."""
    simulator = _simulator(settings)
    timeline = Timeline(events(inputs, known, Faults()))
    with timeline:
        if not timeline.count:
            return Trial({}, 0)
        at_ms, end_ms, done = timeline.first_ms - 1, last_tick(timeline.last_ms), 0
        _announce(settings, simulator, at_ms)
        iterator = iter(timeline)
        upcoming = next(iterator, None)
        while at_ms < end_ms:
            at_ms = min(end_ms, next_tick(at_ms, upcoming.at_ms if upcoming is not None else None, every))
            while upcoming is not None and upcoming.at_ms < at_ms:
                topic = "predictions" if upcoming.kind == PREDICTION else "outcomes"
                simulator.rows(topic, [(upcoming.key.encode(), upcoming.value)], upcoming.at_ms)
                done += 1
                upcoming = next(iterator, None)
            simulator.tick(at_ms)
            if progress is not None:
                progress(done, timeline.count)
    emits = simulator.emits.items()
    return Trial({topic: [emit.value for emit in sent if emit.value is not None] for topic, sent in emits}, at_ms)


def _simulator(settings: Settings) -> Simulator:
    """One partition of everything. What decisions carry is that of the settings as they are, their hash too, so the
    partitions are taken from nobody but the stages that count them or refuse models of others."""
    known = configs(settings, topics_of(settings))
    alone = settings.model_copy(update={"input_partitions": 1, "model_partitions": 1})
    metrics = dataclasses.replace(known.metrics, sources=1, partitions=1)
    alerts = dataclasses.replace(known.alerts, model_partitions=1)
    return Simulator(metrics, known.drift, known.retrain, alerts, labels_config(alone).for_source(0))


def _announce(settings: Settings, simulator: Simulator, at_ms: int) -> None:
    """What file, environment and profile say goes in as commands before the first tick, as a replay does it."""
    by_model: dict[str, dict[str, Any]] = {}
    for (model, key), value in announcements(settings).items():
        by_model.setdefault(model, {})[key] = value
    reason = f"as file, environment and profile say ({settings.environment})"
    for model in sorted(by_model):
        for command in split(model, by_model[model], reason):
            simulator.command(as_bytes(command), at_ms)
