"""Lists for people and for programs: the same rows as a table, as NDJSON or as CSV.

A table fits the terminal: columns that matter less are left out, never a part of an id or a name. Without a terminal
it is plain aligned text, one row a line, as wide as it needs to be unless COLUMNS says otherwise, so that
``plumbline alerts | awk '{print $1}'`` gives ids. What is said beside the rows goes to standard error there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

Row = dict[str, Any]

OUTPUTS: Final = ("table", "wide", "json", "csv")
#: Least width that is worth giving to a column of sentences; below it the sentence stands under its row.
_SENTENCE: Final = 32
_GAP: Final = "  "
_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Colours of words that say how bad or how good something is.
_COLOURS: Final[dict[str, dict[str, Any]]] = {
    "CRITICAL": {"fg": "red", "bold": True}, "HIGH": {"fg": "red"}, "MEDIUM": {"fg": "yellow"}, "LOW": {"fg": "cyan"},
    "broken": {"fg": "red"}, "look": {"fg": "yellow"}, "ok": {"fg": "green"},
}  # fmt: skip
_UNITS: Final = ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column of a list.

    ``rank`` 0 is always shown; of the others the one with the highest goes first. ``sentence``: prose, the last
    column, which takes the room that is left. ``wide``: only where everything is asked for. ``when``: a time, which a
    terminal shows by how long ago it was.
    """

    name: str
    of: Callable[[Row], Any]
    rank: int = 0
    right: bool = False
    sentence: bool = False
    wide: bool = False
    when: bool = False


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``-o`` and its short form ``--json``; it takes ``output``."""

    def chosen(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            ctx.params["output"] = "json"

    command = click.option(
        "--json", is_flag=True, expose_value=False, callback=chosen, help="The same as -o json: one object a line."
    )(command)
    return click.option(
        "-o", "--output", type=click.Choice(OUTPUTS), default="table", callback=_kept,
        help="table (fits the terminal), wide (every column), json (one object a line) or csv.",
    )(command)  # fmt: skip


def _kept(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return str(ctx.params.get("output") or value)


def show(
    rows: Sequence[Row], columns: Sequence[ListColumn], output: str, *, empty: str = "", note: str = "",
) -> None:  # fmt: skip
    """Print the rows. For people alone: ``empty``, what is said where there are none, and ``note``, below a table.

    Whether a list is empty never decides how a command ends; what was asked for by name and does not exist is refused
    before, whatever the output.
    """
    if output == "json":
        for row in rows:
            click.echo(json.dumps(row, sort_keys=True))
    elif output == "csv":
        _csv(rows, columns)
    elif empty and not rows:
        say(empty)
    else:
        left_out = _table(rows, columns, output)
        if left_out:
            names = ", ".join(column.name for column in left_out)
            note = f"{note}\nnot shown for want of room: {names} (-o wide shows all)".strip()
        if note:
            click.echo(note, err=not _terminal())


def for_people(output: str) -> bool:
    """Whether the output is read by people, who are told more than the rows."""
    return output in ("table", "wide")


def say(text: str) -> None:
    """A sentence beside a list: programs that read the rows do not get it."""
    echo(text, err=not _terminal())


def echo(text: str, err: bool = False) -> None:
    """Print what strangers may have written a part of."""
    click.echo(printable(text), err=err)


def printable(text: str) -> str:
    """The text with signs that steer a terminal, or turn around what is read, written out: trainers, operators and
    producers write into reasons and errors what they like. Tabs and line breaks stay."""
    return _STEERING.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def _csv(rows: Sequence[Row], columns: Sequence[ListColumn]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows([_plain(column.of(row)) for column in columns] for row in rows)


def _table(rows: Sequence[Row], columns: Sequence[ListColumn], output: str) -> list[ListColumn]:
    """Print it; returns the columns that had no room."""
    wide = output == "wide"
    shown = [column for column in columns if wide or not column.wide]
    relative = _terminal() and not wide
    text = {column.name: [_text(column, row, relative) for row in rows] for column in shown}
    width = _width() if not wide else None
    kept, left_out = _fit(shown, text, width)
    widths = {
        column.name: max(len(column.name), *map(len, text[column.name])) for column in kept if not column.sentence
    }
    prose = next((column for column in kept if column.sentence), None)
    before = sum(widths.values()) + len(_GAP) * len(widths)
    room = None if width is None or not _terminal() else width - before
    below = room is not None and room < _SENTENCE
    heads = [column for column in kept if not (column.sentence and below)]
    click.echo(_line(heads, {column.name: column.name for column in heads}, widths, bold=True))
    for number in range(len(rows)):
        cells = {column.name: text[column.name][number] for column in kept}
        sentence = cells.pop(prose.name) if prose is not None else ""
        if prose is None or below:
            click.echo(_line(heads, cells, widths))
            for line in _wrapped(sentence, (width or 80) - 4):
                click.echo(f"    {line}")
            continue
        first, *more = _wrapped(sentence, room) or [""]
        click.echo(_line(heads, {**cells, prose.name: first}, widths))
        for line in more:
            click.echo(" " * before + line)
    return left_out


def _fit(
    columns: list[ListColumn], text: dict[str, list[str]], width: int | None
) -> tuple[list[ListColumn], list[ListColumn]]:
    """The columns that fit, and those that do not, in the order of leaving. On a terminal a sentence always finds room:
    beside its row, or below it."""
    kept, left_out = list(columns), []
    folds = _terminal()

    def needs() -> int:
        sizes = [
            max(len(column.name), *map(len, text[column.name]), 0) for column in kept if not (column.sentence and folds)
        ]
        return sum(sizes) + len(_GAP) * (len(sizes) - 1)

    while width is not None and needs() > width:
        may_go = [column for column in kept if column.rank and not (column.sentence and folds)]
        if not may_go:
            break
        going = max(may_go, key=lambda column: column.rank)
        kept.remove(going)
        left_out.append(going)
    return kept, left_out


def _line(columns: list[ListColumn], cells: dict[str, str], widths: dict[str, int], bold: bool = False) -> str:
    parts = []
    for number, column in enumerate(columns, start=1):
        cell, size = cells[column.name], widths.get(column.name, 0)
        padded = cell.rjust(size) if column.right else cell.ljust(size) if number < len(columns) else cell
        look: dict[str, Any] = {"bold": True} if bold else _COLOURS.get(cell.partition(" ")[0], {})
        parts.append(click.style(padded, **look) if look and _coloured() else padded)
    return _GAP.join(parts)


def _wrapped(sentence: str, room: int | None) -> list[str]:
    if room is None:
        return [sentence] if sentence else []
    return textwrap.wrap(sentence, max(room, 20), break_long_words=False, break_on_hyphens=False)


def _text(column: ListColumn, row: Row, relative: bool) -> str:
    value = column.of(row)
    if column.when and value and relative:
        return ago(str(value))
    return printable(" ".join(_plain(value).split())) or "–"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def ago(at: str, now_s: float | None = None) -> str:
    """How long ago an RFC 3339 time was, in one unit; a time to come as it stands."""
    from schemas.common import parse_ms

    past = (time.time() if now_s is None else now_s) - parse_ms(at) / 1000
    if past < 0:
        return at[:16]
    for seconds, unit in _UNITS:
        if past >= seconds:
            return f"{int(past // seconds)} {unit} ago"
    return f"{int(past)} s ago"


def ratio(value: float | None) -> str:
    """A ratio with three digits; nothing where it is undefined."""
    return "" if value is None else f"{value:.3f}"


#: Ids that are named where the beginning of one fits several.
_NAMED: Final = 5


def one_of(ids: Iterable[str], beginning: str, what: str, where: str) -> str:
    """The id that begins so; whole ids are taken as they are. ``ClickException`` if none or several do."""
    known = set(ids)
    if beginning in known:
        return beginning
    matching = sorted(id for id in known if id.startswith(beginning))
    if not matching:
        raise click.ClickException(f"no {what} has the id {beginning}; {where}")
    if len(matching) > 1:
        kinds = what.replace(" or ", "s or ") + "s"
        which = f" ({', '.join(matching)})" if len(matching) <= _NAMED else ""
        begin = f"have ids that begin with {beginning}{which}: give more of it" if beginning else "have ids: give one"
        raise click.ClickException(f"{len(matching):,} {kinds} {begin}; {where}")
    return matching[0]


def _terminal() -> bool:
    return sys.stdout.isatty()


def _coloured() -> bool:
    return _terminal() and "NO_COLOR" not in os.environ


def _width() -> int | None:
    """Characters of a row; ``None``: as many as it takes."""
    if not _terminal() and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return shutil.get_terminal_size().columns
