"""Models and their days out of the output topics, folded as the read model folds them: the page, the API and the
commands show the same of them. The topics keep more than is shown: days and models that are forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, NamedTuple

from stream_app.kafka.reading import records, together
from stream_app.projection import fold
from stream_app.projection.apply import first_kept
from stream_app.projection.records import taken
from stream_app.settings import Whereabouts
from stream_app.settings.built_in import BUILT_IN, PERFORMANCE_METRICS

#: What is shown of a model that snapshots, changes of version and jobs say; the rest is of events and alerts.
_SHOWN: Final = (
    "model", "model_type", "tenant_id", "active_version", "since", "how", "date", "predictions", "coverage", "so_far",
    "metric", "traffic", "trend", "job",
)  # fmt: skip

Row = dict[str, Any]


async def models(settings: Whereabouts) -> list[Row]:
    """Every model that has an active version, by name, as the models' page shows it."""
    versions, metric_of = await together(_versions(settings), _metric_of(settings))
    states: dict[str, fold.State] = {}
    for name, (row, _) in versions.items():
        if row is not None:
            states[name] = fold.State(name, row["model_type"], row["tenant_id"], metric_of(name))
            fold.lifecycle(states[name], row)
    async for record in _read(settings, "metric-snapshots"):
        row = taken("metric-snapshots", record)
        state = states.get(row["model"]) if row is not None else None
        if row is None or state is None or record.timestamp < versions[row["model"]][1]:
            continue  # of a model that was forgotten, or of its life before that
        _take(state, row)
    async for record in _read(settings, "training-jobs"):
        row = taken("training-jobs", record)
        if row is not None and row["model"] in states and record.timestamp >= versions[row["model"]][1]:
            fold.job(states[row["model"]], row)
    views = [fold.fleet_model(states[name]) for name in sorted(states)]
    return [{key: view[key] for key in _SHOWN} for view in views]


class ModelHistory(NamedTuple):
    """Days of a model, and which versions predict in a sentence. ``known``: it has a day, or an active version."""

    days: list[Row]
    sentence: str
    known: bool


async def history(
    settings: Whereabouts, model: str, version: str | None = None, *, all_days: bool = False
) -> ModelHistory:
    """Days of a model, the newest revision each, oldest first: closed ones of the last 90 days, and those so far.

    ``version``: its days alone. ``all_days``: everything that the topic still has, of forgotten models too.
    """
    active, since = (await _versions(settings)).get(model, (None, 0))
    latest: dict[tuple[str, str], Row] = {}
    async for record in _read(settings, "metric-snapshots"):
        row = taken("metric-snapshots", record)
        if row is None or row["model"] != model or not (all_days or (active is not None and record.timestamp >= since)):
            continue
        key = (row["date"], row["model_version"])
        if key not in latest or row["revision"] >= latest[key]["revision"]:
            latest[key] = row
    newest = max((row["date"] for row in latest.values() if row["state"] == "closed"), default="")
    first = first_kept(newest) if newest and not all_days else ""
    days = [latest[at] for at in sorted(latest) if at[0] >= first]
    shown = [row for row in days if version in (None, row["model_version"])]
    return ModelHistory(shown, _sentence(model, active, days), known=bool(days) or active is not None)


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


async def _versions(settings: Whereabouts) -> dict[str, tuple[Row | None, int]]:
    """Model → its newest change of version, and since when its records count: it may have been forgotten once."""
    found: dict[str, tuple[Row | None, int]] = {}
    async for record in _read(settings, "model-lifecycle", tombstones=True):
        if record.value is None:
            found[(record.key or b"").decode("utf-8", "replace")] = (None, record.timestamp)
        elif (row := taken("model-lifecycle", record)) is not None:
            found[row["model"]] = (row, found.get(row["model"], (None, 0))[1])
    return found


async def _metric_of(settings: Whereabouts) -> Callable[[str], str]:
    """The metric that a model is shown by: the first that its performance is judged by."""
    changed = await _changed(settings)
    if any(key.rpartition(".")[2] == "performance_metrics" for _, key in changed):
        rules_of = _under(settings, changed)
        return lambda model: str(rules_of(model)["performance_metrics"][0])
    # nobody said others, which spares most of what the whole settings cost
    metrics = {name: values["performance_metrics"] for name, values in BUILT_IN.items()}
    return lambda model: str(metrics.get(model.partition(":")[0], PERFORMANCE_METRICS)[0])


async def rules(settings: Whereabouts) -> Callable[[str], Row]:
    """What holds for a model in the running system: settings with the changes that were published."""
    return _under(settings, await _changed(settings))


async def _changed(settings: Whereabouts) -> dict[tuple[str, str], Row]:
    """What was changed, by whose it is and key."""
    changed: dict[tuple[str, str], Row] = {}
    async for record in _read(settings, "settings"):
        row = taken("settings", record)
        if row is not None:
            changed[row["model"], row["key"]] = row
    return changed


def _under(settings: Whereabouts, changed: dict[tuple[str, str], Row]) -> Callable[[str], Row]:
    # the whole settings: a command that does without them starts in half the time
    from stream_app import settings as settings_module
    from stream_app.projection.published import Published
    from stream_app.settings.resolver import values_of

    whole = settings if isinstance(settings, settings_module.Settings) else settings_module.load()
    holds = Published(changed.values()).under(values_of(settings_module.base(whole)))
    return lambda model: dict(holds.rules_of(model))


async def _read(settings: Whereabouts, family: str, *, tombstones: bool = False) -> AsyncIterator[Any]:
    topic = f"{settings.output_prefix}{family}"
    async for record in records(settings.kafka_bootstrap, settings.kafka_client_options(), topic):
        if tombstones or record.value is not None:
            yield record
