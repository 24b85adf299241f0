"""The stage against a batch computation that shares no code with it: plain rows, numpy and scikit-learn."""

from __future__ import annotations

import json
import warnings
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn import metrics as sk

from stream_app.core import model_log
from stream_app.core.kit.days import date_of
from tests.laws.stage_driver import DAY, HOUR, Drive, Event, Scenario, config
from tests.support.shares import shared_out
from tests.unit.test_metrics_stage_promises import START, random_scenario

Cell = tuple[str, str, int]


def figures(predictions: list[Event], labels: Counter[tuple[float, bool, bool]]) -> dict[str, Any]:
    """Every metric of a cohort from its rows, as a snapshot names them."""
    rows = [row for row, count in labels.items() for _ in range(count)]
    assert min(labels.values(), default=0) >= 0
    s = np.array([r[0] for r in rows])
    d = np.array([r[1] for r in rows], dtype=bool)
    y = np.array([r[2] for r in rows], dtype=bool)
    widths = [e.width for e in predictions if e.width is not None]
    out: dict[str, Any] = {
        "predictions": len(predictions),
        "outcomes": len(rows),
        "coverage": len(rows) / len(predictions),
        "true_positives": int((d & y).sum()),
        "false_positives": int((d & ~y).sum()),
        "true_negatives": int((~d & ~y).sum()),
        "false_negatives": int((~d & y).sum()),
        "intervals": len(widths),
        "avg_ci_width": float(np.mean(widths)) if widths else None,
        "narrow_interval_pct": 100 * float(np.mean([w < 0.2 for w in widths])) if widths else None,
    }
    out["accuracy"] = float((d == y).mean()) if rows else None
    out["precision"] = float(y[d].mean()) if d.any() else None
    out["recall"] = float(d[y].mean()) if y.any() else None
    out["f1"] = sk.f1_score(y, d) if (d | y).any() else None
    out["brier"] = float(np.mean((s - y) ** 2)) if rows else None
    out["pr_auc"] = out["precision_at_80_recall"] = out["calibration_score"] = None
    if y.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out["pr_auc"] = sk.average_precision_score(y, s)
            precision, recall, _ = sk.precision_recall_curve(y, s)
        out["precision_at_80_recall"] = float(precision[recall >= 0.8].max())
    if rows:
        which = np.digitize(s, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
        gaps = [(which == b).mean() * abs(s[which == b].mean() - y[which == b].mean()) for b in set(which)]
        out["calibration_score"] = 1 - float(sum(gaps))
    return out


def expected(scenario: Scenario) -> list[tuple[str, str, int, dict[str, Any]]]:
    """(tick, key, revision, figures) of every closed snapshot, sorted within a tick."""
    made: dict[Cell, list[Event]] = defaultdict(list)
    labels: dict[Cell, Counter[tuple[float, bool, bool]]] = defaultdict(Counter)
    published: dict[Cell, tuple[int, dict[str, Any]]] = {}
    out = []
    for tick, epoch in zip(scenario.ticks, scenario.epochs, strict=True):
        for event in (e for source in epoch for e in source):
            cell = (event.model, event.version, event.made_ms // DAY)
            if event.actual is None:
                made[cell].append(event)
            else:
                labels[cell][event.score, event.predicted, event.actual] += event.sign
        at = np.datetime64(tick, "ms").item().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        news = []
        for cell, predictions in made.items():
            if (cell[2] + 1) * DAY + 2 * HOUR > tick:
                continue
            found = figures(predictions, labels[cell])
            revision, before = published.get(cell, (0, {}))
            if found != before:
                published[cell] = (revision + 1, found)
                date = str(np.datetime64(cell[2], "D"))
                news.append((at, f"{cell[0]}|{cell[1]}|{date}", revision + 1, found))
        out += sorted(news, key=lambda n: n[:3])
    return out


@pytest.mark.parametrize("seed", shared_out(4, [2, 3]))
def test_every_revision_of_a_run_equals_the_batch_computation_as_of_its_tick(seed: int) -> None:
    scenario = random_scenario(seed)
    drive = Drive(scenario, config(2, cells_a_step=5), seed=seed).run()
    records = [(e.key or b"", orjson.loads(e.value or b"")) for e in drive.of("metric-snapshots")]
    found = sorted((r["at"], key.decode(), r["revision"], r) for key, r in records)
    wanted = sorted(expected(scenario), key=lambda n: n[:3])
    assert [f[:3] for f in found] == [w[:3] for w in wanted]
    assert len(wanted) > 40
    for (*_, record), (at, key, revision, numbers) in zip(found, wanted, strict=True):
        for name, value in numbers.items():
            if isinstance(value, int) or value is None:
                assert record[name] == value, (at, key, revision, name)
            else:
                assert record[name] == pytest.approx(value, abs=1e-9), (at, key, revision, name)
        assert (record["state"], record["score_mode"], record["drift"]) == ("closed", "exact", None)


@pytest.mark.parametrize("seed", range(3))
def test_the_logs_labelled_counts_equal_a_running_count(seed: int) -> None:
    scenario = random_scenario(seed)
    totals: Counter[tuple[str, str]] = Counter()
    wanted = []
    for epoch in scenario.epochs:
        before = totals.copy()
        for e in (e for source in epoch for e in source if e.actual is not None):
            totals[e.model, e.version] += e.sign
        wanted.append([(*key, totals[key]) for key in sorted(totals) if totals[key] != before[key]])
    log = Drive(scenario, config(2, cells_a_step=5), seed=seed).run().log()
    assert [e.counts for e in log if isinstance(e, model_log.LabelledEntry)] == [w for w in wanted if w]


def test_the_log_tells_of_every_closed_snapshot_in_the_order_of_publication() -> None:
    drive = Drive(random_scenario(2), config(2), seed=1).run()
    logged = [e for e in drive.log() if isinstance(e, model_log.SnapshotEntry)]
    shown = [json.loads(e.value or b"") for e in drive.of("metric-snapshots")]
    assert [(e.model, e.version, date_of(e.day), e.revision, e.outcomes) for e in logged] == [
        (row["model"], row["model_version"], row["date"], row["revision"], row["outcomes"]) for row in shown
    ]


def _hand_over(late: int, early: int = 0) -> Scenario:
    """Two hours in which v2 makes most predictions; ``late`` more of v1 become known after them, ``early`` within."""
    base = START + 10 * HOUR
    v1 = Event("t:a", "v1", base + 1, 0.7, True)
    v2 = v1._replace(version="v2")
    next1, next2 = v1._replace(made_ms=base + HOUR + 1), v2._replace(made_ms=base + HOUR + 1)
    minutes = (0, 5, 20, 40, 60, 90, 120, 121, 180)
    epochs = [
        [[v1._replace(made_ms=base - 1)], []], [[v1] * 10, [v2] * 10], [[], [v2] * 10], [[v2] * 20, []], [[], [v2] * 5],
        [[next2] * 20, [next1] * 5 + [v1] * early], [[next2] * 20, []], [[v1] * late, [next1] * late], [[], []],
    ]  # fmt: skip
    return Scenario([base + minute * 60_000 for minute in minutes], epochs)


def _active(drive: Drive) -> list[tuple[str, str | None, str]]:
    records = [orjson.loads(e.value or b"") for e in drive.of("model-lifecycle")]
    return [(r["active_version"], r["previous_version"], r["since"][11:16]) for r in records]


@pytest.mark.parametrize("late", [0, 500])
@pytest.mark.parametrize("seed", [None, 1, 2, 3, 4])
def test_a_version_takes_over_at_the_full_hour_by_what_is_known_then_whatever_restarts_there_were(
    seed: int | None, late: int
) -> None:
    drive = Drive(_hand_over(late), config(2), seed=seed).run()
    assert _active(drive) == [("v1", None, "10:00"), ("v2", "v1", "12:00")]


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_predictions_of_the_hour_before_count_as_known_by_the_end_of_the_next(seed: int | None) -> None:
    drive = Drive(_hand_over(0, early=50), config(2), seed=seed).run()
    assert _active(drive) == [("v1", None, "10:00")]


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_an_hour_is_judged_once(seed: int | None) -> None:
    scenario = _hand_over(0)
    command = {"id": "c", "model": "t:a", "command": "register", "arguments": {"model_version": "v1"}}
    command |= {"actor": "ada", "reason": "deployed"}
    scenario.commands[7] = [orjson.dumps(command)]  # after v2 took over by the hours before
    assert [version for version, *_ in _active(Drive(scenario, config(2), seed=seed).run())] == ["v1", "v2", "v1"]


def test_a_version_registered_within_the_hour_is_not_overruled_by_that_hour() -> None:
    scenario = _hand_over(0)
    command = {"id": "c", "model": "t:a", "command": "register", "arguments": {"model_version": "v3"}}
    command |= {"actor": "ada", "reason": "deployed"}
    scenario.commands[3] = [orjson.dumps(command)]
    assert [version for version, *_ in _active(Drive(scenario, config(2)).run())] == ["v1", "v3"]


def _quiet(days: list[dict[str, int]], hour: int = 13) -> Scenario:
    """So many predictions by version at ``hour`` of each day, with ticks at 02:00 and at the end of that hour."""
    ticks, epochs = [], []
    for number, made in enumerate(days):
        day = START // DAY * DAY + number * DAY
        ticks += [day + 2 * HOUR, day + (hour + 1) * HOUR]
        rows = [Event("t:a", v, day + hour * HOUR + 1, 0.5, True) for v, n in made.items() for _ in range(n)]
        epochs += [[[], []], [rows[::2], rows[1::2]]]
    return Scenario(ticks, epochs)


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_quiet_model_is_followed_at_the_close_whatever_restarts_there_were(seed: int | None) -> None:
    drive = Drive(_quiet([{"v1": 12}, {"v1": 12}, {"v1": 3, "v2": 9}, *[{"v2": 12}] * 4]), config(2), seed=seed).run()
    # 12 + 9 of v2 against 3 + 12 of v1 are not two thirds; a day later 24 + 9 against 3 are
    assert [(version, since) for version, _, since in _active(drive)] == [("v1", "14:00"), ("v2", "02:00")]
    changed = orjson.loads(drive.of("model-lifecycle")[1].value or b"")["since"]
    assert changed[:10] == str(np.datetime64(START // DAY + 5, "D"))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_of_the_day_of_the_change_only_what_was_made_after_it_counts(seed: int | None) -> None:
    scenario = _quiet([{"v1": 40}] * 4)
    command = {"id": "c", "model": "t:a", "command": "register", "arguments": {"model_version": "v2"}}
    command |= {"actor": "ada", "reason": "deployed"}
    scenario.commands[5] = [orjson.dumps(command)]  # on the third day, at the tick that ends its predictions' hour
    found = _active(Drive(scenario, config(2), seed=seed).run())
    assert [version for version, *_ in found] == ["v1", "v2"]  # 40 of v1 were made before v2 was registered


def test_a_thousand_epochs_that_were_queued_are_worked_off_one_after_the_other() -> None:
    made = Event("t:a", "v1", START + 5, 0.5, True)
    ticks = [START + (m + 1) * 60_000 for m in range(1000)]
    scenario = Scenario(ticks, [[[made]] for _ in ticks])
    drive = Drive(scenario, config(1))
    drive.fetch()
    while drive.lane.core.work():
        drive.checkpoint()
    drive.checkpoint()
    held = sum(len(v) for k, v in drive.table.rows.items() if k.startswith(b"D"))
    assert held <= 1000 * 200
    drive.checkpoint(restart=True)
    drive.run()
    assert [e.at_ms for e in drive.log() if isinstance(e, model_log.TickEntry)] == ticks
    cell = drive.stored("t:a", "v1", START // DAY)
    assert cell is not None
    assert cell.counts.predictions == 960  # folded up to the last full hour, 16:00
