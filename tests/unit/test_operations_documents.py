"""Every command that the operator guide shows exists, with those options and arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stream_app.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = [*sorted((DOCS / "operations").glob("*.md")), DOCS / "write-a-trainer.md", DOCS / "registries.md"]


def commands() -> Iterator[tuple[str, str]]:
    """(document, command) of blocks and of words in text; what stands for something else is left out."""
    for path in GUIDE:
        text = path.read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                found = re.search(r"(?:^|\s)(plumbline .*)$", re.sub(r"\s+#.*$", "", line))
                if found is not None:
                    yield path.name, found[1]
        for found in re.findall(r"`(plumbline [^`]*)`", text):
            if "..." not in found and "…" not in found:
                yield path.name, found


@pytest.mark.parametrize(("document", "command"), sorted(set(commands())))
def test_it_can_be_called_like_that(
    document: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    for word in words:
        if re.search(r"\.(ndjson|csv|jsonl)$", word):
            (tmp_path / word).write_text("")
    current: click.Command = cli
    context = click.Context(cli, info_name="plumbline")
    while isinstance(current, click.Group) and words:
        found = current.get_command(context, words[0])
        assert found is not None, f"{document}: no command {words[0]}"
        current, words = found, words[1:]
        context = click.Context(current, parent=context)
    if isinstance(current, click.Group):
        assert not words
        return
    placeholders = {
        "MODEL": "fraud:acme",
        "ID": "3d5f0a7e",
        "ALERT": "3d5f0a7e",
        "TYPE:TENANT": "fraud:acme",
        "KEY": "drop_points",
        "VERSION": "v1",
    }
    given = [placeholders.get(word, word) for word in words]
    if not words and any(p.required for p in current.params):
        return  # named in a sentence, not called
    if (
        any(isinstance(p, click.Option) and p.name == "reason" and p.required for p in current.params)
        and "--reason" not in given
    ):
        given += ["--reason", "x"]
    current.make_context(current.name or "", given, parent=context.parent)


def test_the_guide_shows_commands_at_all() -> None:
    assert len(set(commands())) > 50
