"""``plumbline replay``."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.common import rfc3339
from stream_app import settings as settings_module
from stream_app.cli.options import label_delay
from stream_app.cli.tables import file_of, mapping_of, reading_of, say_faults, table_options
from stream_app.errors import Incompatible

# what sends is imported by who sends: a shell that completes an option waits for the rest
if TYPE_CHECKING:
    from stream_app.ingest.inputs import Survey
    from stream_app.replay.run import ReplayPlan, Summary
    from stream_app.settings import Settings

#: What holds after simulated ticks, for people.
FOLLOWED = (
    "time on this prefix is simulated and no further tick comes by itself: another replay goes on from here, "
    "`plumbline backfill --then-live` hands it over to live time"
)


def handed_over(settings: Settings, at_ms: int) -> str:
    """What holds after the change to live time, for people. ``at_ms``: where time stands."""
    from stream_app.engine.live_clock import HANDED_OVER_S
    from stream_app.kafka.clock_tail import AHEAD_MS

    text = f"time is live from here on: workers that run take it up within {HANDED_OVER_S:.0f} s, without a restart"
    if at_ms > time.time_ns() // 1_000_000 + AHEAD_MS:
        text += f"; it stands ahead, and no live tick is written before {rfc3339(at_ms)[:19]}Z"
    if settings.clock == "live":
        return text
    return f"{text}, unless they were started with PLUMBLINE_CLOCK=follow, as is set here: those write no ticks"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--outcomes", multiple=True, type=click.Path(path_type=Path), help="File of outcomes, if they are not in FILES."
)
@table_options
@click.option("--label-delay", metavar="A..B", help="Delay of outcomes that have no time, drawn by seed: 6h..3d.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything that is drawn.")
@click.option("--spread", type=click.Choice(["year"]), help="The time column holds only a year: spread rows over it.")
@click.option("--tick-every", type=click.Choice(["hour", "6h", "close"]), default="hour", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first rows of FILES.")
@click.option(
    "--rate", type=click.FloatRange(0.001), help="Rows per second; default: as fast as the broker takes them."
)
@click.option(
    "--step",
    is_flag=True,
    help="Write a tick only when the pipeline has carried the one before and every command has its answer.",
)
@click.option(
    "--then-live", is_flag=True, help="Hand the prefix over to live time afterwards, once; no tick is later than now."
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, show the first records, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Only a JSON summary, as the last line.")
def replay(
    files: tuple[Path, ...], outcomes: tuple[Path, ...], dry_run: bool, strict: bool, step: bool, as_json: bool,
    then_live: bool, **options: Any,
) -> None:  # fmt: skip
    """Send recorded predictions and outcomes, with simulated time, as if it all happened now.

    Every close and every full hour that has rows becomes a tick; rows and tick are one transaction. Interrupt it and
    run it again: it goes on after its last tick and doubles nothing.

    \b
    Example, a CSV that holds both the prediction and what came of it:
      plumbline replay scored.csv --set model_type=churn --set model_version=v1 \\
        --map prediction_id=id --map predicted_at=time --map score=probability --map actual=left \\
        --label-delay 6h..3d --seed 7
    """
    from stream_app.ingest.inputs import Admission
    from stream_app.replay.run import look_through, options_summary

    plan = replace(plan_of(files, outcomes, options), then_live=then_live)
    settings = settings_module.load()
    known = look_through(plan, Admission.by(settings))
    if strict:
        known.refuse_any()
    if not as_json:
        say_faults(known, plan.mapping)
    if dry_run:
        _show(plan, known, settings)
        return
    summary = asyncio.run(_run(settings, plan, known, step, quiet=as_json))
    if as_json:
        click.echo(json.dumps(options_summary(summary)))
    else:
        _report(summary)
        click.echo(handed_over(settings, summary.last_tick_ms) if then_live else FOLLOWED)


def plan_of(files: tuple[Path, ...], outcomes: tuple[Path, ...], options: dict[str, Any]) -> ReplayPlan:
    """The plan that the command line gives."""
    from stream_app.replay.run import ReplayPlan

    file = file_of(options, ("label_delay", "seed", "spread"))
    mapping = mapping_of(
        options,
        file,
        spread_year=(options["spread"] or file.get("spread")) == "year",
        label_delay_ms=label_delay(options["label_delay"] or file.get("label_delay")),
        seed=options["seed"] or int(file.get("seed", 0)),
    )
    return ReplayPlan(
        list(files), list(outcomes), mapping, options["tick_every"], options["limit"], options["rate"],
        reading_of(options, file),
    )  # fmt: skip


def _show(plan: ReplayPlan, known: Survey, settings: Settings) -> None:
    from stream_app.ingest.faults import Faults
    from stream_app.ingest.inputs import Admission
    from stream_app.replay.timeline import events

    for event in itertools.islice(events(plan.inputs(Admission.by(settings)), known, Faults()), 6):
        click.echo(f"{rfc3339(event.at_ms)}  {'outcome   ' if event.kind else 'prediction'}  {event.value.decode()}")
    positives = f", {known.positives:,} of them positive" if known.outcomes else ""
    click.echo(f"{known.predictions:,} predictions and {known.outcomes:,} outcomes{positives} would be sent")


async def _run(settings: Settings, plan: ReplayPlan, known: Survey, step: bool, quiet: bool) -> Summary:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from stream_app.kafka.admin import admin, partition_counts, prepare_tools
    from stream_app.kafka.topics import topics_of
    from stream_app.replay.follow import LogFollower
    from stream_app.replay.results import ResultFollower
    from stream_app.replay.run import run_replay

    topics = topics_of(settings)
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=quiet or not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("reading", total=None)

        def progress(at_ms: int, done: int, total: int) -> None:
            bar.update(task, description=rfc3339(at_ms)[:16], completed=done, total=total)

        if not step:
            return await run_replay(settings, topics, plan, progress, None, known)
        where = (settings.kafka_bootstrap, settings.kafka_client_options(), topics)
        await prepare_tools(*where, settings.replication_factor)
        async with admin(*where[:2]) as client:
            if not await partition_counts(client, [topics.last_log]):
                raise Incompatible(
                    f"--step follows a worker of {settings.app_id}, and none has run: `plumbline worker`"
                )
        async with LogFollower(*where) as follower, ResultFollower(*where) as answers:

            async def carried(at_ms: int) -> None:
                await follower.reached(at_ms)
                await answers.settled()

            return await run_replay(settings, topics, plan, progress, carried, known)


def _report(summary: Summary) -> None:
    if summary.announced:
        click.echo(f"announced {summary.announced} settings of this shell's file and environment to the workers")
    click.echo(
        f"sent {summary.predictions:,} predictions and {summary.outcomes:,} outcomes with {summary.ticks:,} ticks"
        + (f", after {summary.resumed_from_row:,} records of an earlier run" if summary.resumed_from_row else "")
        + f"; time stands at {rfc3339(summary.last_tick_ms)}"
        if summary.ticks
        else "nothing left to send: this replay was complete"
    )
