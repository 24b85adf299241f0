"""History from a file, brought in by ``replay``, or by ``load`` and ``backfill``: one and the same history after it."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from stream_app.kafka.topics import Topics
from tests.support.judge import finished, told
from tests.support.kafka_io import Prefix, read
from tests.support.relay import plumbline
from tests.support.worker import Worker

HOUR_S, DAY_S, FIRST = 3_600, 86_400, 20_500
DAYS = 75
TENANTS = ("acme", "zeta")
COLUMNS = ("id", "time", "probability", "left", "seen", "customer")
MAPPING = (
    "--map", "prediction_id=id", "--map", "predicted_at=time", "--map", "score=probability",
    "--map", "tenant_id=customer", "--set", "model_type=churn", "--set", "model_version=v1",
    "--assume-utc",
)  # fmt: skip
OUTCOMES = ("--map", "actual=left", "--map", "observed_at=seen", "--positive", "churned", "--negative", "stayed")


def _file(folder: Path, per_day: int) -> Path:
    """Both tenants' rows sorted by prediction, labels as words after hours to days, a few after weeks; zeta's
    scores stop meaning anything in its last 12 days."""
    rng, rows = np.random.default_rng(18), []
    for day in range(DAYS):
        for tenant in TENANTS:
            lost = tenant == "zeta" and day >= DAYS - 12
            for _ in range(per_day // 2):
                made = (FIRST + day) * DAY_S + int(rng.integers(DAY_S))
                score = round(float(rng.beta(0.8, 0.8)), 4)
                chance = 0.5 if lost else 0.12 + 0.76 * score
                delay = int(rng.integers(6 * HOUR_S, 40 * HOUR_S)) if rng.random() > 0.002 else 20 * DAY_S
                seen = made + delay
                rows.append((made, score, int(rng.random() < chance), seen, tenant))
    rows.sort()
    path = folder / "history.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for number, (made, score, left, seen, tenant) in enumerate(rows):
            word = "churned" if left else "stayed"
            writer.writerow((f"p-{number:06d}", _naive(made), score, word, _naive(seen), tenant))
    return path


def _naive(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _below(prefix: Prefix, name: str) -> Prefix:
    """A fresh prefix that goes with the test's own; nothing stands on it."""
    begin = f"{prefix.topics.input_prefix}{name}."
    return Prefix(prefix.bootstrap, Topics(begin, begin, 3, 2))


async def _run(prefix: Prefix, *arguments: str) -> str:
    done = await plumbline(prefix, *arguments)
    assert done.code == 0, done.err
    return done.out


async def _outputs(prefix: Prefix, running: Worker) -> dict[str, list[dict[str, Any]]]:
    """What came out at the end of the history, without what names the run."""
    clock = await read(prefix.bootstrap, prefix.topics.clock, 3)
    last = max(json.loads(record.value)["at"] for record in clock[0])
    await finished(prefix, int(datetime.fromisoformat(last).timestamp() * 1000), [running], 400)
    await told(prefix, running, bound_s=120)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("metric-snapshots", "drift-events", "alerts"):
        parts = await read(prefix.bootstrap, prefix.topics.output_prefix + name, 2)
        rows = [json.loads(record.value) for part in parts.values() for record in part]
        rows = [row for row in rows if row.get("state") != "open"]
        for row in rows:
            row.pop("link", None)
        found[name] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
    assert running.stop() == 0, running.tail()
    return found


def _compare_with_sklearn(path: Path, snapshots: list[dict[str, Any]]) -> None:
    days: defaultdict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            days[row["customer"], row["time"][:10]].append((float(row["probability"]), int(row["left"] == "churned")))
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for snapshot in sorted(snapshots, key=lambda row: row["revision"]):
        newest[snapshot["tenant_id"], snapshot["date"]] = snapshot
    assert newest.keys() == days.keys()
    for day, pairs in days.items():
        scores, actual = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        predicted, got = scores >= 0.5, newest[day]
        (tn, fp), (fn, tp) = metrics.confusion_matrix(actual, predicted, labels=[0, 1]).tolist()
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [got[name] for name in names] == [tn, fp, fn, tp], day
        assert (got["predictions"], got["outcomes"]) == (len(pairs), len(pairs)), day
        for name, value in {
            "accuracy": metrics.accuracy_score(actual, predicted),
            "precision": metrics.precision_score(actual, predicted),
            "recall": metrics.recall_score(actual, predicted),
            "f1": metrics.f1_score(actual, predicted),
            "pr_auc": metrics.average_precision_score(actual, scores),
        }.items():
            assert got[name] == pytest.approx(value, abs=1e-9), (day, name)


@pytest.mark.parametrize(("per_day", "every"), [(120, "close"), pytest.param(840, "hour", marks=pytest.mark.long)])
async def test_a_file_sorted_by_prediction_gives_the_same_history_by_replay_and_by_load_and_backfill(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path, per_day: int, every: str
) -> None:
    path = _file(tmp_path, per_day)
    rows = per_day * DAYS
    first, second = _below(prefix, "replayed"), _below(prefix, "loaded")

    text = await _run(first, "replay", str(path), *MAPPING, *OUTCOMES, "--tick-every", every)
    assert f"sent {rows:,} predictions and {rows:,} outcomes" in text
    assert "no further tick comes by itself" in text
    one = worker("replayed", first.topics.app_id, first.topics).start()  # works while the other is loaded

    for kind, more in (("predictions", ()), ("outcomes", OUTCOMES)):
        text = await _run(second, "load", kind, str(path), *(MAPPING if kind == "predictions" else MAPPING[:2]),
                          *more, "--assume-utc", "--no-report")  # fmt: skip
        assert f"sent {rows:,} {kind}" in text
    done = await plumbline(second, "backfill", "--then-live", "--tick-every", every)
    assert (done.code, "days late" in done.err) == (0, False), done.err
    assert "time is live from here on" in done.out
    other = worker("loaded", second.topics.app_id, second.topics).start()
    replayed, loaded = await _outputs(first, one), await _outputs(second, other)

    _compare_with_sklearn(path, replayed["metric-snapshots"])
    assert loaded == replayed
    events = replayed["drift-events"]
    assert not [row for row in events if row.get("check") == "completeness" and row["verdict"] == "drift"]
    assert "outcomes missing" not in json.dumps(replayed)
    # each check of few rows errs once in a hundred times; what was planted stands to the end of the predictions
    judged = [row for row in events if row["kind"] == "performance" and row["verdict"] != "insufficient_evidence"]
    last = {row["model"]: row for row in sorted(judged, key=_close)}
    assert (last["churn:zeta"]["verdict"], last["churn:zeta"]["severity"]) == ("drift", "CRITICAL")
    assert last["churn:acme"]["verdict"] != "drift", last["churn:acme"]


def _close(event: dict[str, Any]) -> str:
    return str(event["as_of"])
