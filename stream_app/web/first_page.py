"""What the first page is drawn from: every model in few bytes, and then only those that changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from stream_app.web.answers import JSON
from stream_app.web.reading import Viewer
from stream_app.web.site import site_of

router = APIRouter(prefix="/api/v1", tags=["reading"])

#: Models sent in one go; they are compressed on the way, some milliseconds for each.
_AT_ONCE = 500


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
