"""Records the metrics stage publishes, made from its cells."""

from __future__ import annotations

import dataclasses

from schemas.common import ce_headers, encode, rfc3339, uuid5
from schemas.lifecycle import ModelLifecycle
from schemas.settings import Setting
from schemas.snapshots import DriftSummary, Estimated, EstimatedFigure, MetricSnapshot
from stream_app.core.comparisons.estimated import Estimates
from stream_app.core.counts.cells import Cell
from stream_app.core.counts.figures import Figures, figures
from stream_app.core.kit.changes import Change
from stream_app.core.kit.days import date_of
from stream_app.core.kit.effects import Emit
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.core.model_log import CommandEntry

SNAPSHOTS = "metric-snapshots"
LIFECYCLE = "model-lifecycle"
SETTINGS = "settings"

_FIGURES = tuple(field.name for field in dataclasses.fields(Figures))


def snapshot(
    of: tuple[str, str, int], cell: Cell, estimates: Estimates | None,
    *, closed: bool, at_ms: int, partition: int, source: str,
) -> Emit:  # fmt: skip
    """The snapshot of a cell (model, version, day): its revision if closed, revision 0 if the day is still open."""
    model, version, day = of
    model_type, _, tenant = model.partition(":")
    date = date_of(day)
    shown = figures(cell.counts, cell.assume_negative)
    name = uuid5("metric-snapshot", model_type, version, tenant, date)
    record = MetricSnapshot(
        schema="io.plumbline.metric-snapshot.v1",
        id=name,
        at=rfc3339(at_ms),
        model=model,
        model_type=model_type,
        tenant_id=tenant,
        model_version=version,
        date=date,
        state="closed" if closed else "open",
        revision=cell.revision if closed else 0,
        drift=DriftSummary(**dataclasses.asdict(cell.drift)) if cell.drift is not None else None,
        estimated=_estimated(estimates) if estimates is not None else None,
        **{name: getattr(shown, name) for name in _FIGURES},
    )
    headers = ce_headers("metric-snapshot", name, model, at_ms, source)
    return Emit(SNAPSHOTS, partition, f"{model}|{version}|{date}".encode(), encode(record), headers)


def _estimated(found: Estimates) -> Estimated:
    shown = {name: EstimatedFigure(e.value, *e.limits) for name, e in found.metrics.items()}
    return Estimated(muted=found.muted, **shown)


def settings(change: Change, order: CommandEntry, partition: int, source: str) -> list[Emit]:
    """What a ``set`` command changed, for readers; a value that was taken back is null."""
    at_ms = order.at_ms
    model_type, _, tenant = change.model.partition(":")
    out = []
    for key, value in change.values.items():
        name = uuid5("setting", order.id, change.model, key)
        shown = Setting(
            schema="io.plumbline.setting.v1",
            id=name,
            at=rfc3339(at_ms),
            model=change.model,
            model_type=model_type,
            tenant_id=tenant or "*",
            key=key,
            value=value,
            actor=order.actor,
            reason=order.reason,
        )
        headers = ce_headers("setting", name, change.model, at_ms, source)
        out.append(Emit(SETTINGS, partition, f"{change.model}|{key}".encode(), encode(shown), headers))
    return out


def gone(model: str, partition: int) -> Emit:
    """A tombstone: the model made no predictions for so long that it is forgotten."""
    return Emit(LIFECYCLE, partition, model.encode(), None, [])


def lifecycle(model: str, state: ActiveVersion, at_ms: int, partition: int, source: str) -> Emit:
    """The model's active version."""
    model_type, _, tenant = model.partition(":")
    since = rfc3339(state.since_ms)
    name = uuid5("model-lifecycle", model_type, tenant, state.version, since)
    record = ModelLifecycle(
        schema="io.plumbline.model-lifecycle.v1",
        id=name,
        at=rfc3339(at_ms),
        model=model,
        model_type=model_type,
        tenant_id=tenant,
        active_version=state.version,
        previous_version=state.previous,
        how=state.how,
        since=since,
    )
    return Emit(
        LIFECYCLE, partition, model.encode(), encode(record), ce_headers("model-lifecycle", name, model, at_ms, source)
    )
