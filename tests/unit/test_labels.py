"""The labels stage, driven manually."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from schemas.clock import TickView
from schemas.unreadable import Unreadable
from stream_app.core.counts import deltas
from stream_app.core.labels.config import DAY_MS, LabelsConfig, TypeRules, labels_partition
from stream_app.core.labels.lane_state import promised, waiting_by
from stream_app.core.labels.stage import LabelsStage
from stream_app.errors import Broken, Incompatible
from tests.unit.tables import DictTable, Rec, record

T0 = 20_500 * DAY_MS
HOUR = 3_600_000


def rules(model_type: str) -> TypeRules:
    scope = {"conflict": "global", "fraud": "tenant"}.get(model_type, "auto")
    return TypeRules(scope, 3 if model_type == "short" else 10)


CONFIG = LabelsConfig(
    source=0, targets=2, rules=rules, partition_of=labels_partition(2), min_horizon_days=3, max_horizon_days=10
)


class Bench:
    """A stage with its table, fed records as their tick comes."""

    def __init__(self) -> None:
        self.table = DictTable()
        self.stage = LabelsStage(CONFIG)
        self.stage.load(None, self.table)
        self.rows: dict[tuple[str, str, int, int, float], int] = {}
        self.dead: list[str] = []
        self.errors: list[str] = []
        self.now = T0

    def tick(
        self, hours: float, predictions: Sequence[Any] = (), outcomes: Sequence[Any] = (), chunk: int = 99
    ) -> None:
        """Advance by hours; the records stood in the log before the tick."""
        self.now += int(hours * HOUR)
        tick = TickView(self.now, True, None, {}, 0)
        for alias, rows in (("predictions", predictions), ("outcomes", outcomes)):
            for at in range(0, len(rows), chunk):
                batch = [record(row, at + i) for i, row in enumerate(rows[at : at + chunk])]
                self.stage.accept(alias, batch, tick)
                if chunk < 99:
                    self.drain()
        self.stage.advance(tick)
        self.drain()

    def drain(self) -> None:
        drained = self.stage.drain()
        self.table.put(drained.puts)
        assert not promised(drained.lane_state) - waiting_by(rules)(self.table.rows.values()), (
            "the lane state counts what the table holds"
        )
        for emit in drained.emits:
            if emit.topic == "dead-letters":
                headers = dict(emit.headers)
                self.dead.append(headers["plumbline.reason"].decode())
                self.errors.append(headers["__connect.errors.exception.message"].decode())
                continue
            for part in deltas.decode(emit.value or b"").parts:
                for cell, kind, score, count in zip(*part.rows(), strict=True):
                    identity = part.cells[int(cell)]
                    key = (identity.model, identity.version, identity.day, int(kind), float(score))
                    self.rows[key] = self.rows.get(key, 0) + int(count)
        fresh = LabelsStage(CONFIG)
        fresh.load(drained.lane_state, self.table)
        self.stage = fresh

    def counts(self, side: str) -> dict[str, int]:
        return {name: n for name, n in self.stage.lane_state.dispositions()[side].items() if n}

    def labels(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for (_, _, _, kind, _), count in self.rows.items():
            if kind >= 2 and count:
                found[kind] = found.get(kind, 0) + count
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


def p(name: str = "a", **changes: Any) -> dict[str, Any]:
    row = {"prediction_id": name, "model_type": "fraud", "model_version": "v1", "tenant_id": "t", "score": 0.7}
    return {**row, "predicted_at": T0, **changes}


def o(name: str = "a", actual: bool = True, at: int = T0 + 1) -> dict[str, Any]:
    return {"prediction_id": name, "actual": actual, "observed_at": at}


def test_an_outcome_after_its_prediction_joins(bench: Bench) -> None:
    bench.tick(1, [p()])
    bench.tick(1, [], [o()])
    assert bench.counts("predictions") == bench.counts("outcomes") == {"joined": 1}
    assert bench.labels() == {deltas.LABEL_TP: 1}


def test_an_outcome_before_its_prediction_joins(bench: Bench) -> None:
    bench.tick(1, [], [o(actual=False)])
    assert bench.counts("outcomes") == {"pending": 1}
    bench.tick(1, [p()])
    assert bench.counts("predictions") == bench.counts("outcomes") == {"joined": 1}
    assert bench.labels() == {deltas.LABEL_FP: 1}


def test_the_same_records_again_are_duplicates(bench: Bench) -> None:
    bench.tick(1, [p(), p()], [o(), o()])
    bench.tick(1, [p()], [o(at=T0 + 9)])
    assert bench.counts("predictions") == {"joined": 1, "duplicate": 2}
    assert bench.counts("outcomes") == {"joined": 1, "duplicate": 2}
    assert bench.labels() == {deltas.LABEL_TP: 1}


def test_a_later_other_value_corrects_and_moves_the_count(bench: Bench) -> None:
    bench.tick(1, [p()], [o(actual=True, at=T0)])
    bench.tick(1, [], [o(actual=False, at=T0 + 1)])
    assert bench.counts("outcomes") == {"joined": 1, "corrected": 1}
    assert bench.labels() == {deltas.LABEL_FP: 1}


def test_an_earlier_other_value_contradicts(bench: Bench) -> None:
    bench.tick(1, [p()], [o(actual=True, at=T0 + 5)])
    bench.tick(1, [], [o(actual=False, at=T0 + 5), o(actual=False, at=T0 + 4)])
    assert bench.dead == ["contradictory", "contradictory"]
    assert bench.labels() == {deltas.LABEL_TP: 1}


def test_another_prediction_under_the_same_id_contradicts(bench: Bench) -> None:
    bench.tick(1, [p(), p(score=0.1)])
    assert bench.counts("predictions") == {"pending": 1, "dead_lettered": 1}


def test_a_correction_before_the_prediction_counts_once(bench: Bench) -> None:
    bench.tick(1, [], [o(actual=True, at=T0), o(actual=False, at=T0 + 1)])
    bench.tick(1, [p()])
    assert bench.counts("outcomes") == {"joined": 1, "corrected": 1}
    assert bench.labels() == {deltas.LABEL_FP: 1}


def test_a_prediction_expires_by_whole_days_after_its_horizon(bench: Bench) -> None:
    bench.tick(1, [p("s", model_type="short")])
    bench.tick(3 * 24)
    assert bench.counts("predictions") == {"pending": 1}
    bench.tick(23)
    assert bench.counts("predictions") == {"unmatched": 1}
    bench.tick(1, [], [o("s")])
    assert bench.counts("outcomes") == {"pending": 1}
    assert bench.labels() == {}


def test_an_expired_id_may_be_used_again(bench: Bench) -> None:
    bench.tick(1, [p("s", model_type="short")], [o("s")])
    bench.tick(4 * 24, [p("s", model_type="short", score=0.2, predicted_at=T0 + 4 * DAY_MS)])
    assert bench.counts("predictions") == {"joined": 1, "pending": 1}


def test_an_early_outcome_waits_seven_days(bench: Bench) -> None:
    bench.tick(1, [], [o()])
    bench.tick(7 * 24)
    assert bench.counts("outcomes") == {"pending": 1}
    bench.tick(24, [p(predicted_at=T0 + 7 * DAY_MS)])
    assert bench.counts("outcomes") == {"unmatched": 1}
    assert bench.counts("predictions") == {"pending": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (None, "null_value"),
        (b"[]", "invalid_field"),
        (p(score=1.01), "invalid_field"),
        (p(score="0.5"), "invalid_field"),
        (p(predicted_at="2026-01-01T00:00:00"), "invalid_field"),
        (p(prediction_id="é" * 65), "invalid_field"),
        (p(model_type="a b"), "bad_name"),
        (p(model_version="x" * 129), "invalid_field"),
        (p(tenant_id=None), "missing_tenant"),
        (p(tenant_id="global"), "bad_name"),
        (p(predicted_at=T0 + HOUR + 300_001), "future"),
        (p(predicted_at=T0 + HOUR - 90 * DAY_MS - 1), "too_old"),
        (p(ci_lower=0.4), "bad_interval"),
        (p(ci_lower=0.4, ci_upper=0.3), "bad_interval"),
        (p(features={"x": "y" * 1_100_000}), "oversized"),
    ],
)
def test_a_bad_prediction_is_dead_lettered_and_its_neighbours_go_on(bench: Bench, row: Any, reason: str) -> None:
    bench.tick(1, [p("before"), row, p("after")])
    assert bench.dead == [reason]
    assert bench.counts("predictions") == {"pending": 2, "dead_lettered": 1}


_WRITTEN = "is neither RFC 3339, as 2026-03-02T02:00:00Z, nor an integer of milliseconds"
_NO_OFFSET = "is a time without an offset: write it as ...Z or ...+01:00"
_OUTSIDE = "is outside 1970 to 2141; integers are milliseconds since 1970"


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (T0 // 1000, "if 1771200000 is in seconds (2026-02-16T00:00:00.000Z), write milliseconds"),
        (T0 * 1000, _OUTSIDE),
        (T0 * 1_000_000, _OUTSIDE),
        (T0 / 1000, _WRITTEN),
        (str(T0), _WRITTEN),
        ("2026-03-01 00:00:00", _NO_OFFSET),
        ("2026-03-01", _WRITTEN),
        ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01.000Z is more than 90 d before the tick 2026-02-16T01:00:00.000Z"),
        ("0001-01-01T00:00:00+14:00", "ms since 1970 is more than 90 d before the tick"),
        ("9999-12-31T23:00:00-12:00", "ms since 1970 is more than 300 s after the tick"),
    ],
)
def test_a_time_in_another_unit_or_writing_is_named(bench: Bench, at: Any, says: str) -> None:
    bench.tick(1, [p(predicted_at=at)])
    assert [error for error in bench.errors if says in error], bench.errors


@pytest.mark.parametrize(
    ("at", "says"),
    [(T0 * 1000, _OUTSIDE), (T0 / 1000, _WRITTEN), (str(T0), _WRITTEN), ("2026-02-16 00:00:00", _NO_OFFSET)],
)
def test_when_an_outcome_was_observed_is_asked_for_by_the_same_words(bench: Bench, at: Any, says: str) -> None:
    bench.tick(1, [p()], [o(at=at)])
    assert bench.errors == [f"observed_at {says}"]


@pytest.mark.parametrize(
    "row",
    [
        p(predicted_at=T0 + HOUR + 300_000),
        p(predicted_at=T0 + HOUR - 90 * DAY_MS),
        p(predicted_at="2026-02-16T00:00:00+01:00"),
        p(prediction_id="é" * 64),
        p(model_type="other", tenant_id=None),
        p(model_type="conflict", tenant_id="ignored"),
        p(ci_lower=0.3, ci_upper=0.3),
        p(score=0),
        p(predicted=1),
    ],
)
def test_what_just_meets_the_contract_is_taken(bench: Bench, row: Any) -> None:
    bench.tick(1, [row])
    assert bench.dead == []
    assert bench.counts("predictions") == {"pending": 1}


def test_shadow_predictions_are_counted_in_the_dispositions_only(bench: Bench) -> None:
    bench.tick(1, [p(role="shadow")], [o()])
    assert bench.counts("predictions") == {"joined": 1}
    assert bench.rows == {}


def test_minus_zero_is_zero(bench: Bench) -> None:
    bench.tick(
        1, [b'{"prediction_id":"z","model_type":"churn","model_version":"v","predicted_at":%d,"score":-0.0}' % T0]
    )
    (key,) = bench.rows
    assert np.signbit(key[-1]) == np.False_


def test_the_sums_do_not_depend_on_chunks_or_restarts() -> None:
    draw = random.Random(4)
    names = [f"n{i}" for i in range(150)]
    predictions: list[Any] = [p(n, score=draw.choice([0.1, 0.5, draw.random()])) for n in names]
    outcomes: list[Any] = [o(n, draw.random() < 0.5) for n in names]
    outcomes += [o(n, draw.random() < 0.5, T0 + 50) for n in names[::3]] + [b"broken"]
    seen = []
    for chunk in (99, 1, 7, 23):
        bench = Bench()
        bench.tick(1, predictions[:100], outcomes[50:], chunk)
        bench.tick(1, predictions[100:], outcomes[:50], chunk)
        rows = {key: count for key, count in bench.rows.items() if count}
        seen.append((rows, bench.stage.lane_state.dispositions(), sorted(bench.dead)))
    assert all(item == seen[0] for item in seen)


@pytest.mark.parametrize("seed", range(20))
def test_the_memo_says_what_the_table_must_hold_whatever_comes(seed: int) -> None:
    """Ids that come again after their horizon, either half first, days skipped, a checkpoint after every few records;
    ``Bench.drain`` compares."""
    draw, bench = random.Random(seed), Bench()
    names = [f"id-{n}" for n in range(30)]
    promises = 0
    for _ in range(40):
        kind = {"model_type": draw.choice(["short", "churn"])}
        role = {"role": "shadow"} if draw.random() < 0.2 else {}
        made = bench.now
        predictions = [p(n, predicted_at=made, **kind, **role) for n in draw.sample(names, 4)]
        outcomes = [o(n, draw.random() < 0.5, made) for n in draw.sample(names, 3)]
        bench.tick(draw.choice([1, 1, 6, 24, 24 * 5]), predictions, outcomes, chunk=draw.choice([1, 2, 99]))
        promises += promised(bench.stage.drain().lane_state).total()
    assert promises > 100, "or nothing was compared"
    assert bench.counts("predictions")["unmatched"]
    assert bench.counts("outcomes")["unmatched"]


def test_every_epoch_is_closed_towards_every_target_even_when_empty() -> None:
    bench = Bench()
    tick = TickView(T0 + HOUR, True, None, {"x": 3}, 0)
    bench.stage.advance(tick)
    emits = bench.stage.drain().emits
    assert [e.partition for e in emits] == [0, 1]
    for emit in emits:
        (part,) = deltas.decode(emit.value or b"").parts
        assert (part.closed, part.end_offsets) == (T0 + HOUR, {"x": 3})


def test_a_record_too_large_for_the_broker_is_split() -> None:
    from stream_app.core.labels import counts

    cells = [deltas.CellId(f"fraud:{'t' * 100}{i:05d}", "v" * 100, 492_000) for i in range(6_000)]
    number = np.arange(6_000, dtype="<u4")
    part = deltas.Part(
        5, 9, {"a": 1}, {}, cells, number.tobytes(), bytes(6_000), np.zeros(6_000).tobytes(),
        np.ones(6_000, dtype="<i4").tobytes(), [deltas.Intervals(5_999, 1, 2, 3)],
    )  # fmt: skip
    values = counts.records(3, [part])
    assert len(values) > 1
    assert max(len(v) for v in values) <= counts.MAX_RECORD_BYTES
    pieces = [piece for value in values for piece in deltas.decode(value).parts]
    assert [piece.closed for piece in pieces] == [None] * (len(pieces) - 1) + [9]
    assert sorted(cell for piece in pieces for cell in piece.cells) == sorted(cells)
    assert [i.cell for piece in pieces for i in piece.intervals] == [len(pieces[-1].cells) - 1]


def test_an_unknown_format_of_the_positions_record_is_named() -> None:
    with pytest.raises(Incompatible, match="format"):
        LabelsStage(CONFIG).load(b"\x09", DictTable())


def test_records_need_their_tick() -> None:
    with pytest.raises(Broken, match="gated"):
        LabelsStage(CONFIG).accept("predictions", [Rec("t", 0, 0, 0, None, b"")], None)


@pytest.mark.parametrize("alias", ["predictions", "outcomes"])
def test_what_could_not_be_read_counts_as_many_records_as_it_stands_for_and_its_neighbours_go_on(
    bench: Bench, alias: str
) -> None:
    value = Unreadable.of(
        b"\x00\x01raw", reason="unreadable_batch", error="it does not frame", span=(3, 17), records=15, sha256="ab"
    )
    rows: list[Any] = [p("x"), p("y")] if alias == "predictions" else [o("x"), o("y")]
    batch = [record(rows[0], 0), Rec("ml", 0, 3, 0, None, value), record(rows[1], 18)]
    bench.now += HOUR
    bench.stage.accept(alias, batch, TickView(bench.now, True, None, {}, 0))
    bench.drain()
    assert bench.dead == ["unreadable_batch"]
    assert bench.counts(alias) == {"pending": 2, "dead_lettered": 15}


@pytest.mark.parametrize("where", ["value", "key", "headers", "names"])
@pytest.mark.parametrize("alias", ["predictions", "outcomes"])
def test_key_value_and_headers_count_together(bench: Bench, alias: str, where: str) -> None:
    """At the limit a record is taken; one byte more, wherever it is, and it is not."""
    limit = CONFIG.max_record_bytes
    row: Any = p("x") if alias == "predictions" else o("x")
    plain = record(row, 0)
    room = limit - len(plain.value) - len(plain.key)
    for more, dead in ((0, []), (1, ["oversized"])):
        size = room + more
        value = plain.value[:-1] + b" " * size + b"}" if where == "value" else plain.value
        key = plain.key + b"k" * size if where == "key" else plain.key
        headers = {"headers": [("h", b"v" * (size - 1))], "names": [("é" * (size // 2) + "n" * (size % 2), b"")]}
        found = Rec("ml", 0, 0, 0, key, value, tuple(headers.get(where, [])))
        bench.now += HOUR
        bench.stage.accept(alias, [found], TickView(bench.now, True, None, {}, 0))
        bench.drain()
        assert bench.dead == dead
