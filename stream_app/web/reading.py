"""What can be asked: the fleet, models, drift events, alerts, trainings, audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.alerts import AlertType
from schemas.common import NAME, rfc3339
from schemas.drift import DriftKind, Severity
from stream_app.core.kit.days import date_of, day_of
from stream_app.core.kit.spans import WindowName, close_day, span
from stream_app.http.bounds import PAGE_ROWS
from stream_app.projection.fleet import Entry
from stream_app.projection.holding import rules_of
from stream_app.projection.judgement import QualityJudgement
from stream_app.web.answers import Refused, answer, following, page, position
from stream_app.web.auth import User
from stream_app.web.site import site_of, viewer

router = APIRouter(prefix="/api/v1", tags=["reading"])

ModelId = Annotated[str, Path(pattern=f"^{NAME}:{NAME}$", description="TYPE:TENANT, or TYPE:global")]
ModelFilter = Annotated[str | None, Query(pattern=f"^{NAME}:{NAME}$", description="only this model")]
AnyId = Annotated[str, Path(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS)]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before")]
Time = Annotated[str | None, Query(max_length=32, pattern=r"^[0-9T:.Z-]+$", description="a UTC date or time")]
From = Annotated[str | None, Query(alias="from", max_length=32, pattern=r"^[0-9T:.Z-]+$")]
Word = Annotated[str | None, Query(max_length=256)]
Viewer = Annotated[User, Depends(viewer)]


@router.get("/me")
async def me(user: Viewer) -> Response:
    """Whose token this is and what it may do."""
    return answer({"actor": user.name, "role": user.role})


@router.get("/status")
async def status(request: Request, user: Viewer) -> Response:
    """Whether what is shown is whole and new."""
    reader = site_of(request).reader
    found = await reader.status()
    models = None if found.updated_ms is None else await reader.fleet.models()
    return answer(
        {
            "degraded": found.degraded,
            "reason": found.reason,
            "updated_at": rfc3339(found.updated_ms) if found.updated_ms is not None else None,
            # null, not 0: where nothing can be read nobody knows
            "models": len(models) if models is not None else None,
            "open_alerts": sum(entry.view["alerts"] for entry in models) if models is not None else None,
        }
    )


@router.get("/judgement", responses={200: {"model": QualityJudgement}})
async def judgement(request: Request, user: Viewer) -> Response:
    """What may be said of the whole fleet's quality: how many models the newest performance check judged, how many it
    could not and why, how many need a look. ``sentence`` says it for people. ``withheld`` names each reason why nothing
    may be said: redis_away, unreadable, filling, no_worker, no_tick, no_check, no_model, none_judged. Counts are null
    where nothing can be read. Only with ``all_clear`` may anybody say that quality is good."""
    return answer((await site_of(request).reader.judgement()).plain())


@router.get("/models")
async def models(
    request: Request,
    user: Viewer,
    q: Annotated[str | None, Query(max_length=128, description="part of the model's name or of its version")] = None,
    model_type: Annotated[str | None, Query(pattern=f"^{NAME}$")] = None,
    state: Annotated[Literal["alert", "drift", "job", "quiet"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Every model, the one that needs people most first.

    ``traffic`` says whose figures ``metric`` shows (``figures_of``; null: all versions, because the active one has no
    outcomes of these days), when the active version predicted last (``last_seen``), and how many predictions it and up
    to five ``others`` made in the seven days that end with the newest closed one; ``sentence`` says it for people.
    """
    start = position(cursor)
    wanted = (q or "").lower()
    found = [
        entry.view
        async for entry in in_slices(await site_of(request).reader.fleet.models())
        if (not wanted or wanted in entry.model.lower() or wanted in (entry.view["active_version"] or "").lower())
        and (model_type is None or entry.view["model_type"] == model_type)
        and (state is None or _in_state(entry.view, state))
    ]
    rows = found[start : start + limit]
    after = following(start + limit) if start + limit < len(found) else None
    return answer({"items": rows, "next": after, "total": len(found)})


def _in_state(view: dict[str, Any], state: str) -> bool:
    drift = view["drift"]
    drifting = bool(drift["quality"]) or any(
        drift[kind] is not None and drift[kind]["verdict"] == "drift" for kind in ("statistical", "performance")
    )
    job = view["job"] is not None and view["job"]["state"] != "idle"
    if state == "quiet":
        return not (view["alert"] or drifting or job)
    return {"alert": view["alert"] is not None, "drift": drifting, "job": job}[state]


async def _view(request: Request, model: str) -> dict[str, Any]:
    view = await site_of(request).reader.fleet.view(model)
    if view is not None:
        return view
    raise Refused(404, "unknown_model", f"nothing was ever seen of {model}: GET /api/v1/models lists the models")


@router.get("/models/{model}")
async def model(request: Request, model: ModelId, user: Viewer) -> Response:
    """A model: what the fleet shows of it, its versions, today so far, the newest event of each check, its job, and
    the rules that hold for it now."""
    view, site = await _view(request, model), site_of(request)
    rules = rules_of(model, await site.reader.settings_of(model), site.start)
    return answer({**view, **await site.reader.model(model), "rules": rules})


@router.get("/models/{model}/snapshots")
async def snapshots(
    request: Request,
    model: ModelId,
    user: Viewer,
    version: Annotated[str | None, Query(pattern=f"^{NAME}$")] = None,
    from_: Annotated[str | None, Query(alias="from", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None,
    to: Annotated[str | None, Query(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="included")] = None,
    window: Annotated[WindowName | None, Query(description="its days, in place of from and to")] = None,
    as_of: Annotated[str | None, Query(max_length=32, description="of the window; newest tick if not given")] = None,
    limit: Limit = 400,
    cursor: Cursor = None,
) -> Response:
    """Closed daily snapshots of the last 90 days, oldest first, newest revision each."""
    if window is not None:
        from_, to = await _span(request, model, window, as_of, (from_, to))
    elif as_of is not None:
        raise Refused(422, "invalid", "as_of goes with window: say window=recent or window=baseline")
    found = await site_of(request).reader.snapshots(model, version, from_, to, position(cursor), limit)
    return page(found.items, found.next)


async def _span(
    request: Request, model: str, window: WindowName, as_of: str | None, given: tuple[str | None, str | None]
) -> tuple[str, str]:
    """First and last day of a window, under the rules that hold for the model now."""
    if given != (None, None):
        raise Refused(422, "invalid", "window says which days: leave out from and to")
    site = site_of(request)
    newest = (await site.reader.status()).tick_ms
    if as_of is None and newest is None:
        raise Refused(409, "no_tick", "no tick was seen yet: say as_of")
    try:
        close = close_day(as_of) if as_of is not None else day_of(newest or 0)
    except ValueError as error:
        raise Refused(422, "invalid", f"as_of: {error}") from error
    rules = rules_of(model, await site.reader.settings_of(model), site.start)
    days = span(window, close, rules["recent_days"], rules["baseline_start_days"], rules["baseline_end_days"])
    return date_of(days.start), date_of(days.stop - 1)


@router.get("/models/{model}/checks")
async def checks(
    request: Request, model: ModelId, user: Viewer, limit: Limit = PAGE_ROWS, cursor: Cursor = None
) -> Response:
    """Numbers of every statistical and performance comparison of the last 90 days, also those that found nothing."""
    start = position(cursor)
    found = await site_of(request).reader.points(model)
    after = following(start + limit) if start + limit < len(found) else None
    return answer({"items": found[start : start + limit], "next": after})


@router.get("/models/{model}/evidence")
async def evidence(
    request: Request,
    model: ModelId,
    user: Viewer,
    from_: From = None,
    to: Time = None,
    limit: Limit = PAGE_ROWS,
    cursor: Cursor = None,
) -> Response:
    """Hourly evidence, oldest first: hours at which it was above 10 or an episode was open."""
    keep = _keep({}, "as_of", from_, to)
    found = await site_of(request).reader.evidence(model, keep, position(cursor), limit)
    return page(found.items, found.next)


@router.get("/drift-events")
async def drift_events(
    request: Request,
    user: Viewer,
    model: ModelFilter = None,
    kind: Annotated[DriftKind | None, Query()] = None,
    severity: Annotated[Severity | None, Query()] = None,
    from_: From = None,
    to: Time = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Events that found drift, newest close first. ``/models/{model}/checks`` has the others' numbers."""
    keep = _keep({"kind": kind, "severity": severity}, "as_of", from_, to)
    found = await site_of(request).reader.events(model, keep, position(cursor), limit)
    return page(found.items, found.next)


@router.get("/drift-events/{id}")
async def drift_event(request: Request, id: AnyId, user: Viewer) -> Response:
    """One event that found drift."""
    found = await site_of(request).reader.event(id)
    if found is None:
        raise Refused(404, "unknown_event", "no event that found drift in the last 90 days has this id")
    return Response(found, media_type="application/json")


@router.get("/alerts")
async def alerts(
    request: Request,
    user: Viewer,
    model: ModelFilter = None,
    status: Annotated[Literal["open", "resolved"] | None, Query()] = None,
    type: Annotated[AlertType | None, Query()] = None,
    severity: Annotated[Severity | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Alerts in their newest revision, the last opened first."""
    same = _keep({"type": type, "severity": severity}, "at", None, None)

    def keep(row: dict[str, Any]) -> bool:
        return same(row) and (status is None or (row["status"] == "resolved") == (status == "resolved"))

    found = await site_of(request).reader.alerts(model, keep, position(cursor), limit)
    return page(found.items, found.next)


@router.get("/alerts/{id}")
async def alert(request: Request, id: AnyId, user: Viewer) -> Response:
    """An alert, all its revisions, and the drift events behind it."""
    reader = site_of(request).reader
    found = await reader.alert(id)
    if found is None:
        raise Refused(404, "unknown_alert", "no alert of the last 90 days has this id")
    newest, revisions = found
    events = [await reader.event(event) for event in newest["drift_event_ids"][-20:]]
    return answer(
        {"alert": newest, "revisions": revisions, "events": [orjson.loads(e) for e in events if e is not None]}
    )


@router.get("/trainings")
async def trainings(
    request: Request,
    user: Viewer,
    model: ModelFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Jobs by model, those in hand first; with ``model`` also its history and commands, newest first."""
    reader = site_of(request).reader
    if model is not None:
        view = await _view(request, model)
        jobs, commands = await reader.history(model)
        item = {
            "model": model,
            "job": view["job"],
            "history": [orjson.loads(value) for value in jobs],
            "commands": [orjson.loads(value) for value in commands],
        }
        return answer({"items": [item], "next": None})
    start = position(cursor)
    models = await reader.fleet.models()
    found = [entry.view async for entry in in_slices(models) if entry.view["job"] is not None]
    found.sort(key=lambda view: (view["job"]["state"] == "idle", view["model"]))
    rows = [
        {"model": view["model"], "job": view["job"], "active_version": view["active_version"]}
        for view in found[start : start + limit]
    ]
    return answer({"items": rows, "next": following(start + limit) if start + limit < len(found) else None})


@router.get("/audit")
async def audit(
    request: Request,
    user: Viewer,
    model: ModelFilter = None,
    action: Word = None,
    decision: Word = None,
    actor: Word = None,
    from_: From = None,
    to: Time = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Decisions with their grounds, newest first; the last 10,000 of all models, the last 500 of each."""
    keep = _keep({"action": action, "decision": decision, "actor": actor}, "at", from_, to)
    found = await site_of(request).reader.audit(model, keep, position(cursor), limit)
    return page(found.items, found.next)


async def in_slices(entries: list[Entry]) -> AsyncIterator[Entry]:
    """All of them; others run after each two thousand, which take some milliseconds."""
    for number, entry in enumerate(entries, 1):
        yield entry
        if number % 2_000 == 0:
            await asyncio.sleep(0)


def _keep(same: dict[str, str | None], time: str, start: str | None, end: str | None) -> Callable[[Any], bool]:
    """Whether a record has the wanted values and lies in the wanted time; ``end`` is included as far as it says."""
    wanted = {name: value for name, value in same.items() if value is not None}

    def keep(row: dict[str, Any]) -> bool:
        at = row[time]
        return (
            all(row.get(name) == value for name, value in wanted.items())
            and (start is None or at >= start)
            and (end is None or at[: len(end)] <= end)
        )

    return keep
