"""The whole pipeline on a real broker against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.ingest.mapping import Mapping
from stream_app.kafka.topics import Topics
from stream_app.replay.run import ReplayPlan, run_replay
from stream_app.settings import Settings
from tests.support.generate import HOUR, history
from tests.support.judge import closed_snapshots, compare, finished
from tests.support.kafka_io import Prefix, read, write
from tests.support.worker import Worker


async def test_generated_history_equals_the_oracle(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    steps = history(seed=11)
    await write(prefix, steps)
    running = worker().start()
    follower = await finished(prefix, steps[-1][0], [running])
    want = await compare(prefix, follower)
    assert min(want.predictions[name] for name in ("joined", "pending", "duplicate", "dead_lettered")) > 0
    assert min(want.outcomes[name] for name in ("joined", "pending", "duplicate", "corrected", "dead_lettered")) > 0
    assert max(revision for *_, revision in want.snapshots) > 2
    assert running.stop() == 0, running.tail()
    assert await closed_snapshots(prefix)


async def test_replays_are_identical_byte_for_byte(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    """One worker, three workers, tiny chunks: the same closed snapshots and active versions to the last byte."""
    steps = history(seed=5, days=3, per_day=300)
    await write(prefix, steps)
    seen: list[list[tuple[bytes, bytes]]] = []
    active: list[list[tuple[bytes, bytes]]] = []
    runs: list[tuple[str, int, dict[str, str]]] = [
        ("one", 1, {}),
        ("three", 3, {}),
        ("tiny", 1, {"max_poll_records": "37", "max_checkpoint_events": "53", "checkpoint_interval_ms": "1"}),
    ]
    for name, count, settings in runs:
        output = f"{prefix.topics.output_prefix}{name}."
        topics = Topics(prefix.topics.input_prefix, output, 3, 2)
        mine = await Prefix(prefix.bootstrap, topics).create()
        workers = [
            worker(f"{name}-{i}", app_id=f"{output}app", topics=topics, **settings).start() for i in range(count)
        ]
        await finished(mine, steps[-1][0], workers)
        for item in workers:
            assert item.stop() == 0, item.tail()
        seen.append(await closed_snapshots(mine))
        versions = await read(mine.bootstrap, topics.model_lifecycle, topics.model_partitions)
        active.append([(r.key, r.value) for _, records in sorted(versions.items()) for r in records])
        await mine.delete(output)
    assert len(seen[0]) > 20
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]
    assert {b"v1", b"v2"} <= {value.partition(b'"active_version":"')[2][:2] for _, value in active[0]}
    assert active[1] == active[0]
    assert active[2] == active[0]


@pytest.mark.parametrize("rows", [6_000, pytest.param(277_677, marks=pytest.mark.long)])
async def test_recorded_predictions_equal_the_oracle(
    prefix: Prefix, worker: Callable[..., Worker], data: Path, rows: int
) -> None:
    """The first rows, or all, of the employment predictions, by the replay command's own library."""
    mapping = Mapping(
        columns={
            "prediction_id": "id", "predicted_at": "year", "score": "predicted_probability", "predicted": "prediction",
            "actual": "employed",
        },
        constants={"model_type": "conflict", "model_version": "v1"},
        spread_year=True,
        label_delay_ms=(6 * HOUR, 72 * HOUR),
        seed=7,
    )  # fmt: skip
    plan = ReplayPlan([data / "ma_employment_predictions.csv.gz"], mapping=mapping, every="close", limit=rows)
    settings = Settings(kafka_bootstrap=prefix.bootstrap)
    summary = await run_replay(settings, prefix.topics, plan)
    again = await run_replay(settings, prefix.topics, plan)
    assert (summary.predictions, summary.outcomes) == (rows, rows)
    assert (again.predictions, again.ticks, again.resumed_from_row) == (0, 0, 2 * rows)
    running = worker().start()
    follower = await finished(prefix, summary.last_tick_ms, [running], bound_s=900)
    want = await compare(prefix, follower)
    assert want.predictions["joined"] == rows
