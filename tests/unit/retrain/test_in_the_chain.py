"""Metrics, drift, retrain and alerts together, in memory: what each says is what the next one understands."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import msgspec

from schemas.common import encode, parse_ms
from schemas.training import TrainingCommand
from stream_app.core import model_log
from stream_app.core.alerts import AlertsConfig
from stream_app.core.drift import DriftConfig
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.retrain import RetrainConfig, RetrainRules
from stream_app.core.retrain.config import Allowed
from stream_app.core.retrain.safeguards import SAFEGUARDS
from stream_app.simulator import Simulator
from tests.machine.world import FLOORS, GOOD, ON
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, step
from tests.support.simulate import batch, comparison, records, restarting

_commands = msgspec.json.Decoder(TrainingCommand)
#: with a drop of 25 points from the 17th day on
SCENARIO = step(25, 17, 26, n=1_000)


class Loop(Simulator):
    """The simulator with the coordinator between drift and alerts."""

    def __init__(self, seed: int | None = None) -> None:
        rules = RetrainRules(validation_floors=FLOORS)
        super().__init__(
            MetricsConfig(1, 1, "/plumbline/sim", Fixed(lambda model: ModelRules(comparison=comparison(model)))),
            DriftConfig("/plumbline/sim", Fixed(comparison)),
            RetrainConfig("/plumbline/sim", "ml.training-results", Fixed(lambda model: Allowed(rules, ON))),
            AlertsConfig("/plumbline/sim"),
        )
        self.keep.add("decision-log")
        if seed is not None:
            draw = random.Random(seed)
            restarting(self, lambda: draw.random() < 0.3)

    @property
    def log(self) -> list[model_log.Entry]:
        """What the alerts stage reads."""
        return [model_log.decode(emit.value or b"") for emit in self.emits["decision-log"]]

    def result(self, sent: TrainingCommand, status: str, at_ms: int, **rest: Any) -> None:
        """An answer that the tick ``at_ms`` covers."""
        record = {"model": sent.model, "command_id": sent.command_id, "attempt": sent.attempt, "status": status, **rest}
        self.answer(encode(record), at_ms)

    def commands(self) -> list[TrainingCommand]:
        return [_commands.decode(emit.value or b"") for emit in self.emits.get("training-commands", [])]


def run(sim: Loop, first: int = 0, last: int = 25) -> Loop:
    """Each day's predictions and outcomes at noon, then the four closes of the next."""
    days = dict(SCENARIO.draw())
    for day in range(first, last):
        sim.batches([batch(SCENARIO, day, days[day])], hour=12)
        midnight = (FIRST_DAY + day + 1) * DAY_MS
        for hour in (-11, 1, 2, 3, 4):
            sim.tick(midnight + hour * HOUR_MS)
    return sim


def test_a_drop_of_25_points_commands_a_training_from_its_onset_on_and_the_alert_says_so() -> None:
    sim = run(Loop())
    first = sim.commands()[0]
    onset = (FIRST_DAY + 17) * DAY_MS
    assert first.command == "train"
    assert first.data is not msgspec.UNSET
    assert parse_ms(first.data.train.from_) == onset
    # performance windows end a day before the close: the first bad day is seen at 04:00 of the next but one. All its
    # rows come in one hour, so there is nothing to hold out from before the second
    assert parse_ms(first.at) == onset + 3 * DAY_MS + 4 * HOUR_MS
    assert parse_ms(first.data.holdout.to) == onset + 2 * DAY_MS
    assert parse_ms(first.data.train.to) == onset + DAY_MS + 12 * HOUR_MS
    assert first.data.ranges is not msgspec.UNSET
    assert [item.name for item in first.data.ranges] == ["onset", "30d"]
    opened = [row for row in records(sim, "alerts") if row["status"] == "open"]
    # an alarm of the same day waits for outcomes; the first close had too few rows to judge by, and the alert says so
    waits = opened[0]["auto_retrain"]["safeguards"]
    assert [s["name"] for s in waits if not s["passed"]] == ["maturity", "samples"]
    told = records(sim, "alerts")
    alert = next(row for row in told if parse_ms(row["at"]) == onset + 2 * DAY_MS + 4 * HOUR_MS)
    assert [s["name"] for s in alert["auto_retrain"]["safeguards"] if not s["passed"]] == ["samples"]
    assert [e.eligible for e in sim.log if isinstance(e, model_log.DecisionEntry)].count(True) == 1
    assert [s["name"] for s in alert["auto_retrain"]["safeguards"]] == list(SAFEGUARDS)
    # nobody answers: three attempts, then the back-off and the cooldown
    assert [c.attempt for c in sim.commands()] == [1, 2, 3]
    jobs = [json.loads(e.value or b"") for e in sim.emits["training-jobs"]]
    assert [job["state"] for job in jobs] == ["requested", "requested", "requested", "failed"]
    failure = jobs[-1]["failure"]
    assert (failure["command"], failure["command_id"], failure["attempt"], failure["reason"]) == (
        "train", first.command_id, 3, "not accepted in 3 attempts",
    )  # fmt: skip
    assert failure["at"] == jobs[-1]["since"]
    # what the cooldown refuses from then on, check after check, is said once for each kind of drift
    answered = [row for row in records(sim, "audit") if (row["action"], row["decision"]) == ("train", "refused")]
    hourly = [row for row in answered if row["reason"].startswith("maturity: labels speak on")]
    assert hourly, "an alarm within the day is answered, and commands nothing"
    refused = [row for row in answered if row not in hourly]
    decisions = [e for e in sim.log if isinstance(e, model_log.DecisionEntry) and not e.eligible]
    assert len(decisions) > 5 > 3 >= len(refused)
    assert {(row["count"], row["first_at"]) for row in refused} == {(1, row["at"]) for row in refused}


def test_every_drift_event_is_answered_and_no_other() -> None:
    sim = run(Loop())
    asked = [
        e.id for e in sim.log if isinstance(e, model_log.EventEntry) and e.finding.kind != "quality" and e.finding.drift
    ]
    answered = [e.event_id for e in sim.log if isinstance(e, model_log.DecisionEntry)]
    assert len(asked) > 5
    assert sorted(asked) == sorted(answered)


def test_what_the_deployer_reports_becomes_the_active_version_and_is_watched() -> None:
    sim = run(Loop(), last=20)
    sent = sim.commands()[0]
    at = (FIRST_DAY + 20) * DAY_MS + 4 * HOUR_MS + 60_000
    sim.result(
        sent, "succeeded", at, candidate_version="new", candidate_metrics=GOOD, champion_metrics={**GOOD, "f1": None}
    )
    sim.tick(at)
    activate = sim.commands()[-1]
    assert (activate.command, activate.candidate_version) == ("activate", "new")
    sim.result(activate, "activated", at + 60_000, candidate_version="new")
    sim.tick(at + 60_000)
    job = json.loads(sim.emits["training-jobs"][-1].value or b"")
    assert (job["state"], job["candidate_version"]) == ("probation", "new")
    changed = next(e for e in reversed(sim.log) if isinstance(e, model_log.LifecycleEntry))
    assert (changed.version, changed.previous, changed.since_ms) == ("new", sent.model_version, at + 60_000)
    # the log that the alerts read holds the change once, and no audit calls it one from outside
    audits = [json.loads(e.value or b"") for e in sim.emits["audit"]]
    assert [(a["action"], a["decision"]) for a in audits if a["action"] in ("activate", "probation")] == [
        ("activate", "activated")
    ]
    # the alert that asked for it says by what the model was retrained
    told = records(sim, "alerts")[-1]
    by = told["replaced_by"]
    assert (by["version"], by["how"], by["command_id"]) == ("new", "retrained", sent.command_id)
    assert parse_ms(by["since"]) == at + 60_000
    assert "; retrained: new since " in told["summary"]
    assert "notify" not in told


def test_a_comparison_of_versions_passes_the_drift_stage() -> None:
    sim = Loop()
    entry = model_log.ProbationEntry("t:a", "new", "old", 1, 2, 3, [], "0" * 16)
    sim.lanes["drift"].logs["log"].append(model_log.encode(entry))
    sent = sim.lanes["drift"].run()
    assert [model_log.decode(value or b"") for alias, _, _, value, _ in sent if alias == "drift-log"] == [entry]


def test_restarts_of_any_stage_change_no_byte() -> None:
    whole, shaken = run(Loop(), last=21), run(Loop(seed=3), last=21)
    assert shaken.log == whole.log
    assert shaken.emits == whole.emits


def test_settings_have_the_names_the_rules_have() -> None:
    from stream_app.settings.rules import TypeSettings

    assert {f.name for f in dataclasses.fields(RetrainRules)} <= set(TypeSettings.model_fields)
