"""How a list ends: as documented, alike in every output, whether it is empty or what was asked for is missing."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner, Result

from stream_app.cli import cli
from stream_app.cli.listing import OUTPUTS
from stream_app.kafka.admin import TopicFinding

GOLDEN: Final = Path(__file__).parents[1] / "golden"
#: Where modules hold the function that reads a topic.
_READERS: Final = ("stream_app.kafka.reading", "stream_app.projection.from_topics", "stream_app.ingest.redrive")


@dataclass(frozen=True)
class Record:
    """As a topic gives it."""

    value: bytes
    key: bytes | None = b""
    topic: str = ""
    timestamp: int = 1_772_424_000_000
    partition: int = 0
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def _record(name: str) -> Record:
    row = json.loads((GOLDEN / f"{name}.json").read_text())
    return Record(json.dumps(row).encode(), str(row.get("id", "")).encode())


#: What stands in the topics of a small installation; in an empty one nothing does.
HELD: Final = {
    "ml.metric-snapshots": (_record("metric-snapshot.closed"),),
    "ml.model-lifecycle": (_record("model-lifecycle.first"),),
    "ml.alerts": (_record("alert.opened"),),
    "ml.drift-events": (_record("drift-event.performance"),),
    "ml.audit": (_record("audit-record.refused"),),
}
SNAPSHOT: Final[dict[str, Any]] = json.loads(HELD["ml.metric-snapshots"][0].value)
MODEL: Final = str(SNAPSHOT["model"])
EVENT: Final = str(json.loads(HELD["ml.drift-events"][0].value)["id"])
ID: Final = "00000000-0000-0000-0000-000000000000"

#: What is asked of topics that hold nothing, and the exit code.
EMPTY: Final[tuple[tuple[str, int], ...]] = (
    ("models", 0), ("alerts", 0), ("alerts --all", 0), (f"alerts {ID}", 1), ("alerts --model fraud:nobody", 0),
    ("precision", 0), ("audit", 0), (f"audit {ID}", 1), ("audit --model fraud:nobody", 0), ("dead-letters list", 0),
    ("snapshots fraud:nobody", 1), ("snapshots fraud:nobody --days 3", 1), (f"explain {ID}", 1),
    ("services status", 1), ("doctor --only settings", 0), ("topics check", 0),
)  # fmt: skip
#: The same of topics that hold something.
FULL: Final[tuple[tuple[str, int], ...]] = (
    ("models", 0), ("alerts", 0), (f"alerts {ID}", 1), ("alerts --model fraud:nobody", 0), ("audit", 0),
    ("audit --decision nothing-like-it", 0), (f"audit {ID}", 1), ("snapshots fraud:nobody", 1),
    (f"snapshots {MODEL}", 0), (f"snapshots {MODEL} --version none", 1), (f"snapshots {MODEL} --days 3", 0),
    (f"snapshots {MODEL} --window baseline", 0), (f"snapshots {MODEL} --window recent --as-of 1999-01-01", 0),
    (f"explain {ID}", 1), (f"explain {EVENT} --no-recompute", 0), ("doctor --only disk", 0), ("topics check", 1),
)  # fmt: skip


#: What strangers may have written beside: to each topic all of it.
ODD: Final = (
    *(Record(value, b"odd") for value in (b"", b"\xff\xfe", b"null", b"[]", b'{"id": 1}', b"[" * 100_000, b'"text"')),
    *(Record(one.value, None) for one in (_record("outcome.number"), _record("owner.claim"))),
    Record(b"{}", b"\xff\xfe"),
)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, tuple[Record, ...]]]:
    """What the topics hold: fill it. No broker, no Redis, and a folder in which nothing was started."""
    held: dict[str, tuple[Record, ...]] = {}

    async def records(bootstrap: str, options: Any, topic: str, *_: Any, **__: Any) -> AsyncIterator[Record]:
        for record in held.get(topic, ()):
            yield record

    async def check(settings: Any) -> list[TopicFinding]:
        return [TopicFinding("ml.alerts", "does not exist", "plumbline topics create")] if held else []

    async def require_counts(*_: Any) -> None:
        pass

    monkeypatch.setattr(importlib.import_module("stream_app.kafka.admin"), "require_counts", require_counts)
    for name in _READERS:
        monkeypatch.setattr(importlib.import_module(name), "records", records)
    monkeypatch.setattr(importlib.import_module("stream_app.cli.topics"), "_check", check)
    monkeypatch.setenv("PLUMBLINE_REDIS_URL", "")
    monkeypatch.chdir(tmp_path)
    yield held
    monkeypatch.undo()


def _ended(words: str, output: str) -> Result:
    done = CliRunner().invoke(cli, [*words.split(), "-o", output])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def _lists(group: click.Group, above: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and any(option.name == "output" for option in command.params):
            yield f"{above}{name}"
        if isinstance(command, click.Group):
            yield from _lists(command, f"{above}{name} ")


def test_every_list_is_tried() -> None:
    tried = [words for words, _ in (*EMPTY, *FULL)]
    assert [name for name in _lists(cli) if not any(f"{words} ".startswith(f"{name} ") for words in tried)] == []


@pytest.mark.parametrize(("words", "code"), FULL)
def test_a_list_says_the_same_with_what_strangers_wrote_in_its_topics(
    words: str, code: int, topics: dict[str, tuple[Record, ...]]
) -> None:
    topics.update(HELD)
    clean = {output: _ended(words, output) for output in OUTPUTS}
    topics.update({name: (*(replace(one, topic=name) for one in ODD), *held) for name, held in HELD.items()})
    for output, one in clean.items():
        done = _ended(words, output)
        assert (done.exit_code, done.stdout) == (code, one.stdout)


@pytest.mark.parametrize(("full", "words", "code"), [*((0, *one) for one in EMPTY), *((1, *one) for one in FULL)])
def test_a_list_ends_alike_in_every_output_and_says_the_same_of_what_is_missing(
    full: int, words: str, code: int, topics: dict[str, tuple[Record, ...]]
) -> None:
    topics.update(HELD if full else {})
    done = {output: _ended(words, output) for output in OUTPUTS}
    assert {output: one.exit_code for output, one in done.items()} == dict.fromkeys(OUTPUTS, code)
    if code and done["table"].stderr.startswith("Error: "):
        assert len({one.stderr for one in done.values()}) == 1
        assert {one.stdout for one in done.values()} == {""}
        return
    rows = [json.loads(line) for line in done["json"].stdout.splitlines()]
    cells = list(csv.DictReader(io.StringIO(done["csv"].stdout)))
    assert len(rows) == len(cells)
    # people are told something in any case, and programs that read rows are told nothing else
    assert done["table"].output.strip()
    assert all(len(cells[0]) == len(row) and None not in row for row in cells)


def test_an_unknown_model_is_refused_by_name_and_a_known_one_without_days_is_not(
    topics: dict[str, tuple[Record, ...]],
) -> None:
    assert "no snapshots of fraud:nobody; `plumbline models` lists" in _ended("snapshots fraud:nobody", "json").stderr
    topics.update(HELD)
    assert "no snapshots of version none" in _ended(f"snapshots {MODEL} --version none", "csv").stderr
    row = {**SNAPSHOT, **json.loads(HELD["ml.model-lifecycle"][0].value), "model": "fraud:new", "tenant_id": "new"}
    topics.update({"ml.metric-snapshots": (), "ml.model-lifecycle": (Record(json.dumps(row).encode(), b"fraud:new"),)})
    done = _ended("snapshots fraud:new", "table")
    assert (done.exit_code, "no days of fraud:new yet" in done.output) == (0, True)
