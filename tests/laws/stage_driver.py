"""Drives a metrics lane as a worker does, without one: a dictionary for RocksDB, lists for Kafka.

Where the engine may choose (how many records a chunk has, in what order inputs are fed, when a checkpoint comes, when
the stage is thrown away and loaded again) a seeded generator chooses. Ticks and what they cover are the scenario's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.clock import Tick
from schemas.common import encode, rfc3339
from stream_app import pipeline
from stream_app.core import model_log
from stream_app.core.counts import cells, cells_codec, deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Intervals, Part
from stream_app.core.kit.effects import Emit
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.metrics_stage.keys import cell_key
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.kafka.topics import Topics
from stream_app.simulator import DictTable

HOUR = 3_600_000
DAY = 24 * HOUR


class Event(NamedTuple):
    """A prediction (``actual`` None) or a label, as labels would count it; ``sign`` −1 takes a label back."""

    model: str
    version: str
    made_ms: int
    score: float
    predicted: bool
    actual: bool | None = None
    sign: int = 1
    width: float | None = None


@dataclass
class Scenario:
    """What stands in the topics. ``epochs[i][source]`` happened before ``ticks[i]``, in that order."""

    ticks: list[int]
    epochs: list[list[list[Event]]]
    #: tick index → operator commands and training results it is the first to cover
    commands: dict[int, list[bytes]] = field(default_factory=dict)
    results: dict[int, list[bytes]] = field(default_factory=dict)

    @property
    def sources(self) -> int:
        return len(self.epochs[0])


def part(events: list[Event], after: int, closed: int | None = None, **rest: Any) -> Part:
    """Columns of some events, with the hours labels would report."""
    names = sorted({CellId(e.model, e.version, e.made_ms // HOUR) for e in events})
    index = {name: i for i, name in enumerate(names)}
    where = [index[CellId(e.model, e.version, e.made_ms // HOUR)] for e in events]
    kinds = [int(e.predicted) if e.actual is None else deltas.label_kind(e.predicted, e.actual) for e in events]
    rows = deltas.aggregate(where, kinds, [e.score for e in events], [e.sign for e in events])
    widths: dict[int, list[float]] = {}
    hours: dict[tuple[str, str, int], int] = {}
    for e, cell in zip(events, where, strict=True):
        if e.actual is None:
            if e.width is not None:
                widths.setdefault(cell, []).append(e.width)
            if (e.made_ms // HOUR + 2) * HOUR > after:
                key = (e.model, e.version, e.made_ms // HOUR)
                hours[key] = hours.get(key, 0) + 1
    return Part(
        after=after,
        closed=closed,
        cells=names,
        cell=rows.cells.tobytes(),
        kind=rows.kinds.tobytes(),
        score=rows.scores.tobytes(),
        count=rows.counts.tobytes(),
        intervals=[
            Intervals(c, len(w), sum(round(x * deltas.FIXED) for x in w), sum(x < 0.2 for x in w))
            for c, w in sorted(widths.items())
        ],
        hours=[HourCount(*key, count) for key, count in sorted(hours.items())],
        **rest,
    )


def delta_records(scenario: Scenario, rng: random.Random | None) -> list[tuple[int, bytes]]:
    """(source, record) in the log's order: each lane checkpoints where it likes and runs ahead as it likes."""
    queues: list[list[bytes]] = []
    for source in range(scenario.sources):
        parts: list[Part] = []
        records: list[bytes] = []
        after = 0
        for i, tick in enumerate(scenario.ticks):
            events = scenario.epochs[i][source]
            cuts = sorted(rng.sample(range(len(events) + 1), k=min(2, len(events)))) if rng else []
            for a, b in zip([0, *cuts], cuts, strict=False):
                parts.append(part(events[a:b], after))
                records.append(deltas.encode(DeltaRecord(source, parts)))
                parts = []
            tail = events[cuts[-1] if cuts else 0 :]
            counts = {"produced": i + 1}
            parts.append(part(tail, after, tick, end_offsets={"p": 10 * (i + 1)}, dispositions={"predictions": counts}))
            after = tick
            if rng is None or rng.random() < 0.6:
                records.append(deltas.encode(DeltaRecord(source, parts)))
                parts = []
        if parts:
            records.append(deltas.encode(DeltaRecord(source, parts)))
        queues.append(records)
    out: list[tuple[int, bytes]] = []
    while any(queues):
        source = (
            rng.choice([s for s, q in enumerate(queues) if q]) if rng else next(s for s, q in enumerate(queues) if q)
        )
        out.append((source, queues[source].pop(0)))
    return out


def config(sources: int, rules: Any = None, days: tuple[int, ...] = (), **rest: Any) -> MetricsConfig:
    return MetricsConfig(
        sources=sources,
        partitions=1,
        source="/plumbline/test",
        rules=Fixed(rules or (lambda model: ModelRules()), days=days),
        **rest,
    )


class Drive:
    """One run of a scenario. Without a generator: one chunk, a checkpoint after everything, no restart.

    ``given``: delta records instead of the scenario's.
    """

    def __init__(
        self, scenario: Scenario, settings: MetricsConfig, seed: int | None = None, live: bool = False,
        given: list[bytes] | None = None,
    ) -> None:  # fmt: skip
        self.rng = random.Random(seed) if seed is not None else None
        self.scenario = scenario
        self.table = DictTable()
        self.emits: list[Emit] = []
        self.restarts = 0
        self.steps = 0
        spec = pipeline.metrics(Topics("", "", scenario.sources, 1), settings)
        self.logs = {alias: Log(topic) for alias, topic in spec.inputs().items()}
        self.lane = LaneDriver(spec, 0, self.table, self.logs, live_views=live)
        for value in given if given is not None else [value for _, value in delta_records(scenario, self.rng)]:
            self.logs["model-deltas"].append(value)
        self._gated = {"operator-commands": scenario.commands, "training-results": scenario.results}

    @property
    def stage(self) -> MetricsStage:
        found = self.lane.stage
        assert isinstance(found, MetricsStage)
        return found

    def _maybe(self, share: float) -> bool:
        return self.rng is not None and self.rng.random() < share

    def checkpoint(self, restart: bool = False) -> None:
        self.lane.checkpoint()
        self.emits += self.lane.take()  # type: ignore[arg-type]
        if restart or self._maybe(0.5):
            self.lane.reopen()
            self.restarts += 1

    def fetch(self) -> None:
        """Some of one input; all of every input without a generator."""
        inputs = self.lane.core.inputs
        behind = [alias for alias, item in inputs.items() if item.arrived < self.logs[alias].end]
        if self.rng is None:
            self.lane.fetch_all()
        elif behind:
            alias = self.rng.choice(behind)
            self.lane.fetch(alias, self.rng.randint(1, self.logs[alias].end - inputs[alias].arrived))

    def run(self) -> Drive:
        for i, at in enumerate(self.scenario.ticks):
            self.tick(i, at)
        self.checkpoint()
        return self

    def tick(self, i: int, at: int) -> None:
        self.announce(i, at)
        for _ in range(50_000):
            if self.last_tick == at:
                break
            self.lane.fetch("clock")
            self.fetch()
            partly = self.lane.core.work()
            self.steps += partly
            if self._maybe(0.6 if partly else 0.3):
                self.checkpoint()
        else:
            raise AssertionError(f"never done, waits for {self.lane.core.waits_for}")
        if self._maybe(0.4):
            self.checkpoint()

    def announce(self, i: int, at: int) -> None:
        """Write the tick and the commands and results that it covers."""
        for alias, by_tick in self._gated.items():
            for value in by_tick.get(i, []):
                self.logs[alias].append(value)
        ends = {topic: self.logs[alias].end for alias, topic in self.lane.spec.gated.items()}
        self.logs["clock"].append(encode(Tick(rfc3339(at), True, "external", ends)))

    @property
    def last_tick(self) -> int:
        clock = self.lane.core.clock
        assert clock is not None
        return clock.last_tick

    def of(self, topic: str) -> list[Emit]:
        return [e for e in self.emits if e.topic == topic]

    def stored(self, model: str, version: str, day: int) -> cells.Cell | None:
        """The cell in the table."""
        value = self.table.rows.get(cell_key(model, version, day))
        return cells_codec.decode(value) if value is not None else None

    def log(self) -> list[model_log.Entry]:
        return [model_log.decode(e.value or b"") for e in self.of("model-log")]
