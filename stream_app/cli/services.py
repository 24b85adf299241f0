"""``plumbline services``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from stream_app.services.stack import KAFKA_PORT, REDIS_PORT, Stack

_folder = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(".plumbline"), show_default=True,
    help="Folder of data, logs and process ids.",
)  # fmt: skip


@click.group()
def services() -> None:
    """Kafka and Redis on this machine, for first steps, demos and tests.

    A broker named in PLUMBLINE_KAFKA_BOOTSTRAP is used instead of starting one.
    """


@services.command()
@_folder
@click.option("--nodes", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Kafka nodes.")
@click.option("--port", default=KAFKA_PORT, show_default=True, help="First Kafka port; each node takes two.")
@click.option("--redis-port", default=REDIS_PORT, show_default=True)
@click.option("--no-redis", is_flag=True, help="Start Kafka alone.")
def up(folder: Path, nodes: str, port: int, redis_port: int, no_redis: bool) -> None:
    """Start what does not run yet. Doing it twice is fine.

    \b
    Example: plumbline services up && plumbline topics create && plumbline worker
    """
    named = os.environ.get("PLUMBLINE_KAFKA_BOOTSTRAP")
    if named:
        click.echo(f"PLUMBLINE_KAFKA_BOOTSTRAP names {named}: using that broker, starting none")
        return
    started = time.monotonic()
    state = Stack(folder).up(int(nodes), port, None if no_redis else redis_port)
    click.echo(f"Kafka at {state['kafka']['bootstrap']}")
    if "redis" in state:
        click.echo(f"Redis at {state['redis']['url']}")
    click.echo(f"ready in {time.monotonic() - started:.1f} s; stop with `plumbline services down`")


@services.command()
@_folder
def down(folder: Path) -> None:
    """Stop what `up` started, and nothing else."""
    stopped = Stack(folder).down()
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@services.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(folder: Path, as_json: bool) -> None:
    """Show what runs. Exit code 1 if nothing does."""
    state = Stack(folder).state()
    if as_json:
        click.echo(json.dumps(state))
    for name, service in () if as_json else state.items():
        where = service.get("bootstrap") or service.get("url")
        click.echo(f"{name}: {where} (process {', '.join(str(p['pid']) for p in service['processes'])})")
    if not state:
        if not as_json:
            click.echo("nothing runs; start with `plumbline services up`")
        raise SystemExit(1)
