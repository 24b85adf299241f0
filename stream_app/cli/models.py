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
from stream_app.connect.reading import records
from stream_app.settings import Settings


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the lines, their active versions, latest closed snapshots and retraining; or register a version."""
    if ctx.invoked_subcommand is not None:
        return
    found = asyncio.run(_read(settings_module.load()))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("no lines yet: they appear with the first tick after their first prediction")
        return
    table = Table()
    for name in ("line", "active version", "since", "how", "last day", "predictions", "coverage", "accuracy", "PR-AUC"):
        table.add_column(name)
    table.add_column("retraining", overflow="fold")
    for row in found:
        last = row["last_snapshot"] or {}
        table.add_row(
            row["line"], row["active_version"], row["since"][:16], row["how"], last.get("date", "–"),
            f"{last.get('predictions', 0):,}", *(show(last.get(f)) for f in ("coverage", "accuracy", "pr_auc")),
            retraining(row["job"]),
        )  # fmt: skip
    Console().print(table)


models.add_command(register)


def show(value: float | None) -> str:
    """A ratio with three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def retraining(job: dict[str, Any] | None) -> str:
    """State of a line's job; and of what failed last what it was, since when, at which attempt and why."""
    if job is None:
        return "idle"
    failure = job.get("failure")
    if failure is None:
        return str(job["state"]).replace("_", " ")
    told = f"{failure['command']} failed {failure['at'][:16]}, attempt {failure['attempt']}: {failure['reason']}"
    return told if job["state"] == "failed" else f"{job['state'].replace('_', ' ')}; {told}"


async def _read(settings: Settings) -> list[dict[str, Any]]:
    options, prefix = settings.kafka_client_options(), settings.output_prefix
    lines: dict[str, dict[str, Any]] = {}
    async for record in records(settings.kafka_bootstrap, options, f"{prefix}model-lifecycle"):
        row = json.loads(record.value)
        lines[row["line"]] = {**row, "last_snapshot": None, "job": None}
    async for record in records(settings.kafka_bootstrap, options, f"{prefix}metric-snapshots"):
        row = json.loads(record.value)
        line = lines.get(row["line"])
        if line is None or row["state"] != "closed" or row["model_version"] != line["active_version"]:
            continue
        last = line["last_snapshot"]
        if last is None or (row["date"], row["revision"]) >= (last["date"], last["revision"]):
            line["last_snapshot"] = row
    async for record in records(settings.kafka_bootstrap, options, f"{prefix}training-jobs"):
        if record.value is not None and (job := json.loads(record.value))["line"] in lines:
            lines[job["line"]]["job"] = job
    return [lines[name] for name in sorted(lines)]
