"""``plumbline audit``."""

from __future__ import annotations

from typing import Any, Final

import click

from stream_app.cli import completing, listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.options import ModelName
from stream_app.cli.waiting import run
from stream_app.settings import Whereabouts, place

_COLUMNS: Final = (
    ListColumn("id", lambda row: row["id"]),
    ListColumn("model", lambda row: row["model"]),
    ListColumn("action", lambda row: row["action"], 2),
    ListColumn("decision", lambda row: row["decision"], 1),
    ListColumn("at", lambda row: row["at"], 3, when=True),
    ListColumn("actor", lambda row: row["actor"], 4),
    ListColumn("why", lambda row: _times(row) + row["reason"], 5, sentence=True),
)


@click.command()
@click.argument("audit_id", required=False, shell_complete=completing.decisions)
@click.option(
    "--model", type=ModelName("*"), metavar="TYPE:TENANT", shell_complete=completing.models,
    help="Only this model; '*' is what was commanded for all.",
)  # fmt: skip
@click.option("--action", help="Only this action: train, activate, rollback, probation, set, ...")
@click.option("--decision", help="Only this decision: ordered, refused, kept, ...")
@click.option("--actor", help="Only what this person, or the coordinator, did.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest.")
@listing.output_option
def audit(audit_id: str | None, last: int, output: str, **wanted: str | None) -> None:
    """Show what was decided, by whom and why, oldest first; or one decision with every safeguard's answer.

    \b
    Examples: plumbline audit --model fraud:acme
              plumbline audit --decision refused --last 50
              plumbline audit 3d5f0a7e   (the beginning of an id is enough)
              plumbline audit -o json    (all records, not only the newest)
    """
    found = run(read_audit(place.find()), "reading the audit")
    if audit_id is not None:
        by_id = {row["id"]: row for row in found}
        one = by_id[listing.one_of(by_id, audit_id, "record", "`plumbline audit` lists them")]
        if listing.for_people(output):
            _show(one)
        else:
            listing.show([one], _COLUMNS, output)
        return
    rows = [row for row in found if all(value in (None, row[name]) for name, value in wanted.items())]
    newest = rows[-last:] if listing.for_people(output) else rows
    note = f"the newest {last} of {len(rows):,}" if len(rows) > last else ""
    listing.show(newest, _COLUMNS, output, empty="nothing of that was decided yet", note=note)


async def read_audit(settings: Whereabouts) -> list[dict[str, Any]]:
    """Every record once, in its newest revision, in order of its tick; within a tick and partition as decided."""
    from stream_app.kafka.reading import records
    from stream_app.projection.records import taken

    found: dict[str, tuple[tuple[str, int, int], dict[str, Any]]] = {}
    topic = f"{settings.output_prefix}audit"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        row = taken("audit", record)
        if row is None:
            continue
        known = found.get(row["id"])
        if known is None or row.get("count", 1) > known[1].get("count", 1):
            found[row["id"]] = ((row["at"], record.partition, record.offset), row)
    return [row for _, row in sorted(found.values(), key=lambda item: item[0])]


def _times(row: dict[str, Any]) -> str:
    """How often, of what was decided alike more than once: the time beside it is that of the last."""
    count = row.get("count", 1)
    return f"{count} times since {row['first_at'][:16]}: " if count > 1 else ""


def _show(row: dict[str, Any]) -> None:
    listing.echo(f"{row['model']}  {row['action']}  {row['decision']}")
    listing.echo(f"{row['at']}  by {row['actor']}, done by {row['stage']}")
    listing.echo(f"{_times(row)}{row['reason']}")
    for guard in row["safeguards"]:
        mark = "passed " if guard["passed"] else "refused"
        listing.echo(f"  {mark}  {guard['name']}: {guard['reason']}")
    inputs = row["inputs"]
    listing.echo(f"about {', '.join(inputs['ids']) or 'nothing else'}; settings {inputs['settings_hash']}")
    for topic, offsets in sorted(inputs["end_offsets"].items()):
        shown = ", ".join(f"{p}: {offset}" for p, offset in sorted(offsets.items(), key=lambda item: int(item[0])))
        listing.echo(f"read {topic} up to {shown}")
