"""The whole chain in memory, two partitions of the inputs, killed wherever a sequence says so.

A sequence is a list of items, drawn from one seed: a turn (what a tick covers comes into the topics), a pass of one
lane, or a pass in which the lane is killed at a step. A kill drops all that the lane held; it is opened again from its
last checkpoint. Nothing else is random, so a sequence can be played again.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from schemas.clock import Tick
from schemas.common import encode, rfc3339
from schemas.partitioning import partition_for
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import topics_of
from stream_app.pipeline import Configs, stages
from stream_app.settings import Settings
from stream_app.simulator import DictTable
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from tests.machine.stories import STORIES, records
from tests.support.loop import rows_of
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS

DAYS: Final = 20
MODEL: Final = "conflict:global"
PARTITIONS: Final = 2
#: different inputs; each is simulated once without kills
WORLDS: Final = len(STORIES)
#: turns that a sequence plays: whole days of three
A_PART: Final = 15

SETTINGS: Final = Settings(
    environment="development", app_id="chain", input_prefix="", output_prefix="", input_partitions=PARTITIONS,
    model_partitions=1, auto_retrain=True, auto_retrain_conflict=True, auto_retrain_tenants=("*",),
    cells_per_checkpoint=3, retrain_min_samples=30, holdout_min_rows=8, holdout_min_class=1,
    # ticks are 8 and 16 hours apart
    command_finish_h=48,
)  # fmt: skip
TOPICS: Final = topics_of(SETTINGS)
CONFIGS: Final = Configs(
    labels_config(SETTINGS),
    metrics_config(SETTINGS),
    drift_config(SETTINGS),
    retrain_config(SETTINGS, TOPICS.training_results),
    alerts_config(SETTINGS),
)
STAGES: Final = stages(TOPICS, CONFIGS)
PLACES: Final = tuple((spec.name, partition) for spec in STAGES for partition in range(spec.partitions))

#: where a lane can be killed: between two passes, at a tick, with a checkpoint drained, with one written
STEPS: Final = ("fetched", "tick.1-started", "tick.3-done", "checkpoint.drained", "checkpoint.written")
#: what the stages say to each other is cut where checkpoints fall; everything else is compared
COMPARED: Final = (
    "metric-snapshots", "model-lifecycle", "settings", "model-log", "drift-events", "hourly-evidence", "drift-log",
    "decision-log",
    "training-commands", "training-jobs", "alerts", "audit", "dead-letters",
    "command-outcomes",
)  # fmt: skip


class Turn(NamedTuple):
    """A tick and what it is the first to cover: (topic, key, value)."""

    at_ms: int
    #: whether it ends an epoch; one that does not, only the inputs' clock has
    ends_epoch: bool
    records: list[tuple[str, bytes, bytes]]


class Item(NamedTuple):
    """One step of a sequence; without a place the next turn comes."""

    place: tuple[str, int] | None = None
    #: records of each input that are fetched before it; ``None``: all
    most: int | None = None
    #: whether what is folded is written, too
    writes: bool = True
    #: the step at whose ``nth`` time the lane is killed
    kill: str | None = None
    nth: int = 1


class Killed(Exception):
    """The lane's process is gone."""


@dataclass
class Chain:
    """Topics, lanes, and what was sent: (alias, partition) → records (key, value, headers) in order."""

    turns: list[Turn]
    most: int = 12_000
    #: (stage, step) of every kill
    kills: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    sent: dict[tuple[str, int], list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.topics = {
            (topic, partition): Log(topic, partition)
            for spec in STAGES
            for topic in spec.inputs().values()
            for partition in range(spec.partitions)
        }
        #: (offset, value) of everything that came from outside
        self.records: dict[tuple[str, int], list[tuple[int, bytes | None]]] = defaultdict(list)
        #: turns that have come
        self.came = 0
        self._armed: tuple[str | None, int] = (None, 0)
        self.lanes = {place: self._lane(*place) for place in PLACES}

    def copy(self, most: int = 12_000) -> Chain:
        """Another in the same state, as after a kill of every lane."""
        other = Chain(self.turns, most)
        other.came = self.came
        for key, log in self.topics.items():
            other.topics[key].extend(log.chunk(0).records, log.end)
        for place, lane in self.lanes.items():
            other.lanes[place].table.write(dict(lane.table.rows))  # type: ignore[attr-defined]
            other.lanes[place].record = lane.record
            other.lanes[place].reopen()
        for mine, its in ((self.records, other.records), (self.sent, other.sent)):
            its.update({key: list(found) for key, found in mine.items()})  # type: ignore[attr-defined]
        return other

    def _lane(self, stage: str, partition: int) -> LaneDriver:
        spec: StageSpec = getattr(STAGES, stage)
        logs = {alias: self.topics[topic, partition] for alias, topic in spec.inputs().items()}
        return LaneDriver(spec, partition, DictTable(), logs, most=self.most, reached=self._reached)

    def _reached(self, step: str) -> None:
        name, left = self._armed
        if step == name:
            self._armed = name, left - 1
            if left == 1:
                raise Killed

    def _write(self, topic: str, partition: int, value: bytes | None, key: bytes | None, at_ms: int) -> None:
        log = self.topics[topic, partition]
        self.records[topic, partition].append((log.end, value))
        log.append(value, key, at_ms)

    def turn(self) -> None:
        """The next tick and what it covers come into the topics."""
        turn = self.turns[self.came]
        self.came += 1
        for topic, key, value in turn.records:
            count = PARTITIONS if topic in (TOPICS.predictions, TOPICS.outcomes) else 1
            self._write(topic, partition_for(key, count), value, key, turn.at_ms)
        for spec in STAGES[:2]:
            if spec.clock is not None and (turn.ends_epoch or spec.name == "labels"):
                for partition in range(spec.partitions):
                    ends = {topic: self.topics[topic, partition].end for topic in spec.gated.values()}
                    tick = encode(Tick(rfc3339(turn.at_ms), turn.ends_epoch, "external", ends))
                    self._write(spec.clock, partition, tick, None, turn.at_ms)

    def play(self, item: Item) -> None:
        """Do as the item says."""
        if item.place is None:
            self.turn()
            return
        lane, self._armed = self.lanes[item.place], (item.kill, item.nth)
        try:
            lane.fetch_all(item.most)
            self._reached("fetched")
            if item.writes:
                while lane.step():
                    pass
            else:
                lane.core.work()
        except Killed:
            self.kills[item.place[0], item.kill] += 1
            lane.reopen()
        self._armed = None, 0
        self._deliver(item.place, lane)

    def settle(self) -> None:
        """All lanes, in the order that data passes them, to the end of what is here."""
        for place, lane in self.lanes.items():
            lane.sent = lane.run()
            self._deliver(place, lane)

    def _deliver(self, place: tuple[str, int], lane: LaneDriver) -> None:
        for alias, partition, key, value, headers in lane.take():
            topic, count = lane.spec.outputs[alias]
            target = place[1] % count if partition is None else partition
            if (topic, target) in self.topics:
                self.topics[topic, target].append(value, key, headers=headers)
            if alias in COMPARED:
                self.sent[alias, place[1]].append((key, value, headers))

    def values(self, alias: str) -> list[dict[str, Any]]:
        """What was sent under an alias, decoded, partition by partition."""
        return [json.loads(r[1]) for partition in range(PARTITIONS) for r in self.sent[alias, partition]]


def _inputs(seed: int) -> list[Turn]:
    """Rows covered at noon, with a tick of the inputs alone before; four closes at 04:00 of the next."""
    draw = random.Random(seed)
    late: list[tuple[str, bytes, bytes]] = []
    turns = []
    for day in range(DAYS):
        rows: list[tuple[str, bytes, bytes]] = []
        rows += rows_of(MODEL, "v1", day, STORIES[seed].day(seed, day))
        rows += late
        late = [rows.pop(draw.randrange(len(rows))) for _ in range(3)]  # some come a day late, outcomes or predictions
        rows += [draw.choice(rows), ("predictions", b"poison", b"{"), ("outcomes", b"poison", b"[]")]
        draw.shuffle(rows)
        noon = (FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS
        half = len(rows) // 2
        turns.append(Turn(noon - HOUR_MS, False, rows[:half]))
        turns.append(Turn(noon, True, rows[half:]))
        turns.append(Turn(noon + 16 * HOUR_MS, True, []))
    command = {
        "id": "o-1", "model": MODEL, "command": "set", "arguments": {"values": {"alert_reminder_h": 30}},
        "actor": "ada", "reason": "why",
    }  # fmt: skip
    turns[31].records.append(("operator-commands", MODEL.encode(), json.dumps(command).encode()))
    return turns


def _attend(alert: dict[str, Any], number: int) -> list[tuple[str, bytes, bytes]]:
    """What people do about the newest alert: each command of those that are about alerts, again and again."""
    id, until = {"alert_id": alert["id"]}, rfc3339((FIRST_DAY + number // 3 + 3) * DAY_MS)
    model, of_type = alert["model"], {"model_type": alert["model_type"]}
    said: list[tuple[str, str, dict[str, Any]]] = [
        ("mute", model, {"until": until, "kinds": ["performance"]}),
        ("verdict", model, id | {"verdict": "real", "note": "outcomes say so"}),
        ("mute", "*", of_type | {"until": until}),
        ("acknowledge", model, id),
        ("unmute", model, {}),
        ("note", model, id | {"note": f"seen at turn {number}"}),
        ("unacknowledge", "*", {}),
        ("unmute", "*", of_type),
        ("mute", model, {}),
    ]
    return [
        (
            "operator-commands",
            model.encode(),
            json.dumps(
                {"id": f"a-{number}-{n}", "model": whose, "command": command, "arguments": arguments, "actor": "ada",
                 "reason": "why"}
            ).encode(),
        )
        for n, (command, whose, arguments) in enumerate(said)
        if (n + number) % 3
    ]  # fmt: skip


@cache
def whole(world: int) -> list[Chain]:
    """A run without kills, as it stood at the start of each part and at its end.

    A trainer and a deployer answer at the next tick that ends an epoch.
    """
    turns, story = _inputs(world), STORIES[world]
    chain, stood, answered, seen, asked = Chain(turns), [], 0, 0, 0
    for number, turn in enumerate(turns):
        if number % A_PART == 0:
            stood.append(chain.copy())
        active = chain.values("model-lifecycle")[-1:]
        turn.records[:] = [
            (topic, key, story.served(value, active[0]["active_version"] if active else "v1"))
            if topic == "predictions" and key != b"poison" else (topic, key, value)
            for topic, key, value in turn.records
        ]  # fmt: skip
        chain.turn()
        chain.settle()
        orders = chain.values("training-commands")
        later = [turn for turn in turns[number + 1 :] if turn.ends_epoch]
        if later:
            follow = later[0]
            for command in orders[answered:]:
                for delay, record in records(story.answers(command)):
                    if delay < len(later):
                        later[delay].records.append(record)
            answered = len(orders)
            alerts = chain.values("alerts")
            if number > seen + 1 and alerts and len(alerts) > asked:
                follow.records.extend(_attend(alerts[-1], number))
                seen, asked = number, len(alerts)
    return [*stood, chain]


class Sequence(NamedTuple):
    """What a seed stands for: a part of a world's turns, and what happens while they come."""

    world: int
    part: int
    #: most records in a checkpoint
    most: int
    items: list[Item]


def sequence(seed: int) -> Sequence:
    """Turns, passes of lanes, and kills at any step of them."""
    draw = random.Random(seed)
    world, part = draw.randrange(WORLDS), draw.randrange(-(-3 * DAYS // A_PART))
    left = min(A_PART, 3 * DAYS - part * A_PART)
    items: list[Item] = []
    while left:
        if draw.random() < 0.25:
            items.append(Item())
            left -= 1
        kill = draw.choice(STEPS) if draw.random() < 0.4 else None
        most = draw.choice((None, None, 1, 7, 40))
        items.append(Item(draw.choice(PLACES), most, draw.random() < 0.8, kill, draw.choice((1, 1, 2, 3, 8))))
    return Sequence(world, part, draw.choice((5, 23, 12_000)), items)


def play(found: Sequence) -> Chain:
    """The part under the sequence, and then everything that is left to do in it."""
    chain = whole(found.world)[found.part].copy(found.most)
    for item in found.items:
        chain.play(item)
    chain.settle()
    return chain
