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
from stream_app.connect import published


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the lines: active version, newest closed day, days so far and retraining; or register a version."""
    if ctx.invoked_subcommand is not None:
        return
    settings = settings_module.load()
    found = asyncio.run(published.models(settings))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("no lines yet: they appear with the first tick after their first prediction")
        click.echo(quality(settings))
        return
    table = Table()
    table.add_column("line", no_wrap=True)
    for name in (
        "active version", "since", "how", "last seen", "others, 7 days", "last day", "predictions", "labelled",
        "metric, 7 days",
    ):  # fmt: skip
        table.add_column(name)
    table.add_column("so far")
    table.add_column("retraining", overflow="fold")
    for row in found:
        traffic = row["traffic"]
        table.add_row(
            row["line"], row["active_version"], row["since"][:16], row["how"], traffic["last_seen"] or "never",
            _others(traffic), row["date"] or "–", f"{row['predictions']:,}", _percent(row["coverage"]),
            _metric(row["metric"]),
            "\n".join(f"{day['predictions']:,} on {day['date']}" for day in row["so_far"]) or "–",
            retraining(row["job"]),
        )  # fmt: skip
    Console().print(table)
    click.echo(quality(settings))


def _others(traffic: dict[str, Any]) -> str:
    named = [f"{other['version']} {other['predictions']:,}" for other in traffic["others"]]
    return ", ".join(named + [f"{traffic['more']} more"] * bool(traffic["more"])) or "none"


models.add_command(register)


def show(value: float | None) -> str:
    """A ratio with three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _metric(metric: dict[str, Any]) -> str:
    limits = "" if metric["low"] is None else f" ({show(metric['low'])} to {show(metric['high'])})"
    return f"{metric['name']} {show(metric['value'])}{limits}"


def retraining(job: dict[str, Any] | None) -> str:
    """State of a line's job; and of what failed last what it was, since when, at which attempt and why."""
    if job is None:
        return "idle"
    failure = job.get("failure")
    if failure is None:
        return str(job["state"]).replace("_", " ")
    told = f"{failure['command']} failed {failure['at'][:16]}, attempt {failure['attempt']}: {failure['reason']}"
    return told if job["state"] == "failed" else f"{job['state'].replace('_', ' ')}; {told}"
