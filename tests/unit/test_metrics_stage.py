"""The metrics stage, driven manually and at random."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from schemas.clock import Tick, TickView
from schemas.common import encode, rfc3339
from schemas.partitioning import partition_for
from stream_app import pipeline
from stream_app.core import model_log
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Part
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.kit.effects import Emit
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.kafka.topics import Topics
from stream_app.simulator import DictTable

D = 20_500
ADA = {"actor": "ada", "reason": "deployed at noon"}
SOURCES = 2


def config(**changes: Any) -> MetricsConfig:
    return MetricsConfig(
        **{"sources": SOURCES, "partitions": 1, "source": "/t", "rules": Fixed(lambda model: ModelRules()), **changes}
    )


class Bench:
    """A metrics lane with its table; reloaded from it at will."""

    def __init__(self, settings: MetricsConfig | None = None, draw: random.Random | None = None) -> None:
        self.settings = settings or config()
        self.table = DictTable()
        self.draw = draw
        self.emits: list[Emit] = []
        spec = pipeline.metrics(Topics("", "", SOURCES, 1), self.settings)
        self.logs = {alias: Log(topic) for alias, topic in spec.inputs().items()}
        self.lane = LaneDriver(spec, 0, self.table, self.logs)

    @property
    def stage(self) -> Any:
        return self.lane.stage

    def drain(self) -> None:
        self.lane.checkpoint()
        self.emits += self.lane.take()  # type: ignore[arg-type]
        if self.draw is not None and self.draw.random() < 0.3:
            self.lane.reopen()

    def deliver(self, record: DeltaRecord) -> None:
        self.logs["model-deltas"].append(deltas.encode(record), b"")
        self.lane.fetch("model-deltas")
        self.lane.core.work()
        if self.draw is not None and self.draw.random() < 0.3:
            self.drain()

    def tick(self, at: int) -> None:
        ends = {topic: self.logs[alias].end for alias, topic in self.lane.spec.gated.items()}
        self.logs["clock"].append(encode(Tick(rfc3339(at), True, "external", ends)))
        self.lane.fetch_all()
        while self.lane.core.work():
            self.drain()
            self.lane.fetch_all()
        assert self.lane.core.waits_for == "a tick"
        if self.draw is None or self.draw.random() < 0.5:
            self.drain()

    def order(self, *values: bytes) -> None:
        """Commands that the next tick covers."""
        for value in values:
            self.logs["operator-commands"].append(value, b"k")

    def epoch(
        self, before: int, at: int, rows: list[tuple[CellId, int, float, int]], hours: Sequence[HourCount] = ()
    ) -> None:
        """Source 0 brings the rows, the others close the epoch empty; then the tick."""
        self.deliver(DeltaRecord(0, [part(before, at, rows, hours)]))
        for source in range(1, SOURCES):
            self.deliver(DeltaRecord(source, [Part(before, at)]))
        self.tick(at)

    def closed(self) -> list[dict[str, Any]]:
        rows = [json.loads(e.value or b"") for e in self.emits if e.topic == "metric-snapshots"]
        return [row for row in rows if row["state"] == "closed"]


def part(before: int, at: int | None, rows: list[tuple[CellId, int, float, int]], hours: Any = ()) -> Part:
    cells = sorted({row[0] for row in rows})
    r = deltas.aggregate(
        [cells.index(row[0]) for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )
    return Part(
        before, at, {}, {}, cells, r.cells.tobytes(), r.kinds.tobytes(), r.scores.tobytes(), r.counts.tobytes(), [],
        list(hours),
    )  # fmt: skip


CELL = CellId("fraud:a", "v1", D * 24 + 9)
ROWS = [(CELL, 1, 0.7, 3), (CELL, 5, 0.7, 2), (CELL, 0, 0.2, 1)]


def at(day: int, hour: int) -> int:
    return day * DAY_MS + hour * HOUR_MS


def test_a_day_is_published_at_its_close_once() -> None:
    bench = Bench()
    bench.epoch(0, at(D, 10), ROWS)
    bench.epoch(at(D, 10), at(D + 1, 1), [])
    assert bench.closed() == []
    bench.epoch(at(D + 1, 1), at(D + 1, 2), [])
    (row,) = bench.closed()
    assert (row["date"], row["revision"], row["predictions"], row["outcomes"]) == ("2026-02-16", 1, 4, 2)
    bench.epoch(at(D + 1, 2), at(D + 1, 3), [])
    assert len(bench.closed()) == 1


def test_a_tick_that_jumps_over_the_close_runs_it() -> None:
    bench = Bench()
    bench.epoch(0, at(D, 10), ROWS)
    bench.epoch(at(D, 10), at(D + 3, 17), [])
    assert [row["revision"] for row in bench.closed()] == [1]


def test_the_first_tick_runs_no_close_but_publishes_what_is_closed() -> None:
    bench = Bench()
    bench.epoch(0, at(D + 1, 2), ROWS)
    assert [row["revision"] for row in bench.closed()] == [1]
    entries = [model_log.decode(e.value or b"") for e in bench.emits if e.topic == "model-log"]
    (tick,) = [e for e in entries if isinstance(e, model_log.TickEntry)]
    assert tick.closes == []


def test_late_labels_revise_at_full_hours_only_and_only_if_something_changed() -> None:
    bench = Bench()
    bench.epoch(0, at(D, 10), ROWS)
    bench.epoch(at(D, 10), at(D + 1, 2), [])
    late = [(CELL, 2, 0.2, 1)]
    bench.epoch(at(D + 1, 2), at(D + 1, 2) + 60_000, late)
    assert len(bench.closed()) == 1
    bench.epoch(at(D + 1, 2) + 60_000, at(D + 1, 3), [])
    assert [row["revision"] for row in bench.closed()] == [1, 2]
    bench.epoch(at(D + 1, 3), at(D + 1, 4), [(CELL, 2, 0.2, -1), (CELL, 2, 0.2, 1)])
    assert len(bench.closed()) == 2
    assert bench.closed()[-1]["outcomes"] == 3


def test_a_part_at_or_below_what_its_source_closed_is_ignored() -> None:
    bench = Bench()
    bench.epoch(0, at(D, 10), ROWS)
    bench.deliver(DeltaRecord(0, [part(0, at(D, 10), ROWS)]))
    bench.epoch(at(D, 10), at(D + 1, 2), [])
    assert bench.closed()[0]["predictions"] == 4


def test_a_tick_waits_for_every_source() -> None:
    bench = Bench()
    bench.deliver(DeltaRecord(0, [Part(0, at(D, 1))]))
    assert "labels-1" in (bench.stage.waiting_for(TickView(at(D, 1), True, None, {}, 0)) or "")


def test_cells_older_than_the_retention_are_forgotten_and_touched_no_more() -> None:
    bench = Bench()
    bench.epoch(0, at(D, 10), ROWS)
    bench.epoch(at(D, 10), at(D + 1, 4), [])
    bench.epoch(at(D + 1, 4), at(D + 92, 4), [])
    assert not [key for key in bench.table.rows if key.startswith(b"C")]
    bench.epoch(at(D + 92, 4), at(D + 92, 5), [(CELL, 5, 0.7, 1)])
    assert len(bench.closed()) == 1


def test_unlabelled_predictions_count_as_negatives_after_their_days() -> None:
    bench = Bench(config(rules=Fixed(lambda model: ModelRules(1, 2), days=(2,))))
    bench.epoch(0, at(D, 10), ROWS)
    last = at(D, 10)
    for day in range(D + 1, D + 5):
        bench.epoch(last, at(day, 2), [])
        last = at(day, 2)
    assert [(r["revision"], r["assumed_negatives"], r["outcomes"]) for r in bench.closed()] == [(1, 0, 2), (2, 2, 2)]


def test_the_active_version_is_observed_and_changes_with_two_hours_of_another() -> None:
    bench = Bench()
    new = CellId("fraud:a", "v2", D * 24 + 9)
    bench.epoch(0, at(D, 10), ROWS)
    hours = [HourCount("fraud:a", "v2", D * 24 + hour, 40) for hour in (9, 10)]
    bench.epoch(at(D, 10), at(D, 11), [(new, 1, 0.5, 40)], hours)
    states = [json.loads(e.value or b"") for e in bench.emits if e.topic == "model-lifecycle"]
    assert [(s["active_version"], s["previous_version"], s["how"]) for s in states] == [
        ("v1", None, "observed"),
        ("v2", "v1", "observed"),
    ]


def test_registering_names_the_active_version_and_foreign_models_are_refused() -> None:
    bench = Bench(config(partitions=2))
    mine = next(f"m:{i}" for i in range(99) if partition_for(f"m:{i}".encode(), 2) == 0)
    other = next(f"m:{i}" for i in range(99) if partition_for(f"m:{i}".encode(), 2) == 1)
    rows = [
        {"id": "1", "model": mine, "command": "register", "arguments": {"model_version": "v9"}, **ADA},
        {"id": "2", "model": other, "command": "register", "arguments": {"model_version": "v9"}, **ADA},
        {"id": "3"},
    ]
    bench.order(*(json.dumps(row).encode() for row in rows))
    bench.epoch(0, at(D, 1), [])  # commands take effect with their tick
    (state,) = [json.loads(e.value or b"") for e in bench.emits if e.topic == "model-lifecycle"]
    assert (state["model"], state["active_version"], state["how"]) == (mine, "v9", "registered")
    reasons = [dict(e.headers)["plumbline.reason"] for e in bench.emits if e.topic == "dead-letters"]
    assert reasons == [b"foreign_partition", b"invalid_command"]


def _ordered(bench: Bench, hour: int, *rows: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What the audit says of some commands: model, action, decision, reason."""
    before = len(bench.emits)
    bench.order(*(json.dumps({"id": f"{hour}.{i}", "arguments": {}, **row}).encode() for i, row in enumerate(rows)))
    bench.epoch(at(D, hour - 1) if hour > 1 else 0, at(D, hour), [])
    found = [json.loads(e.value or b"") for e in bench.emits[before:] if e.topic == "audit"]
    assert {row["stage"] for row in found} <= {"metrics"}
    assert [row["inputs"]["ids"] for row in found] == [[f"{hour}.{i}"] for i in range(len(found))]
    return [(row["model"], row["action"], row["decision"], row["reason"]) for row in found]


def test_registering_and_rebaselining_are_audited_by_metrics_with_what_they_did_or_why_not() -> None:
    bench = Bench()
    register = {"model": "m:a", "command": "register", "arguments": {"model_version": "v9"}, **ADA}
    rebaseline = {"model": "m:a", "command": "rebaseline", **ADA}
    assert _ordered(bench, 1, rebaseline, {**register, "model": "*"}, register) == [
        ("m:a", "rebaseline", "refused", "no_active_version: no version of this model is active"),
        ("*", "register", "refused", "model_needed: register needs a model, not *"),
        ("m:a", "register", "applied", "v9 is active: deployed at noon"),
    ]
    ten = {**register, "arguments": {"model_version": "v10"}}
    assert _ordered(bench, 2, register, ten, rebaseline, {**rebaseline, "model": "*"}) == [
        ("m:a", "register", "applied", "v9 was active already, since 2026-02-16T01:00:00.000Z: deployed at noon"),
        ("m:a", "register", "applied", "v10 is active after v9: deployed at noon"),
        ("m:a", "rebaseline", "applied", "the baseline of v10 begins again on 2026-02-16: deployed at noon"),
        ("*", "rebaseline", "applied", "the baseline of every model's active version begins again on 2026-02-16: "
         "deployed at noon"),
    ]  # fmt: skip


def test_what_the_coordinator_calls_unreadable_is_not_done_either() -> None:
    bench = Bench()
    nobody = {"model": "m:a", "command": "register", "arguments": {"model_version": "v9"}}
    assert _ordered(bench, 1, nobody) == []
    assert [e for e in bench.emits if e.topic == "model-lifecycle"] == []


def _random_run(seed: int, restarts: bool, cells_a_step: int) -> list[tuple[Any, ...]]:
    """The same epochs, cut and restarted at random; what is published must not show it."""
    draw = random.Random(seed)
    cut = random.Random(seed + 1_000) if restarts else None
    bench = Bench(config(cells_a_step=cells_a_step), cut)
    names = [("fraud:a", "v1"), ("fraud:a", "v2"), ("churn:b", "v1")]
    before = 0
    for step in range(90):
        now = at(D, 0) + (step + 1) * 40 * 60_000
        for source in range(SOURCES):
            rows = []
            for _ in range(draw.randrange(6)):
                model, version = draw.choice(names)
                cell = CellId(model, version, now // HOUR_MS - draw.choice([0, 0, 1, 24]))
                score = draw.choice([0.2, 0.5, 0.9])
                rows += [(cell, int(score >= 0.5), score, 2), (cell, 2 + 2 * int(score >= 0.5) + 1, score, 1)]
            hours = [HourCount(c.model, c.version, (now - 1) // HOUR_MS, 20) for c in sorted({r[0] for r in rows})]
            split = cut.randrange(len(rows) + 1) // 2 * 2 if cut is not None and rows else 0
            if split:
                bench.deliver(DeltaRecord(source, [part(before, None, rows[:split])]))
            bench.deliver(DeltaRecord(source, [part(before, now, rows[split:], hours)]))
        bench.tick(now)
        before = now
    bench.drain()
    return [(e.topic, e.key, e.value) for e in bench.emits]


def test_what_is_published_does_not_depend_on_cuts_and_restarts() -> None:
    plain = _random_run(1, restarts=False, cells_a_step=400)
    assert sum(topic == "metric-snapshots" for topic, _, _ in plain) > 20
    assert sum(topic == "model-lifecycle" for topic, _, _ in plain) > 2
    for cells_a_step in (1, 3, 400):
        assert _random_run(1, restarts=True, cells_a_step=cells_a_step) == plain


def test_a_command_nested_beyond_reason_or_with_a_line_break_in_its_model_is_refused() -> None:
    bench = Bench()
    values = [
        b'{"id":"1","model":"a:b","command":"set","arguments":' + b"[" * 5_000,
        b'{"id":"1","model":"a:b\\n","command":"set"}',
    ]
    bench.order(*values)
    bench.epoch(0, at(D, 1), [])
    assert len([e for e in bench.emits if e.topic == "dead-letters"]) == 2
