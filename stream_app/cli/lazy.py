"""Groups whose commands are imported when they are called, listed under headings, and guessed where misspelt."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from stream_app.settings.names import nearest

#: command → (module below stream_app.cli, attribute, one line for the list)
Commands = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """``commands_of`` says where each command stands. ``headings``: heading → names of its commands, for the help."""

    def __init__(
        self, *args: Any, commands_of: Commands, headings: Mapping[str, tuple[str, ...]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.commands_of = commands_of
        self._headings = headings or {"Commands": tuple(commands_of)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command by name."""
        return list(self.commands_of)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported now."""
        if name not in self.commands_of:
            return None
        module, attribute, _ = self.commands_of[name]
        command: click.Command = getattr(importlib.import_module(f"stream_app.cli.{module}"), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, without importing any; then what click completes: options."""
        found = [
            CompletionItem(name, help=text)
            for name, (_, _, text) in self.commands_of.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a misspelt name is answered with the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in self.commands_of:
            hint = nearest(args[0], self.commands_of) or f"; `{ctx.command_path} --help` lists them"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings, without importing any of them."""
        for heading, names in self._headings.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands_of[name][2]) for name in names])
