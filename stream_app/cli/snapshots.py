"""``plumbline snapshots``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from stream_app import settings as settings_module
from stream_app.cli.models import show
from stream_app.core.kit.days import date_of
from stream_app.core.kit.spans import WINDOWS, WindowName, close_day, span
from stream_app.kafka.reading import records
from stream_app.projection import from_topics
from stream_app.settings import Settings

_COLUMNS = ("accuracy", "precision", "recall", "f1", "pr_auc", "brier", "calibration_score")


@click.command()
@click.argument("model")
@click.option("--version", help="Only this model version.")
@click.option("--days", type=click.IntRange(1), help="Only the newest days.")
@click.option("--window", type=click.Choice(WINDOWS), help="Only the days of this window, under the model's rules.")
@click.option(
    "--as-of", help="Of --window: a UTC date or RFC 3339 time. By default the day after the newest closed one."
)
@click.option("--all", "all_days", is_flag=True, help="Also days before the last 90, and of forgotten models.")
@click.option("--follow", is_flag=True, help="Go on and print each snapshot as it comes.")
@click.option("--json", "as_json", is_flag=True, help="One snapshot a line, newest revision of each day.")
def snapshots(
    model: str, version: str | None, days: int | None, window: WindowName | None, as_of: str | None, all_days: bool,
    follow: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show a model's daily snapshots, oldest first, the newest revision of each day: the days that the page shows.

    \b
    Examples: plumbline snapshots conflict:global --days 7
              plumbline snapshots conflict:global --window baseline --as-of 2026-03-01
    """
    if as_of is not None and window is None:
        raise click.UsageError("--as-of goes with --window recent or --window baseline")
    if window is not None and (days is not None or follow):
        raise click.UsageError("--window says which days: leave out --days and --follow")
    settings = settings_module.load()
    if follow:
        asyncio.run(_follow(settings, model, version))
        return
    history = asyncio.run(from_topics.history(settings, model, version, all_days=all_days))
    found = history.days
    if window is not None:
        dates = _dates(settings, model, window, as_of, found)
        found = [row for row in found if row["date"] in dates and row["state"] == "closed"]
    if days is not None:
        newest = sorted({row["date"] for row in found})[-days:]
        found = [row for row in found if row["date"] in newest]
    if as_json:
        for row in found:
            click.echo(json.dumps(row, sort_keys=True))
    elif found:
        Console().print(_table(model, found))
        click.echo(history.sentence)
    else:
        click.echo(f"no snapshots of {model}; `plumbline models` lists the models", err=True)
        raise SystemExit(1)


def _dates(
    settings: Settings, model: str, window: WindowName, as_of: str | None, found: list[dict[str, Any]]
) -> set[str]:
    newest = max((row["date"] for row in found if row["state"] == "closed"), default="1970-01-01")
    try:
        close = close_day(as_of) if as_of is not None else close_day(newest) + 1
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    rules = asyncio.run(from_topics.rules(settings))(model)
    days = span(window, close, rules["recent_days"], rules["baseline_start_days"], rules["baseline_end_days"])
    return set(map(date_of, days))


def _table(model: str, found: list[dict[str, Any]]) -> Table:
    table = Table(title=model)
    for name in ("date", "version", "state", "rev", "predictions", "coverage", *_COLUMNS, "accuracy by scores"):
        table.add_column(name.replace("_score", "").replace("pr_auc", "PR-AUC"))
    for row in found:
        table.add_row(
            row["date"], row["model_version"], row["state"], str(row["revision"]), f"{row['predictions']:,}",
            show(row["coverage"]), *(show(row[name]) for name in _COLUMNS), _estimated(row),
        )  # fmt: skip
    return table


def _estimated(row: dict[str, Any]) -> str:
    """Accuracy as scores alone have it, with its 95 % interval, and whether outcomes contradict it."""
    found = row["estimated"]
    if found is None or found["accuracy"] is None:
        return show(None)
    value, low, high = (show(found["accuracy"][name]) for name in ("value", "lower", "upper"))
    return f"{value} ({low} to {high}){', muted' if found['muted'] else ''}"


async def _follow(settings: Settings, model: str, version: str | None) -> None:
    topic = f"{settings.output_prefix}metric-snapshots"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic, follow=True):
        row = json.loads(record.value)
        if row["model"] == model and version in (None, row["model_version"]):
            click.echo(json.dumps(row, sort_keys=True))
