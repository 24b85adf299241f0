"""What the first page is drawn from: every model in few bytes, and then only those that changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from schemas.common import rfc3339
from stream_app.projection.holding import RulesOfMany
from stream_app.web.answers import JSON, answer
from stream_app.web.reading import Viewer, in_slices
from stream_app.web.site import Site, site_of

router = APIRouter(prefix="/api/v1", tags=["reading"])

#: Models sent in one go; they are compressed on the way, some milliseconds for each.
_AT_ONCE = 500
#: Alerts of this month that are looked at, newest first.
_ALERTS: Final = 2_000


@router.get("/fleet")
async def fleet(
    request: Request,
    user: Viewer,
    since: Annotated[
        str | None, Query(max_length=64, pattern=r"^[^\s]+$", description="`seq` of the answer before")
    ] = None,
) -> Response:
    """Every model as the first page draws it, in no order.

    ``seq`` is asked with next time, and then only models that changed are in ``items``, and those that are no more in
    ``gone``; ``whole``: these are all, in place of what was known. ``metric`` is the one that the open alert is about,
    with its baseline; ``heat`` is the date of the newest daily check and the verdicts of the thirty days up to it,
    oldest first, three letters for each: performance, statistical and quality; ``.`` no check, ``i`` insufficient
    evidence, ``n`` no drift, ``M``, ``H`` and ``C`` drift of that severity.
    """
    found = await site_of(request).reader.fleet.rows(since)
    head = orjson.dumps({"seq": found.seq, "whole": found.whole, "gone": found.gone})[:-1] + b',"items":['

    async def parts() -> AsyncIterator[bytes]:
        yield head
        for start in range(0, len(found.items), _AT_ONCE):
            yield (b"," if start else b"") + b",".join(found.items[start : start + _AT_ONCE])
            await asyncio.sleep(0)
        yield b"]}"

    return StreamingResponse(parts(), media_type=JSON)


async def _rules(site: Site) -> RulesOfMany:
    return RulesOfMany(await site.reader.settings(), site.start, site.settings.models)


@router.get("/owners")
async def owners(request: Request, user: Viewer) -> Response:
    """Who owns each model by the setting ``owner`` as it holds now; models without an owner are not named."""
    site = site_of(request)
    rules = await _rules(site)
    found = {}
    async for entry in in_slices(await site.reader.fleet.models()):
        if owner := rules.of(entry.model)["owner"]:
            found[entry.model] = owner
    return answer({"owners": found})


@router.get("/budget")
async def budget(request: Request, user: Viewer) -> Response:
    """How many hourly alarms may be false this month by ``false_alert_budget`` of the models watched, and what of that
    was spent: alarms of this month (UTC, by the newest tick) that somebody said to be false.

    Models whose ``hourly_alerts`` is ``shadow`` alert nobody, so nothing of their part can be spent; ``models`` counts
    them by that setting, and ``allowed`` gives the part of each. Only hourly alarms have a budget: daily checks have
    bounds on single comparisons.
    """
    site = site_of(request)
    rules = await _rules(site)
    models: Counter[str] = Counter(on=0, shadow=0, off=0)
    allowed = dict.fromkeys(models, 0.0)
    async for entry in in_slices(await site.reader.fleet.models()):
        holds = rules.of(entry.model)
        if entry.view["active_version"] is not None:
            models[holds["hourly_alerts"]] += 1
            allowed[holds["hourly_alerts"]] += holds["false_alert_budget"] / 1_000
    tick_ms = (await site.reader.status()).tick_ms
    month = rfc3339(tick_ms)[:7] if tick_ms is not None else None

    def hourly(row: dict[str, Any]) -> bool:
        return row["opened_at"][:7] == month and "hourly" in row.get("raised_by", ())

    found = await site.reader.alerts(None, hourly, 0, _ALERTS) if month is not None else None
    said = Counter(orjson.loads(row).get("verdict", {}).get("verdict") for row in (found.items if found else ()))
    return answer(
        {
            "month": month,
            "models": models,
            "allowed": {name: allowed[name] for name in ("on", "shadow")},
            "alarms": said.total(),
            "real": said["real"],
            "false": said["false"],
            "not_judged": said[None],
        }
    )
