"""``plumbline snapshots``."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import click

from stream_app.cli import completing, listing
from stream_app.cli.listing import ListColumn, ratio
from stream_app.cli.options import ModelName
from stream_app.cli.waiting import run
from stream_app.core.kit.days import date_of
from stream_app.core.kit.spans import WINDOWS, WindowName, close_day, span
from stream_app.settings import Whereabouts, place


def _figure(name: str, title: str, rank: int) -> ListColumn:
    return ListColumn(title, lambda row: ratio(row[name]), rank, right=True)


def _estimated(row: dict[str, Any]) -> str:
    """Accuracy as scores alone have it, with its 95 % interval, and whether outcomes contradict it."""
    found = row["estimated"]
    if found is None or found["accuracy"] is None:
        return ""
    value, low, high = (ratio(found["accuracy"][name]) for name in ("value", "lower", "upper"))
    return f"{value} ({low} to {high}){', muted' if found['muted'] else ''}"


_COLUMNS: Final = (
    ListColumn("date", lambda row: row["date"]),
    ListColumn("version", lambda row: row["model_version"]),
    ListColumn("state", lambda row: row["state"], 4),
    ListColumn("rev", lambda row: row["revision"], 9, right=True),
    ListColumn("predictions", lambda row: f"{row['predictions']:,}", 1, right=True),
    _figure("coverage", "coverage", 2),
    _figure("accuracy", "accuracy", 3),
    _figure("precision", "precision", 5),
    _figure("recall", "recall", 6),
    _figure("f1", "f1", 8),
    _figure("pr_auc", "PR-AUC", 7),
    _figure("brier", "brier", 10),
    _figure("calibration_score", "calibration", 11),
    ListColumn("accuracy by scores", _estimated, 12),
)


@click.command()
@click.argument("model", type=ModelName(), shell_complete=completing.models)
@click.option("--version", help="Only this model version.")
@click.option("--days", type=click.IntRange(1), help="Only the newest days.")
@click.option("--window", type=click.Choice(WINDOWS), help="Only the days of this window, under the model's rules.")
@click.option(
    "--as-of", help="Of --window: a UTC date or RFC 3339 time. By default the day after the newest closed one."
)
@click.option("--all", "all_days", is_flag=True, help="Also days before the last 90, and of forgotten models.")
@click.option("--follow", is_flag=True, help="Go on and print each snapshot as it comes.")
@listing.output_option
def snapshots(
    model: str, version: str | None, days: int | None, window: WindowName | None, as_of: str | None, all_days: bool,
    follow: bool, output: str,
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
    from stream_app.projection import from_topics

    settings = place.find()
    if follow:
        asyncio.run(_follow(settings, model, version))
        return
    history = run(from_topics.history(settings, model, version, all_days=all_days), f"reading the days of {model}")
    if not history.known:
        raise click.ClickException(f"no snapshots of {model}; `plumbline models` lists the models")
    if version is not None and not history.days:
        raise click.ClickException(f"no snapshots of version {version} of {model}; without --version all are listed")
    found = history.days
    if window is not None:
        dates = _dates(settings, model, window, as_of, found)
        found = [row for row in found if row["date"] in dates and row["state"] == "closed"]
    if days is not None:
        newest = sorted({row["date"] for row in found})[-days:]
        found = [row for row in found if row["date"] in newest]
    none = f"no closed days of {model} in this window" if window is not None else f"no days of {model} yet"
    listing.show(found, _COLUMNS, output, empty=none, note=history.sentence)


def _dates(
    settings: Whereabouts, model: str, window: WindowName, as_of: str | None, found: list[dict[str, Any]]
) -> set[str]:
    from stream_app.projection import from_topics

    newest = max((row["date"] for row in found if row["state"] == "closed"), default="1970-01-01")
    try:
        close = close_day(as_of) if as_of is not None else close_day(newest) + 1
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    rules = asyncio.run(from_topics.rules(settings))(model)
    days = span(window, close, rules["recent_days"], rules["baseline_start_days"], rules["baseline_end_days"])
    return set(map(date_of, days))


async def _follow(settings: Whereabouts, model: str, version: str | None) -> None:
    from stream_app.kafka.reading import records
    from stream_app.projection.records import taken

    topic = f"{settings.output_prefix}metric-snapshots"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic, follow=True):
        row = taken("metric-snapshots", record)
        if row is not None and row["model"] == model and version in (None, row["model_version"]):
            click.echo(json.dumps(row, sort_keys=True))
