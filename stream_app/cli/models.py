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
from stream_app.connect import published


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the lines: active version, newest closed day over all versions, days so far; or register a version."""
    if ctx.invoked_subcommand is not None:
        return
    found = asyncio.run(published.models(settings_module.load()))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("no lines yet: they appear with the first tick after their first prediction")
        return
    table = Table()
    for name in ("line", "active version", "since", "how", "last day", "predictions", "labelled", "metric, 7 days"):
        table.add_column(name)
    table.add_column("so far")
    for row in found:
        table.add_row(
            row["line"], row["active_version"], row["since"][:16], row["how"], row["date"] or "–",
            f"{row['predictions']:,}", _percent(row["coverage"]), _metric(row["metric"]),
            "\n".join(f"{day['predictions']:,} on {day['date']}" for day in row["so_far"]) or "–",
        )  # fmt: skip
    Console().print(table)


models.add_command(register)


def show(value: float | None) -> str:
    """A ratio with three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _metric(metric: dict[str, Any]) -> str:
    limits = "" if metric["low"] is None else f" ({show(metric['low'])} to {show(metric['high'])})"
    return f"{metric['name']} {show(metric['value'])}{limits}"
