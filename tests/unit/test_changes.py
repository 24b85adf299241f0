"""Settings changed while the pipeline runs: what is possible, when it takes effect, and that every stage agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from stream_app.core import model_log
from stream_app.core.kit.changes import Change
from stream_app.core.metrics_stage.border import read_command
from stream_app.settings import Settings, announcements, base, changed
from stream_app.simulator import Simulator
from stream_app.stage_configs import alerts_config, drift_config, metrics_config, retrain_config
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, step
from tests.support.simulate import batch, records

PLAIN = Settings(model_partitions=1, input_partitions=1)
SCENARIO = step(15, 17, 30, n=1_000)


def order(values: dict[str, Any], model: str = "*", id: str = "o-1") -> bytes:
    return json.dumps(
        {"id": id, "model": model, "command": "set", "arguments": {"values": values}, "actor": "ada", "reason": "why"}
    ).encode()


def chain(settings: Settings = PLAIN) -> Simulator:
    sim = Simulator(
        metrics_config(settings), drift_config(settings), retrain_config(settings, "r"), alerts_config(settings)
    )
    sim.keep |= {"settings", "model-log"}
    return sim


def run(orders: dict[int, list[bytes]], restarts: bool = False, last: int = 24) -> Simulator:
    """The scenario's days; ``commands`` come at 00:30 of a day, before its closes."""
    sim = chain()
    drawn = dict(SCENARIO.draw())
    for day in range(last):
        sim.batches([batch(SCENARIO, day, drawn[day])], hour=10)
        sim.tick((FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS)
        midnight = (FIRST_DAY + day + 1) * DAY_MS
        for value in orders.get(day + 1, []):
            sim.command(value, midnight + HOUR_MS // 2)
        sim.tick(midnight + HOUR_MS // 2)
        for hour in (1, 2, 3, 4):
            if restarts:
                for name in sim.stages:
                    sim.restart(name)
            sim.tick(midnight + hour * HOUR_MS)
    return sim


def severities(sim: Simulator) -> dict[int, str | None]:
    """Day of the close → severity of the performance event."""
    found = records(sim, "drift-events", SCENARIO.model)
    return {
        (int(row["as_of"][8:10]) + 31 * (int(row["as_of"][5:7]))): row.get("severity")
        for row in found
        if row["kind"] == "performance"
    }


def test_a_threshold_holds_from_its_place_in_the_log_on_and_not_before() -> None:
    """At 15 points a drop is HIGH; with the limit above it, MEDIUM."""
    plain, moved = severities(run({})), severities(run({22: [order({"drop_high_points": 18.0})]}))
    days = sorted(plain)
    at = next(i for i, day in enumerate(days) if plain[day] != moved[day])
    assert [plain[day] for day in days[:at]] == [moved[day] for day in days[:at]]
    assert {plain[day] for day in days[at:]} == {"HIGH"}
    assert {moved[day] for day in days[at:]} == {"MEDIUM"}
    assert len(days[:at]) == 21


def test_every_stage_meets_the_change_and_decides_with_one_hash() -> None:
    values = {"drop_high_points": 14.0, "alert_reminder_h": 12.0, "retrain_cooldown_days": 2.0}
    sim = run({5: [order(values)], 6: [order({"drop_points": 6}, SCENARIO.model, "o-2")]})
    wanted = changed(changed(PLAIN, Change("*", values)), Change(SCENARIO.model, {"drop_points": 6}))
    for name in ("metrics", "drift", "retrain", "alerts"):
        held = sim.stages[name].settings
        for model in (SCENARIO.model, "other:a", "*"):
            assert held.hash_of(model) == wanted.hash_of(model), (name, model)
        assert len({held.hash_of(SCENARIO.model), held.hash_of("other:a"), held.hash_of("fraud:a")}) == 3
    assert sim.stages["metrics"].settings.rules_of(SCENARIO.model).comparison.drop_points == 6
    assert sim.stages["metrics"].settings.rules_of("other:a").comparison.drop_points == 5
    assert sim.stages["alerts"].settings.rules_of(SCENARIO.model).alert_reminder_h == 12
    assert sim.stages["retrain"].settings.rules_of(SCENARIO.model).rules.retrain_cooldown_days == 2
    assert records(sim, "drift-events")[-1]["settings_hash"] == wanted.hash_of(SCENARIO.model)
    told = {row["model"]: row["inputs"]["settings_hash"] for row in records(sim, "audit") if row["action"] == "set"}
    assert told == {
        "*": changed(PLAIN, Change("*", values)).hash_of("*"),
        SCENARIO.model: wanted.hash_of(SCENARIO.model),
    }


def test_restarts_keep_what_was_changed_byte_for_byte() -> None:
    orders = {18: [order({"drop_high_points": 9.0, "alert_reminder_h": 6})], 21: [order({"alert_reminder_h": 2})]}
    whole, shaken = run(orders), run(orders, restarts=True)
    assert whole.emits == shaken.emits
    assert records(whole, "alerts")


def test_a_change_moves_the_timers_of_open_alerts() -> None:
    sim = run({1: [order({"hourly_alerts": "shadow"})], 20: [order({"alert_reminder_h": 1}, id="o-2")]}, last=20)
    reminders = [row["at"] for row in records(sim, "alerts") if row.get("notify") == "reminder"]
    # opened at 04:00 the day before: the command's own tick is overdue at once, then every hour
    assert [at[11:16] for at in reminders] == ["00:30", "01:00", "02:00", "03:00", "04:00"]


def test_readers_and_the_audit_are_told_once() -> None:
    sim = run({3: [order({"recent_days": 5})], 4: [order({"recent_days": None}, id="o-2")]}, last=6)
    shown = records(sim, "settings")
    assert [(row["key"], row["value"], row["actor"], row["model"]) for row in shown] == [
        ("recent_days", 5, "ada", "*"),
        ("recent_days", None, "ada", "*"),
    ]
    told = [row for row in records(sim, "audit") if row["action"] == "set"]
    assert [(row["decision"], row["reason"]) for row in told] == [
        ("applied", "recent_days = 5: why"),
        ("applied", "recent_days = null: why"),
    ]
    assert sim.stages["drift"].settings.hash_of(SCENARIO.model) == PLAIN.hash_of(SCENARIO.model)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"no_such": 1}, "unknown setting"),
        ({"drop_points": "many"}, "drop_points"),
        ({"drop_points": 50}, "must be above drop_points"),
        ({"model_partitions": 3}, "fixed for the life"),
        ({"types.fraud.pending_horizon_days": 3}, "fixed for the life"),
        ({"kafka_bootstrap": "h:1"}, "belongs to a process"),
        ({"max_record_bytes": 2_000}, "restart all workers"),
        ({"drop_high_points": 12, "ks_p_value": 7}, "ks_p_value"),
        ({}, "set needs"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_changes_nothing(values: dict[str, Any], said: str) -> None:
    sim = run({2: [order(values)]}, last=3)
    assert records(sim, "settings") == []
    (told,) = [row for row in records(sim, "audit") if row["action"] == "set"]
    assert told["decision"] == "refused"
    assert said in told["reason"]
    for name in ("metrics", "drift", "retrain", "alerts"):
        assert sim.stages[name].settings.hash_of("fraud:a") == PLAIN.hash_of("fraud:a")
        assert not [key for key in sim.tables[name].rows if key.startswith(b"V")]


def test_a_model_can_only_be_told_what_a_model_can_have() -> None:
    with pytest.raises(ValueError, match="unknown setting"):
        changed(PLAIN, Change("fraud:acme", {"auto_retrain": True}))
    with pytest.raises(ValueError, match="no model"):
        changed(PLAIN, Change("fraud:global", {"drop_points": 6}))
    with pytest.raises(ValueError, match="must be above"):
        changed(PLAIN, Change("fraud:acme", {"drop_points": 10}))


def test_the_announcement_of_any_settings_gives_them_back() -> None:
    told = Settings(
        environment="development", auto_retrain=True, ks_high_bound=0.3, ks_critical_bound=0.4, model_partitions=2,
        types={"fraud": {"label_delay_days": 3, "pending_horizon_days": 30}, "churn": {"drop_points": 6}},
        models={"fraud:acme": {"drop_points": 7}, "fraud:bolt": {"min_coverage": 0.25}}, auto_retrain_tenants=("acme",),
    )  # fmt: skip
    first = base(told)
    assert first.types == {"fraud": {"pending_horizon_days": 30}}
    assert not first.auto_retrain
    found = announcements(told)
    by_model: dict[str, dict[str, Any]] = {}
    for (model, key), value in found.items():
        by_model.setdefault(model, {})[key] = value
    after = first
    for model in sorted(by_model):
        after = changed(after, Change(model, json.loads(json.dumps(by_model[model]))))
    assert after.decision_view() == told.decision_view()
    assert after.hash() == told.hash()
    for model in by_model:
        after = changed(after, Change(model, dict.fromkeys(by_model[model])))
    assert after.decision_view() == first.decision_view()


def test_no_variable_of_this_process_gets_into_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_DROP_POINTS", "9")
    monkeypatch.setenv("PLUMBLINE_TYPES", '{"fraud": {"drop_points": 8}}')
    after = changed(base(PLAIN), Change("*", {"recent_days": 6}))
    assert after.drop_points == 5
    assert after.types == {}


def test_a_command_reaches_the_log_as_the_border_read_it() -> None:
    value = order({"recent_days": 5})
    sim = run({1: [value]}, last=2)
    entries = [model_log.decode(emit.value or b"") for emit in sim.emits["model-log"]]
    found = [replace(e, at_ms=0) for e in entries if isinstance(e, model_log.CommandEntry)]
    assert found == [read_command(value)]
