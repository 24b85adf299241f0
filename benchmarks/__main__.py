"""Load the jobs, run each process once, print the table and, as the last line, one JSON object."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import alert_latency, daily_close, hourly_loop, live_view
from benchmarks.load import Job, load
from stream_app.services.kafka import LocalKafka

console = Console(stderr=True)

#: What the issue asks of each figure; compared for the reader, never asserted.
GOALS = {
    "labels_us_per_event": "at most 16",
    "plain_to_labels": "at least 40",
    "restore_records_per_s": "at least 150,000",
    "models_ratio": "at most 1.5",
    "rss_mb_1m_pending": "under 500",
    "daily_close_seconds_10k_models": "under 60",
    "hourly_seconds_10k_models": "under 10",
    "hourly_references_seconds_10k_models": "under 20",
    "hourly_kb_a_model": "at most 20",
    "api_model_p99_ms_10k_models": "under 100",
    "fleet_page_seconds_10k_models": "under 1",
    "alert_to_100_clients_seconds": "under 1",
    "alert_latency_p99_s": "under 2",
    "hourly_alert_latency_p99_s": "under 2",
}


def child(module: str, bootstrap: str, name: str, events: int, folder: Path) -> dict[str, Any]:
    """Run one process and read the JSON line it prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", bootstrap, name, str(events), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    for model in done.stdout.splitlines():
        at = model.find('{"events"')  # the worker's terminal codes may stand before it
        if at >= 0:
            found: dict[str, Any] = json.loads(model[at:])
            return found
    raise SystemExit(f"{module} printed no figures:\n{(done.stdout + done.stderr)[-3000:]}")


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="Size of the jobs; below 1 the figures are rough.")
def main(scale: float) -> None:
    """Cost per event of the labels stage and its peer. Takes some minutes; nothing else should run meanwhile."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        kafka = LocalKafka(Path(folder, "kafka"))
        try:
            kafka.start()
            figures = _run(kafka.bootstrap, Path(folder), scale)
        finally:
            kafka.stop()
    table = Table("figure", "value", "goal")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.1f}", GOALS.get(name, ""))
    Console().print(table)
    click.echo(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _run(bootstrap: str, folder: Path, scale: float) -> dict[str, float]:
    n = int(400_000 * scale)
    few = _load(bootstrap, "models50", n, 50)
    base = child("labels_worker", bootstrap, "models50", few.events, folder / "few")
    again = child("labels_worker", bootstrap, "models50", few.events, folder / "again")
    relay = child("relay_process", bootstrap, "models50", few.events, folder / "relay")
    rekey = child("relay_process", bootstrap, "models50", few.events, folder / "re-key")
    many = _load(bootstrap, "models10k", n, 10_000)
    wide = child("labels_worker", bootstrap, "models10k", many.events, folder / "many")
    plain = child("plain_faust", bootstrap, "models50", 20_000, folder / "plain")
    open_job = _load(bootstrap, "pending", int(1_000_000 * scale), 50, 0.0)
    pending = child("labels_worker", bootstrap, "pending", open_job.events, folder / "pending")
    console.print("seeding 90 days of 10,000 models", style="dim")
    (folder / "closes").mkdir()
    closes = daily_close.run(bootstrap, folder / "closes", int(10_000 * scale))
    console.print("evidence of 10,000 models at full hours", style="dim")
    hourly = hourly_loop.run(int(10_000 * scale))
    console.print("laying out 90 days of 10,000 models for the dashboard", style="dim")
    (folder / "live").mkdir()
    live = live_view.run(bootstrap, folder / "live", int(10_000 * scale))
    live |= alert_latency.run(bootstrap, folder / "latency")
    return {
        "labels_us_per_event": base["cpu_us_per_event"],
        "labels_events_per_second": base["events_per_second"],
        "relay_us_per_event": relay["cpu_us_per_event"],
        "relay_to_labels": relay["cpu_us_per_event"] / base["cpu_us_per_event"],
        "relay_rekey_us_per_event": rekey["cpu_us_per_event"],
        "plain_faust_us_per_event": plain["cpu_us_per_event"],
        "plain_to_labels": plain["cpu_us_per_event"] / base["cpu_us_per_event"],
        "restore_records_per_s": again["restore_records_per_s"],
        "restored_records": again["restored"],
        "labels_us_per_event_50_models": base["cpu_us_per_event"],
        "labels_us_per_event_10k_models": wide["cpu_us_per_event"],
        "models_ratio": wide["cpu_us_per_event"] / base["cpu_us_per_event"],
        "rss_mb_1m_pending": pending["rss_mb"],
        "peak_mb_1m_pending": pending["peak_mb"],
        **closes,
        **hourly,
        **live,
    }


def _load(bootstrap: str, name: str, predictions: int, models: int, share: float = 0.95) -> Job:
    console.print(f"loading {predictions:,} predictions on {models:,} models", style="dim")
    return asyncio.run(load(bootstrap, name, predictions, models, share))


if __name__ == "__main__":
    main()
