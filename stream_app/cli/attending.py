"""What people do about alerts: mute, judge, write on them, give them back; and how often each rule was right."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final

import click

from schemas.common import NAME, parse_ms, rfc3339
from stream_app import settings as settings_module
from stream_app.cli import completing, listing
from stream_app.cli.alerts import read_alerts
from stream_app.cli.listing import ListColumn
from stream_app.cli.operators import options, write
from stream_app.cli.waiting import run
from stream_app.settings import place

if TYPE_CHECKING:
    from stream_app.settings import Settings

_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KINDS: Final = (
    "statistical", "performance", "outcomes", "ML_APPROVAL_WANTED", "ML_TRAINING_FAILED", "ML_ROLLED_BACK",
    "ML_CIRCUIT_OPEN",
)  # fmt: skip
_kinds = click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only alerts of this kind; may be repeated."
)


@click.command()
@click.argument("whose", metavar="MODEL|TYPE", shell_complete=completing.models_and_types)
@click.option("--for", "lasts", metavar="TIME", help="How long: 90m, 2h, 3d; 30 days at most.")
@click.option("--until", metavar="TIME", help="Until when, RFC 3339 with an offset: 2026-03-09T08:00Z.")
@click.option("--from", "begins", metavar="TIME", help="From when on, RFC 3339, or in 90m, 2h, 3d; default: at once.")
@_kinds
@options
def mute(
    whose: str, lasts: str | None, until: str | None, begins: str | None, kinds: tuple[str, ...], actor: str,
    reason: str,
) -> None:  # fmt: skip
    """Have nobody told of a model's alerts, or of all models of a type, for a time. They are recorded as ever.

    When it ends, what is still open is told of, and so is the end of what people were told of before.

    \b
    Examples: plumbline mute fraud:acme --for 2h --reason "load test"
              plumbline mute fraud --from 2026-03-07T00:00Z --until 2026-03-09T00:00Z --reason "promotion"
    """
    if (lasts is None) == (until is None):
        raise click.UsageError("say how long with --for, or until when with --until")
    now_ms = time.time_ns() // 1_000_000
    first = _when(begins, now_ms, "--from") if begins is not None else None
    end = _when(until, now_ms, "--until") if until is not None else None
    if lasts is not None:
        end = (first if first is not None else now_ms) + _span(lasts, "--for")
    model, arguments = _about(whose, kinds)
    arguments["until"] = rfc3339(end or 0)
    if first is not None:
        arguments["from"] = rfc3339(first)
    write(settings_module.load(), model, "mute", arguments, actor, reason)


@click.command()
@click.argument("whose", metavar="MODEL|TYPE", shell_complete=completing.models_and_types)
@_kinds
@options
def unmute(whose: str, kinds: tuple[str, ...], actor: str, reason: str) -> None:
    """Lift what is muted of a model or of a type. What is still open is told of at once.

    \b
    Example: plumbline unmute fraud:acme --reason "load test over"
    """
    model, arguments = _about(whose, kinds)
    write(settings_module.load(), model, "unmute", arguments, actor, reason)


@click.command()
@click.argument("alert_id", shell_complete=completing.alerts)
@click.argument("found", metavar="real|false", type=click.Choice(("real", "false")))
@click.option("--note", help="What it was; 500 characters at most.")
@options
def verdict(alert_id: str, found: str, note: str | None, actor: str, reason: str) -> None:
    """Say whether an alert was real or false, while it is open or up to 90 days after its end.

    `plumbline precision` counts the verdicts by rule.

    \b
    Example: plumbline verdict 3d5f0a7e false --note "a test tenant" --reason "seen with the data team"
    """
    settings = settings_module.load()
    alert = _alert(settings, alert_id)
    arguments = {"alert_id": alert["id"], "verdict": found} | ({"note": note} if note is not None else {})
    write(settings, alert["model"], "verdict", arguments, actor, reason)


@click.command()
@click.argument("alert_id", shell_complete=completing.alerts)
@click.argument("text")
@options
def note(alert_id: str, text: str, actor: str, reason: str) -> None:
    """Write on an alert, open or over: 500 characters at most, the newest eight notes stay.

    \b
    Example: plumbline note 3d5f0a7e "feature pipeline was down from 02:00" --reason "handing over"
    """
    settings = settings_module.load()
    alert = _alert(settings, alert_id)
    write(settings, alert["model"], "note", {"alert_id": alert["id"], "note": text}, actor, reason)


@click.command()
@click.argument("alert_id", shell_complete=completing.open_alerts)
@options
def unacknowledge(alert_id: str, actor: str, reason: str) -> None:
    """Give an open alert back: reminders and the time to its escalation begin again.

    \b
    Example: plumbline unacknowledge 3d5f0a7e --reason "end of my shift"
    """
    settings = settings_module.load()
    alert = _alert(settings, alert_id)
    if alert["status"] == "resolved":
        raise click.ClickException(f"alert {alert['id']} is resolved already ({alert['resolution']})")
    write(settings, alert["model"], "unacknowledge", {"alert_id": alert["id"]}, actor, reason)


_PRECISION: Final = (
    ListColumn("type", lambda row: row["model_type"]),
    ListColumn("rule", lambda row: row["rule"]),
    ListColumn("real", lambda row: row["real"], right=True),
    ListColumn("false", lambda row: row["false"], right=True),
    ListColumn("precision", lambda row: f"{row['precision']:.2f}", right=True),
    ListColumn("95 %", lambda row: f"{row['lower']:.2f}–{row['upper']:.2f}", 1),
    ListColumn("advice", lambda row: row.get("advice", ""), 2, sentence=True),
)


@click.command()
@click.option("--type", "model_type", help="Only models of this type.")
@listing.output_option
def precision(model_type: str | None, output: str) -> None:
    """How often each rule was right, by what people said of its alerts of the last 90 days.

    With Wilson's 95 % interval. Below one half, of 20 verdicts or more, it names the setting to change.

    \b
    Example: plumbline precision --type fraud
    """
    from stream_app.projection.precision import DAYS, brief, measured

    alerts = run(read_alerts(place.find()), "reading the alerts")
    newest = [revisions[-1] for revisions in alerts.values()]
    last = max((parse_ms(row["at"]) for row in newest), default=0)
    since = rfc3339(max(0, last - DAYS * _UNITS["d"]))
    rows = measured(filter(None, map(brief, newest)), since, model_type)
    none = "no alert has a verdict yet: `plumbline verdict ID real` or `false` gives one"
    listing.show(rows, _PRECISION, output, empty=none)


def _alert(settings: Settings, beginning: str) -> dict[str, Any]:
    """The newest revision of the alert whose id begins so."""
    found = asyncio.run(read_alerts(settings))
    return found[listing.one_of(found, beginning, "alert", "`plumbline alerts --all` lists them")][-1]


def _about(whose: str, kinds: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {"kinds": sorted(set(kinds))} if kinds else {}
    if re.fullmatch(f"{NAME}:{NAME}", whose):
        return whose, arguments
    if not re.fullmatch(NAME, whose):
        raise click.BadParameter("a model is written TYPE:TENANT, a type is one name", param_hint="MODEL|TYPE")
    return "*", {**arguments, "model_type": whose}


def _span(text: str, option: str) -> int:
    """Milliseconds of 90m, 2h or 3d."""
    matched = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([mhd])", text)
    if matched is None:
        raise click.BadParameter(f"{text!r} is no time: 90m, 2h and 3d are", param_hint=option)
    return round(float(matched[1]) * _UNITS[matched[2]])


def _when(text: str, now_ms: int, option: str) -> int:
    if re.fullmatch(r"[0-9.]+[mhd]", text):
        return now_ms + _span(text, option)
    try:
        # seconds may be left out
        return parse_ms(re.sub(r"(T[0-9]{2}:[0-9]{2})(Z|[+-][0-9:]+)$", r"\1:00\2", text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
