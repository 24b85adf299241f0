"""Names that a labels lane counts: what is refused, what is remembered, and that neither depends on chance."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clock import TickView
from stream_app.core.labels import lane_state as lane_states
from stream_app.core.labels import name_cache
from stream_app.core.labels.config import (
    DAY_MS,
    BadName,
    LabelsConfig,
    NameLimits,
    TypeRules,
    labels_partition,
    resolve,
)
from stream_app.core.labels.entry import entry_day
from stream_app.core.labels.names import KnownNames
from stream_app.core.labels.stage import LabelsStage
from stream_app.engine.protocol import Positions, encode_positions
from stream_app.engine.segmenting import Segmenting
from stream_app.engine.store import FORMAT, Meta, Store, StoreMemory
from stream_app.errors import Incompatible
from stream_app.settings import Settings
from stream_app.settings.model import MOST_HORIZONS
from tests.laws.test_laws import LAWFUL
from tests.unit.tables import DictTable, record

T0 = 20_500 * DAY_MS
LIMITS = NameLimits(types=3, models=5, versions=3, pairs=8)
KEEP = 5


def rules(model_type: str) -> TypeRules:
    return TypeRules("auto", 3 if model_type == "short" else 10)


def config(**changes: Any) -> LabelsConfig:
    known = {
        "source": 0, "targets": 2, "rules": rules, "partition_of": labels_partition(2), "min_horizon_days": 3,
        "max_horizon_days": 10,
        "limits": LIMITS, "names_days": KEEP, "refresh_days": 2,
    }  # fmt: skip
    return LabelsConfig(**{**known, **changes})


class Oracle:
    """The rule as the contract words it, over whole histories: nothing is kept but when each pair was last seen."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str, str], int] = {}

    def takes(self, pair: tuple[str, str, str], today: int) -> bool:
        living = {p for p, day in self.last.items() if today - day <= KEEP}
        after = living | {pair}
        versions = Counter((t, m) for t, m, _ in after)
        fits = (
            len({t for t, _, _ in after}) <= LIMITS.types
            and len({(t, m) for t, m, _ in after}) <= LIMITS.models
            and versions[pair[:2]] <= LIMITS.versions
            and len(after) <= LIMITS.pairs
        )
        if pair in living or fits:
            self.last[pair] = today
            return True
        return False


class Lane:
    """A labels stage on a real table, or on a dictionary, that may be thrown away and loaded at any time."""

    def __init__(self, table: Any = None, **changes: Any) -> None:
        self.config = config(**changes)
        self.table = table or DictTable()
        self.lane_state: bytes | None = None
        self.dead: list[tuple[str, str]] = []
        self.crash()

    def crash(self) -> None:
        self.stage = LabelsStage(self.config)
        self.stage.load(self.lane_state, self.table)

    def feed(self, rows: list[Any], now: int, offset: int = 0) -> None:
        batch = [record(row, offset + i) for i, row in enumerate(rows)]
        self.stage.accept("predictions", batch, TickView(now, True, None, {}, 0))

    def tick(self, now: int) -> None:
        self.stage.advance(TickView(now, True, None, {}, 0))

    def checkpoint(self) -> None:
        drained = self.stage.drain()
        if isinstance(self.table, Store):
            self.table.write(drained.puts.items(), Meta("", "", FORMAT, 0, 0, b""))
        else:
            self.table.put(drained.puts)
        self.lane_state = drained.lane_state
        for emit in drained.emits:
            if emit.topic == "dead-letters":
                headers = dict(emit.headers)
                offset = headers["__connect.errors.offset"].decode()
                self.dead.append((offset, headers["__connect.errors.exception.message"].decode()))


def named(model_type: str, tenant: str, version: str, number: int = 0, at: int = T0) -> dict[str, Any]:
    return {
        "prediction_id": f"p{number}", "model_type": model_type, "tenant_id": tenant, "model_version": version,
        "predicted_at": at, "score": 0.5,
    }  # fmt: skip


pairs = st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from("1234"))
days = st.lists(st.tuples(st.sampled_from((0, 0, 1, 1, 2, 4, 7)), st.lists(pairs, max_size=9)), max_size=14)


@LAWFUL
@given(days, st.randoms(use_true_random=False))
def test_names_near_the_bounds_are_refused_by_the_rule_wherever_chunks_and_crashes_fall(
    story: list[tuple[int, list[tuple[str, str, str]]]], chance: random.Random
) -> None:
    oracle, lane, number, now = Oracle(), Lane(), 0, T0
    wanted = []
    for later, seen in story:
        now += later * DAY_MS + 1
        rows = []
        for pair in seen:
            if not oracle.takes(pair, now // DAY_MS):
                wanted.append(str(number))
            rows.append(named(*pair, number=number, at=now))
            number += 1
        at = done = 0
        while at < len(rows):
            size = chance.randint(1, 4)
            lane.feed(rows[at : at + size], now, number - len(rows) + at)
            at += size
            if chance.random() < 0.2:  # dies: what no checkpoint has seen comes again
                lane.crash()
                at = done
            elif chance.random() < 0.6:
                lane.checkpoint()
                done = at
        lane.tick(now)
        lane.checkpoint()
    assert [offset for offset, _ in lane.dead] == wanted
    living = {p for p, day in oracle.last.items() if now // DAY_MS - day <= KEEP}
    usage = lane.stage.names()
    assert usage["pairs"].known == len(living)
    assert usage["models"].known == len({p[:2] for p in living})
    assert usage["types"].known == len({p[0] for p in living})
    assert usage["versions"].known == max(Counter(p[:2] for p in living).values(), default=0)


def test_a_bound_refuses_what_is_new_by_its_name_and_number_and_takes_what_is_known() -> None:
    lane = Lane()
    for number, pair in enumerate([("a", "x", "1"), ("b", "x", "1"), ("c", "x", "1")]):
        lane.feed([named(*pair, number=number)], T0, number)
    lane.feed([named("d", "x", "1", 3), named("a", "x", "1", 4), named("a", "x", "2", 5)], T0, 3)
    lane.feed(
        [named("a", "x", "3", 6), named("a", "x", "4", 7), named("a", "y", "1", 8), named("a", "z", "1", 9)], T0, 6
    )
    lane.feed([named("b", "y", "1", 10), named("b", "x", "2", 11), named("b", "x", "3", 12)], T0, 10)
    lane.checkpoint()
    assert lane.dead == [
        ("3", "model type 'd' is new, and this partition counts 3 model types of the last 5 days already, as many as "
              "max_model_types"),
        ("7", "version '4' of model 'a:x' is new, and this partition counts 3 versions of this model of the last 5 "
              "days already, as many as max_versions_per_model"),
        ("10", "model 'b:y' is new, and this partition counts 5 models of the last 5 days already, as many as "
               "max_models"),
        ("12", "version '3' of model 'b:x' is new, and this partition counts 8 versions of all models together of the "
               "last 5 days already, as many as max_versions"),
    ]  # fmt: skip
    assert lane.stage.lane_state.dispositions()["predictions"]["dead_lettered"] == 4
    assert {bound: (u.known, u.limit) for bound, u in lane.stage.names().items()} == {
        "types": (3, 3), "models": (5, 5), "versions": (3, 3), "pairs": (8, 8),
    }  # fmt: skip


def test_a_name_counts_until_its_last_day_and_the_kept_days_are_over() -> None:
    lane = Lane(limits=NameLimits(types=1))
    lane.feed([named("a", "x", "1")], T0)
    lane.feed([named("a", "x", "2", 1)], T0 + 2 * DAY_MS, 1)
    lane.feed([named("b", "x", "1", 2)], T0 + (2 + KEEP) * DAY_MS, 2)
    lane.checkpoint()
    assert [offset for offset, _ in lane.dead] == ["2"], "type a was seen five days ago"
    lane.feed([named("b", "x", "1", 3)], T0 + (3 + KEEP) * DAY_MS, 3)
    lane.checkpoint()
    assert len(lane.dead) == 1, "and six days ago it counts no more; b is first seen"
    lane.feed([named("a", "x", "1", 4)], T0 + (3 + KEEP) * DAY_MS, 4)
    lane.checkpoint()
    assert [offset for offset, _ in lane.dead] == ["2", "4"], "back again is as new as anything"


def test_names_survive_the_segments_of_the_store_and_the_time_that_shortens_the_changelog(tmp_path: Path) -> None:
    """Seen once, then ``KEEP`` = 40 days of silence under a horizon of 10: no tenth of a name is lost or kept on."""
    horizon, keep, refresh = 10, 40, 2
    memory = StoreMemory(8 << 20, 8 << 20)
    segmenting = Segmenting(entry_day, horizon)
    store = Store(tmp_path / "lane", memory, segmenting)
    lane = Lane(store, names_days=keep, refresh_days=refresh, limits=NameLimits())
    log: list[tuple[int, bytes, bytes]] = []  # day written, key, value: what a changelog of horizon + 2 days holds
    write = store.write

    def logged(puts: Any, meta: Meta) -> None:
        puts = list(puts)
        log.extend((today, key, value) for key, value in puts)
        write(puts, meta)

    store.write = logged  # type: ignore[method-assign]
    today = T0 // DAY_MS
    for number in range(60):
        lane.feed([named("a", f"t{number}", "1", number)], T0, number)
    for day in range(keep + 2):
        today, now = T0 // DAY_MS + day, T0 + day * DAY_MS
        lane.feed([named("b", "x", f"{day % 7}", 100 + day, now)], now, 100 + day)
        lane.tick(now)
        lane.checkpoint()
        lane.crash()
        log = [row for row in log if today - row[0] <= horizon + 2]
        again = Store(tmp_path / f"restored-{day}", memory, segmenting)
        again.write([(key, value) for _, key, value in log], Meta("", "", FORMAT, 0, 0, b""))
        restored = LabelsStage(lane.config)
        restored.load(lane.lane_state, again)
        assert restored.names() == lane.stage.names()
        assert lane.stage.names()["pairs"].known == (60 if day <= keep else 0) + min(day + 1, 7)
        again.close()
    puts = Counter(key for _, key, _ in log)
    assert max(puts.values()) <= horizon + 3, "a name is written at most once a day"
    store.close()


def test_days_that_no_tick_names_write_what_they_would_have_written() -> None:
    limits = NameLimits()
    one, jump = KnownNames(limits, 90, 15), KnownNames(limits, 90, 15)
    for number in range(200):
        name = resolve(config(), "a", f"t{number}", "1", False)
        one.seen(name, rules("a"), 100, {})
        jump.seen(name, rules("a"), 100, {})
    written: dict[bytes, bytes | None] = {}
    sizes = []
    for day in range(101, 116):
        puts: dict[bytes, bytes | None] = {}
        one.turn(day - 1, day, puts)
        sizes.append(len(puts))
        written.update(puts)
    at_once: dict[bytes, bytes | None] = {}
    jump.turn(100, 115, at_once)
    assert set(at_once) == set(written)
    assert len([key for key in written if key.startswith(b"n")]) == 200, "each once in fifteen days"
    assert max(sizes) < 40, "and an even share on each"


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [named("a", f"t{n % 50}", "1", n) for n in range(200)]
    rows += [named("bad name", "x", f"{n % 50}", 1_000 + n) for n in range(100)]
    found = []
    for most in (20_000, 7):
        monkeypatch.setattr(name_cache, "MOST_NAMES", most)
        lane = Lane(limits=NameLimits(models=30))
        for at in range(0, len(rows), 11):
            lane.feed(rows[at : at + 11], T0, at)
            assert len(lane.stage._names.by_event) <= most
            assert len(lane.stage._names.by_stored) <= most
        lane.tick(T0 + 1)
        drained = lane.stage.drain()
        found.append((drained.puts, drained.emits, drained.lane_state))
    assert found[0] == found[1]


def test_a_refusal_that_is_remembered_holds_no_records() -> None:
    lane = Lane()
    lane.feed([named("bad name", "x", "1", n) for n in range(5)], T0)
    (refused,) = lane.stage._names.by_event.values()
    assert isinstance(refused, BadName)
    assert refused.__traceback__ is None
    assert refused.__context__ is None


def test_a_type_that_was_seen_keeps_its_scope_and_horizon_by_name() -> None:
    lane = Lane()
    lane.feed([named("short", "x", "1")], T0)
    lane.checkpoint()
    lane.config = config(rules=lambda model_type: TypeRules("auto", 10))
    with pytest.raises(Incompatible, match=r"types\.short has scope auto and pending_horizon_days 10 here.*auto and 3"):
        lane.crash()
    lane.config = config(rules=lambda name: TypeRules("tenant", 30) if name == "unseen" else rules(name))
    lane.crash()


# -- the positions record ------------------------------------------------------------------------------------------


def test_a_positions_record_at_the_limits_is_below_256_kib() -> None:
    """Sixteen horizons of up to a year, every day waiting, counts of ten digits, the longest names of all kinds."""
    many = 10**10
    lane_state = lane_states.LabelsLaneState(
        many, 20_500, lane_states.DispositionTally(*[many] * 5), lane_states.DispositionTally(*[many] * 5)
    )
    lane_state.pending = {365 - n: dict.fromkeys(range(20_135, 20_501), many) for n in range(MOST_HORIZONS)}
    lane_state.early = dict.fromkeys(range(20_440, 20_501), many)
    names = [f"t{n}".ljust(128, "x") for n in range(1_000)]
    types = {name: {"scope": "tenant", "pending_horizon_days": 300 + n % 14} for n, name in enumerate(names)}
    settings = Settings(input_partitions=1_000, model_partitions=1_000, types=types)
    record = Positions(
        {"predictions": many, "outcomes": many, "clock": many}, many, {"predictions": many, "outcomes": many},
        settings.static_view(), lane_states.encode(lane_state),
    )  # fmt: skip
    assert len(encode_positions(record)) < 256 << 10


def test_nothing_that_producers_name_stands_in_a_positions_record() -> None:
    lane = Lane(limits=NameLimits())
    before: dict[int, int] = defaultdict(int)
    for number in range(40):
        lane.feed([named(f"type-{number}-of-mine", "tenant-of-mine", "version-of-mine", number)], T0, number)
        lane.checkpoint()
        before[len(lane.lane_state or b"")] += 1
    assert b"of-mine" not in (lane.lane_state or b"")
    assert len(before) == 1, "and no name makes it longer"


def test_more_than_sixteen_horizons_are_refused_by_name() -> None:
    types = {f"t{n}": {"pending_horizon_days": 100 + n} for n in range(15)}
    assert len(Settings(types=types).types) == 15, "and the default makes sixteen"
    with pytest.raises(ValueError, match=r"pending_horizon_days: 17 different ones .*60, 99, 100.*at most 16"):
        Settings(types={**types, "one-more": {"pending_horizon_days": 99}})


@pytest.mark.parametrize("setting", ["input_partitions", "model_partitions"])
def test_more_than_a_thousand_partitions_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        Settings(**{setting: 1_001})
