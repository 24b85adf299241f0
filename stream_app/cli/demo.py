"""``plumbline demo``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.common import rfc3339
from stream_app import settings as settings_module

# the pipeline and a terminal's tables are imported by who runs it: a shell that completes an option does without
if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stream_app.demo.run import DemoView


@click.command()
@click.option("--once", is_flag=True, help="No live view; the last line is one JSON object.")
def demo(once: bool) -> None:
    """Three weeks in minutes: models serve, one drifts, is retrained, judged, deployed and watched.

    The drift is injected on day 16 and called that. A real trainer and deployer answer the coordinator's commands. The
    address that is printed opens the dashboard, signed in; it stays until Ctrl-C, unless --once.

    Uses the broker in PLUMBLINE_KAFKA_BOOTSTRAP, or starts one for the time of the demo. Each run has topics and an
    application of its own and removes them at the end.
    """
    from rich.console import Console

    from stream_app.demo.run import run
    from stream_app.services.artifacts import cache_dir

    console = Console(stderr=once)
    with _broker(console) as bootstrap:
        values = {"environment": "development", "kafka_bootstrap": bootstrap}
        if "PLUMBLINE_REDIS_URL" not in os.environ:
            values["redis_url"] = ""
        settings = settings_module.load(values)
        # SIGTERM ends it as Ctrl-C does, with everything that was started
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with _view(console, once) as show:

            def say(text: str) -> None:
                console.print(text, style="dim", soft_wrap=True, highlight=False, markup=False)

            def stay(seen: DemoView) -> None:
                _tell(seen, console)

            try:
                seen = asyncio.run(run(settings, cache_dir() / "demo", show, say, None if once else stay))
            except KeyboardInterrupt:
                return
    _tell(seen, console)
    click.echo(json.dumps(seen.summary()))


@contextlib.contextmanager
def _broker(console: Console) -> Iterator[str]:
    named = os.environ.get("PLUMBLINE_KAFKA_BOOTSTRAP")
    if named:
        yield named
        return
    from stream_app.services.kafka import LocalKafka

    with tempfile.TemporaryDirectory(prefix="plumbline-kafka-") as folder:
        console.print("starting Kafka", style="dim")
        kafka = LocalKafka(Path(folder))
        try:
            kafka.start()
            yield kafka.bootstrap
        finally:
            kafka.stop()


@contextlib.contextmanager
def _view(console: Console, once: bool) -> Iterator[Any]:
    told = 0
    if once or not console.is_terminal:

        def quiet(at_ms: int, done: int, total: int, latest: dict[str, dict[str, Any]], story: list[str]) -> None:
            nonlocal told
            for text in story[told:]:
                console.print(text, markup=False)
            told = len(story)
            if at_ms % 86_400_000 == 4 * 3_600_000:
                console.print(f"{rfc3339(at_ms)[:16]}  {done:,} of {total:,} events, {len(latest)} models", style="dim")

        yield quiet
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, refresh_per_second=8) as live:

        def lively(at_ms: int, done: int, total: int, latest: dict[str, dict[str, Any]], story: list[str]) -> None:
            live.update(Group(_table(at_ms, done, total, latest), *(Text(text) for text in story)))

        yield lively


def _table(at_ms: int, done: int, total: int, latest: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title=f"{rfc3339(at_ms)[:16]} UTC  ·  {done:,} of {total:,} events")
    for name in (
        "model",
        "version",
        "date",
        "state",
        "rev",
        "predictions",
        "coverage",
        "accuracy",
        "PR-AUC",
        "calibration",
    ):
        table.add_column(name, justify="left" if name in ("model", "version", "date", "state") else "right")
    for model, row in sorted(latest.items()):
        table.add_row(
            model, row["model_version"], row["date"], row["state"], str(row["revision"]), f"{row['predictions']:,}",
            *(_number(row[field]) for field in ("coverage", "accuracy", "pr_auc", "calibration_score")),
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _tell(seen: DemoView, console: Console) -> None:
    from stream_app.demo.data import MODEL
    from stream_app.demo.run import DAYS

    made, known = seen.predictions, seen.outcomes
    twice = made["duplicate"] + known["duplicate"]
    dead = made["dead_lettered"] + known["dead_lettered"]
    console.print(
        f"\n{made['produced']:,} predictions and {known['produced']:,} outcomes went in. "
        f"{made['joined']:,} predictions found their outcome, {made['pending']:,} still wait for it."
    )
    console.print(
        f"{twice:,} records came twice and counted once; {known['corrected']:,} outcomes were corrected later; "
        f"{dead:,} records could not be read and stand in the dead-lettered records."
    )
    console.print(
        f"{seen.snapshots:,} revisions of daily snapshots of {len(seen.latest)} models over {DAYS} days were "
        f"published, the first after {seen.first_snapshot_seconds:.0f} s; the run took {seen.wall_seconds:.0f} s."
    )
    for model, row in sorted(seen.latest.items()):
        console.print(
            f"{model} {row['model_version']} on {row['date']}: accuracy {_number(row['accuracy'])}, precision "
            f"{_number(row['precision'])}, recall {_number(row['recall'])}, "
            f"{row['outcomes']:,} of {row['predictions']:,} labelled."
        )
    if seen.story:
        console.print("\nWhat happened:")
        for text in seen.story:
            console.print(f"  {text}", markup=False)
    if seen.accuracy_drifted is not None:
        console.print(
            f"\nAccuracy of {MODEL}: {_number(seen.accuracy_before)} before the injected drift, "
            f"{_number(seen.accuracy_drifted)} under it, {_number(seen.accuracy_after)} with the retrained version."
        )
