"""``plumbline alerts``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from stream_app import settings as settings_module
from stream_app.cli.quality import quality
from stream_app.kafka.reading import records
from stream_app.settings import Settings


@click.command()
@click.argument("alert_id", required=False)
@click.option("--model", help="Only this model, TYPE:TENANT.")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--json", "as_json", is_flag=True, help="One alert a line, its newest revision.")
def alerts(alert_id: str | None, model: str | None, everything: bool, as_json: bool) -> None:
    """List the open alerts, or show one with all that happened to it.

    \b
    Examples: plumbline alerts --model conflict:global --all
              plumbline alerts 3d5f0a7e-…   (the beginning of an id is enough)
    """
    settings = settings_module.load()
    found = asyncio.run(read_alerts(settings))
    if alert_id is not None:
        _show(_one(found, alert_id), as_json)
        return
    latest = [revisions[-1] for revisions in found.values() if model in (None, revisions[-1]["model"])]
    latest = [row for row in latest if everything or row["status"] != "resolved"]
    latest.sort(key=lambda row: (row["opened_at"], row["model"]))
    if as_json:
        for row in latest:
            click.echo(json.dumps(row, sort_keys=True))
    elif latest:
        Console().print(_table(latest))
    else:
        click.echo("no alerts" if everything else "no open alerts; --all also lists the resolved ones")
        click.echo(quality(settings))


async def read_alerts(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Every revision of every alert by id, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    topic = f"{settings.output_prefix}alerts"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        if record.value is not None:
            row = json.loads(record.value)
            found.setdefault(row["id"], []).append(row)
    for revisions in found.values():
        revisions.sort(key=lambda row: row["revision"])
    return found


def _one(found: dict[str, list[dict[str, Any]]], beginning: str) -> list[dict[str, Any]]:
    matching = [id for id in sorted(found) if id.startswith(beginning)]
    if len(matching) != 1:
        many = f"{len(matching)} alerts begin with" if matching else "no alert has the id"
        raise click.ClickException(f"{many} {beginning}; `plumbline alerts --all` lists them")
    return found[matching[0]]


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(caption="`plumbline explain ID` shows the numbers behind an alert, recomputed from the topics")
    for name in ("id", "opened", "model", "version", "type", "severity", "status", "summary"):
        table.add_column(name, overflow="fold" if name == "summary" else "ellipsis")
    for row in rows:
        severity = row["severity"] + (" escalated" if row["escalation_level"] else "")
        table.add_row(
            row["id"][:8], row["opened_at"][:16], row["model"], row["model_version"],
            row["type"].removeprefix("ML_").replace("_", " ").lower(), severity, row["status"], _what(row),
        )  # fmt: skip
    return table


def _what(row: dict[str, Any]) -> str:
    """Why it is over, if it is, and what it is about."""
    ended = row.get("resolution")
    return f"{ended}\n{row['summary']}" if ended is not None else row["summary"]


def _show(revisions: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in revisions:
            click.echo(json.dumps(row, sort_keys=True))
        return
    last = revisions[-1]
    console = Console()
    console.print(f"[bold]{last['model']} {last['model_version']}  {last['severity']}  {last['status']}[/bold]")
    if "resolution" in last:
        console.print(last["resolution"], markup=False)
    console.print(f"{last['summary']}\n{last['recommendation']}\n{last['link']}\n", markup=False)
    table = Table()
    for name in ("rev", "at", "status", "severity", "news", "what"):
        table.add_column(name)
    for row in revisions:
        taken = f"seen by {row['acknowledged_by']}" if "acknowledged_by" in row else ""
        changed = f"now {row['replaced_by']['version']}" if "replaced_by" in row else ""
        what = row.get("resolution") or ", ".join(filter(None, (changed, taken)))
        table.add_row(str(row["revision"]), row["at"][:16], row["status"], row["severity"], row.get("notify", ""), what)
    console.print(table)
    auto = last["auto_retrain"]
    by = last.get("replaced_by")
    if by is not None and by["how"] == "retrained":
        console.print(f"was retrained: {by['version']} by training {by['command_id']}; the safeguards said:")
    else:
        console.print("may be retrained without a person" if auto["eligible"] else "will not be retrained by itself:")
    for guard in auto["safeguards"]:
        mark = "passed" if guard["passed"] else "refused"
        console.print(f"  {guard['name']}: {mark}, {guard['reason']}", markup=False)
    named, count = last["drift_event_ids"], last["drift_event_count"]
    newest = f", the newest {len(named)} of {count:,}" if count > len(named) else ""
    console.print(f"\nevents{newest}: {', '.join(named)}")
