"""``/models/{model}`` a page at a time, between the lane's own work and never for long."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from schemas.common import rfc3339
from stream_app.core.counts.figures import figures
from stream_app.core.kit import days
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.metrics_stage.view import CellRow, page
from stream_app.engine.lanes import Lane
from stream_app.http.bounds import PAGE_ROWS

#: Seconds of work until others run: a page has five to fifty such slices.
_SLICE_S: Final = 0.005


class CellPage(NamedTuple):
    """Rows, and the cursor of those behind them; ``None`` at the end."""

    rows: list[dict[str, Any]]
    next: str | None


def asked(query: Mapping[str, str]) -> tuple[tuple[int, str] | None, int]:
    """(where to go on, rows) of ``?cursor=…&limit=…``; ``ValueError`` says what is wrong."""
    given = query.get("limit", str(PAGE_ROWS))
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= PAGE_ROWS):
        raise ValueError(f"limit is a number from 1 to {PAGE_ROWS}")
    cursor = query.get("cursor")
    if cursor is None:
        return None, int(given)
    try:
        text = base64.urlsafe_b64decode(cursor[:1_024] + "=" * (-len(cursor) % 4)).decode()
        day, found, version = text.partition("|")
        if not (found and day.isascii() and day.isdigit() and len(day) <= 7):
            raise ValueError
        return (int(day), version), int(given)
    except (ValueError, binascii.Error) as error:
        raise ValueError("this cursor is none that was handed out: begin without one") from error


async def read(lane: Lane, model: str, after: tuple[int, str] | None, limit: int) -> CellPage | None:
    """A page of what the lane holds of a model; ``None`` if the lane was closed meanwhile."""
    stage = lane.stage
    if not isinstance(stage, MetricsStage):
        return None
    rows: list[dict[str, Any]] = []
    last: CellRow | None = None
    until = time.monotonic() + _SLICE_S
    pieces: Iterator[CellRow | None] = page(stage, model, after, limit + 1)
    for piece in pieces:
        if piece is not None:
            if len(rows) == limit and last is not None:
                return CellPage(rows, _cursor(last))
            rows.append(_shown(piece))
            last = piece
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            if lane.stage is not stage or lane.store is None:
                return None
            until = time.monotonic() + _SLICE_S
    return CellPage(rows, None)


def _cursor(row: CellRow) -> str:
    return base64.urlsafe_b64encode(f"{row.day}|{row.version}".encode()).decode().rstrip("=")


def _shown(row: CellRow) -> dict[str, Any]:
    return {
        "date": days.date_of(row.day),
        "model_version": row.version,
        "revision": row.cell.revision,
        "folded_to": rfc3339(row.cell.folded_to),
        **asdict(figures(row.cell.counts, row.cell.assume_negative)),
    }
