"""``plumbline load`` on the real broker: each row once, on from where a killed run was, with a true report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from stream_app.kafka import clients
from stream_app.kafka.reading import stop_consumer
from tests.support.generate import DAY, START, Row
from tests.support.kafka_io import Prefix, write
from tests.support.relay import kill, plumbline, records_of, start

LABELS = ["load", "outcomes", "labels.csv", "--map", "prediction_id=order", "--map", "actual=churned"]


def _prediction(name: str, at: int) -> Row:
    value = {"prediction_id": name, "model_type": "churn", "model_version": "v1", "predicted_at": at, "score": 0.5}
    return Row("predictions", name.encode(), json.dumps(value).encode())


async def _load(prefix: Prefix, path: Path, *more: str) -> dict[str, Any]:
    arguments = [str(path) if item == "labels.csv" else item for item in LABELS]
    done = await plumbline(prefix, *arguments, "--set", f"observed_at={START + 70 * DAY}", *more, "--json")
    assert done.code == 0, done.err
    return done.summary


async def test_a_label_file_is_loaded_once_and_the_report_says_what_will_match(prefix: Prefix, tmp_path: Path) -> None:
    rows = [_prediction(f"o-{number}", START + (0 if number < 20 else 69 * DAY)) for number in range(100)]
    await write(prefix, [(START + 70 * DAY, rows)])
    path = tmp_path / "labels.csv"
    lines = [f"o-{number},{'yes' if number % 3 else 'no'}" for number in range(50)]
    lines += ["o-1000,yes", "o-60,", "o-61,perhaps", ",no", f"{'x' * 129},no"]
    path.write_text("order,churned\n" + "\n".join(lines) + "\n")
    tried = await _load(prefix, path, "--dry-run")
    assert tried["report"]["matched"] == 50
    assert await records_of(prefix, prefix.topics.outcomes, 3) == []
    first = await _load(prefix, path)
    assert (first["rows"], first["sent"], first["without_outcome"], first["invalid"]) == (55, 51, 1, 3)
    assert first["report"] | {"looked_at": 0} == {
        "ids": 51, "matched": 50, "beyond_horizon": 20, "looked_at": 0, "cut_short": False,
    }  # fmt: skip
    assert first["report"]["looked_at"] == 100
    assert first["first_invalid"][0].startswith("labels.csv, row 53: actual is 'perhaps', neither true nor false")
    assert first["first_invalid"][1].startswith("labels.csv, row 54: no prediction_id")
    assert set(first["invalid_by_reason"].values()) == {1}
    again = await _load(prefix, path, "--no-report")
    assert (again["sent"], again["resumed_from_row"], again["report"]) == (0, 51, None)
    sent = [json.loads(record.value) for record in await records_of(prefix, prefix.topics.outcomes, 3)]
    assert sorted(row["prediction_id"] for row in sent) == sorted([*(f"o-{n}" for n in range(50)), "o-1000"])
    assert {row["actual"] for row in sent if row["prediction_id"] in ("o-0", "o-3")} == {False}
    path.write_text("order,churned\no-70,yes\n")
    assert (await _load(prefix, path, "--no-report"))["sent"] == 1, "another file of that name is another load"


async def test_a_load_killed_in_the_middle_goes_on_and_doubles_nothing(prefix: Prefix, tmp_path: Path) -> None:
    count = 60_000
    path = tmp_path / "labels.csv"
    path.write_text("order,churned\n" + "".join(f"o-{number},{number % 2}\n" for number in range(count)))
    arguments = [str(path) if item == "labels.csv" else item for item in LABELS]
    process = await start(prefix, *arguments, "--set", f"observed_at={START}", "--no-report")
    try:
        while not await records_of(prefix, prefix.topics.outcomes, 3):
            assert process.returncode is None
    finally:
        await kill(process)
    done = await plumbline(prefix, *arguments, "--set", f"observed_at={START}", "--no-report", "--json")
    assert done.code == 0, done.err
    assert 0 < done.summary["resumed_from_row"] < count
    keys = [record.key for record in await records_of(prefix, prefix.topics.outcomes, 3)]
    assert len(keys) == count
    assert len(set(keys)) == count


async def test_a_consumer_stops_although_aiokafka_swallows_a_cancellation_between_two_assignments(
    prefix: Prefix,
) -> None:
    topics = prefix.topics
    consumer = clients.consumer(prefix.bootstrap, {}, fetch_max_wait_ms=5_000, isolation_level="read_uncommitted")
    await consumer.start()
    consumer.assign([TopicPartition(topics.clock, 0)])
    await consumer.seek_to_beginning()
    await consumer.getmany(timeout_ms=200)
    consumer.assign([TopicPartition(topics.outcomes, 0)])
    stopping = asyncio.create_task(stop_consumer(consumer))
    done, _ = await asyncio.wait([stopping], timeout=15)
    stopping.cancel()
    assert done
