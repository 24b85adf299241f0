"""Metrics, drift and alerts together, in memory: the same bytes whatever is restarted, and each close once."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import orjson
import pytest
from scipy.stats import ks_2samp

from stream_app.simulator import Simulator
from tests.support.scenarios import (
    BAD,
    DAY_MS,
    FIRST_DAY,
    HOUR_MS,
    coverage,
    on_days,
    shifted,
    step,
    two_kinds_of_days,
)
from tests.support.simulate import batch, close_day, records, restarting, run, simulator

SCENARIOS = [step(25, 17, 24, n=200), on_days("one", 25, (18,), 24, n=200), coverage(0.3, 17, 20, 24, n=100)]


def published(sim: Simulator) -> list[tuple[str, bytes | None, bytes | None]]:
    return [(e.topic, e.key, e.value) for topic in sorted(sim.emits) for e in sim.emits[topic]]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_restart_of_any_stage_at_any_checkpoint_changes_no_byte(seed: int) -> None:
    draw = random.Random(seed)
    plain = run(SCENARIOS, simulator())
    shaken = run(SCENARIOS, restarting(simulator(), lambda: draw.random() < 0.3))
    assert len(records(plain, "alerts")) > 5
    assert published(shaken) == published(plain)


@pytest.mark.parametrize("step_size", [1, 7, 15, 25, 33, 400])
def test_how_much_a_step_takes_changes_no_byte(step_size: int) -> None:
    models = [step(25, 17, 19, n=30 + i) for i in range(7)]
    found = published(run(models, simulator(cells_a_step=step_size)))
    assert found == published(run(models, simulator()))
    closes = Counter(row["as_of"] for row in records(run(models, simulator(cells_a_step=step_size)), "drift-events"))
    assert set(closes.values()) == {7, 5 * 7}


def _closes(ticks: list[int]) -> Counter[tuple[str, str]]:
    """(check, close) of the events when only these ticks come; the days' counts are there before each."""
    sim = simulator()
    scenario = step(25, 90, 20, n=60)
    days = dict(scenario.draw())
    given = -1
    for at in ticks:
        while given + 1 < 20 and (FIRST_DAY + given + 1) * DAY_MS + 12 * HOUR_MS <= at:
            given += 1
            sim.batches([batch(scenario, given, days[given])])
        sim.tick(at)
    found = records(sim, "drift-events")
    assert all(row["at"] >= row["as_of"] for row in found)
    return Counter((row.get("check", row["kind"]), row["as_of"]) for row in found)


def test_each_of_the_four_closes_fires_once_at_its_time_also_when_ticks_jump_over_it_or_a_worker_was_down() -> None:
    start = FIRST_DAY * DAY_MS
    hourly = [start + h * HOUR_MS for h in range(13, 24 * 19 + 5)]
    every = _closes(hourly)
    assert set(every.values()) == {1}
    assert {(check, close[11:16]) for check, close in every} == {
        ("completeness", "01:00"), ("volume", "02:00"), ("positive_rate", "02:00"), ("calibration", "02:00"),
        ("interval_width", "02:00"), ("narrow_share", "02:00"), ("statistical", "03:00"), ("performance", "04:00"),
    }  # fmt: skip
    assert len(every) == 8 * 19
    # ticks at half past, never at a close; and a worker that was down for five days
    jumping = [at + HOUR_MS // 2 for at in hourly if at % (3 * HOUR_MS) == 0]
    down = [at for at in hourly if not start + 9 * DAY_MS < at < start + 14 * DAY_MS]
    assert _closes([hourly[0], *jumping, hourly[-1]]) == every
    assert _closes(down) == every


def test_a_close_does_not_fire_a_millisecond_early() -> None:
    start = FIRST_DAY * DAY_MS
    for hour, check in ((1, "completeness"), (2, "volume"), (3, "statistical"), (4, "performance")):
        close = start + 3 * DAY_MS + hour * HOUR_MS
        before = _closes([start + 13 * HOUR_MS, close - 1])
        after = _closes([start + 13 * HOUR_MS, close - 1, close])
        assert [key for key in after if key not in before and key[0] == check]
        assert not [key for key in before if key[1] >= "2026-02-19T" + f"{hour:02d}:00" and key[0] == check]


def test_the_day_of_a_drop_is_seen_at_the_first_mature_close_with_the_onset_as_the_runs_first_day() -> None:
    sim = run([step(25, BAD, BAD + 4, n=1_000)], simulator())
    events = [row for row in records(sim, "drift-events") if "check" not in row]
    performance = [row for row in events if row["kind"] == "performance"]
    drifting = [close_day(row) for row in performance if row["verdict"] == "drift"]
    assert drifting == [BAD + 2, BAD + 3, BAD + 4]
    assert all(row["second_opinion"] is None for row in performance)
    assert all("around Thursday 12 March" in row["recommendation"] for row in records(sim, "alerts"))


def test_the_snapshots_drift_part_is_what_scipy_and_a_plain_count_say_of_the_raw_rows() -> None:
    bad, days = 18, 26
    scenario = step(15, bad, days, n=300)
    drawn = dict(scenario.draw())
    sim = run([scenario], simulator())
    latest = {row["date"]: row for row in records(sim, "metric-snapshots") if row["state"] == "closed"}

    def rows(first: int, last: int, what: str) -> np.ndarray:
        return np.concatenate([getattr(drawn[d], what) for d in range(first, last)])

    def accuracy(first: int, last: int) -> float:
        return float((rows(first, last, "predicted") == (rows(first, last, "actual") == 1)).mean())

    checked = 0
    for close in range(16, days):
        # the newest day of the scores' window, and the last mature day; the baseline is the first seven days
        scores = latest[_date(close - 1)]["drift"]
        want = ks_2samp(rows(close - 7, close, "scores"), rows(0, 7, "scores"), method="asymp")
        assert scores["ks_statistic"] == pytest.approx(want.statistic, abs=1e-12)
        assert scores["p_value"] == pytest.approx(want.pvalue, rel=1e-9)
        labels = latest[_date(close - 2)]["drift"]
        delta = accuracy(close - 8, close - 1) - accuracy(0, 7)
        assert labels["performance_delta"] == pytest.approx(delta, abs=1e-9)
        assert labels["is_degraded"] == (delta < -0.1)
        checked += labels["is_degraded"]
    assert checked
    assert latest[_date(12)]["drift"] is None


def test_a_rebaseline_accepts_the_present_and_begins_the_baseline_again() -> None:
    scenario = step(25, 17, 40, n=200)
    sim = simulator()
    accepted = 24

    def order(day: int) -> None:
        if day == accepted:
            at = (FIRST_DAY + day + 1) * DAY_MS + 5 * HOUR_MS
            row = {
                "id": "o",
                "model": scenario.model,
                "command": "rebaseline",
                "arguments": {},
                "actor": "me",
                "reason": "new",
            }
            sim.command(json.dumps(row).encode(), at)
            sim.tick(at)

    run([scenario], sim, each=order)
    told = records(sim, "alerts")
    assert told[-1]["resolution_reason"] == "accepted"
    assert told[-1]["at"][:10] == _date(accepted + 1)
    found = {close_day(row): row for row in records(sim, "drift-events") if row["kind"] == "performance"}
    assert found[accepted + 1]["verdict"] == "drift"
    assert {found[day]["reason"] for day in range(accepted + 2, accepted + 16)} == {"too_young"}
    # seven closed days from the command's day on, not overlapping the seven recent ones
    assert found[40]["verdict"] == "no_drift"
    assert found[40]["windows"][0]["baseline"] < 0.65


def test_a_model_is_compared_with_its_last_healthy_days_for_as_long_as_it_takes() -> None:
    """Drift for longer than a baseline window reaches back, and a recovery after that."""
    sim = run([step(25, 20, 150, n=200, until=130)], simulator())
    found = {close_day(row): row for row in records(sim, "drift-events") if row["kind"] == "performance"}
    assert {found[day]["verdict"] for day in range(22, 130)} == {"drift"}
    assert {found[day]["baseline_kind"] for day in range(75, 130)} == {"held"}
    assert found[100]["windows"][0]["baseline"] > 0.8
    told = records(sim, "alerts")
    assert [row["notify"] for row in told if row.get("notify") in ("opened", "resolved")] == ["opened", "resolved"]
    assert told[-1]["resolution_reason"] == "no_drift"
    assert told[-1]["at"][:10] >= _date(132)


def test_an_operator_who_accepts_the_present_drops_what_was_held() -> None:
    scenario = step(25, 20, 120, n=200)
    sim = simulator()

    def accept(day: int) -> None:
        if day == 90:
            command = {
                "id": "c",
                "model": scenario.model,
                "command": "rebaseline",
                "actor": "ada",
                "reason": "so be it",
            }
            at = (FIRST_DAY + day + 1) * DAY_MS + 5 * HOUR_MS
            sim.command(orjson.dumps(command), at)
            sim.tick(at)

    run([scenario], sim, each=accept)
    assert not [key for key in sim.tables["metrics"].rows if key.startswith(b"B")]
    found = {close_day(row): row for row in records(sim, "drift-events") if row["kind"] == "performance"}
    assert found[90]["baseline_kind"] == "held"
    assert found[95]["reason"] == "too_young"
    assert found[119]["verdict"] == "no_drift"


def test_what_scores_did_takes_no_day_from_the_baseline_of_performance_nor_the_other_way_round() -> None:
    moved = run([shifted(40, 100, n=400)], simulator(delay=58))  # no outcome is old enough to acquit it
    lost = run([step(25, 40, 100, n=400)], simulator())
    for sim, sick, well in ((moved, "statistical", "performance"), (lost, "performance", "statistical")):
        kinds = {(row["kind"], close_day(row)): row["baseline_kind"] for row in records(sim, "drift-events")}
        assert kinds[sick, 99] == "held"
        assert {kinds[well, day] for day in range(60, 100)} == {"window"}


def test_one_day_is_compared_with_days_of_its_own_kind() -> None:
    """Weekends unlike the other days make no HIGH event of a single day, and a loss on a weekend is found as before."""
    sim = run([two_kinds_of_days(90, n=2_000)], simulator())
    rows = [row for row in records(sim, "drift-events") if row["kind"] != "quality" and close_day(row) > 40]
    assert {row.get("severity") for row in rows} <= {None, "MEDIUM"}
    days = {close_day(row): row["windows"][-1] for row in rows if row["kind"] == "statistical"}
    sizes = {(FIRST_DAY + day - 1 + 3) % 7 >= 5: window["baseline_rows"] for day, window in days.items() if day > 80}
    assert sizes[True] < 10 * 400
    assert sizes[False] > 20 * 2_000


def _date(day: int) -> str:
    return str(np.datetime64(FIRST_DAY + day, "D"))
