"""``plumbline models``."""

from __future__ import annotations

from typing import Any, Final

import click

from stream_app.cli import listing
from stream_app.cli.lazy import LazyGroup
from stream_app.cli.listing import ListColumn, ratio
from stream_app.cli.quality import quality
from stream_app.cli.waiting import run
from stream_app.settings import place


def _so_far(row: dict[str, Any]) -> str:
    return ", ".join(f"{day['predictions']:,} on {day['date']}" for day in row["so_far"])


def _state(row: dict[str, Any]) -> str:
    return "idle" if row["job"] is None else str(row["job"]["state"]).replace("_", " ")


_COLUMNS: Final = (
    ListColumn("model", lambda row: row["model"]),
    ListColumn("version", lambda row: row["active_version"]),
    ListColumn("metric, 7 days", lambda row: _metric(row["metric"]), 1),
    ListColumn("last day", lambda row: row["date"], 3),
    ListColumn("predictions", lambda row: f"{row['predictions']:,}", 4, right=True),
    ListColumn("labelled", lambda row: _percent(row["coverage"]), 2, right=True),
    ListColumn("retraining", _state, 5),
    ListColumn("last seen", lambda row: row["traffic"]["last_seen"] or "never", 6),
    ListColumn("so far", _so_far, 7),
)


@click.group(
    cls=LazyGroup, invoke_without_command=True,
    commands_of={"register": ("operators", "register", "Say which version of a model is active.")},
)  # fmt: skip
@listing.output_option
@click.pass_context
def models(ctx: click.Context, output: str) -> None:
    """List the models: active version, newest closed day, days so far and retraining; or register a version."""
    if ctx.invoked_subcommand is not None:
        return
    from stream_app.projection import from_topics

    settings = place.find()
    found = run(from_topics.models(settings), "reading the models")
    none = "no models yet: they appear with the first tick after their first prediction"
    listing.show(found, _COLUMNS, output, empty=none)
    if not listing.for_people(output):
        return
    for row in found:
        if row["traffic"]["others"]:
            listing.say(f"{row['model']}: {row['traffic']['sentence']}")
        if row["job"] is not None and row["job"]["failure"] is not None:
            listing.say(f"{row['model']}: {failed(row['job']['failure'])}.")
    listing.say(quality(settings))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _metric(metric: dict[str, Any]) -> str:
    limits = "" if metric["low"] is None else f" ({ratio(metric['low'])} to {ratio(metric['high'])})"
    return f"{metric['name']} {ratio(metric['value']) or '–'}{limits}"


def failed(failure: dict[str, Any]) -> str:
    """What failed last of a model's retraining: since when, at which attempt and why."""
    return f"{failure['command']} failed {failure['at'][:16]}, attempt {failure['attempt']}: {failure['reason']}"
