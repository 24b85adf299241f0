"""``plumbline services``."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from stream_app import settings as settings_module
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.errors import Unavailable
from stream_app.services.artifacts import jars
from stream_app.services.kafka import brokers
from stream_app.services.stack import KAFKA_PORT, REDIS_PORT, Service, Stack
from stream_app.settings import children
from stream_app.settings.installation import without_password

_Command = Callable[..., Any]

_folder = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(".plumbline"), show_default=True,
    help="Folder of data, logs and process ids.",
)  # fmt: skip


def _start_options(command: _Command) -> _Command:
    for option in reversed(
        [
            _folder,
            click.option("--nodes", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Kafka nodes."),
            click.option(
                "--port", type=click.IntRange(0, 65_530), default=KAFKA_PORT, show_default=True,
                help="First Kafka port, each node takes two; 0 finds free ones.",
            ),
            click.option(
                "--redis-port", type=click.IntRange(0, 65_535), default=REDIS_PORT, show_default=True,
                help="0 finds a free one.",
            ),
            click.option("--no-redis", is_flag=True, help="Kafka alone."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def services() -> None:
    """Kafka and Redis on this machine, for first steps, demos and tests.

    A broker named in PLUMBLINE_KAFKA_BOOTSTRAP or plumbline.toml is used instead of starting one, a Redis likewise.
    """


@services.command()
@_start_options
def up(folder: Path, nodes: str, port: int, redis_port: int, no_redis: bool) -> None:
    """Start what does not run yet. Doing it twice is fine.

    \b
    Example: plumbline services up && plumbline topics create && plumbline worker
    """
    began = time.monotonic()
    named, missing = _plan(no_redis)
    for name, address in named.items():
        click.echo(f"{name}: {address}, as the settings name it; nothing was started")
    started = _start(Stack(folder), missing, int(nodes), port, redis_port)
    for service in started:
        click.echo(f"{service.name}: {service.address}")
    if not started:
        return
    click.echo(f"ready after {time.monotonic() - began:.1f} s; `plumbline services down` stops what runs here")
    elsewhere = [service for service in started if service.ports[0] not in (KAFKA_PORT, REDIS_PORT)]
    if elsewhere or int(nodes) > 1:
        exports = " ".join(
            f"{key}={shlex.quote(value)}" for key, value in children.variables(**_settings(started)).items()
        )
        click.echo(f"other commands find them with:\n  export {exports}")


@services.command(
    context_settings={"ignore_unknown_options": True}, short_help="Run COMMAND with the services up for its time."
)
@_start_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(folder: Path, nodes: str, port: int, redis_port: int, no_redis: bool, command: tuple[str, ...]) -> None:
    """Run COMMAND with the services up, then stop those that were started for it.

    COMMAND finds them in PLUMBLINE_KAFKA_BOOTSTRAP and PLUMBLINE_REDIS_URL; its exit code is passed on.

    \b
    Example: plumbline services run --port 0 --redis-port 0 -- plumbline demo --once
    """
    _, missing = _plan(no_redis)
    stack = Stack(folder)
    with stack.in_use(), _Forwarding() as forward:
        started = _start(stack, missing, int(nodes), port, redis_port, until_unused=True)
        code = forward.run(command, children.environment(**_settings(started)))
    raise SystemExit(code)


@services.command()
def fetch() -> None:
    """Fetch what `up` needs, by Maven, and start nothing."""
    jars()


@services.command()
@_folder
def down(folder: Path) -> None:
    """Stop what `up` started, and nothing else."""
    stopped = Stack(folder).down()
    click.echo(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")


def _state(row: dict[str, Any]) -> str:
    return "answers" if row["answers"] else f"{len(row['processes'])} of {row['nodes']} run, does not answer"


_COLUMNS: Final = (
    ListColumn("service", lambda row: row["name"]),
    ListColumn("address", lambda row: row["address"]),
    ListColumn("process", lambda row: " ".join(str(pid) for pid in row["processes"].values()), 1),
    ListColumn("state", _state),
)


@services.command()
@_folder
@listing.output_option
def status(folder: Path, output: str) -> None:
    """Show what was started here and whether it answers. Exit code 1 unless all of it does."""
    found = Stack(folder).services()
    answers = {name: service.answers() for name, service in found.items()}
    rows = [
        {
            "name": name,
            "address": service.address,
            "processes": {node: service.processes[node].pid for node in service.running()},
            "nodes": len(service.processes),
            "answers": answers[name],
        }
        for name, service in found.items()
    ]
    listing.show(rows, _COLUMNS, output, empty="nothing runs here; `plumbline services up` starts Kafka and Redis")
    if not found or not all(answers.values()):
        raise SystemExit(1)


def _plan(no_redis: bool) -> tuple[dict[str, str], list[str]]:
    """Services that the settings name, and those that are to be started. A named broker has to answer."""
    settings = settings_module.load()
    named = {}
    if "kafka_bootstrap" in settings.model_fields_set:
        named["kafka"] = settings.kafka_bootstrap
        if brokers(settings.kafka_bootstrap, settings.kafka_client_options()) == 0:
            raise Unavailable(
                f"no Kafka broker answers at {settings.kafka_bootstrap}, which the settings name. Start it, correct "
                "PLUMBLINE_KAFKA_BOOTSTRAP (or plumbline.toml), or unset it to have one started here."
            )
    if "redis_url" in settings.model_fields_set:
        named["redis"] = without_password(settings.redis_url)
    wanted = ["kafka"] if no_redis else ["kafka", "redis"]
    return named, [name for name in wanted if name not in named]


def _start(
    stack: Stack, names: list[str], nodes: int, port: int, redis_port: int, until_unused: bool = False
) -> list[Service]:
    started = []
    if "kafka" in names:
        started.append(stack.up_kafka(nodes, port, until_unused))
    if "redis" in names:
        started.append(stack.up_redis(redis_port, until_unused))
    return started


def _settings(started: list[Service]) -> dict[str, str]:
    names = {"kafka": "kafka_bootstrap", "redis": "redis_url"}
    return {names[service.name]: service.address for service in started}


class _Forwarding:
    """Runs one command and hands signals on to it, so that the services are stopped after it and not before."""

    _SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = False
        self._missed: list[int] = []
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Forwarding:
        self._before = {number: signal.signal(number, self._forward) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: tuple[str, ...], environment: dict[str, str]) -> int:
        # A signal may come when the command runs already and Popen has not returned: it is kept until there is a child.
        self._starting = True
        try:
            self._child = subprocess.Popen(command, env=environment)
        except OSError as error:
            raise click.UsageError(f"{command[0]} cannot be run: {error.strerror}") from error
        finally:
            self._starting = False
        for number in self._missed:
            self._forward(number, None)
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def _forward(self, number: int, _frame: object) -> None:
        if self._starting:
            self._missed.append(number)
            return
        if self._child is None:
            raise SystemExit(128 + number)
        # Ctrl-C reaches the command from the terminal itself.
        if number != signal.SIGINT:
            self._child.send_signal(number)
