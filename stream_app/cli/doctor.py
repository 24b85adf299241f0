"""``plumbline doctor``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from stream_app import settings as settings_module
from stream_app.doctor import kafka_checks, machine, partitioners, time_checks, workers
from stream_app.doctor.report import Check, Checkup, Diagnosis, examine, worst
from stream_app.kafka.topics import topics_of

CHECKS: dict[str, Check] = {
    "settings": machine.settings,
    "codecs": machine.codecs,
    "broker": kafka_checks.broker,
    "topics": kafka_checks.topics,
    "ticks": time_checks.ticks,
    "lag": kafka_checks.lag,
    "checkpoints": kafka_checks.checkpoints,
    "workers": workers.workers,
    "partitioners": partitioners.partitioners,
    "dead-letters": kafka_checks.dead_letters,
    "redis": machine.redis,
    "quality": machine.quality,
    "disk": machine.disk,
}

_MARKS = {"ok": "[green]ok[/green]", "warn": "[yellow]look[/yellow]", "fail": "[red]broken[/red]"}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CHECKS)), help="Only these checks.")
@click.option(
    "--worker", "addresses", multiple=True, metavar="URL",
    help="Views of a worker, http://HOST:PORT; may be repeated. Without it: where the settings say that one is.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A list of findings, for programs.")
def doctor(only: tuple[str, ...], addresses: tuple[str, ...], as_json: bool) -> None:
    """Examine this installation: what is wrong, what it means, and which command repairs it.

    Reads, and changes nothing. Exit code 0 if all is well, 1 if something deserves a look, 2 if something is broken.

    \b
    Example: plumbline doctor --only ticks --only partitioners
             plumbline doctor --worker http://worker-1:6066 --worker http://worker-2:6066
    """
    settings = settings_module.load()
    chosen = {name: check for name, check in CHECKS.items() if not only or name in only}
    console = Console(stderr=True)
    with console.status("") as status:
        context = Checkup(settings, topics_of(settings), addresses)
        found = asyncio.run(examine(context, chosen, lambda name: status.update(f"looking at {name}")))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found]))
    else:
        Console().print(_table(found))
    raise SystemExit(worst(found))


def _table(found: list[Diagnosis]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("what")
    table.add_column("found", overflow="fold")
    for finding in found:
        text = finding.what + (f"\n→ {finding.repair}" if finding.repair else "")
        table.add_row(_MARKS[finding.level], finding.check, text)
    return table
