"""``plumbline try``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stream_app import settings as settings_module
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.replay import label_delay
from stream_app.cli.tables import (
    file_of,
    given_by,
    mapping_of,
    reading_of,
    say_faults,
    table_options,
    written,
)
from stream_app.errors import Incompatible
from stream_app.ingest.inputs import Inputs, Taken, of_files, survey
from stream_app.replay.ticks import Every
from stream_app.settings import Settings
from stream_app.trial.columns import look_at
from stream_app.trial.findings import gather
from stream_app.trial.guess import Guess, guess
from stream_app.trial.report import report
from stream_app.trial.run import Trial, in_memory
from stream_app.trial.words import story

#: A tick at each daily check is all that verdicts need; a replay of the file says the same with --tick-every close.
_EVERY: Every = "close"
_MORE = ("label_delay", "seed", "spread")
_COLUMNS = (
    ListColumn("field", lambda row: row["field"]),
    ListColumn("read from", lambda row: row["column"]),
    ListColumn("because", lambda row: row["why"], 1, sentence=True),
)


@click.command(name="try")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@table_options
@click.option("--label-delay", metavar="A..B", help="Delay of outcomes that have no time, drawn by seed: 6h..3d.")
@click.option("--yes", is_flag=True, help="Take the guess without being asked.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the mapping, for --mapping of other commands.")
@click.option(
    "--report", "target", type=click.Path(path_type=Path), default=Path("plumbline-report.html"), show_default=True,
    help="The report, one HTML file that needs nothing else.",
)  # fmt: skip
def try_(
    files: tuple[Path, ...], yes: bool, save: Path | None, target: Path, strict: bool, **options: Any
) -> None:  # fmt: skip
    """Take a file of scored rows through the whole pipeline, in memory, and say what it finds.

    Looks at the columns, guesses what they mean, shows that and asks. Needs no Kafka and leaves nothing behind but the
    report. What it guesses wrong is said with the options of `plumbline replay`. Verdicts are those that a replay of
    the same file with --tick-every close gives on a broker, byte for byte.

    \b
    Examples: plumbline try scored.csv
              plumbline try scored.parquet --map actual=repaid --positive no --yes --save map.toml
    """
    settings = settings_module.load()
    given = given_by(options, _MORE)
    found = guess(look_at(files, reading_of(options, file_of(options, _MORE))), files, given)
    content = _over(found.content, given)
    _show(found, files)
    if not yes and not click.confirm("Read it like this?", default=True):
        raise Incompatible("say what is different with --map FIELD=COLUMN, --set FIELD=VALUE, --positive LABEL")
    trial, faults = _run(settings, files, options, content, strict)
    if save is not None:
        save.write_text(written(content), encoding="utf-8")
    models = gather(trial, lambda model: settings.for_model(model).performance_metrics)
    if not models:
        raise Incompatible("no day of any model was closed: the file holds no prediction that counts")
    for one in models:
        click.echo()
        for line in story(one):
            click.echo(line)
    title = f"What Plumbline finds in {', '.join(path.name for path in files)}"
    target.write_text(report(title, found.lines, [*found.notes, *faults], models), encoding="utf-8")
    click.echo(f"\nreport: {target}")
    if save is not None:
        names = " ".join(map(str, files))
        click.echo(f"mapping: {save}\nto Kafka: plumbline replay {names} --mapping {save} --tick-every {_EVERY}")


def _over(guessed: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What was guessed, and over it what was said."""
    content = {**guessed, **given}
    for table in ("map", "set"):
        merged = {**guessed.get(table, {}), **given.get(table, {})}
        if merged:
            content[table] = merged
    return content


def _show(found: Guess, files: tuple[Path, ...]) -> None:
    rows = [{"field": field, "column": column, "why": why} for field, column, why in found.lines]
    click.echo(f"{', '.join(map(str, files))} is read like this:\n")
    listing.show(rows, _COLUMNS, "table")
    for note in found.notes:
        click.echo(note)


def _run(
    settings: Settings, files: tuple[Path, ...], options: dict[str, Any], content: dict[str, Any], strict: bool
) -> tuple[Trial, list[str]]:
    mapping = mapping_of(
        {**options, "columns": (), "constants": ()}, content,
        spread_year=content.get("spread") == "year", label_delay_ms=label_delay(content.get("label_delay")),
        seed=int(content.get("seed", 0)),
    )  # fmt: skip
    inputs = Inputs(of_files(files, "both"), mapping, reading_of(options, content), None, Taken.by(settings))
    known = survey(inputs)
    known.refuse()
    if strict:
        known.refuse_any()
    say_faults(known, mapping)
    with click.progressbar(
        length=known.predictions + known.outcomes, label="through the pipeline", file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        done = 0

        def progress(through: int, total: int) -> None:
            nonlocal done
            bar.update(through - done)
            done = through

        return in_memory(settings, inputs, known, _EVERY, progress), list(known.faults.lines())
