"""``plumbline settings``."""

from __future__ import annotations

import json
from typing import Any

import click

from stream_app import settings as settings_module
from stream_app.errors import Incompatible
from stream_app.settings import PREFIX, Settings, TypeSettings


@click.group()
def settings() -> None:
    """Show, check and explain the settings."""


@settings.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(as_json: bool) -> None:
    """Print what applies here; secrets are masked."""
    found = settings_module.load()
    view = {name: _plain(getattr(found, name)) for name in Settings.model_fields}
    if as_json:
        click.echo(json.dumps({**view, "hash": found.hash()}, default=str))
        return
    for name, value in view.items():
        click.echo(f"{name:26} {value}")
    click.echo(f"{'hash':26} {found.hash()}")


@settings.command()
def check() -> None:
    """Say whether the settings can be used; exit code 1 if not."""
    found = settings_module.load()
    click.echo(f"the settings can be used (environment {found.environment}, hash {found.hash()})")


@settings.command()
@click.argument("key")
def explain(key: str) -> None:
    """Say what a setting means, what it is now and how to set it."""
    name = key.removeprefix(PREFIX).lower()
    found = settings_module.load()
    if name in Settings.model_fields:
        field, how = Settings.model_fields[name], f"{PREFIX}{name.upper()}, or {name} in the file"
        value: Any = _plain(getattr(found, name))
    elif name in TypeSettings.model_fields:
        field, how = TypeSettings.model_fields[name], f'[types.NAME] or [lines."TYPE:TENANT"] in the file: {name} = …'
        value = _plain(getattr(found.for_type(""), name))
    else:
        known = [*Settings.model_fields, *TypeSettings.model_fields]
        raise Incompatible(f"unknown setting {key!r}{settings_module.nearest(name, known)}")
    click.echo(f"{name} = {value}\n{field.description}\nset it by {how}")
    if field.json_schema_extra:
        click.echo("fixed for the life of the input prefix: the state was built with it")


def _plain(value: Any) -> Any:
    """Secrets appear as stars, whatever they are."""
    return str(value) if hasattr(value, "get_secret_value") else value
