"""``plumbline explain``."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from schemas.common import parse_ms, rfc3339
from stream_app import settings as settings_module
from stream_app.cli.alerts import read_alerts
from stream_app.kafka.reading import records
from stream_app.kafka.topics import topics_of
from stream_app.replay.recompute import recompute
from stream_app.settings import Settings
from stream_app.stage_configs import comparison_rules


@click.command()
@click.argument("id")
@click.option("--no-recompute", is_flag=True, help="Only show what was published.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain(id: str, no_recompute: bool, as_json: bool) -> None:
    """Show what stands behind a drift event or an alert, and work it out again from the input topics.

    The exit code is 0 if it comes out the same to the last byte, and 1 if it does not.

    \b
    Example: plumbline explain 3d5f0a7e-2f2b-5c55-9a53-1f3c3c3f8a11
    """
    settings = settings_module.load()
    found = asyncio.run(_find(settings, id))
    if found is None:
        raise click.ClickException(
            f"no drift event or alert has the id {id}: `plumbline alerts --all` lists alerts and their events. "
            f"Looked in {settings.output_prefix}drift-events and {settings.output_prefix}alerts."
        )
    console = Console(stderr=as_json)
    events, published = found
    if not as_json:
        _tell(console, events, published, settings)
    model = json.loads(next(iter(published.values())))["model"]
    rules = dataclasses.asdict(comparison_rules(settings, model))
    if not as_json:
        console.print("decided by: " + ", ".join(f"{k} {_plain(v)}" for k, v in rules.items()), style="dim")
    differences: list[str] | None = None
    inputs: dict[str, dict[int, int]] = {}
    if not no_recompute:
        differences, inputs = _again(console, settings, published)
    if as_json:
        click.echo(
            json.dumps({
                "id": id, "records": [json.loads(value) for value in published.values()], "events": events,
                "settings_hash": settings.hash_of(model), "rules": rules, "inputs": inputs,
                "same": None if differences is None else not differences, "differences": differences,
            }, sort_keys=True, default=str)
        )  # fmt: skip
    if differences:
        raise SystemExit(1)


Key = tuple[str, int]


async def _find(settings: Settings, id: str) -> tuple[list[dict[str, Any]], dict[Key, bytes]] | None:
    """The events behind an id, and what was published under it: an event, or an alert's revisions."""
    topic = f"{settings.output_prefix}drift-events"
    events: dict[str, bytes] = {}
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        events[record.key.decode()] = record.value
    if id in events:
        return [json.loads(events[id])], {(id, 0): events[id]}
    revisions = (await read_alerts(settings)).get(id)
    if revisions is None:
        return None
    behind = [json.loads(events[e]) for e in revisions[-1]["drift_event_ids"] if e in events]
    published: dict[Key, bytes] = {}
    topic = f"{settings.output_prefix}alerts"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        if record.value is not None and record.key.decode() == id:
            published[id, json.loads(record.value)["revision"]] = record.value
    return behind, published


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"


def _again(
    console: Console, settings: Settings, published: dict[Key, bytes]
) -> tuple[list[str], dict[str, dict[int, int]]]:
    """Fields in which a record comes out differently, none if all bytes are the same; and how far inputs were read."""
    rows = {key: json.loads(value) for key, value in published.items()}
    last = max(rows.values(), key=lambda row: str(row["at"]))
    until = parse_ms(last["at"])
    with console.status("") as status:

        def show(at_ms: int) -> None:
            status.update(f"reading the input topics again: {rfc3339(at_ms)[:16]} of {last['at'][:16]}")

        found = asyncio.run(
            recompute(settings, topics_of(settings), last["model"], until, lambda v: json.loads(v)["revision"], show)
        )
    for topic, offsets in sorted(found.inputs.items()):
        console.print(
            f"{topic} before offsets {', '.join(f'{p}: {o:,}' for p, o in sorted(offsets.items()))}", style="dim"
        )
    differences = []
    for key, value in published.items():
        made = found.events.get(key[0]) if key[1] == 0 else found.alerts.get(key)
        differences += _differ(key, value, made, settings)
    if differences:
        console.print("[bold red]It does not come out the same:[/bold red]")
        for text in differences:
            console.print(f"  {text}", markup=False)
    else:
        size = sum(map(len, published.values()))
        console.print(
            f"[bold]Worked out again from {found.ticks:,} ticks of the input topics: the same, to the last of "
            f"{size:,} bytes.[/bold]"
        )
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


def _tell(console: Console, events: list[dict[str, Any]], published: dict[Key, bytes], settings: Settings) -> None:
    for (id, revision), value in sorted(published.items(), key=lambda item: item[0][1])[-1:]:
        row = json.loads(value)
        if revision:
            console.print(f"[bold]alert {id}[/bold], {row['model']}, revision {revision}, {row['status']}")
            console.print(f"{row['summary']}\n{row['recommendation']}\n", markup=False)
    for row in events[-12:]:
        console.print(_title(row), markup=False)
        if row.get("faults"):
            console.print(f"  broken in the data that day: {'; '.join(row['faults'])}", markup=False)
        if row["windows"]:
            console.print(_windows(row))
        console.print(
            f"  closed at {row['as_of']}, decided at tick {row['at']}; baseline {row['baseline_kind'] or 'none'} of "
            f"version {row['baseline_version'] or '–'}; settings {row['settings_hash']}\n",
            markup=False,
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


def _windows(row: dict[str, Any]) -> Table:
    table = Table()
    for name in ("from", "to", "what", "recent", "baseline", "rows", "99 % bounds"):
        table.add_column(name)
    for window in row["windows"]:
        what = window.get("metric") or ("mean score" if row["kind"] == "statistical" else row.get("check", ""))
        if window.get("statistic") is not None:
            what += f", D = {window['statistic']:.4f}"
        bounds = window["interval"]
        table.add_row(
            window["from"][:10], window["to"][:10], what, _number(window["recent"]), _number(window["baseline"]),
            f"{window.get('recent_rows', 0):,} / {window.get('baseline_rows', 0):,}",
            "–" if bounds is None else f"{bounds[0]:+.4f} … {bounds[1]:+.4f}",
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
