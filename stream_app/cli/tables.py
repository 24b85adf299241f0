"""Options of commands that read tables: where the fields stand, how values are written, which rows are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from stream_app.errors import Incompatible

# what reads files is imported by who reads them: a shell that completes an option does without
if TYPE_CHECKING:
    from stream_app.ingest.files import Reading
    from stream_app.ingest.inputs import Survey
    from stream_app.ingest.mapping import Mapping

_OPTIONS: Final = (
    click.option(
        "--map", "columns", multiple=True, metavar="FIELD=COLUMN",
        help="Column that holds a field, or an expression of columns as in a relay's map: "
        "'score=percent | scale(0, 100)'. FIELD= alone: no column.",
    ),
    click.option("--set", "constants", multiple=True, metavar="FIELD=VALUE", help="Value of a field for every row."),
    click.option("--features", metavar="COLUMNS", help="Columns, with commas between, that travel as features."),
    click.option(
        "--positive", multiple=True, metavar="LABEL",
        help="Label that counts as positive; all others are negative, and blank ones are none.",
    ),
    click.option(
        "--negative", multiple=True, metavar="LABEL", help="Label that counts as negative; then others are refused."
    ),
    click.option(
        "--ids", type=click.Choice(["content"]), help="Without a column of ids: make them of the file's content."
    ),
    click.option(
        "--time-format", metavar="FORM",
        help="How times are written: s, ms, us or ns since 1970, or a pattern such as '%d.%m.%Y %H:%M'.",
    ),
    click.option("--timezone", metavar="ZONE", help="Zone of times without an offset, such as Europe/Berlin."),
    click.option("--assume-utc", is_flag=True, help="Take times without an offset as UTC instead of refusing them."),
    click.option("--first-day", metavar="DAY", help="No time is earlier, 2026-03-02. Default: far from the others."),
    click.option("--last-day", metavar="DAY", help="No time is later. Default: far from the others."),
    click.option("--encoding", metavar="NAME", help="Of text files without a byte order mark. Default: utf-8."),
    click.option("--delimiter", metavar="SIGN", help="Between the columns of a CSV file, or tab. Default: found out."),
    click.option(
        "--decimal", metavar="SIGN", help="Of numbers in CSV files: comma or point. Default: what the numbers say."
    ),
    click.option(
        "--mapping", type=click.Path(path_type=Path), help="TOML file with tables [map] and [set] and these options."
    ),
    click.option("--strict", is_flag=True, help="Send nothing if any row is invalid or an id comes again."),
)  # fmt: skip
#: Options that a mapping file may hold too.
_KEYS: Final = (
    "map", "set", "features", "assume_utc", "timezone", "time_format", "positive", "negative", "ids", "first_day",
    "last_day", "encoding", "delimiter", "decimal",
)  # fmt: skip

_SIGNS: Final[dict[str, Literal[",", "."]]] = {"comma": ",", ",": ",", "point": ".", ".": "."}


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of tables."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """``FIELD=...`` options as a dictionary."""
    found: dict[str, str] = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not FIELD=...", param_hint=option)
        if name in found:
            raise click.BadParameter(f"{name} is given twice", param_hint=option)
        found[name] = value
    return found


def file_of(options: dict[str, Any], more: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the mapping file says; ``more``: keys that this command takes beside those of tables."""
    from stream_app.ingest.mapping import read_mapping

    file: dict[str, Any] = read_mapping(options["mapping"]) if options["mapping"] else {}
    unknown = set(file) - {*_KEYS, *more}
    if unknown:
        raise Incompatible(f"{options['mapping']}: unknown key {sorted(unknown)[0]!r}")
    return file


def mapping_of(options: dict[str, Any], file: dict[str, Any], **more: Any) -> Mapping:
    """The mapping that options and mapping file give; options win."""
    from stream_app.ingest.mapping import Mapping

    return Mapping(
        columns={**file.get("map", {}), **pairs(options["columns"], "--map")},
        constants={**{k: _text(v) for k, v in file.get("set", {}).items()}, **pairs(options["constants"], "--set")},
        features=_list(options["features"] or file.get("features", [])),
        assume_utc=options["assume_utc"] or bool(file.get("assume_utc")),
        timezone=options["timezone"] or str(file.get("timezone", "")),
        time_format=options["time_format"] or str(file.get("time_format", "")),
        positive=options["positive"] or _list(file.get("positive", [])),
        negative=options["negative"] or _list(file.get("negative", [])),
        content_ids=(options["ids"] or file.get("ids")) == "content",
        first_day=options["first_day"] or str(file.get("first_day", "")),
        last_day=options["last_day"] or str(file.get("last_day", "")),
        **more,
    )


def given_by(options: dict[str, Any], more: tuple[str, ...] = ()) -> dict[str, Any]:
    """What mapping file and options say together, as a mapping file holds it."""
    file = file_of(options, more)
    said = {
        "map": {**file.get("map", {}), **pairs(options["columns"], "--map")},
        "set": {**file.get("set", {}), **pairs(options["constants"], "--set")},
        **{name: options[name] for name in (*_KEYS, *more) if options.get(name)},
    }
    return {**file, **{name: value for name, value in said.items() if value}}


def written(content: dict[str, Any]) -> str:
    """A mapping file that holds this: the options' names first, then the tables."""
    lines = [f"{name} = {_toml(value)}" for name, value in content.items() if not isinstance(value, dict)]
    for name in ("map", "set"):
        if content.get(name):
            lines += ["", f"[{name}]", *(f"{field} = {_toml(value)}" for field, value in content[name].items())]
    return "\n".join(lines).strip() + "\n"


def _toml(value: Any) -> str:
    # JSON's strings, numbers, truths and lists are TOML's as well; what JSON writes as \u… TOML reads
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def reading_of(options: dict[str, Any], file: dict[str, Any]) -> Reading:
    """How text files are read."""
    from stream_app.ingest.csv_files import delimiter_of
    from stream_app.ingest.files import Reading

    encoding, delimiter, decimal = (options[name] or file.get(name) for name in ("encoding", "delimiter", "decimal"))
    if encoding is not None:
        try:
            "".encode(encoding)  # fails for codecs that are of no text too: hex, rot13
        except (LookupError, UnicodeError) as error:
            raise click.BadParameter(
                f"{encoding!r} is no encoding of text that is known", param_hint="--encoding"
            ) from error
    if delimiter is not None:
        try:
            delimiter = delimiter_of(delimiter)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--delimiter") from error
    if decimal is not None and decimal not in _SIGNS:
        raise click.BadParameter(f"{decimal!r} is neither comma nor point", param_hint="--decimal")
    return Reading(encoding, delimiter, None if decimal is None else _SIGNS[decimal])


def say_faults(known: Survey, mapping: Mapping) -> None:
    """What people should know before anything is sent, on standard error: rows that are left out, ids that come again,
    labels that no row has."""
    if known.faults.count:
        click.echo(f"{known.faults.count:,} {'row is' if known.faults.count == 1 else 'rows are'} left out:", err=True)
        for line in known.faults.lines():
            click.echo(f"  {line}", err=True)
    for text in known.repeats.sentences():
        click.echo(text, err=True)
    if mapping.positive and known.outcomes and not known.positives:
        labels = ", ".join(mapping.positive)
        click.echo(f"None of {known.outcomes:,} outcomes is positive: are the labels of --positive {labels}?", err=True)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(value: Any) -> tuple[str, ...]:
    found = value.split(",") if isinstance(value, str) else value
    return tuple(_text(item) for item in found)
