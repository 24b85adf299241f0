"""The reference pages, made from what they describe: settings, commands, API. ``python -m stream_app.cli.documents``
writes them into docs/reference; a test compares."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from stream_app.cli import cli
from stream_app.kafka.topics import topics_of
from stream_app.settings import PREFIX, Settings, TypeSettings
from stream_app.settings.allowed import allowed, example
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked
from stream_app.settings.installation import Installation
from stream_app.web import app, auth

_MADE: Final = "<!-- made by `python -m stream_app.cli.documents` -->"
_WIDTH: Final = 100


def pages() -> dict[str, str]:
    """Name below docs/reference → text."""
    return {"settings.md": _settings(), "cli.md": _commands(), "api.md": _api()}


def _settings() -> str:
    rules = [name for name in Settings.model_fields if name in TypeSettings.model_fields]
    process = [name for name in Settings.model_fields if name in Installation.model_fields]
    others = [name for name in Settings.model_fields if name not in {*rules, *process}]
    parts = [
        "# Settings", _MADE,
        f"A variable `{PREFIX}NAME` goes over the file `plumbline.toml`, the file over the profile of the environment. "
        "`plumbline settings explain NAME` says what holds and where it comes from; `plumbline set` changes rules and "
        "flags while workers run.",
        "## A process and its surroundings", *map(_setting, process),
        "## The whole installation", *map(_setting, others),
        "## Rules of models", "For all models, for a type in `[types.NAME]`, or for one in `[models.\"TYPE:TENANT\"]`.",
        *map(_setting, rules),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _setting(name: str) -> str:
    field: Any = Settings.model_fields[name]
    marks = [
        text
        for mark, text in (
            (STATIC, "fixed for the life of the input prefix"),
            (EVERYWHERE, "the same for all models"),
            (AT_START, "read when a worker starts"),
        )
        if marked(field, mark)
    ]
    default = example(field)
    said = "none" if default == "VALUE" or field.get_default(call_default_factory=True) in ("", (), {}) else default
    more = f" ({', '.join(marks)})" if marks else ""
    return f"**`{name}`**{more}: {field.description}\nDefault: `{said}`. Allowed: {allowed(field)}."


def _commands() -> str:
    parts = ["# Commands", _MADE, "Wherever an id is asked for, its beginning is enough."]
    whole = click.Context(
        cli, info_name="plumbline", terminal_width=_WIDTH, max_content_width=_WIDTH, **cli.context_settings
    )
    parts += [f"## {one.command_path}\n\n```text\n{one.command.get_help(one)}\n```" for one in _all(whole)]
    return "\n\n".join(parts) + "\n"


def _all(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _all(click.Context(found, info_name=name, parent=context))


def _api() -> str:
    settings = Settings(redis_url="redis://127.0.0.1:6379/0")
    described = app.create(settings, topics_of(settings), auth.Tokens("page:viewer:" + "x" * 32)).openapi()
    parts = [
        "# API", _MADE,
        "With `Authorization: Bearer TOKEN`; `GET /api/v1/openapi.json` describes the same for programs. Any request "
        "may also be answered with 401, 408, 413, 421, 429 or 503 "
        "([what strangers may ask](../operations/security.md#what-strangers-may-ask)).",
    ]  # fmt: skip
    for path, methods in sorted(described["paths"].items()):
        for method, told in sorted(methods.items()):
            text = inspect.cleandoc(told.get("description") or told.get("summary") or "")
            lines = [f"## {method.upper()} {path}", text]
            named = [
                f"- `{one['name']}` ({one['in']}{', required' if one.get('required') else ''})"
                + (f": {one['description']}" if one.get("description") else "")
                for one in told.get("parameters", [])
            ]
            parts += [*filter(None, lines), *(["\n".join(named)] if named else [])]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write all pages."""
    folder = Path(__file__).parents[2] / "docs" / "reference"
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for variable in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[variable]
    main()
