"""The trainer in ``docs/write-a-trainer.md`` is short, complete, and does what the document says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.metrics_stage.border import read_result
from tests.integration.test_reference_poison import answered, poison
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import Process, command_of, send_commands

DOCUMENT = Path(__file__).parents[2] / "docs" / "write-a-trainer.md"


def program() -> str:
    found = re.search(r"<!-- trainer:.*?-->\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_it_is_under_forty_lines_of_code() -> None:
    lines = [text for text in program().splitlines() if text.strip() and not text.strip().startswith(("#", '"""'))]
    assert len(lines) < 40


async def _results(prefix: Prefix) -> list[dict[str, Any]]:
    parts = await read(prefix.bootstrap, prefix.topics.training_results, prefix.topics.model_partitions)
    return [json.loads(record.value) for part in parts.values() for record in part]


async def test_it_answers_each_attempt_once(prefix: Prefix, tmp_path: Path) -> None:
    script = tmp_path / "trainer.py"
    script.write_text(program())
    running = Process(prefix, tmp_path, "own", [], script=script)
    first = command_of(prefix, "churn:a", "train", 1)
    again = command_of(prefix, "churn:a", "train", 1, attempt=2)
    await send_commands(prefix, [first, command_of(prefix, "churn:a", "activate", 2, candidate="v2"), first])
    try:
        running.start()

        async def finals(count: int) -> bool:
            assert running.exit_code is None, running.tail()
            return sum(row["status"] == "succeeded" for row in await _results(prefix)) >= count

        await until(lambda: finals(1), 60, "the first answer")
        running.kill()
        running.start()
        await send_commands(prefix, [again])
        await until(lambda: finals(2), 60, "the second attempt's answer")
    finally:
        running.kill()
    told = [(row["command_id"], row["attempt"], row["status"]) for row in await _results(prefix)]
    assert sorted(told) == sorted(
        (sent["command_id"], sent["attempt"], status) for sent in (first, again) for status in ("accepted", "succeeded")
    ), told


async def test_no_bytes_in_front_of_a_command_end_it(prefix: Prefix, tmp_path: Path) -> None:
    script = tmp_path / "trainer.py"
    script.write_text(program())
    await poison(prefix, ("train", "cancel"))
    await send_commands(prefix, [command_of(prefix, "churn:acme", "train", 1)])
    running = Process(prefix, tmp_path, "own", [], script=script).start()
    try:
        found = (await answered(prefix, running, 1))[1]
    finally:
        running.kill()
    # the coordinator can read it, and has a digest to hand on
    told = read_result(orjson.dumps(found))
    assert told.unreadable is None
    assert told.artifact_sha256 == found["artifact_sha256"]
    # nothing stands where a record asked for it
    parts = await read(prefix.bootstrap, prefix.topics.predictions, prefix.topics.input_partitions)
    assert not any(parts.values())


@pytest.mark.parametrize("name", ["accepted", "succeeded", "failed", "cancel", "activate", "rollback"])
def test_the_document_names_every_word_of_the_protocol(name: str) -> None:
    assert f"`{name}`" in DOCUMENT.read_text()
