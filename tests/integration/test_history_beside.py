"""Sixty days of history are brought into a new model beside models that run: it is judged at the next close, they do
not notice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.judge import told
from tests.support.kafka_io import Prefix, read
from tests.support.loop import Record, Stepper, Turn, rows_of
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, flipped, healthy
from tests.support.worker import Worker

RUNS, NEW = "churn:runs", "churn:new"
DAYS, BACK = 4, 60


def _day(model: str, day: int, bad: bool = False) -> list[Record]:
    rng = np.random.default_rng([day + 1_000, model == NEW])
    found = healthy(rng, 60)
    return rows_of(model, "v1", day, flipped(found, rng, 30) if bad else found)


async def _outputs(prefix: Prefix, model: str) -> list[tuple[str, Any]]:
    """What was published about a model, without what names the run."""
    out = []
    for topic in ("metric-snapshots", "drift-events", "alerts", "model-lifecycle"):
        parts = await read(prefix.bootstrap, prefix.topics.output_prefix + topic, prefix.topics.model_partitions)
        rows = [json.loads(record.value) for part in parts.values() for record in part]
        out += [(topic, json.dumps(row, sort_keys=True)) for row in rows if row["model"] == model]
    return out


async def _load(running: Worker, folder: Path) -> None:
    """The new model's past and its present day, as an operator brings them in: two files, two commands."""
    rows = [row for back in range(BACK, -1, -1) for row in _day(NEW, DAYS - 1 - back, bad=back <= 9)]
    for kind in ("predictions", "outcomes"):
        path = folder / f"{kind}.ndjson"
        path.write_bytes(b"\n".join(value for topic, _, value in rows if topic == kind))
        command = [sys.executable, "-m", "stream_app", "load", kind, str(path)]
        done = await asyncio.to_thread(subprocess.run, command, env=running.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"sent {(BACK + 1) * 60:,} {kind}" in done.stdout


async def _run(prefix: Prefix, running: Worker, folder: Path | None) -> None:
    """Days of the model that runs; with a folder, history comes into the new one before the last."""
    for days in (range(DAYS - 1), range(DAYS - 1, DAYS)):
        if folder is not None and DAYS - 1 in days:
            await _load(running, folder)
        async with Stepper(prefix, [running]) as stepper:  # its ticks cover what stands in the topics as it begins
            for day in days:
                midnight = (FIRST_DAY + day + 1) * DAY_MS
                await stepper.turn(Turn(midnight - 12 * HOUR_MS, rows=_day(RUNS, day)))
                for hour in (1, 2, 3, 4):
                    await stepper.turn(Turn(midnight + hour * HOUR_MS))
    await told(prefix, running)


async def test_history_brought_into_a_new_model_gives_a_verdict_at_the_next_close_and_changes_no_other_model(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    running = worker().start()
    await _run(prefix, running, tmp_path)
    assert running.stop() == 0, running.tail()
    events = [json.loads(text) for topic, text in await _outputs(prefix, NEW) if topic == "drift-events"]
    close = f"{np.datetime64(FIRST_DAY + DAYS, 'D')}T04:00:00.000Z"
    (performance,) = [row for row in events if (row["kind"], row["as_of"]) == ("performance", close)]
    assert (performance["verdict"], performance["severity"]) == ("drift", "CRITICAL")
    assert performance["baseline_kind"] == "window"
    with_it = await _outputs(prefix, RUNS)

    names = prefix.topics
    alone = type(names)(names.input_prefix + "alone.", names.output_prefix + "alone.", 3, 2)
    other = await Prefix(prefix.bootstrap, alone).create()
    second = worker("alone", app_id=alone.app_id, topics=alone).start()
    await _run(other, second, None)
    assert second.stop() == 0, second.tail()
    assert sorted(with_it) == sorted(await _outputs(other, RUNS))
    assert len(with_it) > 10
