"""``plumbline relay``."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app import settings as settings_module
from stream_app.cli.options import metrics_port
from stream_app.errors import Incompatible
from stream_app.settings.toml_text import parsed

# what maps and sends is imported by who does: a shell that completes an option waits for the rest
if TYPE_CHECKING:
    from stream_app.ingest.relay.maps import RelayMap
    from stream_app.ingest.relay.session import RelayPlan, RelayProgress
    from stream_app.settings import Settings

#: Seconds between lines of progress.
_SAY_EVERY_S = 10.0


def _list_maps(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from stream_app.ingest.relay.maps import shipped, title_of

        for name in shipped():
            click.echo(f"{name:30}{title_of(name)}")
        ctx.exit()


def _print_map(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name and not ctx.resilient_parsing:
        from stream_app.ingest.relay.maps import text_of

        click.echo(text_of(name), nl=False)
        ctx.exit()


@click.command()
@click.argument("topics", nargs=-1, metavar="TOPIC…")
@click.option("--map", "map_name", required=True, metavar="FILE", help="A map file, or the name of a shipped map.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Value of one of the map's parameters.")
@click.option("--name", help="Name of this relay; its place is kept under it. Default: the map's name.")
@click.option(
    "--from", "begin", type=click.Choice(["earliest", "latest"]), default="earliest", show_default=True,
    help="Where to begin in partitions this relay has never read.",
)  # fmt: skip
@click.option("--until-end", is_flag=True, help="Stop at the end of the topics as it stands at the start.")
@click.option("--skip-deleted", is_flag=True, help="Go on where retention deleted records before they were relayed.")
@click.option("--check", is_flag=True, help="Only check the map; with --sample also run it, without Kafka.")
@click.option("--sample", type=click.Path(path_type=Path), help="File of records for --check, one JSON object a line.")
@click.option("--json", "as_json", is_flag=True, help="At the end, one JSON object; with --check one a record.")
@metrics_port
@click.option(
    "--list-maps", is_flag=True, is_eager=True, expose_value=False, callback=_list_maps, help="List shipped maps."
)
@click.option(
    "--print-map", metavar="NAME", is_eager=True, expose_value=False, callback=_print_map,
    help="Print a shipped map, to start your own from.",
)  # fmt: skip
def relay(
    topics: tuple[str, ...], map_name: str, values: tuple[str, ...], name: str | None, begin: str, until_end: bool,
    skip_deleted: bool, check: bool, sample: Path | None, as_json: bool, port: int | None,
) -> None:  # fmt: skip
    """Turn records of other topics into predictions and outcomes, exactly once, by a map.

    Several relays of one name share the partitions; killed and started again, it goes on where it was, and nothing is
    lost or doubled. What the map makes nothing of goes to the dead-lettered records with the path that failed.

    \b
    Example, KServe's inference logger, class 1 of two being the positive one:
      plumbline relay kserve-events --map kserve-v2 --set model_type=churn --set class=1
      plumbline relay --map kserve-v2 --check --sample events.jsonl
    """
    from stream_app.ingest.relay.maps import load_map
    from stream_app.ingest.relay.session import RelayPlan

    relay_map = load_map(map_name, _parameters(values))
    settings = settings_module.load()
    if check or sample is not None:
        _check(relay_map, sample, settings, as_json)
        return
    if not topics:
        raise click.UsageError("name at least one TOPIC to relay, or --check the map")
    plan = RelayPlan(topics, relay_map, _name(name or relay_map.name), begin == "latest", skip_deleted, until_end)
    progress = asyncio.run(_run(settings, plan, port))
    if as_json:
        click.echo(json.dumps({**asdict(progress.counts), "deleted": progress.deleted}))
    else:
        click.echo(_sentence(progress))


def _parameters(values: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
        try:
            found[key] = parsed(f"value = {value}")["value"]
        except ValueError:
            found[key] = value
    return found


def _name(name: str) -> str:
    from stream_app.settings.installation import Installation

    try:
        return str(Installation._part_of_a_topic_name(name))
    except ValueError as error:
        raise Incompatible(f"--name {name}: {error}") from error


def _check(relay_map: RelayMap, sample: Path | None, settings: Settings, as_json: bool) -> None:
    if sample is None:
        click.echo(f"map {relay_map.name} is sound; parameters: {json.dumps(dict(relay_map.parameters))}")
        return
    from stream_app.ingest.relay.mapper import Mapper
    from stream_app.ingest.relay.samples import samples
    from stream_app.ingest.relay.source import Unmappable

    mapper, faults = Mapper(relay_map, settings.max_record_bytes), 0
    for record in samples(sample):
        row: dict[str, Any] = {"line": record.offset}
        try:
            made = mapper.map(record)
            row["made"] = [{"to": item.to, "record": json.loads(item.value)} for item in made]
            text = "\n".join(f"{item.to}  {item.value.decode()}" for item in made) or "nothing: no part selects it"
        except Unmappable as error:
            faults += 1
            row |= {"reason": error.reason, "error": str(error)}
            text = f"dead-lettered record ({error.reason})  {error}"
        click.echo(json.dumps(row) if as_json else f"line {record.offset}: {text}")
    if faults:
        raise SystemExit(1)


async def _run(settings: Settings, plan: RelayPlan, port: int | None) -> RelayProgress:
    from stream_app.ingest.relay import figures
    from stream_app.ingest.relay.run import run_relay
    from stream_app.ingest.relay.session import RelayProgress
    from stream_app.kafka.topics import topics_of
    from stream_app.worker import metrics

    topics = topics_of(settings)
    logging.basicConfig(level=logging.WARNING, format="plumbline: %(message)s")
    # A producer that was let go leaves unread futures behind; what they hold has been said once already.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    said_at, said = time.monotonic(), -1

    def told(progress: RelayProgress) -> None:
        nonlocal said_at, said
        if time.monotonic() - said_at >= _SAY_EVERY_S and progress.counts.records != said:
            said_at, said = time.monotonic(), progress.counts.records
            click.echo(f"{_sentence(progress)}; {progress.partitions} partitions here", err=True)

    progress = RelayProgress()
    async with metrics.served(settings, port, partial(figures.put, plan.name, progress)):
        return await run_relay(settings, topics, plan, stop, told, progress)


def _sentence(progress: RelayProgress) -> str:
    counts = progress.counts
    return (
        f"relayed {counts.records:,} records: {counts.predictions:,} predictions, {counts.outcomes:,} outcomes; "
        f"{counts.passed:,} not selected, {counts.dead_lettered:,} dead-lettered"
        + (f"; {progress.deleted:,} had been deleted" if progress.deleted else "")
    )
