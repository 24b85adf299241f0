"""``plumbline dead-letters``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from schemas.common import parse_ms, rfc3339
from stream_app import settings as settings_module
from stream_app.connect.redrive import Letter
from stream_app.connect.redrive import letters as read_letters
from stream_app.connect.redrive import redrive as send_again
from stream_app.errors import Incompatible
from stream_app.topics import Topics


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be used, byte for byte, with the reason."""


@dead_letters.command("list")
@click.option("--reason", help="Only letters with this reason.")
@click.option("--since", help="Only letters written at or after this time, RFC 3339.")
@click.option("--show-payload", is_flag=True, help="Also show the bytes; they may hold personal data.")
@click.option("--json", "as_json", is_flag=True, help="One letter a line.")
def list_(reason: str | None, since: str | None, show_payload: bool, as_json: bool) -> None:
    """List dead letters, oldest first; payloads only when asked."""
    found = _select(_read()[1], reason, since)
    if as_json:
        for letter in found:
            click.echo(json.dumps(_row(letter, show_payload)))
        return
    if not found:
        click.echo("no dead letters")
        return
    table = Table(caption="send them again with `plumbline dead-letters redrive` once the cause is mended")
    for name in ("written", "from", "reason", "error", *(["payload"] if show_payload else [])):
        table.add_column(name)
    for letter in found:
        cells = [
            rfc3339(letter.timestamp)[:19],
            f"{letter.topic}[{letter.origin[0]}]@{letter.origin[1]}",
            letter.reason,
        ]
        cells += [letter.error, *([repr(letter.record.value)[:200]] if show_payload else [])]
        table.add_row(*cells)
    Console().print(table)


@dead_letters.command()
@click.option("--reason", help="Only letters with this reason.")
@click.option("--since", help="Only letters written at or after this time, RFC 3339.")
@click.option("--dry-run", is_flag=True, help="Count and send nothing.")
def redrive(reason: str | None, since: str | None, dry_run: bool) -> None:
    """Send dead letters to the topics they came from, once each; line-keyed ones to their line's partition.

    Doing it twice sends nothing twice: letters up to the newest one that was sent count as done.
    """
    settings, found = _read()
    chosen = [letter for letter in _select(found, reason, since) if not letter.topic.endswith("clock")]
    if dry_run:
        click.echo(f"{len(chosen)} letters would be sent")
        return
    topics = _topics(settings)
    sent = asyncio.run(send_again(settings.kafka_bootstrap, settings.kafka_client_options(), topics, chosen))
    click.echo(f"sent {sent} letters; {len(chosen) - sent} had been sent before")


def _topics(settings: Any) -> Topics:
    return Topics(settings.input_prefix, settings.output_prefix, settings.input_partitions, settings.line_partitions)


def _read() -> tuple[Any, list[Letter]]:
    settings = settings_module.load()
    topics = _topics(settings)
    return settings, asyncio.run(read_letters(settings.kafka_bootstrap, settings.kafka_client_options(), topics))


def _select(found: list[Letter], reason: str | None, since: str | None) -> list[Letter]:
    try:
        after = parse_ms(since) if since is not None else 0
    except ValueError as error:
        raise Incompatible(f"--since: {error}") from error
    return [letter for letter in found if letter.timestamp >= after and reason in (None, letter.reason)]


def _row(letter: Letter, show_payload: bool) -> dict[str, Any]:
    row = {
        "topic": letter.topic,
        "partition": letter.origin[0],
        "offset": letter.origin[1],
        "reason": letter.reason,
        "error": letter.error,
        "at": rfc3339(letter.timestamp),
    }
    if show_payload:
        row["payload"] = None if letter.record.value is None else letter.record.value.decode("utf-8", "replace")
    return row
