"""What people do about alerts, what is muted, and what became of a command."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from schemas.alerts import MuteKind
from schemas.common import NAME, parse_ms, rfc3339
from stream_app.web.answers import Refused, answer
from stream_app.web.commanding import Because, Key, Operator
from stream_app.web.reading import AnyId, ModelFilter, Viewer
from stream_app.web.site import Site, site_of

router = APIRouter(prefix="/api/v1", tags=["ordering"])

CommandId = Annotated[str, Path(min_length=1, max_length=128, description="`command_id` of an answer with 202")]
Note = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Time = Annotated[str, Field(max_length=40, description="RFC 3339, with an offset")]


class VerdictCommand(BaseModel):
    """What an alert was found to be."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["real", "false"]
    note: Note | None = None


class NoteCommand(BaseModel):
    """What is to stand on an alert."""

    model_config = ConfigDict(extra="forbid")

    note: Note


class UnmuteCommand(Because):
    """Whose mutes end: a model's or a type's, of some kinds or of all."""

    model: str | None = Field(None, pattern=rf"^{NAME}:{NAME}$")
    model_type: str | None = Field(None, pattern=rf"^{NAME}$")
    kinds: list[MuteKind] = Field(default=[], max_length=7, description="none: all")

    def about(self) -> tuple[str, dict[str, Any]]:
        """The model of the command, and the arguments that say whom it is about."""
        if (self.model is None) == (self.model_type is None):
            raise Refused(422, "model_or_type", "say either model or model_type")
        arguments: dict[str, Any] = {"kinds": sorted(set(self.kinds))} if self.kinds else {}
        if self.model is not None:
            return self.model, arguments
        return "*", {**arguments, "model_type": self.model_type}


class MuteCommand(UnmuteCommand):
    """What nobody is told of for a time, 30 days at most; without ``from`` at once."""

    from_: Time | None = Field(None, alias="from")
    until: Time


@router.post("/alerts/{id}/acknowledge", status_code=202)
async def acknowledge(request: Request, id: AnyId, body: Because, user: Operator, key: Key = None) -> Response:
    """Take an open alert: no more reminders and no escalation."""
    site = site_of(request)
    model = await _open(site, id)
    return await site.ordered(user, key, model, "acknowledge", {"alert_id": id}, body.reason)


@router.post("/alerts/{id}/unacknowledge", status_code=202)
async def unacknowledge(request: Request, id: AnyId, body: Because, user: Operator, key: Key = None) -> Response:
    """Give an open alert back: reminders and the time to its escalation begin again."""
    site = site_of(request)
    model = await _open(site, id)
    return await site.ordered(user, key, model, "unacknowledge", {"alert_id": id}, body.reason)


@router.post("/alerts/{id}/verdict", status_code=202)
async def verdict(request: Request, id: AnyId, body: VerdictCommand, user: Operator, key: Key = None) -> Response:
    """Say whether an alert was real or false, while it is open or when it is over. A later verdict takes its place."""
    site = site_of(request)
    alert = await _alert(site, id)
    arguments = {"alert_id": id, "verdict": body.verdict} | ({"note": body.note} if body.note is not None else {})
    return await site.ordered(user, key, alert["model"], "verdict", arguments, body.note or f"it was {body.verdict}")


@router.post("/alerts/{id}/note", status_code=202)
async def note(request: Request, id: AnyId, body: NoteCommand, user: Operator, key: Key = None) -> Response:
    """Write on an alert; its newest eight notes stand there."""
    site = site_of(request)
    alert = await _alert(site, id)
    return await site.ordered(user, key, alert["model"], "note", {"alert_id": id, "note": body.note}, body.note)


@router.post("/mutes", status_code=202)
async def mute(request: Request, body: MuteCommand, user: Operator, key: Key = None) -> Response:
    """Have nobody told of a model's or a type's alerts until then; they are recorded as ever."""
    model, arguments = body.about()
    arguments["until"] = _time("until", body.until)
    if body.from_ is not None:
        arguments["from"] = _time("from", body.from_)
    return await site_of(request).ordered(user, key, model, "mute", arguments, body.reason)


@router.post("/mutes/lift", status_code=202)
async def unmute(request: Request, body: UnmuteCommand, user: Operator, key: Key = None) -> Response:
    """Lift what is muted. What is still open is told of at once."""
    model, arguments = body.about()
    return await site_of(request).ordered(user, key, model, "unmute", arguments, body.reason)


@router.get("/mutes", tags=["reading"])
async def mutes(request: Request, user: Viewer, model: ModelFilter = None) -> Response:
    """What is muted now or will be, the first to end first; with ``model`` what concerns it, its type's too."""
    reader = site_of(request).reader
    return answer({"items": await reader.mutes(model, (await reader.status()).tick_ms), "next": None})


@router.get("/precision", tags=["reading"])
async def precision(
    request: Request, user: Viewer, model_type: Annotated[str | None, Query(pattern=f"^{NAME}$")] = None
) -> Response:
    """How often each rule was right by the verdicts of people on its alerts of the last 90 days, with Wilson's 95 %
    interval. ``advice`` names the setting to change where, of 20 verdicts or more, less than half were real."""
    reader = site_of(request).reader
    return answer({"rules": await reader.precision(model_type, (await reader.status()).tick_ms)})


@router.get("/commands/{id}", tags=["reading"])
async def command(request: Request, id: CommandId, user: Viewer) -> Response:
    """What became of a command: ``written`` until a tick covers it, then ``done``, or ``refused`` with the reason. One
    for all models is done when every partition has answered, and refused when none did anything."""
    site = site_of(request)
    written, found = await site.written(id), await site.reader.outcomes(id)
    if not found:
        if written is None:
            raise Refused(404, "unknown_command", "no command of the last day has this id; the audit says more")
        # a redrive passes no stage, and says its end itself
        return answer({"state": "written", "effects": [], **written})
    first, known = found[0], written or {}
    whole = len(found) >= first["partitions"] or first["model"] != "*"
    done = any(row["state"] == "done" for row in found)
    effects = [effect for row in found for effect in row["effects"]]
    out = {
        **{name: first[name] for name in ("command_id", "command", "model", "actor", "reason")},
        "written_at": known.get("written_at"),
        "state": ("done" if done else "refused") if whole else "waiting",
        "at": max(row["at"] for row in found),
        "effects": [effect for number, effect in enumerate(effects) if effect not in effects[:number]],
    }
    if whole and not done:
        out["refused_because"] = first["refused_because"]
    return answer(out)


async def _alert(site: Site, id: str) -> dict[str, Any]:
    found = await site.reader.alert(id)
    if found is None:
        raise Refused(404, "unknown_alert", "no alert of the last 90 days has this id")
    return found[0]


async def _open(site: Site, id: str) -> str:
    """The model of an open alert."""
    alert = await _alert(site, id)
    if alert["status"] == "resolved":
        raise Refused(409, "resolved", "this alert is resolved already")
    return str(alert["model"])


def _time(name: str, text: str) -> str:
    """The time in UTC."""
    try:
        return rfc3339(parse_ms(text))
    except ValueError as error:
        raise Refused(422, "invalid", f"{name}: {error}") from error
