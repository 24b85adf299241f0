"""``plumbline models``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from stream_app import settings as settings_module
from stream_app.cli.operators import register
from stream_app.cli.quality import quality
from stream_app.projection import from_topics


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models: active version, newest closed day, days so far and retraining; or register a version."""
    if ctx.invoked_subcommand is not None:
        return
    settings = settings_module.load()
    found = asyncio.run(from_topics.models(settings))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("no models yet: they appear with the first tick after their first prediction")
        click.echo(quality(settings))
        return
    table = Table()
    table.add_column("model", no_wrap=True)
    for name in (
        "active version", "last seen", "last day", "predictions", "labelled", "metric, 7 days", "so far", "retraining",
    ):  # fmt: skip
        table.add_column(name)
    for row in found:
        job = row["job"]
        table.add_row(
            row["model"], row["active_version"], row["traffic"]["last_seen"] or "never", row["date"] or "–",
            f"{row['predictions']:,}", _percent(row["coverage"]), _metric(row["metric"]),
            "\n".join(f"{day['predictions']:,} on {day['date']}" for day in row["so_far"]) or "–",
            "idle" if job is None else job["state"].replace("_", " "),
        )  # fmt: skip
    Console().print(table)
    for row in found:
        if row["traffic"]["others"]:
            click.echo(f"{row['model']}: {row['traffic']['sentence']}")
        if row["job"] is not None and row["job"]["failure"] is not None:
            click.echo(f"{row['model']}: {failed(row['job']['failure'])}.")
    click.echo(quality(settings))


models.add_command(register)


def show(value: float | None) -> str:
    """A ratio with three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _metric(metric: dict[str, Any]) -> str:
    limits = "" if metric["low"] is None else f" ({show(metric['low'])} to {show(metric['high'])})"
    return f"{metric['name']} {show(metric['value'])}{limits}"


def failed(failure: dict[str, Any]) -> str:
    """What failed last of a model's retraining: since when, at which attempt and why."""
    return f"{failure['command']} failed {failure['at'][:16]}, attempt {failure['attempt']}: {failure['reason']}"
