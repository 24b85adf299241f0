"""``plumbline settings``."""

from __future__ import annotations

import json
from typing import Any

import click

from stream_app import settings as settings_module
from stream_app.errors import Incompatible
from stream_app.settings import PREFIX, Settings, TypeSettings
from stream_app.settings.fields import EVERYWHERE, STATIC, marked


@click.group()
def settings() -> None:
    """Show, check and explain the settings."""


@settings.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(as_json: bool) -> None:
    """Print what applies here and who set it; secrets are masked."""
    found = settings_module.find()
    view = found.settings.shown()
    if as_json:
        click.echo(json.dumps({**view, "hash": found.settings.hash()}, default=str))
        return
    for name, value in view.items():
        source = found.origin.get(name)
        click.echo(f"{name:30} {_text(value)}{f'   ({source})' if source else ''}")
    click.echo(f"{'hash':30} {found.settings.hash()}")


@settings.command()
def check() -> None:
    """Say whether the settings can be used; exit code 1 if not."""
    found = settings_module.find()
    found.settings.kafka_client_options()  # opens the files that TLS needs
    click.echo(f"the settings can be used (environment {found.settings.environment}, hash {found.settings.hash()})")


@settings.command()
@click.argument("key")
def explain(key: str) -> None:
    """Say what a setting means, what it is now and how to set it.

    KEY is a name, also of a variable, or types.TYPE.NAME, or lines.TYPE:TENANT.NAME.
    """
    found = settings_module.find()
    where, owner, name = _parts(key.removeprefix(PREFIX).lower() if key.startswith(PREFIX) else key)
    known: Any = TypeSettings.model_fields if owner else Settings.model_fields
    if name not in known:
        raise Incompatible(f"unknown setting {key!r}{settings_module.nearest(name, known)}")
    if where == "types":
        value: Any = getattr(found.settings.for_type(owner), name)
        how = f"[types.{owner}] in the file: {name} = ..."
    elif where == "lines":
        value = getattr(found.settings.for_line(owner), name)
        table = f"types.{owner.partition(':')[0]}" if marked(_field(name), STATIC) else f'lines."{owner}"'
        how = f"[{table}] in the file: {name} = ..."
    else:
        value = found.settings.shown()[name]
        how = f"{PREFIX}{name.upper()}" if _secret(name) else f"{PREFIX}{name.upper()}, or {name} in the file"
        if name in TypeSettings.model_fields and not marked(_field(name), EVERYWHERE):
            lines = "" if marked(_field(name), STATIC) else ' and [lines."TYPE:TENANT"]'
            how += f"; [types.TYPE]{lines} go over it"
    field = _field(name)
    source = found.origin.get(name, "default") if not owner else ""
    click.echo(f"{key} = {_text(value)}{f'   ({source})' if source else ''}")
    click.echo(str(field.description))
    click.echo(f"set it by {how}")
    if marked(field, STATIC):
        click.echo("fixed for the life of the input prefix: the state was built with it")


def _parts(key: str) -> tuple[str, str, str]:
    """``types`` or ``lines`` or nothing, whose, and the setting's name."""
    where, _, rest = key.partition(".")
    owner, _, name = rest.rpartition(".")
    if where in ("types", "lines") and owner:
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
