"""``plumbline explain``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from stream_app import settings as settings_module
from stream_app.cli import completing, listing
from stream_app.cli.alerts import read_alerts
from stream_app.cli.listing import ListColumn
from stream_app.cli.options import ModelName
from stream_app.cli.waiting import run

if TYPE_CHECKING:
    from stream_app.settings import Settings


@click.command()
@click.argument("id", shell_complete=completing.alerts_and_events)
@click.option(
    "--model", type=ModelName(), metavar="TYPE:TENANT", shell_complete=completing.models,
    help="Whose it is: spares reading the events of all others.",
)  # fmt: skip
@click.option("--no-recompute", is_flag=True, help="Only show what was published.")
@click.option("--from-rows", is_flag=True, help="Join predictions and outcomes anew; takes as long as the rows took.")
@listing.output_option
def explain(id: str, model: str | None, no_recompute: bool, from_rows: bool, output: str) -> None:
    """Show what stands behind a drift event or an alert, and make it again: from the counts that the labels stage
    published, or with --from-rows from every prediction and outcome.

    The beginning of an id is enough. The exit code is 0 if it comes out the same to the last byte, and 1 if not.
    -o json gives one object with all of it, -o csv a row for each window of each event.

    \b
    Examples: plumbline explain 3d5f0a7e
              plumbline explain 3d5f0a7e-2f2b-5c55-9a53-1f3c3c3f8a11 --from-rows
    """
    settings = settings_module.load()
    found = run(_find(settings, id, model), "looking for it")
    people = listing.for_people(output)
    say = _say(people)
    events, published = found
    if people:
        _tell(events, published, output)
    model = json.loads(next(iter(published.values())))["model"]
    rules = _rules(settings, model)
    if people:
        listing.echo("decided by: " + ", ".join(f"{k} {_plain(v)}" for k, v in rules.items()))
    differences: list[str] | None = None
    inputs: dict[str, dict[int, int]] = {}
    if not no_recompute:
        differences, inputs = _again(say, settings, published, from_rows)
    if output == "csv":
        listing.show([row for event in events for row in _windows(event)], _EVENT_WINDOW, output)
    elif output == "json":
        listing.echo(
            json.dumps({
                "id": next(iter(published))[0], "records": [json.loads(value) for value in published.values()],
                "events": events, "settings_hash": settings.hash_of(model), "rules": rules, "inputs": inputs,
                "same": None if differences is None else not differences, "differences": differences,
            }, sort_keys=True, default=str)
        )  # fmt: skip
    if differences:
        raise SystemExit(1)


Key = tuple[str, int]
_WHERE: Final = "`plumbline alerts --all` lists alerts"


def _say(people: bool) -> Callable[[str], None]:
    return lambda text: listing.echo(text, err=not people)


def _rules(settings: Settings, model: str) -> dict[str, Any]:
    # brings the stages along, and they the statistics: those who only misspell an id do without
    from stream_app.stage_configs import comparison_rules

    return dataclasses.asdict(comparison_rules(settings, model))


async def _find(settings: Settings, id: str, model: str | None) -> tuple[list[dict[str, Any]], dict[Key, bytes]]:
    """The events behind an id, and what was published under it: an alert's revisions, or an event.

    Alerts are few, and say whose they are; of the events only the partition of their model is read then.
    """
    from schemas.partitioning import partition_for
    from stream_app.kafka.admin import require_counts
    from stream_app.kafka.reading import records
    from stream_app.kafka.topics import topics_of
    from stream_app.projection.records import taken

    await require_counts(settings.kafka_bootstrap, settings.kafka_client_options(), topics_of(settings))
    bootstrap, options, prefix = settings.kafka_bootstrap, settings.kafka_client_options(), settings.output_prefix
    partition = None if model is None else partition_for(model.encode(), settings.model_partitions)
    alerts = await read_alerts(settings)
    matching = [known for known in alerts if known.startswith(id)]
    if matching:
        id = listing.one_of(matching, id, "alert", _WHERE)
        partition = partition_for(alerts[id][-1]["model"].encode(), settings.model_partitions)
    events: dict[str, bytes] = {}
    wanted = set(alerts[id][-1]["drift_event_ids"]) if matching else set()
    async for record in records(bootstrap, options, f"{prefix}drift-events", partition=partition):
        row = taken("drift-events", record)
        # of the others nobody asks, and there may be very many
        if row is not None and (row["id"] in wanted if matching else row["id"].startswith(id)):
            events[row["id"]] = record.value
    if not matching:
        id = listing.one_of(events, id, "drift event or alert", f"{_WHERE} and their events. {_looked(prefix)}")
        return [json.loads(events[id])], {(id, 0): events[id]}
    behind = [json.loads(events[e]) for e in alerts[id][-1]["drift_event_ids"] if e in events]
    published: dict[Key, bytes] = {}
    async for record in records(bootstrap, options, f"{prefix}alerts", partition=partition):
        row = taken("alerts", record) if record.value is not None else None
        if row is not None and row["id"] == id:
            published[id, row["revision"]] = record.value
    return behind, published


def _looked(prefix: str) -> str:
    return f"Looked in {prefix}drift-events and {prefix}alerts."


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"


def _again(
    say: Callable[[str], None], settings: Settings, published: dict[Key, bytes], from_rows: bool
) -> tuple[list[str], dict[str, dict[int, int]]]:
    """Fields in which a record comes out differently, none if all bytes are the same; and how far inputs were read."""
    from schemas.common import parse_ms, rfc3339
    from stream_app.kafka.topics import topics_of
    from stream_app.replay.recompute import Gone, Recomputed, recompute

    rows = {key: json.loads(value) for key, value in published.items()}
    last = max(rows.values(), key=lambda row: str(row["at"]))
    reached = ""

    def show(at_ms: int) -> None:
        nonlocal reached
        reached = f": {rfc3339(at_ms)[:16]} of {last['at'][:16]}"

    def once_more(rows_too: bool) -> Recomputed:
        work = recompute(
            settings, topics_of(settings), last["model"], parse_ms(last["at"]),
            lambda value: int(json.loads(value)["revision"]), show, from_rows=rows_too,
        )  # fmt: skip
        return run(work, lambda: f"recomputing{reached}")

    try:
        found = once_more(from_rows)
    except Gone as gone:
        if from_rows:
            raise
        say(f"the published counts cannot be taken ({gone.args[0].partition(':')[0]}); the rows are read instead")
        from_rows, found = True, once_more(True)
    for topic, offsets in sorted(found.inputs.items()):
        say(f"{topic} before offsets {', '.join(f'{p}: {o:,}' for p, o in sorted(offsets.items()))}")
    differences = []
    for key, value in published.items():
        made = found.events.get(key[0]) if key[1] == 0 else found.alerts.get(key)
        differences += _differ(key, value, made, settings)
    if differences:
        say("It does not come out the same:")
        for text in differences:
            say(f"  {text}")
    else:
        size = sum(map(len, published.values()))
        what = "every prediction and outcome" if from_rows else "the published counts (--from-rows makes them anew)"
        say(f"Recomputed from {found.ticks:,} ticks and {what}: the same, to the last of {size:,} bytes.")
    return differences, found.inputs


def _differ(key: Key, published: bytes, made: bytes | None, settings: Settings) -> list[str]:
    where = key[0] + (f" revision {key[1]}" if key[1] else "")
    if made is None:
        return [f"{where}: it is not made at all"]
    if made == published:
        return []
    old, new = json.loads(published), json.loads(made)
    # a replay under another address of the dashboard is the same decision
    names = [n for n in sorted({*old, *new}) if old.get(n) != new.get(n) and n != "link"]
    hint = ""
    if "settings_hash" in names:
        held = settings.hash_of(old["model"])
        hint = f" (of these settings, what holds for {old['model']} has the hash {held}: use those it was made with)"
    return [f"{where}: {n} was {old.get(n)!r}, comes out as {new.get(n)!r}{hint}" for n in names]


def _tell(events: list[dict[str, Any]], published: dict[Key, bytes], output: str) -> None:
    for (id, revision), value in sorted(published.items(), key=lambda item: item[0][1])[-1:]:
        row = json.loads(value)
        if revision:
            listing.echo(f"alert {id}, {row['model']}, revision {revision}, {row['status']}")
            listing.echo(f"{row['summary']}\n{row['recommendation']}\n")
    for row in events[-12:]:
        listing.echo(_title(row))
        if row.get("faults"):
            listing.echo(f"  broken in the data that day: {'; '.join(row['faults'])}")
        if row["windows"]:
            listing.show(_windows(row), _WINDOW, output)
        listing.echo(
            f"  closed at {row['as_of']}, decided at tick {row['at']}; baseline {row['baseline_kind'] or 'none'} of "
            f"version {row['baseline_version'] or '–'}; settings {row['settings_hash']}\n"
        )


def _title(row: dict[str, Any]) -> str:
    check = f" {row['check']}" if "check" in row else ""
    severity = f" {row['severity']}" if "severity" in row else ""
    statistic = "" if row["statistic"] is None else f", statistic {row['statistic']:.6g}"
    p = f", p = {row['p_value']:.3g}" if row.get("p_value") is not None else ""
    why = f" ({row['reason']})" if "reason" in row else ""
    return (
        f"{row['kind']}{check} of {row['model']} {row['model_version']} on {row['as_of'][:10]}: {row['verdict']}"
        f"{severity}{why}; the unadjusted rule says {row['rule_verdict'] or 'nothing'}{statistic}{p}"
    )


def _windows(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**window, "what": _what(row, window), "event": row} for window in row["windows"]]


def _what(row: dict[str, Any], window: dict[str, Any]) -> str:
    what = window.get("metric") or ("mean score" if row["kind"] == "statistical" else row.get("check", ""))
    return f"{what}, D = {window['statistic']:.4f}" if window.get("statistic") is not None else str(what)


def _rows(window: dict[str, Any]) -> str:
    return f"{window.get('recent_rows', 0):,} / {window.get('baseline_rows', 0):,}"


def _bounds(window: dict[str, Any]) -> str:
    bounds = window["interval"]
    return "" if bounds is None else f"{bounds[0]:+.4f} … {bounds[1]:+.4f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


_WINDOW: Final = (
    ListColumn("from", lambda window: window["from"][:10]),
    ListColumn("to", lambda window: window["to"][:10]),
    ListColumn("what", lambda window: window["what"]),
    ListColumn("recent", lambda window: _number(window["recent"]), right=True),
    ListColumn("baseline", lambda window: _number(window["baseline"]), right=True),
    ListColumn("rows", _rows, right=True),
    ListColumn("99 % bounds", _bounds),
)
#: A window that stands for itself: whose it is, and of which event.
_EVENT_WINDOW: Final = (
    ListColumn("event", lambda window: window["event"]["id"]),
    ListColumn("model", lambda window: window["event"]["model"]),
    ListColumn("version", lambda window: window["event"]["model_version"]),
    ListColumn("as of", lambda window: window["event"]["as_of"]),
    ListColumn("kind", lambda window: window["event"]["kind"]),
    ListColumn("verdict", lambda window: window["event"]["verdict"]),
    ListColumn("severity", lambda window: window["event"].get("severity")),
    *_WINDOW,
)
