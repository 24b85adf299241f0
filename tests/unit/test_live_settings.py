"""Settings under change against a model that knows no table, cache, mark or checkpoint; and what they cost."""

from __future__ import annotations

import dataclasses
import random
import time
from typing import Any

import pytest
from pydantic import ValidationError

from stream_app.core.alerts.rules import AlertRules
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.kit import live_settings, settings_table
from stream_app.core.kit.changes import Change, by_type
from stream_app.core.kit.live_settings import LiveSettings
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.border import read_command
from stream_app.core.metrics_stage.config import MetricsSettings
from stream_app.core.retrain import RetrainRules
from stream_app.projection.published import Published
from stream_app.settings import BUILT_IN, Settings, TypeSettings, base, changed
from stream_app.settings.layers import Exact
from stream_app.settings.model import settings_hash
from stream_app.settings.resolver import values_of
from stream_app.stage_configs import alerts_config, drift_config, metrics_config, retrain_config
from tests.support.shares import shared_out
from tests.support.simulate import records
from tests.unit.tables import DictTable
from tests.unit.test_changes import chain, order

START = base(Settings(input_partitions=1, model_partitions=1, types={"churn": {"pending_horizon_days": 30}}))

MODELS = ("fraud:acme", "fraud:b", "conflict:global", "churn:a", "churn:global", "new:x")
#: values that are possible, that are not, and that contradict each other
PIECES: dict[str, tuple[Any, ...]] = {
    "drop_points": (4, 5.5, 9, 12, 19.5, None, "many"),
    "drop_high_points": (6, 9.5, 11, 18, None, True),
    "drop_critical_points": (8, 19, 30, None, 101),
    "ks_high_bound": (0.1, 0.15, 0.25, None),
    "ks_critical_bound": (0.12, 0.3, None, -1),
    "recent_days": (3, 5, 14, None),
    "recent_min_judged_days": (2, 4, 6, None),
    "baseline_end_days": (40, 60, 91, None),
    "unlabelled_as": ("negative", "unknown", None),
    "unlabelled_after_days": (5, 30, 45, None, 0),
    "performance_metrics": (["f1"], ["precision", "recall"], None, []),
    "validation_floors": ({"f1": 0.5}, {}, None, {"f1": 2}),
    "require_manual_approval": (True, False, None),
    "alert_reminder_h": (1, 12.5, None),
    "pending_horizon_days": (9,),
    "narrow_interval_below": (0.1,),
    "no_such": (1,),
}
ONLY_ALL: dict[str, tuple[Any, ...]] = {
    "auto_retrain": (True, None), "auto_retrain_types": ({"new": True}, None), "auto_retrain_tenants": (["acme"], None),
    "kafka_bootstrap": ("h:1",), "cell_retention_days": (80,),
}  # fmt: skip
GROUPS = (
    ("drop_points", "drop_high_points", "drop_critical_points"),
    ("ks_high_bound", "ks_critical_bound"),
    ("baseline_start_days", "baseline_end_days"),
    ("recent_min_judged_days", "recent_days"),
)


def apply(live: Any, record: bytes) -> None:
    """What a stage does with a ``set`` command; ``ValueError`` says why it cannot be."""
    found = read_command(record)
    if found.unusable is not None:
        raise ValueError(found.unusable)
    live.change(Change(found.model, found.values or {}))


class Naive:
    """The same rules of change over whole settings, made anew for each command by pydantic."""

    def __init__(self) -> None:
        self.wide = START
        self.own: dict[str, dict[str, Any]] = {}

    def change(self, change: Change) -> None:
        if change.model == "*":
            for owner in by_type(change.values):
                if owner:
                    Settings.check_type_name(owner)
            self.wide = changed(self.wide, change)
            return
        # keys and values by themselves, then with what the command's groups stand beside
        known = self.own.get(change.model, {})
        after = {k: v for k, v in {**known, **change.values}.items() if v is not None}
        touched = [g for g in GROUPS if set(g) & set(change.values)]
        beside = {k: v for k, v in after.items() if any(k in g for g in touched) or all(k not in g for g in GROUPS)}
        plain = Exact(**{**self._fields(), "models": {}})
        gone = {key for key, value in change.values.items() if value is None}
        changed(plain, Change(change.model, {**beside, **dict.fromkeys(gone)}))
        self.own[change.model] = after

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self.wide, name) for name in Settings.model_fields}

    def holds(self, model: str) -> TypeSettings:
        model_type = model.partition(":")[0]
        merged = {name: getattr(self.wide, name) for name in TypeSettings.model_fields}
        merged |= BUILT_IN.get(model_type, {}) | self.wide.types.get(model_type, {})
        own = dict(self.own.get(model, {}))
        for group in GROUPS:
            mine = {name for name in group if name in own}
            try:
                TypeSettings(**{**merged, **{name: own[name] for name in mine}})
            except ValidationError:
                for name in mine:
                    del own[name]
        return TypeSettings(**{**merged, **own})

    def hash(self, model: str) -> str:
        view = self.wide.view_of_all()
        return settings_hash(view if model == "*" else view | self.holds(model).model_dump(mode="json"))


class Lane:
    """One stage's settings over a table, cut into checkpoints and crashes."""

    def __init__(self, kind: Any, config: Any) -> None:
        self.kind, self.config = kind, config
        self.table = DictTable()
        self.since: list[bytes] = []
        self.open()

    def open(self) -> None:
        self.box = UnitOfWork(self.table, 0)
        self.live: Any = self.kind(self.config, self.box)

    def command(self, record: bytes) -> str | None:
        self.since.append(record)
        try:
            apply(self.live, record)
        except ValueError as error:
            return str(error)
        return None

    def checkpoint(self) -> None:
        self.table.put(self.box.drain(b"").puts)
        self.since = []

    def crash(self) -> None:
        """What no checkpoint has seen is done again by a new object."""
        self.open()
        for record in self.since:
            with_refusals(self.live, record)


def with_refusals(live: Any, record: bytes) -> None:
    try:
        apply(live, record)
    except ValueError:
        return


def lanes() -> list[Lane]:
    def plain(config: Any, box: UnitOfWork) -> Any:
        return LiveSettings(config, config.rules, box)

    return [
        Lane(MetricsSettings, metrics_config(START)), Lane(plain, drift_config(START)),
        Lane(plain, retrain_config(START, "r")), Lane(plain, alerts_config(START)),
    ]  # fmt: skip


def command(draw: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    model = draw.choice(("*", *MODELS, *MODELS, "fraud:global", "conflict:a"))
    names = draw.sample(sorted(PIECES), k=draw.choice((1, 1, 1, 2, 3)))
    values = {name: draw.choice(PIECES[name]) for name in names if draw.random() < 0.9 or name != "no_such"}
    if model == "*":
        owner = draw.choice(("", "", "types.fraud.", "types.churn.", "types.new.", "types.a b."))
        values = {owner + name: value for name, value in values.items()}
        if draw.random() < 0.2:
            name = draw.choice(sorted(ONLY_ALL))
            values[name] = draw.choice(ONLY_ALL[name])
    return model, values or {"recent_days": 5}


@pytest.mark.parametrize("seed", shared_out(12, range(5, 10)))
def test_any_sequence_of_changes_comes_to_what_whole_settings_come_to_with_crashes_anywhere(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(live_settings, "AT_HAND", draw.choice((1, 2, 4_096)))
    naive, stages = Naive(), lanes()
    accepted = refused = 0
    for number in range(150):
        model, values = command(draw, number)
        record = order(values, model, f"o-{number}")
        try:
            naive.change(Change(model, values))
            fault = None
            accepted += 1
        except ValueError as error:
            fault = str(error)
            refused += 1
        for lane in stages:
            said = lane.command(record)
            assert (said is None) == (fault is None), (values, said, fault)
            for _ in range(draw.randrange(3)):
                lane.live.hash_of(draw.choice(MODELS))
            if draw.random() < 0.3:
                lane.checkpoint()
            if draw.random() < 0.2:
                lane.crash()
        if number % 10 == 9:
            check(naive, stages)
    check(naive, stages)
    assert accepted > 30
    assert refused > 30


def check(naive: Naive, stages: list[Lane]) -> None:
    for lane in stages:
        assert lane.live.hash_of("*") == naive.hash("*")
        for model in MODELS:
            assert lane.live.hash_of(model) == naive.hash(model), (model, naive.own.get(model))
        lane.checkpoint()
    metrics, drift, retrain, alerts = stages
    for model in MODELS:
        wanted = naive.holds(model)
        assert drift.live.rules_of(model) == named(ComparisonRules, wanted)
        assert metrics.live.rules_of(model).comparison == named(ComparisonRules, wanted)
        assert retrain.live.rules_of(model).rules == named(RetrainRules, wanted)
        assert alerts.live.rules_of(model) == named(AlertRules, wanted)
        days = wanted.unlabelled_after_days if wanted.unlabelled_as == "negative" else None
        assert metrics.live.rules_of(model).assume_after_days == days
        assert days is None or days in metrics.live.assume_days()
    for lane in stages:
        assert lane.live.of_models() == sum(map(len, naive.own.values()))
        assert {k: v for k, v in lane.table.rows.items() if k != settings_table.TOTALS} == {
            k: v for k, v in metrics.table.rows.items() if k != settings_table.TOTALS
        }, "all four keep the same"
    marked = [o for o in naive.own.values() if "unlabelled_as" in o or "unlabelled_after_days" in o]
    assert sum(metrics.live._marks.values()) == len(marked)


def named(kind: Any, rules: TypeSettings) -> Any:
    return kind(**{field.name: getattr(rules, field.name) for field in dataclasses.fields(kind)})


def test_what_a_later_change_contradicts_is_set_aside_for_as_long_as_it_does() -> None:
    lane = lanes()[1]
    told = lambda values, model="*": lane.command(order(values, model))  # noqa: E731
    assert told({"drop_points": 9, "alert_gap_h": 5}, "churn:a") is None
    before = lane.live.hash_of("churn:a")
    assert told({"drop_high_points": 8}) is None
    assert lane.live.rules_of("churn:a").drop_points == 5, "its type's, for the whole group"
    assert lane.live.rules_of("churn:a").drop_high_points == 8
    # what has nothing to do with it can be changed meanwhile, and what has must stand together
    assert told({"ks_p_value": 0.02}, "churn:a") is None
    assert "must be above drop_points" in (told({"drop_critical_points": 30}, "churn:a") or "")
    assert told({"drop_high_points": None}) is None
    assert lane.live.rules_of("churn:a").drop_points == 9
    assert told({"ks_p_value": None}, "churn:a") is None
    assert lane.live.hash_of("churn:a") == before


def test_taking_everything_back_leaves_nothing_in_the_table() -> None:
    for lane in lanes():
        for model in MODELS:
            assert lane.command(order({"recent_days": 5, "unlabelled_as": "negative"}, model)) is None
        assert lane.command(order({"recent_days": 6, "types.new.recent_days": 8})) is None
        lane.checkpoint()
        assert lane.live.of_models() == 2 * len(MODELS)
        for model in MODELS:
            assert lane.command(order({"recent_days": None, "unlabelled_as": None}, model)) is None
        assert lane.command(order({"recent_days": None, "types.new.recent_days": None})) is None
        lane.checkpoint()
        assert lane.table.rows == {}
        assert lane.live.hash_of("new:x") == START.hash_of("new:x")


def test_beyond_the_limits_a_command_is_refused_by_name_and_taking_back_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_settings, "MOST_OF_MODELS", 3)
    monkeypatch.setattr(live_settings, "MOST_TYPES", 2)
    for lane in lanes():
        assert lane.command(order({"recent_days": 5, "ks_p_value": 0.02}, "a:x")) is None
        assert "3 settings of single models" in (
            lane.command(order({"recent_days": 5, "ks_p_value": 0.1}, "a:y")) or ""
        )
        assert lane.command(order({"recent_days": 5}, "a:y")) is None
        assert lane.command(order({"recent_days": 6}, "a:y")) is None, "no more than before"
        assert "3 settings of single models" in (lane.command(order({"recent_days": 5}, "a:z")) or "")
        assert lane.command(order({"recent_days": None}, "a:x")) is None
        assert lane.command(order({"recent_days": 5}, "a:z")) is None
        assert lane.command(order({"types.a.recent_days": 5, "types.b.recent_days": 5})) is None
        assert "2 model types" in (lane.command(order({"types.c.recent_days": 5})) or "")
        assert lane.command(order({"types.c.recent_days": 5, "types.a.recent_days": None})) is None


def test_positions_records_do_not_grow_with_settings_and_opening_reads_none_of_them() -> None:
    sim = chain(START)
    at = 1_780_000_000_000
    sim.tick(at)
    before = {name: len(lane.lane_state or b"") for name, lane in sim.lanes.items()}
    for number in range(300):
        sim.command(order({"drop_points": 5.5, "recent_days": 6}, f"churn:{number:05d}", f"o-{number}"), at + 1_000)
        sim.command(order({f"types.t{number}.recent_days": 5}, id=f"t-{number}"), at + 1_000)
    sim.tick(at + 1_000)
    assert {name: len(lane.lane_state or b"") for name, lane in sim.lanes.items()} == before
    for name, table in sim.tables.items():
        assert sum(key.startswith(b"Vm") for key in table.rows) == 300, name
        asked: list[bytes] = []
        spy = Spy(table, asked)
        sim.stages[name].load(sim.lanes[name].lane_state, spy)
        assert not [key for key in asked if key.startswith(b"V")], name


class Spy:
    """A table that notes what is asked of it."""

    def __init__(self, table: Any, asked: list[bytes]) -> None:
        self._table, self._asked = table, asked

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        self._asked.extend(keys)
        found: list[bytes | None] = self._table.get_many(keys)
        return found

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        self._asked.append(prefix)
        found: list[tuple[bytes, bytes]] = self._table.scan(prefix, after, limit)
        return found


def test_a_setting_costs_the_same_however_many_models_have_some() -> None:
    """Of 100,000, the last beside the first: CPU of a process, the quickest thousand, where marks are counted too."""
    lane = lanes()[0]
    spent = []
    for thousand in range(100):
        records = [
            order({"drop_points": 5.5, "unlabelled_after_days": n % 90 + 1}, f"churn:{1_000 * thousand + n:08d}")
            for n in range(500)
        ]
        if thousand in (1, 99):
            lane.open()
        start = time.process_time()
        for record in records:
            assert lane.command(record) is None
        lane.checkpoint()
        spent.append(time.process_time() - start)
    assert lane.live.of_models() == 100_000
    first, last = min(spent[:4]), min(spent[-4:])
    print(f"CPU of a setting, µs: first thousands {1e3 * first:.0f}, last thousands {1e3 * last:.0f}")
    assert last < 2 * first
    assert lane.live.assume_days() == (), "nobody says what they mean"
    assert "settings of single models" in (lane.command(order({"recent_days": 5}, "churn:one-more")) or "")


def test_the_splitting_of_keys_knows_types_with_dots() -> None:
    said = by_type({"types.a.b.recent_days": 1, "recent_days": 2, "types.recent_days": 3})
    assert said == {"a.b": {"recent_days": 1}, "": {"recent_days": 2, "types.recent_days": 3}}


def test_what_was_published_comes_to_what_the_stages_hold() -> None:
    sim = chain(START)
    at = 1_780_000_000_000
    sim.tick(at)
    for number, (model, values) in enumerate((
        ("*", {"drop_high_points": 12, "types.new.recent_days": 5}), ("new:x", {"drop_points": 11, "alert_gap_h": 3}),
        ("*", {"drop_high_points": 10.5}), ("fraud:acme", {"performance_metrics": ["f1"]}),
        ("new:x", {"alert_gap_h": None}),
    )):  # fmt: skip
        sim.command(order(values, model, f"o-{number}"), at + 1_000)
    sim.tick(at + 1_000)
    newest = {(row["model"], row["key"]): row for row in records(sim, "settings")}
    holds = Published(newest.values()).under(values_of(START))
    for model in (*MODELS, "*"):
        assert holds.hash_of(model) == sim.stages["drift"].settings.hash_of(model)
    assert holds.rules_of("new:x")["drop_points"] == 5, "set aside"
    assert holds.own("new:x") == {"drop_points": 11.0}
    would = Published(newest.values()).under(values_of(START))
    would.change(Change("*", {"drop_high_points": None}))
    assert would.rules_of("new:x")["drop_high_points"] == 10
    with pytest.raises(ValueError, match="unknown setting"):
        would.change(Change("new:x", {"auto_retrain": True}))
    assert holds.rules_of("new:x")["drop_high_points"] == 10.5, "what another made of it stays there"
