"""``plumbline dead-letters``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from schemas.common import MAX_MS, parse_ms, rfc3339
from schemas.deadletters import FOREIGN, LAST_OFFSET, REASONS, RECORDS, TRUNCATED, number
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.waiting import run
from stream_app.errors import Incompatible
from stream_app.settings import Whereabouts, place

if TYPE_CHECKING:
    from stream_app.ingest.redrive import DeadLetteredRecord

REASON: Final = click.Choice(list(REASONS))
#: of a batch that could not be read
_COUNTS: Final = {"last_offset": LAST_OFFSET, "records": RECORDS}


def _stood(row: dict[str, Any]) -> str:
    last = f"-{row['last_offset']}" if row.get("last_offset", row["offset"]) != row["offset"] else ""
    return f"{row['topic']}[{row['partition']}]@{row['offset']}{last}"


_COLUMNS: Final = (
    ListColumn("from", _stood),
    ListColumn("reason", lambda row: row["reason"]),
    ListColumn("written", lambda row: row["at"], 1, when=True),
    ListColumn("error", lambda row: row["error"], 2, sentence=True),
)
_PAYLOAD: Final = ListColumn("payload", lambda row: repr(row["payload"])[:200], 3)


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be used, byte for byte, with the reason."""


@dead_letters.command("list", short_help="List dead-lettered records, oldest first.")
@click.option("--reason", type=REASON, help="Only dead-lettered records with this reason.")
@click.option("--since", help="Only dead-lettered records written at or after this time, RFC 3339.")
@click.option("--show-payload", is_flag=True, help="Also show the bytes; they may hold personal data.")
@listing.output_option
def list_(reason: str | None, since: str | None, show_payload: bool, output: str) -> None:
    """List dead-lettered records, oldest first; payloads only when asked."""
    found = _select(_read(place.find(), lambda _: show_payload), reason, since)
    note = "send them again with `plumbline dead-letters redrive` once the cause is repaired"
    columns = [*_COLUMNS, _PAYLOAD] if show_payload else _COLUMNS
    rows = [_row(dead, show_payload) for dead in found]
    listing.show(rows, columns, output, empty="no dead-lettered records", note=note)


@dead_letters.command(short_help="Send them to the topics they came from.")
@click.option("--reason", type=REASON, help="Only dead-lettered records with this reason.")
@click.option("--since", help="Only dead-lettered records written at or after this time, RFC 3339.")
@click.option("--map", "columns", multiple=True, metavar="FIELD=NAME", help="Repair: the record has a field as NAME.")
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="Repair: value of a field in every record."
)
@click.option("--assume-utc", is_flag=True, help="Repair: take times without an offset as UTC.")
@click.option("--coerce", is_flag=True, help="Repair: take numbers, times and yes or no that were written as text.")
@click.option("--dry-run", is_flag=True, help="Count and send nothing.")
def redrive(
    reason: str | None,
    since: str | None,
    columns: tuple[str, ...],
    constants: tuple[str, ...],
    assume_utc: bool,
    coerce: bool,
    dry_run: bool,
) -> None:
    """Send dead-lettered records to the topics they came from, once each; model-keyed ones to their model's partition.

    As they are, if the cause was here: a setting, a clock, a tenant's scope. If the producer was wrong, predictions
    and outcomes can be repaired on the way; those that a repair makes nothing of stay where they are and can be sent
    later. Doing it twice sends nothing twice. What was cut short or could not be read stays, and so does what came
    from any other topic than predictions, outcomes, commands and results; how many, and why, is said. Exit code 1
    says that all of them stay.

    \b
    Examples:
      plumbline dead-letters redrive --reason future
      plumbline dead-letters redrive --reason missing_tenant --set tenant_id=acme
      plumbline dead-letters redrive --reason invalid_field --map score=probability --assume-utc --dry-run
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from stream_app.cli.tables import pairs
    from stream_app.ingest.mapping import Mapping
    from stream_app.ingest.redrive import RedriveOrder, Repair
    from stream_app.ingest.redrive import redrive as send_again
    from stream_app.kafka.admin import require_counts
    from stream_app.kafka.topics import topics_of
    from stream_app.settings import load

    settings = load()
    topics = topics_of(settings)
    asyncio.run(require_counts(settings.kafka_bootstrap, settings.kafka_client_options(), topics))
    found = _read(settings, lambda dead: dead.reason != FOREIGN)
    chosen = _select(found, reason, since)
    repair = None
    if columns or constants or assume_utc or coerce:
        mapping = Mapping(pairs(columns, "--map"), pairs(constants, "--set"), assume_utc=assume_utc)
        repair = Repair(mapping, settings.max_record_bytes)
    bar = Progress(
        TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("records", total=len(chosen))
        done = asyncio.run(
            send_again(
                settings.kafka_bootstrap, settings.kafka_client_options(), topics,
                RedriveOrder(found, chosen, repair, dry_run), settings.replication_factor,
                lambda count: bar.update(task, completed=count),
            )
        )  # fmt: skip
    earlier = f"; {done.before:,} had been sent before" if done.before else ""
    click.echo(f"{done.sent:,} records would be sent{earlier}" if dry_run else f"sent {done.sent:,} records{earlier}")
    if done.faults.count:
        what = "cannot be repaired like this and stay" if repair is not None else "stay where they are"
        click.echo(f"{done.faults.count:,} {what}:", err=True)
        for text, count in sorted(done.faults.by_reason.items(), key=lambda item: -item[1]):
            click.echo(f"  {count:,} × {text}", err=True)
        if not (done.sent or done.before):
            sys.exit(1)


def _read(settings: Whereabouts, kept: Callable[[DeadLetteredRecord], bool]) -> list[DeadLetteredRecord]:
    from stream_app.ingest.redrive import dead_lettered_records
    from stream_app.kafka.topics import topics_of

    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    return run(
        dead_lettered_records(bootstrap, options, topics_of(settings), kept), "reading the dead-lettered records"
    )


def _select(found: list[DeadLetteredRecord], reason: str | None, since: str | None) -> list[DeadLetteredRecord]:
    try:
        after = parse_ms(since) if since is not None else 0
    except ValueError as error:
        raise Incompatible(f"--since: {error}") from error
    return [dead for dead in found if dead.timestamp >= after and reason in (None, dead.reason)]


def _row(dead: DeadLetteredRecord, show_payload: bool) -> dict[str, Any]:
    row = {
        "topic": dead.topic,
        "partition": dead.origin[0],
        "offset": dead.origin[1],
        "reason": dead.reason,
        "error": dead.error,
        # whoever writes a record can write any time
        "at": rfc3339(dead.timestamp) if 0 <= dead.timestamp <= MAX_MS else None,
        # whether all of it is here
        "whole": TRUNCATED not in dead.added and LAST_OFFSET not in dead.added,
        **{
            name: found for name, header in _COUNTS.items() if (found := number(dead.added.get(header, ""))) is not None
        },
    }
    if show_payload:
        row["payload"] = None if dead.record.value is None else dead.record.value.decode("utf-8", "replace")
    return row
