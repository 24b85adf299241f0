"""``plumbline settings``."""

from __future__ import annotations

import asyncio
import itertools
import json
import shlex
from typing import Any

import click

from stream_app import settings as settings_module
from stream_app.commands.running import running
from stream_app.errors import Incompatible
from stream_app.settings import PREFIX, Settings, TypeSettings
from stream_app.settings.allowed import allowed, example
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked
from stream_app.settings.installation import Installation
from stream_app.settings.layers import TABLES

#: Differences that are printed; ``--json`` has all of them.
_PRINTED = 100


@click.group()
def settings() -> None:
    """Show, check and explain the settings."""


@settings.command(short_help="Print what applies here and who set it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(as_json: bool) -> None:
    """Print what applies here and who set it, and what the running system holds otherwise; secrets are masked.

    What applies here is what a worker that starts here begins with. `plumbline set` and the settings of the other
    workers change what holds.
    """
    found = settings_module.find()
    view, runs = found.settings.shown(), asyncio.run(running(found.settings))
    differs = runs.differences() if runs.known else iter(())
    if as_json:
        told = {"state": runs.state, "says": runs.says, "differs": [item._asdict() for item in differs]}
        click.echo(json.dumps({**view, "hash": found.settings.hash(), "running": told}, default=str))
        return
    for name, value in view.items():
        source = found.origin.get(name)
        click.echo(f"{name:30} {_text(value)}{f'   ({source})' if source else ''}")
    click.echo(f"{'hash':30} {found.settings.hash()}")
    click.echo(f"\nthe running system: {runs.says}")
    printed = list(itertools.islice(differs, _PRINTED + 1))
    if runs.known and not printed:
        click.echo("it holds what is said here")
    for item in printed[:_PRINTED]:
        owner = "" if item.owner == "*" else f"{item.owner} "
        by = f"   ({item.by})" if item.by else ""
        click.echo(f"{owner}{item.key} holds {_text(item.holds)}, here {_text(item.here)}{by}")
    if len(printed) > _PRINTED:
        click.echo("… and more: --json has all of them")


@settings.command()
def check() -> None:
    """Say whether the settings can be used; exit code 1 if not."""
    found = settings_module.find()
    found.settings.kafka_client_options()  # opens the files that TLS needs
    click.echo(f"the settings can be used (environment {found.settings.environment}, hash {found.settings.hash()})")


@settings.command(short_help="Say what a setting means and what it is.")
@click.argument("key")
@click.option("--model", metavar="TYPE:TENANT", help="For this model; TYPE:global for one that all tenants share.")
def explain(key: str, model: str | None) -> None:
    """Say what a setting means, what it is here, what holds in the running system, and how to set it.

    KEY is a name, also of a variable, or types.TYPE.NAME, or models.TYPE:TENANT.NAME.
    """
    found = settings_module.find()
    where, owner, name = _parts(key.removeprefix(PREFIX).lower() if key.startswith(PREFIX) else key)
    if model is not None:
        if owner:
            raise Incompatible(f"{key} names its owner already: leave it or --model out")
        if name in Settings.model_fields and name not in TypeSettings.model_fields:
            raise Incompatible(f"{name} can only be set for all models: leave --model out")
        where, owner, key = "models", model, f"models.{model}.{name}"
        try:
            Settings.check_model_name(model, "auto")
        except ValueError as error:
            raise Incompatible(f"--model {model}: {error}") from error
    known: Any = TypeSettings.model_fields if owner else Settings.model_fields
    if name not in known:
        raise Incompatible(f"unknown setting {key!r}{settings_module.nearest(name, known)}")
    if where == "types":
        value: Any = getattr(found.settings.for_type(owner), name)
        how = f"[types.{owner}] in the file: {name} = ..."
    elif where == "models":
        value = getattr(found.settings.for_model(owner), name)
        table = f"types.{owner.partition(':')[0]}" if marked(_field(name), STATIC) else f'models."{owner}"'
        how = f"[{table}] in the file: {name} = ..."
    else:
        value = found.settings.shown()[name]
        how = f"{PREFIX}{name.upper()}" if _secret(name) else f"{PREFIX}{name.upper()}, or {name} in the file"
        if name in TypeSettings.model_fields and not marked(_field(name), EVERYWHERE):
            models = "" if marked(_field(name), STATIC) else ' and [models."TYPE:TENANT"]'
            how += f"; [types.TYPE]{models} go over it"
    field = _field(name)
    source = found.origin.get(name, "default") if not owner else ""
    click.echo(f"{key} = {_text(value)}{f'   ({source})' if source else ''}")
    click.echo(f"in the running system: {_held(found.settings, where, owner, name)}")
    click.echo(str(field.description))
    click.echo(f"allowed: {allowed(field)}")
    click.echo(f"set it by {how}")
    click.echo(f"for example: {_example(name, where, owner)}")
    if marked(field, STATIC):
        click.echo("fixed for the life of the input prefix: the state was built with it")


def _example(name: str, where: str, owner: str) -> str:
    """One way of setting it that can be copied; a value that is allowed, the default where it shows the form."""
    if name in TABLES and not owner:
        of = "types.churn.drop_points=7" if name == "types" else "drop_points=7 --model churn:acme"
        return f"plumbline set {of} --reason 'why'"
    value = example(_field(name))
    if name in Installation.model_fields or marked(_field(name), STATIC) or marked(_field(name), AT_START):
        return f"export {PREFIX}{name.upper()}={shlex.quote(value)}"
    key = f"types.{owner}.{name}" if where == "types" else name
    model = f" --model {owner}" if where == "models" else ""
    return f"plumbline set {shlex.quote(f'{key}={value}')}{model} --reason 'why'"


def _held(here: Settings, where: str, owner: str, name: str) -> str:
    """What holds now, in a line."""
    if name in TABLES:
        return "ask for one of them, with types.TYPE.NAME or NAME --model TYPE:TENANT; `show` lists what differs"
    if name in Installation.model_fields:
        return "each process has its own"
    if marked(_field(name), STATIC):
        return "what its state was built with; a worker that says otherwise does not start"
    runs = asyncio.run(running(here))
    if not runs.known:
        return f"not known, {runs.says}"
    model_type, model = (owner.partition(":")[0], owner) if where == "models" else (owner, "")
    by = runs.by(name, model_type, model)
    return f"{_text(runs.value(name, model_type, model))}{f'   ({by})' if by else ''}; {runs.says}"


def _parts(key: str) -> tuple[str, str, str]:
    """``types`` or ``models`` or nothing, whose, and the setting's name."""
    where, _, rest = key.partition(".")
    owner, _, name = rest.rpartition(".")
    if where in ("types", "models") and owner:
        return where, owner.strip('"'), name
    return "", "", key


def _field(name: str) -> Any:
    return Settings.model_fields[name]


def _secret(name: str) -> bool:
    return name.endswith("password")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value) or "none"
    return "none" if value in ({}, "") else str(value)
