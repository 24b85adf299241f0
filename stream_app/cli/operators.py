"""Orders of people: ``plumbline acknowledge``, ``plumbline rebaseline``, ``plumbline models register``."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
import uuid
from typing import Any

import click
from aiokafka import AIOKafkaProducer

from schemas.partitioning import partition_for
from stream_app import kafka_admin
from stream_app import settings as settings_module
from stream_app.app import topics_of
from stream_app.cli.alerts import read_alerts
from stream_app.errors import Incompatible
from stream_app.settings import Settings

_NAME = r"[A-Za-z0-9._-]{1,128}"


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return "operator"


def _options(command: Any) -> Any:
    """Who orders, and why: every order carries both."""
    command = click.option("--actor", default=_who, show_default="you", help="Who orders it.")(command)
    return click.option("--reason", required=True, help="Why; it is kept with the order.")(command)


@click.command()
@click.argument("alert_id")
@_options
def acknowledge(alert_id: str, actor: str, reason: str) -> None:
    """Take an open alert: no more reminders and no escalation.

    \b
    Example: plumbline acknowledge 3d5f0a7e --reason "looking at the feature pipeline"
    """
    settings = settings_module.load()
    found = asyncio.run(read_alerts(settings))
    matching = [rows[-1] for id, rows in sorted(found.items()) if id.startswith(alert_id)]
    if len(matching) != 1:
        raise click.ClickException(
            f"{len(matching)} alerts have the id {alert_id}; `plumbline alerts` lists the open ones"
        )
    alert = matching[0]
    if alert["status"] == "resolved":
        raise click.ClickException(f"alert {alert['id']} is resolved already ({alert['resolution_reason']})")
    send(settings, alert["line"], "acknowledge", {"alert_id": alert["id"]}, actor, reason)


@click.command()
@click.argument("line")
@_options
def rebaseline(line: str, actor: str, reason: str) -> None:
    """Accept a line's present as normal: its baseline begins again today, and its open drift alert ends.

    For a fortnight after it nothing is compared: a new baseline takes seven closed days that the recent ones do not
    overlap.

    \b
    Example: plumbline rebaseline fraud:acme --reason "new customer segment since Monday"
    """
    send(settings_module.load(), line, "rebaseline", {}, actor, reason)


@click.command()
@click.argument("line")
@click.argument("version")
@_options
def register(line: str, version: str, actor: str, reason: str) -> None:
    """Say which version of a line is active, before its predictions show it.

    \b
    Example: plumbline models register conflict:global v7 --reason "deployed at noon"
    """
    if not re.fullmatch(_NAME, version):
        raise click.BadParameter("letters, digits and . _ - can stand here", param_hint="VERSION")
    send(settings_module.load(), line, "register", {"model_version": version}, actor, reason)


def send(settings: Settings, line: str, command: str, arguments: dict[str, Any], actor: str, reason: str) -> None:
    """Write an operator's command to the line's partition."""
    if not re.fullmatch(f"{_NAME}:{_NAME}", line):
        raise click.BadParameter("a line is written TYPE:TENANT or TYPE:global", param_hint="LINE")
    id = str(uuid.uuid4())
    row = {"id": id, "line": line, "command": command, "arguments": arguments, "actor": actor, "reason": reason}
    asyncio.run(_send(settings, line, json.dumps(row).encode()))
    click.echo(f"ordered: {command} of {line} (id {id}); it takes effect with the next tick")


async def _send(settings: Settings, line: str, value: bytes) -> None:
    topics = topics_of(settings)
    options = settings.kafka_client_options()
    async with kafka_admin.admin(settings.kafka_bootstrap, options) as client:
        counts = await kafka_admin.partition_counts(client, [topics.operator_commands])
    count = counts.get(topics.operator_commands)
    if count != topics.line_partitions:
        raise Incompatible(
            f"{topics.operator_commands} has {count or 'no'} partitions, {topics.line_partitions} are configured: "
            "`plumbline topics check` says what to do"
        )
    key = line.encode()
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, enable_idempotence=True, **options
    ) as producer:
        await producer.send_and_wait(
            topics.operator_commands, value, key=key, partition=partition_for(key, topics.line_partitions)
        )
