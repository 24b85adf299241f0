"""Alarms within hours through the real stages: what opens, holds and ends them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from schemas.common import parse_ms
from stream_app.core import model_log
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.simulator import HOUR_MS, Simulator
from tests.support.hourly import HourlyModel, fault, hourly_simulator, play
from tests.support.scenarios import FIRST_DAY
from tests.support.simulate import records

#: midnight of the day from which references exist, in hours
ONSET = 20 * 24
MODEL = "churn:acme"


def hour_of(time: str) -> int:
    """Hours since the first day's midnight."""
    return parse_ms(time) // HOUR_MS - FIRST_DAY * 24


def alarms(sim: Simulator, kind: str | None = None) -> list[dict[str, Any]]:
    found = [row for row in records(sim, "drift-events") if row.get("check") == "hourly"]
    return [row for row in found if kind in (None, row["kind"])]


def test_a_drop_of_25_points_is_alarmed_within_hours_and_ends_when_it_ends() -> None:
    model = HourlyModel(MODEL, fault(ONSET + 6, points=25, hours=48))
    sim = play(hourly_simulator(), [model], range(ONSET + 13 * 24))
    opened, *raised = alarms(sim, "performance")
    assert ONSET + 6 < hour_of(opened["as_of"]) <= ONSET + 6 + 30
    assert hour_of(opened["windows"][0]["from"]) == pytest.approx(ONSET + 6, abs=12)
    assert opened["severity"] in ("HIGH", "CRITICAL")
    low, high = opened["windows"][0]["interval"]
    assert 100 * low < opened["statistic"] < 100 * high
    assert len(raised) <= 2
    evidence = records(sim, "hourly-evidence")
    ended = [row for row in evidence if row.get("change") == "ended"]
    assert [row["kind"] for row in ended] == ["performance"]
    assert hour_of(ended[0]["as_of"]) <= ONSET + 6 + 48 + 72
    alerts = [row for row in records(sim, "alerts") if row["type"] == "ML_DRIFT_DETECTED"]
    assert alerts[0]["opened_at"] == opened["at"]
    assert alerts[0]["summary"].startswith("accuracy is down by ")
    assert "maturity" in [found["name"] for found in alerts[0]["auto_retrain"]["safeguards"] if not found["passed"]]
    over = [row for row in alerts if row["status"] == "resolved"]
    assert len({row["id"] for row in alerts}) == len(over) == 1
    assert parse_ms(over[0]["at"]) >= parse_ms(ended[0]["at"]), "nothing ends it while its episode lasts"
    assert not records(sim, "training-commands")


@pytest.mark.parametrize(
    ("points", "hours", "a_day"),
    [(33, 1, 10_000), pytest.param(15, 72, 1_000, marks=pytest.mark.long), (20, 72, 1_000)],
    ids=["an hour of garbage", "15 points for 3 days", "20 points for 3 days"],
)
def test_an_episode_ends_within_72_hours_of_its_fault(points: float, hours: int, a_day: int) -> None:
    model = HourlyModel(MODEL, fault(ONSET + 6, points=points, hours=hours), a_day=a_day, late_h=20)
    sim = play(hourly_simulator(), [model], range(ONSET + 6 + hours + 74))
    changes = [row for row in records(sim, "hourly-evidence") if row.get("change")]
    performance = [(row["change"], hour_of(row["as_of"])) for row in changes if row["kind"] == "performance"]
    assert performance[0][0] == "opened"
    assert next(at for change, at in performance if change == "ended") <= ONSET + 6 + hours + 72


@pytest.mark.long
@pytest.mark.parametrize("a_day", [1_000, 10_000])
def test_no_episode_ends_while_ten_points_are_lost(a_day: int) -> None:
    model = HourlyModel(MODEL, fault(ONSET + 6, points=10), a_day=a_day, late_h=20)
    sim = play(hourly_simulator(), [model], range(ONSET + 6 + 14 * 24))
    rows = [row for row in records(sim, "hourly-evidence") if row["kind"] == "performance"]
    changes = [row["change"] for row in rows if row.get("change")]
    assert changes[0] == "opened"
    assert "ended" not in changes


def test_what_the_daily_check_has_told_opens_an_episode_without_an_event() -> None:
    """A loss that creeps in over 16 days is HIGH by the daily check first, and hours alarm when it has been for days:
    nothing is said twice, also not when it is over and the evidence of those days is still there."""
    first, last = ONSET + 48, ONSET + 26 * 24

    def creeps(hour: int, rng: np.random.Generator) -> tuple[float, float]:
        return (min(14.0, 14.0 * (hour - first) / (16 * 24)) if first <= hour < last else 0.0), 0.0

    sim = play(hourly_simulator(), [HourlyModel(MODEL, creeps, late_h=20)], range(ONSET + 34 * 24))
    assert not alarms(sim)
    rows = [row for row in records(sim, "hourly-evidence") if row["kind"] == "performance"]
    known, ended = [row for row in rows if row.get("change")]
    assert (known["change"], ended["change"]) == ("known", "ended")
    assert known["evidence"] >= known["threshold"]
    assert hour_of(ended["as_of"]) <= last + 72
    events = [row for row in records(sim, "drift-events") if row["kind"] == "performance"]
    before = [row for row in events if row["at"] < known["at"]]
    assert known["severity"] == before[-1]["severity"] == "HIGH"
    alerts = [row for row in records(sim, "alerts") if row["type"] == "ML_DRIFT_DETECTED"]
    assert len({row["id"] for row in alerts}) == 1
    assert alerts[-1]["status"] == "resolved"


def test_scores_that_move_are_alarmed_within_hours() -> None:
    sim = play(hourly_simulator(), [HourlyModel(MODEL, fault(ONSET, shift=0.8))], range(ONSET + 36))
    opened = alarms(sim, "statistical")[0]
    assert hour_of(opened["as_of"]) <= ONSET + 20
    assert not alarms(sim, "performance")
    text = records(sim, "alerts")[0]["summary"]
    assert text.startswith("scores have moved since ")


@pytest.mark.parametrize(("mode", "alerts"), [("on", True), ("shadow", False)])
def test_shadow_publishes_the_same_events_and_alerts_nobody(mode: Any, alerts: bool) -> None:
    sim = play(hourly_simulator(mode), [HourlyModel(MODEL, fault(ONSET, points=25))], range(ONSET + 30))
    assert alarms(sim)
    assert bool(records(sim, "alerts")) == alerts


def test_off_looks_at_no_hours() -> None:
    sim = play(hourly_simulator("off"), [HourlyModel(MODEL, fault(ONSET, points=25))], range(ONSET + 30))
    assert not records(sim, "hourly-evidence")
    assert not any(key[:1] in b"RXI" for key in sim.tables["metrics"].rows)


def test_rebaseline_ends_an_episode_and_makes_the_present_normal() -> None:
    sim = hourly_simulator()
    model = HourlyModel(MODEL, fault(ONSET, points=25))

    def each(hour: int) -> None:
        if hour == ONSET + 40:
            command = {"id": "o-1", "model": MODEL, "command": "rebaseline", "arguments": {}, "actor": "ada",
                       "reason": "as it is"}  # fmt: skip
            sim.command(json.dumps(command).encode(), (FIRST_DAY * 24 + hour + 2) * HOUR_MS)

    play(sim, [model], range(ONSET + 4 * 24), each=each)
    assert alarms(sim)
    late = [row for row in records(sim, "hourly-evidence") if hour_of(row["as_of"]) > ONSET + 43]
    assert not late
    last = records(sim, "hourly-evidence")[-1]
    assert (last["kind"], last["change"], hour_of(last["as_of"])) == ("performance", "ended", ONSET + 42)
    assert [row["resolution_reason"] for row in records(sim, "alerts") if row["status"] == "resolved"] == ["accepted"]


def test_another_version_ends_an_episode() -> None:
    sim = hourly_simulator()

    def each(hour: int) -> None:
        if hour == ONSET + 40:
            command = {"id": "o-1", "model": MODEL, "command": "register", "arguments": {"model_version": "v2"},
                       "actor": "ada", "reason": "deployed"}  # fmt: skip
            sim.command(json.dumps(command).encode(), (FIRST_DAY * 24 + hour + 2) * HOUR_MS)

    play(sim, [HourlyModel(MODEL, fault(ONSET, points=25))], range(ONSET + 43), each=each)
    last = records(sim, "hourly-evidence")[-1]
    assert (last["model_version"], last["change"], hour_of(last["as_of"])) == ("v1", "ended", ONSET + 42)


def test_entries_are_written_only_where_there_is_evidence_or_an_episode() -> None:
    sim = hourly_simulator()
    sim.keep.add("model-log")
    play(sim, [HourlyModel(MODEL), HourlyModel("churn:b")], range(ONSET + 3 * 24))
    entries = [model_log.decode(emit.value or b"") for emit in sim.emits["model-log"]]
    assert not [entry for entry in entries if isinstance(entry, HourlyEntry) and (entry.evidence or 0) < 1]
    assert not alarms(sim)
