from __future__ import annotations

import dataclasses
import random
from collections import Counter

import orjson
import pytest

from schemas.clock import TickView
from stream_app.core import model_log
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import DeltaRecord
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.metrics_stage.keys import CELL, DELTA
from stream_app.core.metrics_stage.view import page
from stream_app.engine.lane_driver import Row
from stream_app.errors import Broken, UnknownFormat
from tests.laws.stage_driver import DAY, HOUR, Drive, Event, Scenario, config, part
from tests.support.shares import shared_out

START = 20_000 * DAY


def rules(model: str) -> ModelRules:
    return ModelRules(assume_after_days=2 if model.startswith("fraud") else None)


def random_scenario(seed: int, days: int = 5) -> Scenario:
    """Three models, versions that take over, late labels, corrections, late predictions; hourly ticks with jumps."""
    rng = random.Random(seed)
    ticks = [START + h * HOUR for h in range(1, 24 * days + 6) if h % 24 < 6 or rng.random() < 0.4]
    epochs: list[list[list[Event]]] = []
    waiting: list[tuple[int, Event]] = []
    before = START
    for tick in ticks:
        by_source: list[list[Event]] = [[], []]
        for _ in range(rng.randint(0, 25)):
            model = rng.choice(["fraud:a", "fraud:b", "conflict:global"])
            made = rng.randrange(before, tick) if rng.random() < 0.97 else max(START, tick - rng.randrange(3 * DAY))
            version = "v2" if rng.random() < (made - START) / (days * DAY) else "v1"
            score = round(rng.random(), 2)
            width = rng.random() / 2 if rng.random() < 0.5 else None
            e = Event(model, version, made, score, score >= 0.5, width=width)
            by_source[rng.randrange(2)].append(e)
            if rng.random() < 0.8:
                waiting.append((tick + rng.randrange(3 * DAY), e._replace(actual=rng.random() < score, width=None)))
        due = [w for w in waiting if w[0] <= tick]
        waiting = [w for w in waiting if w[0] > tick]
        for _, label in due:
            by_source[len(label.model) % 2].append(label)
            if label.sign > 0 and rng.random() < 0.1:  # corrected later
                waiting.append((tick + rng.randrange(DAY), label._replace(sign=-1)))
                waiting.append((waiting[-1][0], label._replace(actual=not label.actual)))
        epochs.append(by_source)
        before = tick
    commands = {
        i: [_command("register", "conflict:global", f"v{rng.randint(1, 3)}"), _command("retrain", "fraud:a")]
        for i in range(3, len(ticks), 17)
    }
    results = {i: [_result("activated", "fraud:b", f"v{rng.randint(1, 3)}"), _result("progress", "fraud:b", "v9"),
                   _result("rolled_back", "conflict:global", "v1")] for i in range(3, len(ticks), 17)}  # fmt: skip
    return Scenario(ticks, epochs, commands, results)


def _command(command: str, model: str, version: str | None = None) -> bytes:
    arguments = {"model_version": version} if version else {}
    return orjson.dumps(
        {"id": "c", "model": model, "command": command, "arguments": arguments, "actor": "a", "reason": "r"}
    )


def _result(status: str, model: str, version: str) -> bytes:
    return orjson.dumps({"model": model, "command_id": "x", "status": status, "candidate_version": version})


@pytest.mark.parametrize("seed", shared_out(6, [2, 4, 5]))
def test_the_same_topics_give_the_same_bytes_whatever_the_chunks_checkpoints_and_restarts(seed: int) -> None:
    scenario = random_scenario(seed)
    whole = Drive(scenario, config(2, rules, days=(2,), cells_a_step=10_000)).run()
    assert len(whole.of("metric-snapshots")) > 40
    assert whole.of("model-lifecycle")
    restarts = 0
    for variant in range(5):
        other = Drive(scenario, config(2, rules, days=(2,), cells_a_step=3), seed=100 * seed + variant).run()
        restarts += other.restarts
        for topic in ("metric-snapshots", "model-lifecycle", "model-log"):
            assert other.of(topic) == whole.of(topic), (topic, variant)
        assert {k: v for k, v in other.table.rows.items() if k[:1] != DELTA} == {
            k: v for k, v in whole.table.rows.items() if k[:1] != DELTA
        }
    assert restarts > 20


@pytest.mark.parametrize("seed", range(3))
def test_exactly_one_record_goes_out_per_snapshot_id_and_revision_and_revisions_have_no_holes(seed: int) -> None:
    drive = Drive(random_scenario(seed), config(2, rules, days=(2,), cells_a_step=3), seed=seed).run()
    seen: dict[str, list[int]] = {}
    for emit in drive.of("metric-snapshots"):
        record = orjson.loads(emit.value or b"")
        seen.setdefault(record["id"], []).append(record["revision"])
    assert all(revisions == list(range(1, len(revisions) + 1)) for revisions in seen.values())
    assert max(len(r) for r in seen.values()) > 2


@pytest.mark.parametrize("seed", range(3))
def test_no_revision_repeats_the_figures_of_the_one_before(seed: int) -> None:
    drive = Drive(random_scenario(seed), config(2, rules, days=(2,))).run()
    last: dict[str, dict[str, object]] = {}
    for emit in drive.of("metric-snapshots"):
        record = orjson.loads(emit.value or b"")
        figures = {k: v for k, v in record.items() if k not in ("at", "revision")}
        assert last.get(record["id"]) != figures
        last[record["id"]] = figures


def _flip_and_back(day_two: int) -> Scenario:
    p = Event("t:a", "v1", START + HOUR, 0.7, True)
    good, bad = p._replace(actual=True), p._replace(actual=False)
    flips = [good._replace(sign=-1), bad, bad._replace(sign=-1), good]
    return Scenario([START + 2 * HOUR, START + DAY + 2 * HOUR, day_two], [[[p, good]], [[]], [flips]])


def test_a_correction_taken_back_within_the_hour_is_no_news() -> None:
    drive = Drive(_flip_and_back(START + DAY + 3 * HOUR), config(1)).run()
    assert len(drive.of("metric-snapshots")) == 1


def test_a_late_label_makes_a_revision_at_the_next_full_hour_only() -> None:
    p = Event("t:a", "v1", START + HOUR, 0.7, True)
    close = START + DAY + 2 * HOUR
    ticks = [START + 2 * HOUR, close, close + 60_000, close + 120_000, close + HOUR]
    drive = Drive(Scenario(ticks, [[[p]], [[]], [[p._replace(actual=True)]], [[]], [[]]]), config(1)).run()
    records = [orjson.loads(e.value or b"") for e in drive.of("metric-snapshots")]
    assert [(r["revision"], r["outcomes"], r["at"][11:16]) for r in records] == [(1, 0, "02:00"), (2, 1, "03:00")]


def test_the_first_tick_runs_no_close_and_publishes_closed_days_as_revision_one() -> None:
    old, young = (Event("t:a", "v1", START + d * DAY + HOUR, 0.7, True) for d in (0, 1))
    drive = Drive(Scenario([START + DAY + 2 * HOUR], [[[old, young]]]), config(1)).run()
    assert [orjson.loads(e.value or b"")["date"] for e in drive.of("metric-snapshots")] == ["2024-10-04"]
    assert [e.closes for e in drive.log() if isinstance(e, model_log.TickEntry)] == [[]]


def test_a_tick_that_passes_several_days_runs_all_their_closes_in_time_order() -> None:
    events = [Event("t:a", "v1", START + d * DAY + HOUR, 0.7, True) for d in range(3)]
    drive = Drive(Scenario([START + HOUR, START + 3 * DAY + 5 * HOUR], [[[]], [events]]), config(1)).run()
    tick = drive.log()[-1]
    assert isinstance(tick, model_log.TickEntry)
    assert [at for _, at in tick.closes] == sorted(at for _, at in tick.closes)
    assert Counter(kind for kind, _ in tick.closes) == {
        "completeness": 3, "metrics": 4, "statistical": 4, "performance": 4
    }  # fmt: skip
    assert [orjson.loads(e.value or b"")["date"] for e in drive.of("metric-snapshots")] == [
        "2024-10-04", "2024-10-05", "2024-10-06"
    ]  # fmt: skip


def test_a_cell_is_forgotten_at_the_two_oclock_close_after_ninety_days_and_older_deltas_touch_none() -> None:
    p = Event("t:a", "v1", START + HOUR, 0.7, True)
    gone = START + 91 * DAY
    ticks = [START + 2 * HOUR, gone + HOUR, gone + 2 * HOUR, gone + 3 * HOUR]
    drive = Drive(Scenario(ticks, [[[p]], [[]], [[]], [[p._replace(actual=True)]]]), config(1))
    held = []
    for i, at in enumerate(ticks):
        drive.tick(i, at)
        drive.checkpoint()
        held.append(sum(k.startswith(CELL) for k in drive.table.rows))
    assert held == [1, 1, 0, 0]
    assert len(drive.of("metric-snapshots")) == 1


def test_delta_records_leave_the_table_once_every_cell_has_passed_them() -> None:
    drive = Drive(random_scenario(1), config(2, rules, days=(2,)), seed=5).run()
    assert not [k for k in drive.table.rows if k.startswith(DELTA)]


def test_deltas_below_what_the_source_has_closed_are_ignored_also_after_a_reload() -> None:
    p = Event("t:a", "v1", START + HOUR, 0.7, True)
    first, second, third = START + 2 * HOUR, START + 2 * HOUR + 60_000, START + 3 * HOUR
    one = DeltaRecord(0, [part([p], 0, first)])
    again = DeltaRecord(0, [part([p, p], 0, first), part([p], first, second)])
    given = [deltas.encode(record) for record in (one, again, DeltaRecord(0, [part([], second, third)]))]
    drive = Drive(Scenario([first, second, third], [[[]]] * 3), config(1), given=given)
    for _ in given:
        drive.lane.fetch("model-deltas", 1)
        drive.lane.core.work()
        drive.checkpoint(restart=True)
    for i, at in enumerate((first, second, third)):
        drive.tick(i, at)
        drive.checkpoint(restart=True)
    cell = drive.stored("t:a", "v1", START // DAY)
    assert cell is not None
    assert cell.counts.predictions == 2


def test_an_epoch_waits_for_every_source_and_says_which_one_is_missing() -> None:
    stage = MetricsStage(config(2), 0)
    tick = TickView(START, True, None, {}, 0)
    stage.accept("model-deltas", [Row("d", 0, 0, 0, None, deltas.encode(DeltaRecord(0, [part([], 0, START)])))], None)
    assert stage.waiting_for(tick) == "labels-1 to close 2024-10-04T00:00:00.000Z"
    stage.accept("model-deltas", [Row("d", 0, 1, 0, None, deltas.encode(DeltaRecord(1, [part([], 0, START)])))], None)
    assert stage.waiting_for(tick) is None


@pytest.mark.parametrize("value", [None, b"", b"\x09rubbish", b"\x01\xc1"])
def test_a_delta_record_that_cannot_be_read_is_our_own_fault_and_names_its_place(value: bytes | None) -> None:
    with pytest.raises((Broken, UnknownFormat), match=r"d\[3\] offset 17"):
        MetricsStage(config(1), 0).accept("model-deltas", [Row("d", 3, 17, 0, None, value)], None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "invalid_command"),
        (b"{", "invalid_command"),
        (_command("register", "t:a"), "invalid_command"),
        (_command("register", "t a", "v1"), "invalid_command"),
    ],
)
def test_an_unreadable_command_is_dead_lettered_byte_for_byte_and_its_neighbours_are_taken(
    value: bytes | None, reason: str
) -> None:
    drive = Drive(Scenario([START], [[[]]]), config(1))
    drive.logs["operator-commands"].append(value, b"k", headers=[("h", b"1")])
    drive.logs["operator-commands"].append(_command("register", "t:a", "v7"))
    drive.tick(0, START)
    drive.checkpoint()
    (letter,) = drive.of("dead-letters")
    assert (letter.key, letter.value, letter.headers[0]) == (b"k", value, ("h", b"1"))
    assert dict(letter.headers)["plumbline.reason"] == reason.encode()
    assert [orjson.loads(e.value or b"")["active_version"] for e in drive.of("model-lifecycle")] == ["v7"]


def test_a_command_for_a_model_of_another_partition_is_dead_lettered() -> None:
    stage = MetricsStage(dataclasses.replace(config(1), partitions=1000), 999)
    row = Row("c", 0, 0, 0, None, _command("register", "t:a", "v1"))
    stage.accept("operator-commands", [row], TickView(START, True, None, {}, 0))
    (letter,) = stage.drain().emits
    assert dict(letter.headers)["plumbline.reason"] == b"foreign_partition"


def test_commands_come_before_results_and_both_before_the_epochs_counts() -> None:
    p = Event("t:a", "v1", START - HOUR, 0.7, True)
    scenario = Scenario(
        [START], [[[p]]], {0: [_command("register", "t:a", "v2")]}, {0: [_result("activated", "t:a", "v3")]}
    )
    kinds = [type(e).__name__ for e in Drive(scenario, config(1)).run().log()]
    said = ["CommandEntry", "LifecycleEntry", "EffectEntry", "ResultEntry", "LifecycleEntry", "HoursEntry", "TickEntry"]
    assert kinds == said


def test_the_first_version_of_a_model_is_the_one_with_most_predictions_in_its_first_epoch() -> None:
    made = [Event("t:a", v, START + 5, 0.7, True) for v in ("v2", "v1", "v2", "v3", "v3")]
    drive = Drive(Scenario([START + HOUR], [[made]]), config(1)).run()
    (emit,) = drive.of("model-lifecycle")
    record = orjson.loads(emit.value or b"")
    assert (record["active_version"], record["previous_version"], record["how"]) == ("v2", None, "observed")
    assert emit.key == b"t:a"


def test_open_snapshots_go_out_at_most_once_a_minute_only_for_changed_cells_and_never_into_the_log() -> None:
    a = Event("t:a", "v1", START + 5, 0.7, True)
    b = a._replace(model="t:b")
    minute = 60_000
    base = START + HOUR
    ticks = [base, base + minute, base + minute + 1000, base + 2 * minute, base + 3 * minute, base + HOUR]
    epochs: list[list[list[Event]]] = [[[a]], [[b]], [[a]], [[]], [[]], [[]]]
    drive = Drive(Scenario(ticks, epochs), config(1), live=True)
    shown = []
    for i, at in enumerate(ticks):
        drive.tick(i, at)
        drive.checkpoint()
        shown.append([orjson.loads(e.value or b"") for e in drive.of("metric-snapshots")])
        drive.emits = [e for e in drive.emits if e.topic != "metric-snapshots"]
    assert [[r["model"] for r in records] for records in shown] == [["t:a"], ["t:b"], [], ["t:a"], [], []]
    assert shown[3][0]["predictions"] == 2
    assert {(r["state"], r["revision"]) for records in shown for r in records} == {("open", 0)}
    assert not [e for e in drive.log() if isinstance(e, model_log.SnapshotEntry)]


def test_a_day_that_closes_at_the_tick_is_shown_closed_and_not_open() -> None:
    a = Event("t:a", "v1", START + 5, 0.7, True)
    drive = Drive(Scenario([START + HOUR, START + DAY + 2 * HOUR], [[[]], [[a]]]), config(1), live=True).run()
    assert [orjson.loads(e.value or b"")["state"] for e in drive.of("metric-snapshots")] == ["closed"]


def test_without_being_live_no_open_snapshot_goes_out() -> None:
    drive = Drive(Scenario([START + HOUR], [[[Event("t:a", "v1", START + 5, 0.7, True)]]]), config(1)).run()
    assert not drive.of("metric-snapshots")


def test_unlabelled_predictions_count_as_negatives_from_the_close_that_far_after_their_day() -> None:
    made = [Event("fraud:a", "v1", START + 5, s, s > 0.5) for s in (0.9, 0.8, 0.7, 0.1)]
    two = START + 2 * DAY + 2 * HOUR
    ticks = [START + HOUR, two - DAY, two, two + HOUR, two + DAY, START + 4 * DAY]
    first, late = (made[i]._replace(actual=True) for i in (0, 1))
    epochs: list[list[list[Event]]] = [[[*made, first]], [[]], [[]], [[late]], [[]], [[]]]
    drive = Drive(Scenario(ticks, epochs), config(1, rules, days=(2,))).run()
    records = [orjson.loads(e.value or b"") for e in drive.of("metric-snapshots")]
    assert [(r["at"][:13], r["outcomes"], r["assumed_negatives"]) for r in records] == [
        ("2024-10-05T02", 1, 0),
        ("2024-10-06T03", 2, 0),
        ("2024-10-07T02", 2, 2),
    ]
    last = records[-1]
    assert (last["false_positives"], last["true_negatives"], last["precision"]) == (1, 1, 2 / 3)
    assert last["coverage"] == 0.5


def test_closes_of_one_tick_appear_in_the_log_in_time_order_also_for_cells_that_it_changed() -> None:
    yesterday, before = (Event("t:a", "v1", START - d * DAY + 5, 0.7, True) for d in (1, 2))
    ticks = [START - 2 * DAY + HOUR, START, START + 5 * HOUR]
    drive = Drive(Scenario(ticks, [[[before]], [[yesterday]], [[yesterday]]]), config(1)).run()
    last_tick = [type(e).__name__ for e in drive.log()]
    while "TickEntry" in last_tick[:-1]:
        last_tick = last_tick[last_tick.index("TickEntry") + 1 :]
    assert last_tick == [
        "CompletenessEntry", "SnapshotEntry", "QualityEntry", "StatisticalEntry", "PerformanceEntry", "TickEntry"
    ]  # fmt: skip


def test_the_log_carries_cumulative_labelled_counts_of_what_the_epoch_labelled() -> None:
    p = Event("t:a", "v1", START + 5, 0.7, True)
    label = p._replace(actual=True)
    ticks = [START + HOUR, START + HOUR + 60_000, START + HOUR + 120_000, START + 2 * HOUR]
    epochs = [[[p, p, p, label]], [[label]], [[label._replace(sign=-1), label._replace(actual=False)]], [[label]]]
    for seed in (None, 1, 2, 3):
        log = Drive(Scenario(ticks, epochs), config(1), seed=seed).run().log()
        assert [e.counts for e in log if isinstance(e, model_log.LabelledEntry)] == [
            [("t:a", "v1", 1)], [("t:a", "v1", 2)], [("t:a", "v1", 3)]
        ]  # fmt: skip


def test_completeness_of_the_last_mature_day_is_that_of_all_versions_together() -> None:
    old, new = (Event("t:a", v, START + 5, 0.7, True) for v in ("v1", "v2"))
    ticks = [START + HOUR, START + DAY + HOUR, START + 2 * DAY + HOUR]
    drive = Drive(Scenario(ticks, [[[old, old, new, old._replace(actual=True)]], [[]], [[]]]), config(1)).run()
    entries = [e for e in drive.log() if isinstance(e, model_log.CompletenessEntry)]
    assert [(e.version, e.day, e.predictions, e.labelled, e.close_ms) for e in entries] == [
        ("v1", 19_999, 0, 0, START + DAY + HOUR), ("v1", 20_000, 3, 1, START + 2 * DAY + HOUR)
    ]  # fmt: skip


def test_a_tick_entry_carries_end_offsets_by_source_and_the_sum_of_dispositions() -> None:
    tick = Drive(random_scenario(0), config(2)).run().log()[-1]
    assert isinstance(tick, model_log.TickEntry)
    n = len(random_scenario(0).ticks)
    assert tick.inputs == {"p": {0: 10 * n, 1: 10 * n}}
    assert tick.dispositions == {"predictions": {"produced": 2 * n}}


def test_one_call_of_advance_touches_a_bounded_number_of_cells() -> None:
    made = [Event(f"t:{i}", "v1", START + 5, 0.7, True) for i in range(100)]
    drive = Drive(Scenario([START + HOUR, START + DAY + 2 * HOUR], [[made], [[]]]), config(1, cells_a_step=10)).run()
    assert drive.steps >= 20


@pytest.mark.parametrize("limit", [1, 7, 500])
@pytest.mark.parametrize("ticks", [1, 3])
def test_pages_of_a_view_hold_every_cell_once_newest_day_first(limit: int, ticks: int) -> None:
    hours = [START + HOUR * (i + 1) for i in range(ticks)]
    made = [
        [Event("t:b", f"v{n:02}", START - day * DAY + 5, 0.7, True) for n in range(20) for day in range(3)]
        + [Event(other, "v1", START + 5, 0.7, True) for other in ("t:a", "t:bb", "t:c")]
        for _ in hours
    ]
    drive = Drive(Scenario(hours, [[events] for events in made]), config(1)).run()
    found: list[tuple[int, str]] = []
    counts = []
    after = None
    while rows := [row for row in page(drive.stage, "t:b", after, limit) if row is not None]:
        assert len(rows) <= limit
        found += [(-row.day, row.version) for row in rows]
        counts += [row.cell.counts.predictions for row in rows]
        after = rows[-1].day, rows[-1].version
    assert found == sorted(found)
    assert len(found) == len(set(found)) == 60
    assert counts == [ticks] * 60


@pytest.mark.parametrize("seed", [None, 3, 4])
def test_a_view_shows_pending_counts_once_also_in_the_middle_of_a_fold(seed: int | None) -> None:
    made = [Event(f"t:{v}", "v1", START + 5, 0.7, True) for v in "abc"]
    drive = Drive(Scenario([START + HOUR], [[made]]), config(1, cells_a_step=1), seed)
    while drive.logs["model-deltas"].end > drive.lane.core.inputs["model-deltas"].arrived:
        drive.fetch()
        drive.lane.core.work()
    drive.announce(0, START + HOUR)
    for _ in range(10):
        rows = [row for model in "abc" for row in page(drive.stage, f"t:{model}", None, 10) if row is not None]
        assert [row.cell.counts.predictions for row in rows] == [1, 1, 1]
        drive.lane.fetch_all()
        drive.lane.core.work()
        drive.checkpoint()
    assert drive.last_tick == START + HOUR
