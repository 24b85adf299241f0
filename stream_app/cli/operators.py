"""Commands of people: each with actor and reason, each answered in the audit."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
import time
from typing import TYPE_CHECKING, Any

import click

from schemas.common import NAME
from schemas.training import MOST_RANGES, RANGE
from stream_app import settings as settings_module
from stream_app.cli import completing, listing, outcomes
from stream_app.cli.alerts import read_alerts

if TYPE_CHECKING:
    from stream_app.settings import Settings

_FOR_ALL = ("approve", "reject", "reset_circuit", "dismiss", "rebaseline", "acknowledge", "set", "mute", "unmute")


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return "operator"


def options(command: Any) -> Any:
    """Who commands, and why: every command carries both; and whether one waits for what becomes of it."""
    command = outcomes.wait_options(command)
    command = click.option("--actor", default=_who, show_default="you", help="Who commands it.")(command)
    return click.option("--reason", required=True, help="Why; it is kept with the command.")(command)


@click.command()
@click.argument("alert_id", shell_complete=completing.open_alerts)
@options
def acknowledge(alert_id: str, actor: str, reason: str) -> None:
    """Take an open alert: no more reminders and no escalation.

    \b
    Example: plumbline acknowledge 3d5f0a7e --reason "looking at the feature pipeline"
    """
    settings = settings_module.load()
    found = asyncio.run(read_alerts(settings))
    alert = found[listing.one_of(found, alert_id, "alert", "`plumbline alerts` lists the open ones")][-1]
    if alert["status"] == "resolved":
        raise click.ClickException(f"alert {alert['id']} is resolved already ({alert['resolution']})")
    write(settings, alert["model"], "acknowledge", {"alert_id": alert["id"]}, actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@options
def rebaseline(model: str, actor: str, reason: str) -> None:
    """Accept a model's present as normal: its baseline begins again today, and its open drift alert ends.

    Nothing is compared until a new baseline stands: it takes initial_baseline_days closed days, and recent_days after
    them. `plumbline settings explain KEY --model MODEL` says how many that is.

    \b
    Example: plumbline rebaseline fraud:acme --reason "new customer segment since Monday"
    """
    write(settings_module.load(), model, "rebaseline", {}, actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@click.argument("version")
@options
def register(model: str, version: str, actor: str, reason: str) -> None:
    """Say which version of a model is active, before its predictions show it.

    \b
    Example: plumbline models register conflict:global v7 --reason "deployed at noon"
    """
    if not re.fullmatch(NAME, version):
        raise click.BadParameter("letters, digits and . _ - can stand here", param_hint="VERSION")
    write(settings_module.load(), model, "register", {"model_version": version}, actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@click.option("--job", "command_id", metavar="ID", help="Only if this is the request that waits.")
@options
def approve(model: str, command_id: str | None, actor: str, reason: str) -> None:
    """Let a model's waiting request go on: a training that needs a person, or a candidate of a type without thresholds.

    A request lapses after approval_lapses_h hours (`plumbline settings explain approval_lapses_h --model MODEL`). The
    other safeguards are asked again.

    \b
    Example: plumbline approve fraud:acme --reason "labels checked, go"
    """
    write(settings_module.load(), model, "approve", _named("command_id", command_id), actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@click.option("--job", "command_id", metavar="ID", help="Only if this is the request that waits.")
@options
def reject(model: str, command_id: str | None, actor: str, reason: str) -> None:
    """Turn a model's waiting request down. It counts for nothing.

    \b
    Example: plumbline reject fraud:acme --reason "promotion week, not a drift"
    """
    write(settings_module.load(), model, "reject", _named("command_id", command_id), actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="RANGE",
    help="Rows to learn from: 14d (days), or all. Several times: the trainer chooses. Default: retrain_ranges.",
)
@options
def retrain(model: str, ranges: tuple[str, ...], actor: str, reason: str) -> None:
    """Command a training manually, on ranges of rows up to the last day whose outcomes have come.

    It needs no drift, no flags and no approval; every other safeguard is asked, and says no by name in the audit.

    \b
    Example: plumbline retrain conflict:global --range 14d --range all --reason "new feature backfilled"
    """  # fmt: skip
    if len(ranges) > MOST_RANGES or not all(re.fullmatch(RANGE, name) for name in ranges):
        raise click.BadParameter(f"14d, all; {MOST_RANGES} of them at most", param_hint="--range")
    write(settings_module.load(), model, "retrain", {"ranges": list(ranges)} if ranges else {}, actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@click.option("--to", "version", help="Version to go back to; default: the one before the active one.")
@options
def rollback(model: str, version: str | None, actor: str, reason: str) -> None:
    """Have the deployer put a version back, at any time. Ends whatever job the model has.

    \b
    Example: plumbline rollback fraud:acme --reason "complaints since the new version"
    """
    if version is not None and not re.fullmatch(NAME, version):
        raise click.BadParameter("letters, digits and . _ - can stand here", param_hint="--to")
    write(settings_module.load(), model, "rollback", _named("model_version", version), actor, reason)


@click.command(name="reset-circuit")
@click.argument("model", shell_complete=completing.models)
@options
def reset_circuit(model: str, actor: str, reason: str) -> None:
    """Allow trainings again after circuit_failures that failed or were rolled back in a row. MODEL may be '*'.

    \b
    Example: plumbline reset-circuit fraud:acme --reason "label pipeline repaired"
    """
    write(settings_module.load(), model, "reset_circuit", {}, actor, reason)


@click.command()
@click.argument("model", shell_complete=completing.models)
@options
def dismiss(model: str, actor: str, reason: str) -> None:
    """End a failure that a person has seen: a training, activation or rollback that failed. MODEL may be '*'.

    It changes nothing but what is shown: the back-off goes on, and the failure counts for the circuit. Where the
    circuit is open, `plumbline reset-circuit` ends both.

    \b
    Example: plumbline dismiss fraud:acme --reason "the trainer was down, it runs again"
    """
    write(settings_module.load(), model, "dismiss", {}, actor, reason)


@click.command(name="set")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option(
    "--model", default="*", show_default=True, shell_complete=completing.models,
    help="TYPE:TENANT or TYPE:global; * is all models.",
)  # fmt: skip
@options
def set_(values: tuple[str, ...], model: str, actor: str, reason: str) -> None:
    """Change settings while the workers run, from the next tick on. They survive restarts; all of it or nothing.

    KEY is a name, or types.TYPE.NAME for a model type. VALUE is JSON, or a word; null takes a change back. What
    `plumbline settings explain KEY` calls fixed, and what belongs to a process, is refused.

    \b
    Examples: plumbline set auto_retrain=false --reason "freeze until Monday"
              plumbline set drop_points=7 drop_high_points=14 --model fraud:acme --reason "noisy labels"
    """
    from stream_app.core.kit.changes import Change

    parsed = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="KEY=VALUE")
        parsed[key] = _json(value)
    try:
        # against the defaults: what holds in the log can differ, and the stages have the last word
        settings_module.changed(settings_module.base(settings_module.load()), Change(model, parsed))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    write(settings_module.load(), model, "set", {"values": parsed}, actor, reason)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _named(key: str, value: str | None) -> dict[str, Any]:
    return {} if value is None else {key: value}


def write(settings: Settings, model: str, command: str, arguments: dict[str, Any], actor: str, reason: str) -> None:
    """Write an operator's command to the model's partition, or to all of them for ``*``."""
    if model == "*" and command not in _FOR_ALL:
        raise click.BadParameter(f"{command} needs one model", param_hint="MODEL")
    if model != "*" and not re.fullmatch(f"{NAME}:{NAME}", model):
        raise click.BadParameter("a model is written TYPE:TENANT or TYPE:global", param_hint="MODEL")
    from stream_app.commands import send

    written = send.new_command(model, command, arguments, actor, reason)
    still = asyncio.run(outcomes.stands(settings)).no_tick_comes(time.time_ns() // 1_000_000)
    if still is not None:
        click.echo(still, err=True)
    wait_s = outcomes.waits()
    found = asyncio.run(outcomes.send_and_wait(settings, written, wait_s))
    what = "all models" if model == "*" else model
    click.echo(f"commanded: {command} of {what} (id {written.id}); it takes effect with the next tick")
    if wait_s is not None:
        outcomes.tell(found, wait_s)
        return
    click.echo(f"`plumbline audit{'' if model == '*' else f' --model {model}'}` says what became of it")
