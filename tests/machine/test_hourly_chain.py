"""Hours through the metrics lane, killed and cut anywhere: the same bytes, whatever the steps."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from stream_app import pipeline
from stream_app.core import model_log
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.engine.lane_driver import LaneDriver, Log, Row
from stream_app.kafka.topics import Topics
from stream_app.simulator import DictTable
from tests.support.hourly import HourlyModel, fault, hourly_simulator, play

DAYS = 22
ONSET = 19 * 24 + 5
MODELS = [
    HourlyModel("churn:a", fault(ONSET, points=30, hours=20), a_day=500),
    HourlyModel("churn:b", fault(ONSET + 3, shift=1.0, hours=12), a_day=500),
    HourlyModel("churn:c", a_day=200),
]
STEPS = ("tick.1-started", "tick.3-done", "checkpoint.drained", "checkpoint.written")
TOPICS = Topics("", "", 1, 1)


class Killed(Exception):
    """The lane's process is gone."""


@cache
def inputs() -> dict[str, list[Row]]:
    """What comes to the metrics lane, as the simulator wrote it: by alias."""
    sim = hourly_simulator()
    lane = sim.lanes["metrics"]
    logs: dict[str, list[Row]] = {alias: [] for alias in lane.logs}
    for alias, log in lane.logs.items():

        def append(value: Any, key: Any = None, at_ms: int = 0, headers: Any = (), *, log: Log = log,
                   rows: list[Row] = logs[alias], write: Any = log.append) -> None:  # fmt: skip
            rows.append(Row(log.topic, log.partition, log.end, at_ms, key, value, headers))
            write(value, key, at_ms, headers)

        log.append = append  # type: ignore[method-assign]
    play(sim, MODELS, range(DAYS * 24))
    return logs


def run(
    cells_a_step: int, kill: random.Random | None = None, most: int = 12_000
) -> tuple[list[Any], dict[bytes, bytes], int]:
    """Everything the lane sends and keeps, and how often it was killed."""
    armed = [0]

    def reached(step: str) -> None:
        if kill is not None and step in STEPS:
            armed[0] -= 1
            if armed[0] == 0:
                raise Killed

    rules = ModelRules(hourly_alerts="on")
    config = MetricsConfig(1, 1, "/plumbline/sim", Fixed(lambda model: rules), cells_a_step=cells_a_step)
    logs = {alias: Log(alias) for alias in inputs()}
    table = DictTable()
    lane = LaneDriver(pipeline.metrics(TOPICS, config), 0, table, logs, most=most, reached=reached)
    for alias, rows in inputs().items():
        for row in rows:
            logs[alias].append(row.value, row.key, row.timestamp, row.headers)
    kills, sent = 0, []
    while True:
        armed[0] = kill.randint(1, 240) if kill is not None else 0
        try:
            lane.fetch_all()
            while lane.step():
                pass
            break
        except Killed:
            kills += 1
            lane.reopen()
    sent += lane.take()
    return sent, table.rows, kills


@cache
def whole() -> tuple[list[Any], dict[bytes, bytes]]:
    sent, rows, _ = run(400)
    return sent, rows


def test_the_faults_are_found_and_written_down() -> None:
    entries = [model_log.decode(value) for alias, _, _, value, _ in whole()[0] if alias == "model-log"]
    hourly = [entry for entry in entries if isinstance(entry, HourlyEntry)]
    changes = {(entry.model, entry.kind, entry.what) for entry in hourly if entry.what in ("opened", "ended")}
    assert changes >= {("churn:a", "performance", "opened"), ("churn:b", "statistical", "opened")}
    assert not [entry for entry in hourly if entry.model == "churn:c" and entry.what is not None]


@pytest.mark.parametrize("cells_a_step", [1, 25])
def test_other_steps_give_the_same_bytes(cells_a_step: int) -> None:
    sent, rows, _ = run(cells_a_step, most=7)
    assert sent == whole()[0]
    assert rows == whole()[1]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
def test_whatever_is_killed_the_same_bytes_come_out(seed: int) -> None:
    draw = random.Random(seed)
    sent, rows, kills = run(draw.choice((10, 25)), draw, draw.choice((20, 50)))
    assert kills > 10
    assert sent == whole()[0]
    assert rows == whole()[1]
