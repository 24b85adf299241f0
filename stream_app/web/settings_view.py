"""Settings as they hold now, and what another threshold would have done."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import PydanticUndefined

from stream_app.core.kit.changes import Change
from stream_app.core.kit.live_settings import LiveSettings, Values
from stream_app.http.bounds import PAGE_ROWS
from stream_app.projection import impact
from stream_app.projection.published import Published
from stream_app.settings import Settings, base
from stream_app.settings.installation import Installation
from stream_app.settings.layers import changeable
from stream_app.settings.rules import TypeSettings
from stream_app.stage_configs import alerts_config, drift_config
from stream_app.web.answers import Refused, answer, following, position
from stream_app.web.reading import Cursor, Limit, ModelFilter, Viewer
from stream_app.web.site import Site, site_of

router = APIRouter(prefix="/api/v1", tags=["settings"])

#: Alerts listed of either side of a preview; the counts are whole.
_LISTED = 200


@router.get("/settings")
async def list_settings(
    request: Request, user: Viewer, model: ModelFilter = None, limit: Limit = PAGE_ROWS, cursor: Cursor = None
) -> Response:
    """Every setting that decisions depend on: what it means, what holds, who changed it."""
    site = site_of(request)
    records = await site.reader.settings()
    holds = Published(records).under(site.start)
    of_all = holds.everywhere().settings
    known = {(row["model"], row["key"]): row for row in records}
    items = []
    for name, field in Settings.model_fields.items():
        if name in Installation.model_fields or name in ("types", "models"):
            continue
        of_model = model is not None and name in TypeSettings.model_fields
        value = holds.rules_of(model)[name] if of_model and model is not None else getattr(of_all, name)
        row = known.get((model or "*", name)) or known.get(("*", name))
        items.append(_item(name, field, value, model if of_model else "*", row))
    for (owner, key), row in sorted(known.items()):
        name = key.rpartition(".")[2]
        own = owner == "*" and "." not in key
        if not own and row["value"] is not None and (model is None or owner == model):
            item = _item(key, Settings.model_fields[name], row["value"], owner, row)
            if owner == model:
                # set aside while it contradicts what was set later for all or for the type
                item["in_force"] = holds.rules_of(owner)[name] == holds.own(owner)[name]
            items.append(item)
    start = position(cursor)
    after = following(start + limit) if start + limit < len(items) else None
    return answer({"items": items[start : start + limit], "next": after})


def _item(key: str, field: Any, value: Any, model: str | None, row: dict[str, Any] | None) -> dict[str, Any]:
    name = key.rpartition(".")[2]
    default = field.default_factory() if field.default is PydanticUndefined else field.default
    return {
        "key": key,
        "model": model,
        "value": value,
        "default": default,
        "doc": field.description,
        "changeable": changeable(name),
        "per_model": name in TypeSettings.model_fields,
        "previewable": key in impact.PREVIEWABLE,
        "actor": row["actor"] if row else None,
        "reason": row["reason"] if row else None,
        "at": row["at"] if row else None,
    }


@router.get("/settings/impact")
async def preview(
    request: Request,
    user: Viewer,
    key: Annotated[str, Query(max_length=300)],
    value: Annotated[str, Query(max_length=100, description="JSON")],
    model: ModelFilter = None,
    days: Annotated[int, Query(ge=1, le=90)] = 90,
) -> Response:
    """Alerts that would have come or not, had a threshold stood elsewhere over the stored history."""
    site = site_of(request)
    kind = impact.PREVIEWABLE.get(key)
    if kind is None:
        known = ", ".join(sorted(impact.PREVIEWABLE))
        raise Refused(422, "no_preview", f"{key} cannot be previewed; these can: {known}")
    try:
        parsed = json.loads(value)
        published = Published(await site.reader.settings())
        moved = Change(model or "*", {key: parsed})
        published.under(site.start).change(moved)
    except ValueError as error:
        raise Refused(422, "cannot_be", str(error)) from error
    async with site.preview_lock:
        return answer(await _walk(site, published, moved, model, days))


async def _walk(site: Site, known: Published, moved: Change, model: str | None, days: int) -> dict[str, Any]:
    start = base(site.settings)
    models = [model] if model is not None else [entry.model for entry in await site.reader.fleet.models()]
    holds, would = known.under(drift_config(start).rules), known.under(drift_config(start).rules)
    would.change(moved)
    alerts = known.under(alerts_config(start).rules)
    (key,) = moved.values
    before = after = events = 0
    come: list[impact.Episode] = []
    gone: list[impact.Episode] = []
    async for name, rows in site.reader.all_points(models):
        if not rows:
            continue
        first = (date.fromisoformat(max(d for _, d, _ in rows)) - timedelta(days=days)).isoformat()
        recent = [row for row in rows if row[1] > first]
        events += len(recent)
        found = impact.compare(
            name, recent, holds.rules_of(name), would.rules_of(name), alerts.rules_of(name).alert_resolve_closes
        )
        come += found.come
        gone += found.gone
        before += found.before
        after += found.after
    before_values, after_values = known.under(site.start), known.under(site.start)
    after_values.change(moved)
    return {
        "key": key,
        "value": _shown(after_values, model, key),
        "current": _shown(before_values, model, key),
        "days": days,
        "models": len(models),
        "events": events,
        "before": before,
        "after": after,
        "come": [episode._asdict() for episode in _newest(come)],
        "gone": [episode._asdict() for episode in _newest(gone)],
        "come_total": len(come),
        "gone_total": len(gone),
    }


def _shown(holds: LiveSettings[None, Values], model: str | None, key: str) -> Any:
    return holds.rules_of(model)[key] if model is not None else getattr(holds.everywhere().settings, key)


def _newest(found: list[impact.Episode]) -> list[impact.Episode]:
    return sorted(found, key=lambda e: (e.first, e.model), reverse=True)[:_LISTED]
