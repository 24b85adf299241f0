"""``/models/{model}`` a page at a time, or one of its windows, between the lane's own work and never for long."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from schemas.common import rfc3339
from stream_app.core.counts.figures import Figures, figures
from stream_app.core.kit import days
from stream_app.core.kit.spans import WINDOWS, WindowName, close_day, span
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.metrics_stage.view import CellRow, page
from stream_app.core.metrics_stage.windows import (
    DailyMetrics,
    TableCells,
    get_baseline_metrics,
    get_recent_metrics,
    window_metrics,
)
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


class AskedWindow(NamedTuple):
    """A window by its name, of a version (``None``: the active one), before a day since 1970 (``None``: today)."""

    name: WindowName
    version: str | None
    close: int | None


def asked_window(query: Mapping[str, str]) -> AskedWindow | None:
    """The window of ``?window=recent|baseline&version=…&as_of=…``; ``ValueError`` says what is wrong."""
    given = query.get("window")
    if given is None:
        if more := {"version", "as_of"} & query.keys():
            raise ValueError(f"{' and '.join(sorted(more))} goes with window=recent or window=baseline")
        return None
    name: WindowName | None = next((name for name in WINDOWS if name == given), None)
    if name is None:
        raise ValueError(f"window is {' or '.join(WINDOWS)}")
    if more := {"cursor", "limit"} & query.keys():
        raise ValueError(f"{' and '.join(sorted(more))} is of the pages of cells: a window is one page")
    as_of = query.get("as_of")
    return AskedWindow(name, query.get("version"), close_day(as_of) if as_of is not None else None)


async def read_window(lane: Lane, model: str, wanted: AskedWindow) -> dict[str, Any] | None:
    """Daily metrics of a window as the lane's table holds them, and those of their sum, under the model's rules.

    ``None`` if the lane was closed meanwhile; ``LookupError`` for a model without an active version.
    """
    stage, store = lane.stage, lane.store
    if not isinstance(stage, MetricsStage) or store is None:
        return None
    active = stage.models.active(model)
    version = wanted.version or (active.version if active is not None else None)
    if version is None:
        raise LookupError(f"no active version of model {model!r}")
    rules = stage.settings.rules_of(model).comparison
    close = wanted.close if wanted.close is not None else days.day_of(stage.lane_state.last_tick)
    window = span(wanted.name, close, rules.recent_days, rules.baseline_start_days, rules.baseline_end_days)
    reader, found = TableCells(store), list[DailyMetrics]()
    for day in window:
        as_of = (day + 1) * days.DAY_MS
        if wanted.name == "recent":
            found += get_recent_metrics(reader, model, version, as_of, 1)
        else:
            found += get_baseline_metrics(reader, model, version, as_of, 0, 1)
        await asyncio.sleep(0)
        if lane.stage is not stage or lane.store is not store:
            return None
    return {
        "window": wanted.name,
        "from": days.date_of(window.start),
        "to": days.date_of(window.stop - 1),
        "model_version": version,
        "figures": asdict(window_metrics(found)),
        "cells": [_figures(day.day, version, day.revision, day.cell.folded_to, day.figures) for day in reversed(found)],
    }


def _cursor(row: CellRow) -> str:
    return base64.urlsafe_b64encode(f"{row.day}|{row.version}".encode()).decode().rstrip("=")


def _shown(row: CellRow) -> dict[str, Any]:
    found = figures(row.cell.counts, row.cell.assume_negative)
    return _figures(row.day, row.version, row.cell.revision, row.cell.folded_to, found)


def _figures(day: int, version: str, revision: int, folded_to: int, found: Figures) -> dict[str, Any]:
    return {
        "date": days.date_of(day),
        "model_version": version,
        "revision": revision,
        "folded_to": rfc3339(folded_to),
        **asdict(found),
    }
