"""Commands as people call them, on the real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.settings import children
from tests.support.generate import START, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, read, write
from tests.support.worker import Worker

HOUR = 3_600_000
MAPPING = ["--set", "model_type=churn", "--set", "model_version=v1"]


@pytest.fixture
def plumbline(prefix: Prefix, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command with this test's prefix."""
    env = {
        **children.fresh_environment(kafka_bootstrap=prefix.bootstrap, **prefix.topics.as_settings()),
        "COLUMNS": "200",
    }

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stream_app", *arguments]
        return subprocess.run(
            command, env={**env, **changes}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def _file(folder: Path, rows: int) -> Path:
    path = folder / "scored.ndjson"
    found = [
        {
            "prediction_id": f"r{i}",
            "predicted_at": START + i * 20 * 60_000,
            "score": (i % 10) / 10,
            "actual": i % 3 == 0,
        }
        for i in range(rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


async def test_a_replay_killed_in_the_middle_goes_on_and_doubles_nothing(
    prefix: Prefix, plumbline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path = _file(tmp_path, 600)
    arguments = ["replay", str(path), *MAPPING, "--label-delay", "1h..30h", "--json"]
    command = [sys.executable, "-m", "stream_app", *arguments, "--rate", "200"]
    environment = children.environment(kafka_bootstrap=prefix.bootstrap, **prefix.topics.as_settings())
    started = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        while not any((await read(prefix.bootstrap, prefix.topics.outcomes, 3)).values()):
            assert started.returncode is None
    finally:
        started.kill()
        await started.wait()
    done = plumbline(*arguments)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["resumed_from_row"] > 0
    for topic, count in ((prefix.topics.predictions, 600), (prefix.topics.outcomes, 600)):
        records = await read(prefix.bootstrap, topic, 3)
        assert len([r for part in records.values() for r in part]) == count
        assert len({r.key for part in records.values() for r in part}) == count


async def test_a_model_can_be_read_at_a_terminal_and_by_programs(
    prefix: Prefix,
    plumbline: Callable[..., subprocess.CompletedProcess[str]],
    worker: Callable[..., Worker],
    tmp_path: Path,
) -> None:
    path = _file(tmp_path, 200)
    sent = plumbline("replay", str(path), *MAPPING, "--label-delay", "1h..2h", "--tick-every", "close", "--json")
    assert sent.returncode == 0, sent.stderr
    running = worker().start()
    await finished(prefix, START + 3 * 24 * HOUR + 4 * HOUR, [running])
    model = json.loads(plumbline("models", "--json").stdout)
    assert (model["model"], model["active_version"]) == ("churn:global", "v1")
    traffic = model["traffic"]
    assert (traffic["last_seen"], traffic["from"], traffic["to"]) == ("2026-02-18", "2026-02-12", "2026-02-18")
    assert (traffic["predictions"], traffic["others"]) == (200, [])
    rows = [json.loads(text) for text in plumbline("snapshots", "churn:global", "--json").stdout.splitlines()]
    assert [row["date"] for row in rows] == ["2026-02-16", "2026-02-17", "2026-02-18"]
    assert sum(row["predictions"] for row in rows) == 200
    shown = plumbline("snapshots", "churn:global", "--days", "2")
    assert "2026-02-18" in shown.stdout
    assert traffic["sentence"] in shown.stderr
    assert "2026-02-16" not in shown.stdout
    recent = plumbline("snapshots", "churn:global", "--window", "recent", "--as-of", "2026-02-18", "--json").stdout
    assert [json.loads(text)["date"] for text in recent.splitlines()] == ["2026-02-16", "2026-02-17"]
    newest = plumbline("snapshots", "churn:global", "--window", "recent", "--json").stdout
    assert [json.loads(text)["date"] for text in newest.splitlines()] == ["2026-02-16", "2026-02-17", "2026-02-18"]
    baseline = plumbline("snapshots", "churn:global", "--window", "baseline", "--as-of", "2026-03-19", "--json").stdout
    assert [json.loads(text)["date"] for text in baseline.splitlines()] == ["2026-02-16"]
    assert plumbline("snapshots", "churn:global", "--as-of", "2026-03-19").returncode == 2
    assert plumbline("snapshots", "no:model").returncode == 1
    assert "churn:global" in plumbline("models").stdout


async def test_backfilled_time_gives_what_the_oracle_says(
    prefix: Prefix, plumbline: Callable[..., subprocess.CompletedProcess[str]], worker: Callable[..., Worker]
) -> None:
    rows = [row for _, step in history(seed=8, days=3, per_day=100, with_poison=False) for row in step]
    await write(prefix, [(0, rows)], ticks=False)
    first = plumbline("backfill", "--tick-every", "6h")
    assert first.returncode == 0, first.stderr
    again = plumbline("backfill", "--tick-every", "6h", "--then-live")
    assert "wrote 0 ticks" in again.stdout
    refused = plumbline("backfill")
    assert refused.returncode == 1
    assert "is live" in refused.stderr
    running = worker().start()
    ticks = await read(prefix.bootstrap, prefix.topics.clock, 3)
    last = max(json.loads(r.value)["at"] for r in ticks[0])
    from schemas.common import parse_ms

    follower = await finished(prefix, parse_ms(last), [running])
    want = await compare(prefix, follower)
    assert sum(want.predictions.values()) == len([row for row in rows if row.topic == "predictions"])


async def test_dead_letters_are_listed_without_payload_and_redriven_once(
    prefix: Prefix, plumbline: Callable[..., subprocess.CompletedProcess[str]], worker: Callable[..., Worker]
) -> None:
    steps = history(seed=4, days=1, per_day=20)
    await write(prefix, steps)
    running = worker().start()
    await finished(prefix, steps[-1][0], [running])
    listed = [json.loads(text) for text in plumbline("dead-letters", "list", "--json").stdout.splitlines()]
    assert {"invalid_json", "oversized", "future", "too_old", "bad_name"} <= {row["reason"] for row in listed}
    assert all("payload" not in row for row in listed)
    chosen = [row for row in listed if row["reason"] == "missing_tenant"]
    before = await _count(prefix)
    assert (
        f"{len(chosen)} records would"
        in plumbline("dead-letters", "redrive", "--reason", "missing_tenant", "--dry-run").stdout
    )
    assert f"sent {len(chosen)} records" in plumbline("dead-letters", "redrive", "--reason", "missing_tenant").stdout
    assert "sent 0 records" in plumbline("dead-letters", "redrive", "--reason", "missing_tenant").stdout
    assert await _count(prefix) == before + len(chosen)


async def _count(prefix: Prefix) -> int:
    return sum(len(part) for part in (await read(prefix.bootstrap, prefix.topics.predictions, 3)).values())


def test_faults_are_one_sentence_and_a_non_zero_exit(
    plumbline: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for arguments, changes, text in (
        (("topics", "check"), {"PLUMBLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "no Kafka broker answers"),
        (("worker",), {"PLUMBLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "no Kafka broker answers"),
        (("worker",), {"PLUMBLINE_INPUT_PREFIX": "nothing-here."}, "does not exist"),
        (("models",), {"PLUMBLINE_OUTPUT_PREFIX": "nothing-here."}, "does not exist"),
        (("settings", "check"), {"PLUMBLINE_APPID": "x"}, "did you mean PLUMBLINE_APP_ID"),
        (("settings", "check"), {"PLUMBLINE_MODEL_PARTITIONS": "many"}, "model_partitions"),
        (("replay", "missing.csv"), {}, "no such file"),
    ):
        done = plumbline(*arguments, **changes)
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        assert text in done.stderr
        assert "Traceback" not in done.stderr


#: Commands that read or write partitions by a key or by number, each in a form that has no other fault.
BY_PARTITION = (
    ("retrain", "fraud:acme", "--reason", "why"), ("retrain", "fraud:acme", "--reason", "why", "--wait"),
    ("mute", "fraud:acme", "--for", "2h", "--reason", "why"), ("set", "drop_points=7", "--reason", "why"),
    ("explain", "3d5f"), ("dead-letters", "redrive"), ("load", "outcomes", "outcomes.csv", "--dry-run"),
    ("load", "outcomes", "outcomes.csv"), ("backfill",), ("trainer",), ("predictor", "deploy"),
    ("predictor", "serve", "outcomes.csv"),
    ("replay", "scored.csv", "--set", "model_type=churn", "--set", "model_version=v1", "--set", "tenant_id=a"),
)  # fmt: skip


def test_other_partition_counts_are_refused_at_once_with_the_setting_to_change(
    prefix: Prefix, plumbline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "outcomes.csv").write_text("prediction_id,actual,observed_at\na,1,2026-03-02T00:00:00Z\n")
    (tmp_path / "scored.csv").write_text("prediction_id,predicted_at,score\na,2026-03-02T00:00:00Z,0.5\n")
    topics = prefix.topics
    has = {"INPUT_PARTITIONS": topics.input_partitions, "MODEL_PARTITIONS": topics.model_partitions}
    for number, words in enumerate(BY_PARTITION):
        # of either kind too many and too few, in turns
        name, count = sorted(has.items())[number % 2]
        other = count + 2 if number % 4 < 2 else count - 1
        done = plumbline(*words, **{f"PLUMBLINE_{name}": str(other)})
        assert (words, done.returncode) == (words, 1), done.stdout + done.stderr
        assert f"has {count} partitions, {other} are configured" in done.stderr, words
        # said before a client is asked, which would wait 40 s and say that it got no offsets
        assert f"set PLUMBLINE_{name}={count}" in done.stderr, words


def test_topics_check_names_another_partition_count(
    prefix: Prefix, plumbline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert plumbline("topics", "check").returncode == 0
    done = plumbline("topics", "check", PLUMBLINE_INPUT_PARTITIONS="4")
    assert done.returncode == 1
    assert f"broken {prefix.topics.predictions} has 3 partitions, 4 are" in " ".join(done.stdout.split())
    assert "all topics exist" in plumbline("topics", "create").stdout
