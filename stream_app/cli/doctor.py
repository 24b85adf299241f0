"""``plumbline doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import click

from stream_app import settings as settings_module
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.waiting import run
from stream_app.doctor import kafka_checks, machine, partitioners, time_checks, workers
from stream_app.doctor.report import Check, Checkup, examine, worst
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
    "outcomes": machine.outcomes,
    "disk": machine.disk,
}

_MARKS: Final = {"ok": "ok", "warn": "look", "fail": "broken"}


_COLUMNS: Final = (
    ListColumn("is", lambda row: _MARKS[row["level"]]),
    ListColumn("what", lambda row: row["check"]),
    ListColumn("found", lambda row: _found(row), sentence=True),
)


def _found(row: dict[str, Any]) -> str:
    return f"{row['what']} → {row['repair']}" if row["repair"] else str(row["what"])


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CHECKS)), help="Only these checks.")
@click.option(
    "--worker", "addresses", multiple=True, metavar="URL",
    help="Views of a worker, http://HOST:PORT; may be repeated. Without it: where the settings say that one is.",
)  # fmt: skip
@listing.output_option
def doctor(only: tuple[str, ...], addresses: tuple[str, ...], output: str) -> None:
    """Examine this installation: what is wrong, what it means, and which command repairs it.

    Reads, and changes nothing. Exit code 0 if all is well, 1 if something deserves a look, 2 if something is broken.

    \b
    Example: plumbline doctor --only ticks --only partitioners
             plumbline doctor --worker http://worker-1:6066 --worker http://worker-2:6066
    """
    settings = settings_module.load()
    chosen = {name: check for name, check in CHECKS.items() if not only or name in only}
    context, looked_at = Checkup(settings, topics_of(settings), addresses), ""

    def tell(name: str) -> None:
        nonlocal looked_at
        looked_at = name

    found = run(examine(context, chosen, tell), lambda: f"looking at {looked_at}")
    listing.show([asdict(finding) for finding in found], _COLUMNS, output)
    raise SystemExit(worst(found))
