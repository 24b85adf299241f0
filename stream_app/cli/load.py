"""``plumbline load``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app import settings as settings_module
from stream_app.cli.tables import file_of, mapping_of, reading_of, say_faults, table_options

# what reads and sends is imported by who does: a shell that completes an option waits for the rest
if TYPE_CHECKING:
    from stream_app.ingest.ids import Ids
    from stream_app.ingest.inputs import Kind, Survey
    from stream_app.ingest.load import Loaded, LoadPlan
    from stream_app.ingest.load_report import Report
    from stream_app.kafka.topics import Topics
    from stream_app.settings import Settings

_OPTIONS = (
    click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--dry-run", is_flag=True, help="Read, check and report; send nothing."),
    click.option("--no-report", is_flag=True, help="Do not look up how many rows will match."),
    click.option("--json", "as_json", is_flag=True, help="Only a JSON summary, as the last line."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    command = table_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def load() -> None:
    """Bring files of outcomes or predictions into a running system.

    Each row is written once: interrupted and run again, a load goes on where it was, and a load that is done writes
    nothing. No ticks are written; the running clock covers the rows.
    """


@load.command()
@_with_options
def outcomes(**options: Any) -> None:
    """Load outcomes: a nightly file of labels, a late batch. CSV, NDJSON or Parquet, compressed or not.

    \b
    Example, labels that carry no time of their own:
      plumbline load outcomes labels-2026-11-24.csv --map prediction_id=order \\
        --map actual=churned --set observed_at=2026-11-25T01:00:00Z
    """
    _load("outcomes", options)


@load.command()
@_with_options
def predictions(**options: Any) -> None:
    """Load predictions that were not sent when they were made.

    \b
    Example:
      plumbline load predictions batch.parquet --set model_type=churn --set model_version=v7 \\
        --map prediction_id=id --map predicted_at=scored_at --map score=probability
    """
    _load("predictions", options)


def _load(kind: Kind, options: dict[str, Any]) -> None:
    from stream_app.ingest.inputs import Admission
    from stream_app.ingest.load import Loaded, look_through
    from stream_app.kafka.topics import topics_of

    plan, settings = _plan(kind, options), settings_module.load()
    topics = topics_of(settings)
    known, ids = look_through(plan, Admission.by(settings))
    if options["strict"]:
        known.refuse_any()
    if not options["as_json"]:
        say_faults(known, plan.mapping)
    loaded = Loaded(known.rows, blank=known.blank, faults=known.faults, repeats=known.repeats)
    found = asyncio.run(_run(settings, topics, plan, known, ids, loaded, options))
    if options["as_json"]:
        click.echo(json.dumps(_summary(loaded, found, options["dry_run"])))
    else:
        _say(kind, loaded, found, options["dry_run"])


def _plan(kind: Kind, options: dict[str, Any]) -> LoadPlan:
    from stream_app.ingest.load import LoadPlan

    file = file_of(options)
    return LoadPlan(kind, tuple(options["files"]), mapping_of(options, file), reading_of(options, file))


async def _run(
    settings: Settings, topics: Topics, plan: LoadPlan, known: Survey, ids: Ids, loaded: Loaded,
    options: dict[str, Any],
) -> Report | None:  # fmt: skip
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from stream_app.ingest.load import run_load
    from stream_app.ingest.load_report import report
    from stream_app.kafka.admin import admin, partition_counts, prepare_tools, refuse_other_counts
    from stream_app.kafka.reach import refuse_unanswered

    bootstrap, client_options = settings.kafka_bootstrap, settings.kafka_client_options()
    if options["dry_run"]:
        await refuse_unanswered(bootstrap, client_options)
        async with admin(bootstrap, client_options) as client:
            there = await partition_counts(client, topics.n_family())
        refuse_other_counts(there, topics, topics.specs())
        if len(there) < len(topics.n_family()):
            return None  # the load makes them; there is nothing yet to find the ids in
    else:
        await prepare_tools(bootstrap, client_options, topics, settings.replication_factor)
    if not options["dry_run"]:
        bar = Progress(
            TextColumn(f"loading {plan.kind}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), disable=options["as_json"] or not sys.stderr.isatty(),
        )  # fmt: skip
        with bar:
            task = bar.add_task("rows", total=loaded.rows)
            done = await run_load(settings, topics, plan, known, lambda row: bar.update(task, completed=row))
            bar.update(task, completed=done.rows)
        loaded.sent, loaded.resumed_from_row = done.sent, done.resumed_from_row
    return None if options["no_report"] else await report(settings, topics, plan.kind, ids)


def _summary(loaded: Loaded, found: Report | None, dry_run: bool) -> dict[str, Any]:
    return {
        "rows": loaded.rows,
        "sent": loaded.sent,
        "resumed_from_row": loaded.resumed_from_row,
        "without_outcome": loaded.blank,
        "invalid": loaded.faults.count,
        "invalid_by_reason": loaded.faults.by_reason,
        "first_invalid": loaded.faults.first,
        "repeated_ids": loaded.repeats.of_predictions,
        "repeated_ids_that_differ": loaded.repeats.differing.count,
        "corrections": loaded.repeats.corrections,
        "dry_run": dry_run,
        "report": None
        if found is None
        else {
            "ids": found.ids,
            "matched": found.matched,
            "beyond_horizon": found.beyond_horizon,
            "looked_at": found.looked_at,
            "cut_short": found.cut_short,
        },
    }


def _say(kind: Kind, loaded: Loaded, found: Report | None, dry_run: bool) -> None:
    if dry_run:
        click.echo(f"{loaded.rows - loaded.blank - loaded.faults.count:,} of {loaded.rows:,} rows would be sent")
    elif loaded.sent:
        earlier = f"; {loaded.resumed_from_row:,} rows were dealt with before" if loaded.resumed_from_row else ""
        click.echo(f"sent {loaded.sent:,} {kind} of {loaded.rows:,} rows{earlier}")
    else:
        click.echo("nothing left to send: this load was complete" if loaded.resumed_from_row else "nothing to send")
    if loaded.blank:
        click.echo(f"{loaded.blank:,} rows have no outcome yet")
    if found is not None:
        other = "predictions" if kind == "outcomes" else "outcomes"
        click.echo(f"{found.matched:,} of {found.ids:,} ids are among the {found.looked_at:,} {other} looked at")
        if found.cut_short:
            from stream_app.ingest.load_report import LOOK_AT

            click.echo(f"(the newest {LOOK_AT:,}: there are older ones that were not looked at)")
        if found.beyond_horizon:
            fate = "will count as unmatched" if kind == "outcomes" else "will be dead-lettered as too old"
            click.echo(f"{found.beyond_horizon:,} of them are beyond the horizon and {fate}")
