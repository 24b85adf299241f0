"""``plumbline backfill``."""

from __future__ import annotations

import sys

import click

from schemas.common import rfc3339
from stream_app import settings as settings_module
from stream_app.cli.replay import FOLLOWED, handed_over


@click.command()
@click.option("--tick-every", type=click.Choice(["hour", "6h", "close"]), default="hour", show_default=True)
@click.option("--then-live", is_flag=True, help="Hand the prefix over to live time afterwards, once.")
def backfill(tick_every: str, then_live: bool) -> None:
    """Write simulated ticks for input topics that hold records but no time, so that their days can be counted.

    \b
    Example, a first baseline from history, then live:
      plumbline backfill --then-live && plumbline worker
    """
    # by who writes ticks: a shell that completes an option does without
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from stream_app.kafka.topics import topics_of
    from stream_app.replay.backfill import run

    settings = settings_module.load()
    topics = topics_of(settings)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        task = bar.add_task("reading")
        first: list[int] = []

        def progress(at_ms: int, end_ms: int) -> None:
            first.append(at_ms)
            bar.update(
                task, description=rfc3339(at_ms)[:16], completed=at_ms - first[0], total=max(1, end_ms - first[0])
            )

        done = run(settings, topics, tick_every, then_live, progress)  # type: ignore[arg-type]
    click.echo(f"wrote {done.ticks:,} ticks; time stands at {rfc3339(done.at_ms)}")
    click.echo(handed_over(settings, done.at_ms) if then_live else FOLLOWED)
    for text in done.told:
        click.echo(text, err=True)
