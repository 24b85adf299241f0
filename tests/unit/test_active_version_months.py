"""Months of versions that share, take over and come by night, hour by hour through the real metrics stage.

The quick tests take a few models for a month; ``--long`` takes forty for sixty days at three volumes and prints how
often the active version changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec
import numpy as np
import orjson
import pytest

from schemas.clock import TickView
from schemas.training import TrainingResult
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Part
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.engine.lane_driver import Row
from stream_app.simulator import DictTable

DAY, HOUR = 86_400_000, 3_600_000
FIRST = 20_000
VOLUMES = (190, 1_000, 10_000)
SHARES = (0.5, 0.55, 0.6, 0.65, 0.7)

#: version → predictions of each hour
World = dict[str, np.ndarray]
#: (hours since the start, version, how) of each active version
Active = list[tuple[int, str, str]]


def play(worlds: dict[str, World], reports: dict[str, tuple[int, str]] | None = None) -> dict[str, Active]:
    """What the stage says of each model: counts by the hour, an epoch an hour, no labels, no comparisons.

    ``reports``: hour in whose first minute the deployer says that a version is active.
    """
    rules = ModelRules(statistical=False, performance=False)
    stage, table = MetricsStage(MetricsConfig(1, 1, "/plumbline/months", Fixed(lambda model: rules)), 0), DictTable()
    stage.load(None, table)
    out: dict[str, Active] = defaultdict(list)
    reported = defaultdict(list)
    for model, (hour, version) in (reports or {}).items():
        reported[hour].append((model, version))
    before = FIRST * DAY
    ticks = [before + HOUR * (n + 1) for n in range(max(len(h) for w in worlds.values() for h in w.values()))]
    minutes = [before + HOUR * hour + 60_000 for hour in reported]
    for at in sorted(ticks + minutes):
        tick = TickView(at, True, "external", {}, 0)
        part = Part(before, closed=at)
        if at % HOUR:
            hour = (at - FIRST * DAY) // HOUR
            rows = [Row("r", 0, at + n, at, None, _report(*said)) for n, said in enumerate(reported[hour])]
            stage.accept("training-results", rows, tick)
        else:
            part = _hour(worlds, (at - FIRST * DAY) // HOUR - 1, before, at)
        stage.accept("model-deltas", [Row("d", 0, at, at, None, deltas.encode(DeltaRecord(0, [part])))], None)
        done = False
        while not done:
            done = stage.advance(tick)
            drained = stage.drain()
            table.write(drained.puts)
            for emit in drained.emits:
                if emit.topic == "model-lifecycle":
                    row = orjson.loads(emit.value or b"")
                    out[row["model"]].append(((at - FIRST * DAY) // HOUR, row["active_version"], row["how"]))
        before = at
    return dict(out)


def _hour(worlds: dict[str, World], hour: int, after: int, closed: int) -> Part:
    made = {(model, v): int(h[hour]) for model, world in worlds.items() for v, h in world.items() if h[hour]}
    names = sorted(made)
    rows = deltas.aggregate(
        np.arange(len(names)), np.zeros(len(names), int), np.full(len(names), 0.5), np.array([made[n] for n in names])
    )
    return Part(
        after, closed=closed, cells=[CellId(*name, FIRST * 24 + hour) for name in names], cell=rows.cells.tobytes(),
        kind=rows.kinds.tobytes(), score=rows.scores.tobytes(), count=rows.counts.tobytes(),
        hours=[HourCount(*name, FIRST * 24 + hour, made[name]) for name in names],
    )  # fmt: skip


def _report(model: str, version: str) -> bytes:
    said = TrainingResult(model=model, command_id="outside", attempt=1, status="activated", candidate_version=version)
    return msgspec.json.encode(said)


def poisson(rng: np.random.Generator, a_day: int, days: int) -> np.ndarray:
    """Predictions of each hour, most by day."""
    shape = 1 + 0.8 * np.sin((np.arange(24) - 9) / 24 * 2 * np.pi)
    return rng.poisson(a_day * np.tile(shape / shape.sum(), days))


def canary(rng: np.random.Generator, a_day: int, days: int, share: float) -> World:
    """From the fourth day on a share of what ``v1`` made alone before."""
    made = poisson(rng, a_day, days)
    new = rng.binomial(made, share) * (np.arange(24 * days) >= 72)
    return {"v1": made - new, "v2": new}


def nightly(rng: np.random.Generator, days: int) -> World:
    return {"v1": poisson(rng, 300, days), "v0": 100 * (np.arange(24 * days) % 24 == 1)}


def switched(made: np.ndarray, hour: int) -> World:
    late = np.arange(len(made)) >= hour
    return {"v1": made * ~late, "v2": made * late}


def a_month(found: dict[str, Active], models: int, days: int) -> float:
    """Changes a model-month; a model's first version is none."""
    return sum(len(active) - 1 for active in found.values()) / (models * days / 30)


def most(found: dict[str, Active]) -> int:
    return max(len(active) - 1 for active in found.values())


def fleet(make: Callable[[int], World], models: int) -> dict[str, World]:
    return {f"t:m{n}": make(n) for n in range(models)}


def check_canaries(a_day: int, models: int, days: int) -> None:
    rng = np.random.default_rng(a_day)
    found = play(fleet(lambda n: canary(rng, a_day, days, SHARES[n % 5]), models))
    for number, share in enumerate(SHARES):
        mine = {f"t:m{n}": found[f"t:m{n}"] for n in range(number, models, 5)}
        rate = a_month(mine, len(mine), days)
        print(f"canary of {share:.0%}, {a_day:,} a day: {rate:.2f} a model-month, at most {most(mine)} in {days} days")
        assert rate <= 1
        assert most(mine) <= days / 30


def check_nightly(models: int, days: int) -> None:
    rng = np.random.default_rng(3)
    found = play(fleet(lambda n: nightly(rng, days), models))
    print(f"nightly batch: {a_month(found, models, days):.2f} a model-month, at most {most(found)} in {days} days")
    assert most(found) <= days / 30


def check_deployments(models: int, days: int, volumes: tuple[int, ...]) -> None:
    """Each hour of the day and each volume, observed and reported, in one fleet."""
    worlds, reports, at = {}, {}, {}
    rng = np.random.default_rng(8)
    for a_day in volumes:
        for hour in (8, 16, 18, 21):
            for how in ("observed", "commanded"):
                for n in range(models):
                    model = f"t:{how}-{a_day}-{hour}-{n}"
                    at[model] = days // 2 * 24 + hour
                    worlds[model] = switched(poisson(rng, a_day, days), at[model])
                    if how == "commanded":
                        reports[model] = (at[model], "v2")
    found = play(worlds, reports)
    delays: dict[str, list[int]] = defaultdict(list)
    for model, active in found.items():
        (_, first, _), (changed, version, how) = active  # exactly one change
        assert (first, version, how) == ("v1", "v2", model[2:].split("-")[0])
        delays[model[2:].rpartition("-")[0]].append(changed - at[model])
        assert 0 <= changed - at[model] <= (0 if how == "commanded" else 48)
    for name in sorted(delays):
        by, rate, at_hour = name.split("-")
        after = f"{min(delays[name])} to {max(delays[name])} h"
        print(f"deployment at {at_hour}:00, {by}, {rate} a day: one change each, after {after}")


@pytest.mark.parametrize("a_day", VOLUMES)
def test_a_canary_of_half_to_70_percent_changes_the_version_at_most_once_a_month(a_day: int) -> None:
    check_canaries(a_day, models=5, days=30)


def test_a_nightly_batch_of_another_version_changes_it_at_most_once() -> None:
    check_nightly(models=3, days=30)


def test_a_deployment_at_any_hour_observed_or_reported_is_one_change() -> None:
    check_deployments(models=1, days=8, volumes=(60, 10_000))


def test_60_a_day_that_switch_at_noon_are_followed_at_the_close_after_a_day_that_v2_made_alone() -> None:
    made = np.tile([2, 3], 12 * 10)
    found = play({"t:m": switched(made, 3 * 24 + 12)})
    assert found["t:m"] == [(1, "v1", "observed"), (5 * 24 + 2, "v2", "observed")]


def test_a_weekly_job_of_ten_is_followed_within_14_days() -> None:
    made = 10 * (np.arange(35 * 24) % 168 == 53)
    worlds = {f"t:{hour}": switched(made, hour) for hour in (14 * 24, 14 * 24 + 54)}
    for model, active in play(worlds).items():
        assert [version for _, version, _ in active] == ["v1", "v2"]
        assert active[1][0] - int(model[2:]) <= 14 * 24


def test_a_quiet_model_of_fewer_than_ten_in_seven_days_stays_with_its_version() -> None:
    made = (np.arange(40 * 24) % 24 == 12).astype(int)
    assert [v for _, v, _ in play({"t:m": switched(made, 15 * 24)})["t:m"]] == ["v1"]


@pytest.mark.long
@pytest.mark.parametrize("a_day", VOLUMES)
def test_forty_canaries_over_sixty_days(a_day: int) -> None:
    check_canaries(a_day, models=40, days=60)


@pytest.mark.long
def test_forty_nightly_batches_over_sixty_days() -> None:
    check_nightly(models=40, days=60)


@pytest.mark.long
def test_deployments_of_every_volume() -> None:
    check_deployments(models=5, days=20, volumes=(60, *VOLUMES))
