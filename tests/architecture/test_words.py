"""Words that this project gave up do not come back where people read: pages, commands' help and documents.

The table in ``docs/glossary.md`` says what is said instead. Names of things that others gave (a Kafka group's letter, a
line of a log) are no business of this test, so each pattern is narrow.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stream_app.cli import cli

ROOT = Path(__file__).parents[2]
#: pattern of a word that is no longer used → what stands in its place
BANNED = {
    r"line[- ](?:log|clock|ticks?|keyed|months?)": "model log, model clock, epoch tick, model-keyed",
    r"--line\b|PLUMBLINE_LINE_|\[lines\.|/lines/": "--model, PLUMBLINE_MODEL_, [models.…], /models/",
    r"(?:a|the|each|every|per|one|all|of) lines? (?:type|whose|is|has|of the fleet|TYPE)": "model",
    r"\bbarriers? of (?:a|the) tick": "end offsets",
    r"\bby hand\b": "manual, manually",
    r"\b(?:an|the|every|each|its|whose) orders? (?:is|was|that|by hand|to|about)\b": "command",
    r"\bdead letters?\b": "dead-lettered record",
    r"\bmend(?:s|ed|ing)?\b": "repair",
    r"\bbare rules?\b": "unadjusted rule",
    r"\bworked out again\b": "recomputed",
    r"\bthe way of the data\b": "data flow",
    r"\bno evidence\b": "insufficient data",
    r"\btoo little (?:data|evidence)\b": "insufficient data",
    r"\bhand-?over of versions\b": "version change",
    r"\bFleet\b": "Models",
}
_PATTERN = re.compile("|".join(f"(?P<w{n}>{pattern})" for n, pattern in enumerate(BANNED)))


def _said(text: str) -> list[str]:
    return [f"{m[0]!r}: say {list(BANNED.values())[int(str(m.lastgroup)[1:])]}" for m in _PATTERN.finditer(text)]


def _helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=path)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _helps(found, f"{path} {name}")


def test_documents_use_the_words_of_the_glossary() -> None:
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.yml")]
    assert len(paths) > 15
    assert {str(path.relative_to(ROOT)): _said(path.read_text()) for path in paths if _said(path.read_text())} == {}


def test_pages_use_the_words_of_the_glossary() -> None:
    static = ROOT / "stream_app" / "web" / "static"
    paths = [path for path in static.rglob("*") if path.suffix in {".js", ".html"} and "vendor" not in path.parts]
    assert len(paths) > 10
    found = {}
    for path in paths:
        shown = " ".join(re.findall(r'"[^"\n]*"|`[^`]*`|>[^<{]+<', path.read_text()))
        if _said(shown):
            found[path.name] = _said(shown)
    assert found == {}


def test_helps_of_commands_use_the_words_of_the_glossary() -> None:
    helps = dict(_helps(cli, "plumbline"))
    assert len(helps) > 30
    assert {path: _said(text) for path, text in helps.items() if _said(text)} == {}


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a module that are no docstrings, by line: what it prints, raises and publishes is among them."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_texts_in_the_code_use_the_words_of_the_glossary() -> None:
    paths = [path for room in ("stream_app", "schemas", "agents") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(paths) > 300
    found = {
        f"{path.relative_to(ROOT)}:{line}": _said(text) for path in paths for line, text in _texts(path) if _said(text)
    }
    assert found == {}


@pytest.mark.parametrize("text", ["trained by hand", "the line log", "see /lines/x", "no evidence yet", "mend it"])
def test_a_word_that_was_given_up_is_found(text: str) -> None:
    assert _said(text)
