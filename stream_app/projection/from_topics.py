"""Models and their days out of the output topics, folded as the read model folds them: the page, the API and the
commands show the same of them. The topics keep more than is shown: days and models that are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, NamedTuple

from stream_app.kafka.reading import records, together
from stream_app.projection import fold
from stream_app.projection.apply import first_kept
from stream_app.projection.published import Published
from stream_app.settings import Settings, base
from stream_app.settings.resolver import values_of

#: What is shown of a model that snapshots, changes of version and jobs say; the rest is of events and alerts.
_SHOWN: Final = (
    "model", "model_type", "tenant_id", "active_version", "since", "how", "date", "predictions", "coverage", "so_far",
    "metric", "traffic", "trend", "job",
)  # fmt: skip

Row = dict[str, Any]


async def models(settings: Settings) -> list[Row]:
    """Every model that has an active version, by name, as the models' page shows it."""
    versions, metric_of = await together(_versions(settings), _metric_of(settings))
    states: dict[str, fold.State] = {}
    for name, (row, _) in versions.items():
        if row is not None:
            states[name] = fold.State(name, row["model_type"], row["tenant_id"], metric_of(name))
            fold.lifecycle(states[name], row)
    async for record in _read(settings, "metric-snapshots"):
        row = json.loads(record.value)
        state = states.get(row["model"])
        if state is None or record.timestamp < versions[row["model"]][1]:
            continue  # of a model that was forgotten, or of its life before that
        _take(state, row)
    async for record in _read(settings, "training-jobs"):
        row = json.loads(record.value)
        if row["model"] in states and record.timestamp >= versions[row["model"]][1]:
            fold.job(states[row["model"]], row)
    views = [fold.fleet_model(states[name]) for name in sorted(states)]
    return [{key: view[key] for key in _SHOWN} for view in views]


class ModelHistory(NamedTuple):
    """Days of a model, and which versions predict in a sentence."""

    days: list[Row]
    sentence: str


async def history(
    settings: Settings, model: str, version: str | None = None, *, all_days: bool = False
) -> ModelHistory:
    """Days of a model, the newest revision each, oldest first: closed ones of the last 90 days, and those so far.

    ``version``: its days alone. ``all_days``: everything that the topic still has, of forgotten models too.
    """
    active, since = (await _versions(settings)).get(model, (None, 0))
    latest: dict[tuple[str, str], Row] = {}
    async for record in _read(settings, "metric-snapshots"):
        row = json.loads(record.value)
        if row["model"] != model or not (all_days or (active is not None and record.timestamp >= since)):
            continue
        key = (row["date"], row["model_version"])
        if key not in latest or row["revision"] >= latest[key]["revision"]:
            latest[key] = row
    newest = max((row["date"] for row in latest.values() if row["state"] == "closed"), default="")
    first = first_kept(newest) if newest and not all_days else ""
    days = [latest[at] for at in sorted(latest) if at[0] >= first]
    return ModelHistory(
        [row for row in days if version in (None, row["model_version"])], _sentence(model, active, days)
    )


def _sentence(model: str, active: Row | None, days: Iterable[Row]) -> str:
    model_type, tenant_id = model.split(":", 1)
    state = fold.State(model, model_type, tenant_id, "accuracy")
    if active is not None:
        fold.lifecycle(state, active)
    for row in days:
        _take(state, row)
    return str(fold.fleet_model(state)["traffic"]["sentence"])


def _take(state: fold.State, row: Row) -> None:
    if row["state"] == "open":
        fold.open_day(state, row)
    else:
        fold.snapshot(state, row)


async def _versions(settings: Settings) -> dict[str, tuple[Row | None, int]]:
    """Model → its newest change of version, and since when its records count: it may have been forgotten once."""
    found: dict[str, tuple[Row | None, int]] = {}
    async for record in _read(settings, "model-lifecycle", tombstones=True):
        if record.value is None:
            found[record.key.decode()] = (None, record.timestamp)
        else:
            row = json.loads(record.value)
            found[row["model"]] = (row, found.get(row["model"], (None, 0))[1])
    return found


async def _metric_of(settings: Settings) -> Callable[[str], str]:
    """The metric that a model is shown by: the first that its performance is judged by."""
    rules_of = await rules(settings)
    return lambda model: str(rules_of(model)["performance_metrics"][0])


async def rules(settings: Settings) -> Callable[[str], Row]:
    """What holds for a model in the running system: settings with the changes that were published."""
    changed: dict[tuple[str, str], Row] = {}
    async for record in _read(settings, "settings"):
        row = json.loads(record.value)
        changed[row["model"], row["key"]] = row
    holds = Published(changed.values()).under(values_of(base(settings)))
    return lambda model: dict(holds.rules_of(model))


async def _read(settings: Settings, family: str, *, tombstones: bool = False) -> AsyncIterator[Any]:
    topic = f"{settings.output_prefix}{family}"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        if tombstones or record.value is not None:
            yield record
