"""Changed settings in a replay: neither chunks nor checkpoints nor restarts can be seen in what is decided."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest

from stream_app.settings import Settings, base
from stream_app.stage_configs import metrics_config
from tests.laws.stage_driver import Drive
from tests.support.simulate import records, restarting
from tests.unit.test_changes import SCENARIO, chain, order, run
from tests.unit.test_metrics_stage_promises import random_scenario


@pytest.mark.parametrize("seed", range(3))
def test_metrics_decides_alike_under_changes_whatever_the_chunks_checkpoints_and_restarts(seed: int) -> None:
    scenario = random_scenario(seed)
    draw = random.Random(seed)
    said: tuple[tuple[str, dict[str, Any]], ...] = (
        ("fraud:a", {"unlabelled_as": "negative", "unlabelled_after_days": 2}),
        ("fraud:b", {"unlabelled_as": "negative"}),
        ("*", {"unlabelled_after_days": 3}), ("*", {"types.conflict.unlabelled_as": "negative"}),
        ("fraud:a", {"unlabelled_as": None}), ("conflict:global", {"recent_days": 3, "recent_min_judged_days": 2}),
        ("*", {"recent_days": 4, "recent_min_judged_days": 4}), ("fraud:b", {"observed_share": 0.7}),
        ("fraud:b", {"drop_points": "many"}),
    )  # fmt: skip
    for number, place in enumerate(sorted(draw.sample(range(1, len(scenario.ticks)), k=24))):
        model, values = said[number % len(said)]
        scenario.commands.setdefault(place, []).append(order(values, model, f"o-{number}"))
    config = metrics_config(base(Settings(model_partitions=1, input_partitions=2)))
    whole = Drive(scenario, dataclasses.replace(config, cells_a_step=10_000)).run()
    shown = [json.loads(emit.value or b"") for emit in whole.of("settings")]
    assert len({(row["model"], row["key"]) for row in shown}) > 6
    for variant in range(2):
        cut = Drive(scenario, dataclasses.replace(config, cells_a_step=3), seed=10 * seed + variant).run()
        assert cut.restarts
        for topic in ("metric-snapshots", "model-lifecycle", "settings", "model-log"):
            assert cut.of(topic) == whole.of(topic), topic
        assert {k: v for k, v in cut.table.rows.items() if k[:1] == b"V"} == {
            k: v for k, v in whole.table.rows.items() if k[:1] == b"V"
        }


def test_the_whole_chain_decides_alike_with_every_stage_thrown_away_after_each_checkpoint() -> None:
    orders = {
        3: [order({"drop_high_points": 9.0, "types.conflict.alert_reminder_h": 6})],
        12: [order({"drop_points": 8.5}, SCENARIO.model, "o-2"), order({"drop_high_points": 8}, id="o-3")],
        20: [order({"drop_high_points": None}, id="o-4"), order({"alert_reminder_h": 2}, SCENARIO.model, "o-5")],
        22: [order({"drop_points": None}, SCENARIO.model, "o-6")],
    }
    whole, shaken = run(orders), run(orders, restarts=True)
    assert whole.emits == shaken.emits
    assert {row["settings_hash"] for row in records(whole, "drift-events", SCENARIO.model)} >= {
        whole.stages[name].settings.hash_of(SCENARIO.model) for name in whole.stages
    }


def test_a_large_epoch_is_handled_in_steps_and_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(step: int) -> tuple[Any, int]:
        monkeypatch.setattr("stream_app.core.kit.epoch_log.A_STEP", step)
        checkpoints = 0

        def counted() -> bool:
            nonlocal checkpoints
            checkpoints += 1
            return True

        sim = restarting(chain(), counted)
        at = 1_780_000_000_000
        sim.tick(at)
        for number in range(900):
            record = order({"drop_points": 5.5}, f"churn:{number % 700:05d}", f"o-{number}")
            sim.command(record if number != 450 else order({"retrain_cooldown_days": 2}), at + 1_000)
        sim.tick(at + 1_000)
        return {topic: [(e.key, e.value) for e in sent] for topic, sent in sim.emits.items()}, checkpoints

    large, few = told(10_000)
    small, many = told(1)
    assert small == large
    assert len(json.loads(large["audit"][-1][1])["reason"]) > 5
    assert many > few + 4
