"""Every Python snippet and every command of docs/connect-your-models.md, run in the order of the page."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.support.kafka_io import Prefix
from tests.support.relay import Out, environment, make_topic, produce, records_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "connect-your-models.md"
GOLDEN = ROOT / "tests" / "golden" / "relay"
#: Topics of other people's that the page names, and the golden records they hold.
SOURCES = {
    "app-predictions": None, "app-outcomes": None, "loan-events": None, "sagemaker-capture": None,
    "sagemaker-labels": None, "kserve-events": "kserve-v2", "inference-table": "databricks-inference-table",
}  # fmt: skip


def _blocks() -> list[tuple[str, str]]:
    return re.findall(r"```(python|sh)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _here(prefix: Prefix, text: str) -> str:
    """The page's code, pointed at this test's broker and topics. A relay that runs for ever runs to the end here."""
    below = prefix.topics.input_prefix
    text = text.replace("127.0.0.1:19092", prefix.bootstrap).replace('"ml.', f'"{below}')
    for name in SOURCES:
        text = re.sub(rf"(?<=relay ){name}(?= )|(?<= ){name}(?= --map)|(?<=\"){name}(?=\")", below + name, text)
    return re.sub(r"^(plumbline relay [^-].*)$", r"\1 --until-end", text, flags=re.MULTILINE)


@pytest.fixture
async def folder(prefix: Prefix, tmp_path: Path) -> Path:
    """A folder with the files the page speaks of and a `plumbline` on its path; topics with records in them."""
    command = tmp_path / "plumbline"
    command.write_text(f'#!/bin/sh\nexec env PYTHONPATH="{ROOT}" "{sys.executable}" -m stream_app "$@"\n')
    command.chmod(0o755)
    for name, golden in SOURCES.items():
        topic = await make_topic(prefix, name)
        rows = [json.loads(text) for text in (GOLDEN / f"{golden}.jsonl").read_text().splitlines()] if golden else []
        await produce(prefix, topic, [_out(row) for row in rows])
    for name, golden in (("capture", "sagemaker-capture"), ("labels", "sagemaker-ground-truth")):
        rows = [json.loads(text)["value"] for text in (GOLDEN / f"{golden}.jsonl").read_text().splitlines()]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def _out(row: dict[str, object]) -> Out:
    headers = row.get("headers") or {}
    assert isinstance(headers, dict)
    return Out(
        json.dumps(row["value"]).encode(), headers=tuple((name, text.encode()) for name, text in headers.items())
    )


async def test_every_snippet_and_command_of_the_page_does_what_it_says(prefix: Prefix, folder: Path) -> None:
    said, blocks = "", _blocks()
    assert [kind for kind, _ in blocks].count("python") == 3
    assert "plumbline load outcomes" in "".join(text for _, text in blocks)
    for kind, text in blocks:
        code = _here(prefix, text)
        program = [sys.executable, "-c", code] if kind == "python" else ["sh", "-ec", code]
        env = {**environment(prefix), "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"}
        process = await asyncio.create_subprocess_exec(
            *program, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, f"{text}\n{out.decode()}"
        said += out.decode()
    assert '"prediction_id":"r1-7","model_type":"loans"' in said
    assert "sent 2 outcomes of 3 rows" in said
    assert "2 of 2 ids are among the" in said
    assert "actual is 'maybe', neither true nor false" in said
    rows = [json.loads(record.value) for record in await records_of(prefix, prefix.topics.predictions, 3)]
    assert {"order-1", "order-2", "order-4711", "0d9a-1-0", "a1b2-2"} <= {row["prediction_id"] for row in rows}
    assert all(row["predicted_at"] <= time.time() * 1000 for row in rows)
    labels = [json.loads(record.value) for record in await records_of(prefix, prefix.topics.outcomes, 3)]
    assert {"order-1", "order-2", "order-4711", "8f45e35c-3"} == {row["prediction_id"] for row in labels} - {
        "8f45e35c-2-0"
    }
    assert len(await records_of(prefix, prefix.topics.dead_letters, 2)) == 4
