"""``plumbline alerts``."""

from __future__ import annotations

from typing import Any, Final

import click

from stream_app.cli import completing, listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.options import ModelName
from stream_app.cli.quality import quality
from stream_app.cli.waiting import run
from stream_app.settings import Whereabouts, place

_WHERE: Final = "`plumbline alerts --all` lists them"


def _status(row: dict[str, Any]) -> str:
    muted = f", muted until {row['muted_until'][:16]}Z" if "muted_until" in row else ""
    said = f", {row['verdict']['verdict']}" if "verdict" in row else ""
    return str(row["status"]) + (", escalated" if row["escalation_level"] else "") + muted + said


def _what(row: dict[str, Any]) -> str:
    """Why it is over, if it is, and what it is about."""
    ended = row.get("resolution")
    return f"{ended}; {row['summary']}" if ended is not None else str(row["summary"])


_COLUMNS: Final = (
    ListColumn("id", lambda row: row["id"]),
    ListColumn("model", lambda row: row["model"]),
    ListColumn("severity", lambda row: row["severity"], 1),
    ListColumn("opened", lambda row: row["opened_at"], 2, when=True),
    ListColumn("status", _status, 3),
    ListColumn("version", lambda row: row["model_version"], 5),
    ListColumn("type", lambda row: row["type"].removeprefix("ML_").replace("_", " ").lower(), 4),
    ListColumn("summary", _what, 6, sentence=True),
)
_REVISIONS: Final = (
    ListColumn("rev", lambda row: row["revision"], right=True),
    ListColumn("at", lambda row: row["at"][:16]),
    ListColumn("status", lambda row: row["status"]),
    ListColumn("severity", lambda row: row["severity"]),
    ListColumn("news", lambda row: row.get("notify", ""), 1),
    ListColumn("what", lambda row: _changed(row), sentence=True),
)


@click.command()
@click.argument("alert_id", required=False, shell_complete=completing.alerts)
@click.option(
    "--model", type=ModelName(), metavar="TYPE:TENANT", shell_complete=completing.models, help="Only this model."
)
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@listing.output_option
def alerts(alert_id: str | None, model: str | None, everything: bool, output: str) -> None:
    """List the open alerts, newest revision each, or show one with all that happened to it.

    \b
    Examples: plumbline alerts --model conflict:global --all
              plumbline alerts 3d5f0a7e   (the beginning of an id is enough)
    """
    settings = place.find()
    found = run(read_alerts(settings), "reading the alerts")
    if alert_id is not None:
        _show(found[listing.one_of(found, alert_id, "alert", _WHERE)], output)
        return
    latest = [revisions[-1] for revisions in found.values() if model in (None, revisions[-1]["model"])]
    latest = [row for row in latest if everything or row["status"] != "resolved"]
    latest.sort(key=lambda row: (row["opened_at"], row["model"]))
    none = "no alerts" if everything else "no open alerts; --all also lists the resolved ones"
    note = "`plumbline explain ID` shows the numbers behind an alert"
    listing.show(latest, _COLUMNS, output, empty=none, note=note)
    if not latest and listing.for_people(output):
        listing.say(quality(settings))


async def read_alerts(settings: Whereabouts) -> dict[str, list[dict[str, Any]]]:
    """Every revision of every alert by id, oldest first."""
    # the client of Kafka: whoever asks for help, or misspells an option, does without it
    from stream_app.kafka.reading import records
    from stream_app.projection.records import taken

    found: dict[str, list[dict[str, Any]]] = {}
    topic = f"{settings.output_prefix}alerts"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        if record.value is not None and (row := taken("alerts", record)) is not None:
            found.setdefault(row["id"], []).append(row)
    for revisions in found.values():
        revisions.sort(key=lambda row: row["revision"])
    return found


def _changed(row: dict[str, Any]) -> str:
    """What a revision says beside its status: how it ended, what it is about where that is news, who has taken it."""
    found = row["summary"] if row.get("notify") in ("opened", "severity") else ""
    taken = f"seen by {row['acknowledged_by']}" if "acknowledged_by" in row else ""
    changed = f"now {row['replaced_by']['version']}" if "replaced_by" in row else ""
    return row.get("resolution") or "; ".join(filter(None, (found, changed, taken)))


def _show(revisions: list[dict[str, Any]], output: str) -> None:
    if not listing.for_people(output):
        listing.show(revisions, _REVISIONS, output)
        return
    last = revisions[-1]
    listing.echo(f"{last['model']} {last['model_version']}  {last['severity']}  {last['status']}")
    if "resolution" in last:
        listing.echo(last["resolution"])
    listing.echo(f"{last['summary']}\n{last['recommendation']}\n{last['link']}\n")
    for name in ("owner", "runbook_url"):
        if name in last:
            listing.echo(f"{name.partition('_')[0]}: {last[name]}")
    if "verdict" in last:
        told = last["verdict"]
        listing.echo(f"{told['verdict']}, says {told['actor']}" + (f": {told['note']}" if "note" in told else ""))
    for told in last.get("notes", ()):
        listing.echo(f"{told['at'][:16]} {told['actor']}: {told['note']}")
    listing.show(revisions, _REVISIONS, output)
    auto = last["auto_retrain"]
    by = last.get("replaced_by")
    if by is not None and by["how"] == "retrained":
        listing.echo(f"was retrained: {by['version']} by training {by['command_id']}; the safeguards said:")
    elif by is not None and by["how"] == "recalibrated":
        listing.echo(f"was recalibrated: {by['version']} by command {by['command_id']}; the safeguards said:")
    else:
        listing.echo("may be retrained without a person" if auto["eligible"] else "will not be retrained by itself:")
    for guard in auto["safeguards"]:
        mark = "passed" if guard["passed"] else "refused"
        listing.echo(f"  {guard['name']}: {mark}, {guard['reason']}")
    named, count = last["drift_event_ids"], last["drift_event_count"]
    newest = f", the newest {len(named)} of {count:,}" if count > len(named) else ""
    listing.echo(f"\nevents{newest}: {', '.join(named)}")
