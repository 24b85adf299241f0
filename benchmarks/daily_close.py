"""The four daily closes of 10,000 models on a real worker, its state seeded through the changelogs.

Each model has 90 days of 200 predictions, half the outcomes' days fully labelled, scores of four digits; one model in
twenty is judged by PR-AUC. The time counts from a close's tick standing on the clock until the last log has carried
it. Two workers, as the machine has two cores; the broker and the stages behind metrics run beside them.

``python -m benchmarks.daily_close --models 100000 --days 28 --per-day 20`` takes other numbers, and long.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import psutil

from schemas.partitioning import partition_for
from stream_app.core.counts import cells, cells_codec, deltas
from stream_app.core.counts.cells import Cell
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.metrics_stage import active_version, lane_state, version_days
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.core.metrics_stage.keys import cell_key, days_key, model_key
from stream_app.core.metrics_stage.version_days import VersionDays
from stream_app.engine.protocol import POSITIONS_KEY, Positions, encode_positions
from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics
from stream_app.replay.clock_writer import ClockWriter
from stream_app.replay.follow import LogFollower
from stream_app.services.kafka import LocalKafka
from stream_app.settings import Settings, children

DAY = 20_600
DAYS = 90
PER_DAY = 200
PARTITIONS = 4
#: As many as the machine has cores.
WORKERS = 2
#: Seconds that a start or a close may take, for each ten thousand models.
BOUND_S = 600
#: Hours of a day's closes.
CLOSES = ((1, "completeness"), (2, "metrics"), (3, "statistical"), (4, "performance"))
#: Different cells; every model and day takes one of them.
POOL = 400


def run(bootstrap: str, folder: Path, models: int) -> dict[str, float]:
    """Seconds of the closes of one day; ``daily_close_seconds_10k_models`` is their sum."""
    figures = asyncio.run(_run(bootstrap, folder, models, DAYS, PER_DAY))
    return {**figures, "daily_close_seconds_10k_models": sum(figures[f"{kind}_close_seconds"] for _, kind in CLOSES)}


async def _run(bootstrap: str, folder: Path, models: int, days: int, per_day: int) -> dict[str, float]:
    name = f"closes{models}"
    bound_s = BOUND_S * max(1, models / 10_000)
    topics = Topics(f"{name}.", f"{name}.", PARTITIONS, PARTITIONS, name)
    settings = Settings(input_partitions=PARTITIONS, model_partitions=PARTITIONS, environment="development")
    async with admin.admin(bootstrap, {}) as client:
        await admin.create(client, topics.specs(), 1)
        await admin.create(client, topics.own(settings.max_horizon_days), 1)
    midnight = DAY * DAY_MS
    static = {key: str(value) for key, value in settings.static_view().items()}
    await _seed(bootstrap, topics.changelog("metrics"), models, midnight, static, days, per_day)
    began = time.monotonic()
    workers = [
        children.start(
            ["worker"], folder / f"worker-{number}.log", **topics.as_settings(), environment="development",
            kafka_bootstrap=bootstrap, app_id=name, data_dir=folder / f"data-{number}", clock="follow", web_port=0,
        )
        for number in range(WORKERS)
    ]  # fmt: skip
    seconds: dict[str, float] = {}
    try:
        async with ClockWriter(bootstrap, {}, topics) as writer, LogFollower(bootstrap, {}, topics) as follower:
            await writer.write(midnight + 60_000, ())
            await follower.reached(midnight + 60_000, bound_s)
            seconds["start_seconds"] = time.monotonic() - began
            cpu = sum(_cpu(worker.pid) for worker in workers)
            for hour, kind in CLOSES:
                began = time.monotonic()
                await writer.write(midnight + hour * HOUR_MS, ())
                await follower.reached(midnight + hour * HOUR_MS, bound_s)
                seconds[f"{kind}_close_seconds"] = time.monotonic() - began
            seconds["daily_close_cpu_seconds"] = sum(_cpu(worker.pid) for worker in workers) - cpu
            seconds["daily_close_peak_mb"] = max(_peak_mb(worker.pid) for worker in workers)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            children.end(worker, 60)
    seconds["daily_close_state_mb"] = sum(_stored_mb(folder / f"data-{number}") for number in range(WORKERS))
    return seconds


def _stored_mb(data: Path) -> float:
    """What RocksDB keeps in a worker's folder."""
    found = [path.stat().st_size for path in data.rglob("*") if path.suffix in (".sst", ".log")]
    return sum(found) / 2**20


def _model(number: int) -> str:
    return f"fraud:t{number}" if number % 20 == 0 else f"churn:t{number}"


def _pool(draw: random.Random, folded_to: int, per_day: int) -> list[bytes]:
    """Stored cells of calibrated scores, all labelled, published once."""
    out = []
    for _ in range(POOL):
        scores = [round(draw.betavariate(2, 2), 4) for _ in range(per_day)]
        kinds, values = [], []
        for score in scores:
            predicted, actual = score >= 0.5, draw.random() < score
            kinds += [int(predicted), deltas.label_kind(predicted, actual)]
            values += [score, score]
        rows = deltas.aggregate([0] * len(kinds), kinds, values, [1] * len(kinds))
        out.append(cells_codec.encode(Cell(cells.changes(1, rows, [])[0], folded_to, 1)))
    return out


async def _seed(
    bootstrap: str, changelog: str, models: int, midnight: int, static: dict[str, str], past: int, per_day: int
) -> None:
    draw = random.Random(3)
    # the last day is closed at 02:00 of the day that is measured, so its cells have no revision yet
    pool = _pool(draw, midnight, per_day)
    fresh = [value[:10] + struct.pack("<i", 0) + value[14:] for value in pool]
    producer = clients.producer(bootstrap, {}, linger_ms=20, max_batch_size=500_000)
    await producer.start()
    first = DAY - past
    days = version_days.encode(VersionDays(first=list(range(first, first + version_days.FIRST_DAYS))))
    since = first * DAY_MS
    active = active_version.encode(ActiveVersion("v1", None, "observed", since, since))
    for number in range(models):
        model = _model(number)
        partition = partition_for(model.encode(), PARTITIONS)

        async def put(key: bytes, value: bytes, partition: int = partition) -> None:
            await producer.send(changelog, value, key=key, partition=partition)

        await put(model_key(model), active)
        await put(days_key(model, "v1"), days)
        for day in range(first, DAY):
            await put(cell_key(model, "v1", day), draw.choice(fresh if day == DAY - 1 else pool))
    state = lane_state.encode(lane_state.MetricsLaneState(last_tick=midnight, folded=midnight))
    inputs: dict[str, Any] = dict.fromkeys(("operator-commands", "training-results", "model-deltas", "clock"), 0)
    record = encode_positions(Positions(inputs, tick=midnight, static=static, lane_state=state))
    for partition in range(PARTITIONS):
        await producer.send(changelog, record, key=POSITIONS_KEY, partition=partition)
    await producer.stop()


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@click.command()
@click.option("--models", default=10_000, show_default=True, help="Models, one in twenty judged by PR-AUC.")
@click.option("--days", default=DAYS, show_default=True, help="Days of cells that each has.")
@click.option("--per-day", default=PER_DAY, show_default=True, help="Predictions of a day, all labelled.")
def main(models: int, days: int, per_day: int) -> None:
    """The closes of one day alone: their time, the workers' memory and what their tables hold on disk."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        kafka = LocalKafka(Path(folder, "kafka"))
        try:
            kafka.start()
            (Path(folder) / "closes").mkdir()
            figures = asyncio.run(_run(kafka.bootstrap, Path(folder, "closes"), models, days, per_day))
        finally:
            kafka.stop()
    shown = {name: round(value, 2) for name, value in figures.items()}
    click.echo(json.dumps({"models": models, "days": days, "per_day": per_day, **shown}))


if __name__ == "__main__":
    main()
