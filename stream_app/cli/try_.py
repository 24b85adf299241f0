"""``plumbline try``."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from stream_app import settings as settings_module
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.options import Written, label_delay
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
from stream_app.ingest.inputs import Admission, Inputs, Survey, of_files, survey
from stream_app.replay.ticks import Every
from stream_app.settings import Settings
from stream_app.trial.columns import LOOKED_AT, look_at
from stream_app.trial.guess import Guess, guess

if TYPE_CHECKING:
    from stream_app.replay.run import ReplayPlan
    from stream_app.trial.run import Trial

#: A tick at each daily check is all that verdicts need; a replay of the file says the same with --tick-every close.
_EVERY: Every = "close"
#: What a kept pipeline can be called: it names topics, an application and a folder.
_KEPT: Final = re.compile("[a-z0-9][a-z0-9-]{0,59}")
_MORE = ("label_delay", "seed", "spread")
_COLUMNS = (
    ListColumn("field", lambda row: row["field"]),
    ListColumn("read from", lambda row: row["column"]),
    ListColumn("because", lambda row: row["why"], sentence=True),
)


@click.command(name="try")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@table_options
@click.option("--label-delay", metavar="A..B", help="Delay of outcomes that have no time, drawn by seed: 6h..3d.")
@click.option("--yes", is_flag=True, help="Take the guess without being asked.")
@click.option("--save", type=Written(), help="Write the mapping, for --mapping of other commands.")
@click.option("--dashboard", is_flag=True, help="Then the same on Kafka, with the dashboard, until Ctrl-C.")
@click.option("--keep", metavar="NAME", help="With --dashboard: leave services, topics and state under this name.")
@click.option(
    "--report", "target", type=Written(), default=Path("plumbline-report.html"), show_default=True,
    help="The report, one HTML file that needs nothing else.",
)  # fmt: skip
def try_(
    files: tuple[Path, ...], yes: bool, save: Path | None, dashboard: bool, keep: str | None, target: Path,
    strict: bool, **options: Any,
) -> None:  # fmt: skip
    """Take a file of scored rows through the whole pipeline, in memory, and say what it finds.

    Looks at the columns, guesses what they mean, shows that and asks. Needs no Kafka and leaves nothing behind but the
    report. What it guesses wrong is said with the options of `plumbline replay`. Verdicts are those that a replay of
    the same file with --tick-every close gives on a broker, byte for byte.

    With --dashboard the file is then replayed into a pipeline of its own, on a Kafka and a Redis that are started for
    it unless the environment names them; all of it is removed at the end, unless --keep names it.

    \b
    Examples: plumbline try scored.csv
              plumbline try scored.parquet --map actual=repaid --positive no --yes --save map.toml
              plumbline try scored.csv --dashboard
    """
    if keep is not None and not (dashboard and _KEPT.fullmatch(keep)):
        raise click.BadParameter("goes with --dashboard, and is 1 to 60 of a-z 0-9 -", param_hint="--keep")
    settings = settings_module.load()
    given = given_by(options, _MORE)
    columns = look_at(files, reading_of(options, file_of(options, _MORE)))
    found = guess(columns, files, given)
    content = _over(found.content, given)
    _show(found, files, columns[0].rows)
    if not yes and not click.confirm("Read it like this?", default=True):
        raise Incompatible("say what is different with --map FIELD=COLUMN, --set FIELD=VALUE, --positive LABEL")
    inputs = _inputs(settings, files, options, content)
    known = _looked_through(inputs, strict)
    trial, faults = _run(settings, inputs, known), list(known.faults.lines())
    if save is not None:
        save.write_text(written(content), encoding="utf-8")
    from stream_app.trial.findings import gather
    from stream_app.trial.report import report
    from stream_app.trial.words import story

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
    if dashboard:
        from stream_app.replay.run import ReplayPlan

        plan = ReplayPlan(list(files), mapping=inputs.mapping, every=_EVERY, reading=inputs.reading)
        _look_around(plan, known, keep)


def _over(guessed: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What was guessed, and over it what was said."""
    content = {**guessed, **given}
    for table in ("map", "set"):
        merged = {**guessed.get(table, {}), **given.get(table, {})}
        if merged:
            content[table] = merged
    return content


def _show(found: Guess, files: tuple[Path, ...], looked_at: int) -> None:
    rows = [{"field": field, "column": column, "why": why} for field, column, why in found.lines]
    by = f", as its first {looked_at:,} rows suggest" if looked_at >= LOOKED_AT else ""
    click.echo(f"{', '.join(map(str, files))} is read like this{by}:\n")
    listing.show(rows, _COLUMNS, "table")
    for note in found.notes:
        click.echo(note)


def _inputs(settings: Settings, files: tuple[Path, ...], options: dict[str, Any], content: dict[str, Any]) -> Inputs:
    mapping = mapping_of(
        {**options, "columns": (), "constants": ()}, content,
        spread_year=content.get("spread") == "year", label_delay_ms=label_delay(content.get("label_delay")),
        seed=int(content.get("seed", 0)),
    )  # fmt: skip
    return Inputs(of_files(files, "both"), mapping, reading_of(options, content), None, Admission.by(settings))


def _looked_through(inputs: Inputs, strict: bool) -> Survey:
    known = survey(inputs)
    known.refuse()
    if strict:
        known.refuse_any()
    say_faults(known, inputs.mapping)
    return known


def _run(settings: Settings, inputs: Inputs, known: Survey) -> Trial:
    # the stages, and the statistics with them: who misspells a file's name does without
    from stream_app.trial.run import in_memory

    with _bar("through the pipeline", known.predictions + known.outcomes) as bar:
        return in_memory(settings, inputs, known, _EVERY, lambda through, _: bar.update(through - bar.pos))


def _bar(label: str, length: int) -> Any:
    # without the time that is left: the first days carry the start of everything, and it said an hour of ten seconds
    hidden = not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, show_eta=False, hidden=hidden)


def _look_around(plan: ReplayPlan, known: Survey, keep: str | None) -> None:
    """The same on a broker, with the dashboard, until Ctrl-C or SIGTERM."""
    from stream_app.replay.own_pipeline import COUNTS
    from stream_app.trial.dashboard import ToldOfDashboard, services, show

    folder = Path(".plumbline") if keep is not None else Path(tempfile.mkdtemp(prefix="plumbline-try-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listing.say("starting a pipeline of its own" + (f", {keep}" if keep is not None else ""))

    def opened(address: str) -> None:
        click.echo(f"\ndashboard: {address}")
        if sys.stdout.isatty():
            click.launch(address)

    def done() -> None:
        listing.say("every row is judged; Ctrl-C ends it")

    try:
        with (
            services(folder, keep is not None) as settings,
            _bar("to Kafka", known.predictions + known.outcomes) as bar,
        ):
            told = ToldOfDashboard(lambda _, sent, __: bar.update(sent - bar.pos), opened, done)
            asyncio.run(show(settings, plan, known, folder, keep, told))
    except KeyboardInterrupt:
        if keep is not None:
            own = {"APP_ID": keep, "INPUT_PREFIX": f"{keep}.", "OUTPUT_PREFIX": f"{keep}.", "CLOCK": "follow", **COUNTS}
            words = " ".join(f"PLUMBLINE_{name}={value}" for name, value in own.items())
            click.echo(
                f"kept: topics {keep}.*, state in {folder / keep}; services go on until `plumbline services down`\n"
                f"again: export {words} PLUMBLINE_DATA_DIR={folder / keep / 'data'}; plumbline worker & plumbline web"
            )
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
