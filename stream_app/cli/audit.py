"""``plumbline audit``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from stream_app import settings as settings_module
from stream_app.kafka.reading import records
from stream_app.settings import Settings


@click.command()
@click.argument("audit_id", required=False)
@click.option("--model", help="Only this model, TYPE:TENANT; '*' is what was commanded for all.")
@click.option("--action", help="Only this action: train, activate, rollback, probation, set, ...")
@click.option("--decision", help="Only this decision: ordered, refused, kept, ...")
@click.option("--actor", help="Only what this person, or the coordinator, did.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="One record a line, all of them, oldest first.")
def audit(audit_id: str | None, last: int, as_json: bool, **wanted: str | None) -> None:
    """Show what was decided, by whom and why, oldest first; or one decision with every safeguard's answer.

    \b
    Examples: plumbline audit --model fraud:acme
              plumbline audit --decision refused --last 50
              plumbline audit 3d5f0a7e   (the beginning of an id is enough)
    """
    found = asyncio.run(read_audit(settings_module.load()))
    if audit_id is not None:
        matching = [row for row in found if row["id"].startswith(audit_id)]
        if len(matching) != 1:
            raise click.ClickException(f"{len(matching)} records begin with {audit_id}; `plumbline audit` lists them")
        click.echo(json.dumps(matching[0], sort_keys=True)) if as_json else _show(matching[0])
        return
    rows = [row for row in found if all(value in (None, row[name]) for name, value in wanted.items())]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, sort_keys=True))
    elif rows:
        Console().print(_table(rows[-last:], len(rows)))
    else:
        click.echo("nothing of that was decided yet")


async def read_audit(settings: Settings) -> list[dict[str, Any]]:
    """Every record once, in its newest revision, in order of its tick; within a tick and partition as decided."""
    found: dict[str, tuple[tuple[str, int, int], dict[str, Any]]] = {}
    topic = f"{settings.output_prefix}audit"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        row = json.loads(record.value)
        known = found.get(row["id"])
        if known is None or row.get("count", 1) > known[1].get("count", 1):
            found[row["id"]] = ((row["at"], record.partition, record.offset), row)
    return [row for _, row in sorted(found.values(), key=lambda item: item[0])]


def _table(rows: list[dict[str, Any]], count: int) -> Table:
    caption = f"the newest {len(rows)} of {count}" if count > len(rows) else None
    table = Table(caption=caption)
    for name in ("id", "at", "model", "actor", "action", "decision", "why"):
        table.add_column(name, overflow="fold" if name == "why" else "ellipsis")
    for row in rows:
        table.add_row(
            row["id"][:8], row["at"][:16], row["model"], row["actor"], row["action"], row["decision"],
            _times(row) + row["reason"],
        )  # fmt: skip
    return table


def _times(row: dict[str, Any]) -> str:
    """How often, of what was decided alike more than once: the time beside it is that of the last."""
    count = row.get("count", 1)
    return f"{count} times since {row['first_at'][:16]}: " if count > 1 else ""


def _show(row: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]{row['model']}  {row['action']}  {row['decision']}[/bold]")
    console.print(f"{row['at']}  by {row['actor']}, done by {row['stage']}", markup=False)
    console.print(f"{_times(row)}{row['reason']}", markup=False)
    for guard in row["safeguards"]:
        mark = "passed " if guard["passed"] else "refused"
        console.print(f"  {mark}  {guard['name']}: {guard['reason']}", markup=False)
    inputs = row["inputs"]
    console.print(f"about {', '.join(inputs['ids']) or 'nothing else'}; settings {inputs['settings_hash']}")
    for topic, offsets in sorted(inputs["end_offsets"].items()):
        shown = ", ".join(f"{p}: {offset}" for p, offset in sorted(offsets.items(), key=lambda item: int(item[0])))
        console.print(f"read {topic} up to {shown}", markup=False)
