"""Sixty days of history are brought into a new line beside lines that run: it is judged at the next close, they do not
notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.judge import told
from tests.support.kafka_io import Prefix, read
from tests.support.loop import Record, Stepper, Turn, rows_of
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, flipped, healthy
from tests.support.worker import Worker

RUNS, NEW = "churn:runs", "churn:new"
DAYS, BACK = 4, 60


def _day(line: str, day: int, bad: bool = False) -> list[Record]:
    rng = np.random.default_rng([day + 1_000, line == NEW])
    found = healthy(rng, 60)
    return rows_of(line, "v1", day, flipped(found, rng, 30) if bad else found)


async def _outputs(prefix: Prefix, line: str) -> list[tuple[str, Any]]:
    """What was published about a line, without what names the run."""
    out = []
    for topic in ("metric-snapshots", "drift-events", "alerts", "model-lifecycle"):
        parts = await read(prefix.bootstrap, prefix.topics.output_prefix + topic, prefix.topics.line_partitions)
        rows = [json.loads(record.value) for part in parts.values() for record in part]
        out += [(topic, json.dumps(row, sort_keys=True)) for row in rows if row["line"] == line]
    return out


async def _run(prefix: Prefix, running: Worker, with_history: bool) -> None:
    async with Stepper(prefix, [running]) as stepper:
        for day in range(DAYS):
            rows = _day(RUNS, day)
            midnight = (FIRST_DAY + day + 1) * DAY_MS
            if with_history and day == DAYS - 1:
                # the backfill is one batch of old records among the new ones, under the same ticks
                for back in range(BACK, 0, -1):
                    rows += _day(NEW, day - back, bad=back <= 9)
                rows += _day(NEW, day, bad=True)
            await stepper.turn(Turn(midnight - 12 * HOUR_MS, rows=rows))
            for hour in (1, 2, 3, 4):
                await stepper.turn(Turn(midnight + hour * HOUR_MS))
    await told(prefix, running)


async def test_history_brought_into_a_new_line_gives_a_verdict_at_the_next_close_and_changes_no_other_line(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker().start()
    await _run(prefix, running, with_history=True)
    assert running.stop() == 0, running.tail()
    events = [json.loads(text) for topic, text in await _outputs(prefix, NEW) if topic == "drift-events"]
    close = f"{np.datetime64(FIRST_DAY + DAYS, 'D')}T04:00:00.000Z"
    (performance,) = [row for row in events if (row["kind"], row["close"]) == ("performance", close)]
    assert (performance["verdict"], performance["severity"]) == ("drift", "CRITICAL")
    assert performance["baseline_kind"] == "window"
    with_it = await _outputs(prefix, RUNS)

    names = prefix.topics
    alone = type(names)(names.input_prefix + "alone.", names.output_prefix + "alone.", 3, 2)
    other = await Prefix(prefix.bootstrap, alone).create()
    second = worker("alone", app_id=running.env["PLUMBLINE_APP_ID"] + "-alone", topics=alone).start()
    await _run(other, second, with_history=False)
    assert second.stop() == 0, second.tail()
    assert sorted(with_it) == sorted(await _outputs(other, RUNS))
    assert len(with_it) > 10
