"""Lists at any width, without a terminal, and for programs."""

from __future__ import annotations

import csv
import importlib
import io
import json
import uuid
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from schemas.common import parse_ms
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn

ROWS = [
    {
        "id": str(uuid.UUID(int=number)), "model": f"fraud:{'tenant' * number}", "severity": severity,
        "opened": "2026-03-02T04:00:00.000Z", "summary": "Scores moved, and nobody knows why. " * 4,
    }
    for number, severity in ((1, "HIGH"), (12, "CRITICAL"), (3, "MEDIUM"))
]  # fmt: skip
COLUMNS = (
    ListColumn("id", lambda row: row["id"]),
    ListColumn("model", lambda row: row["model"]),
    ListColumn("severity", lambda row: row["severity"], 1),
    ListColumn("opened", lambda row: row["opened"], 2, when=True),
    ListColumn("extra", lambda row: "x" * 20, 3),
    ListColumn("summary", lambda row: row["summary"], 4, sentence=True),
)


def _shown(output: str, monkeypatch: pytest.MonkeyPatch, columns: str | None, terminal: bool) -> tuple[str, str]:
    monkeypatch.setattr(listing, "_terminal", lambda: terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)

    @click.command()
    def command() -> None:
        listing.show(ROWS, COLUMNS, output, note="a note")

    done = CliRunner().invoke(command, catch_exceptions=False, color=False)
    return done.stdout, done.stderr


@pytest.mark.parametrize("columns", ["1", "40", "80", "100", "120", "200"])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_id_and_no_name_is_ever_cut(columns: str, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = _shown("table", monkeypatch, columns, terminal)
    for row in ROWS:
        assert any(line.startswith(f"{row['id']}  {row['model']}") for line in text.splitlines())


@pytest.mark.parametrize("columns", [80, 100, 132, 160])
def test_no_line_is_wider_than_the_terminal_where_ids_and_names_leave_room(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS[1], "model", "fraud:a-tenant-of-usual-length")
    text, _ = _shown("table", monkeypatch, str(columns), True)
    assert max(map(len, text.splitlines())) <= columns
    # the sentence is there, whole, beside its row or below it
    assert " ".join(text.split()).count("nobody knows why.") >= (4 if columns >= 132 else 12)


def test_columns_leave_by_rank_and_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS[1], "model", "fraud:x")
    text, said = _shown("table", monkeypatch, "80", False)
    assert text.splitlines()[0].split() == ["id", "model", "severity"]
    assert "not shown for want of room: summary, extra, opened (-o wide shows all)" in said
    assert "a note" in said


def test_without_a_terminal_a_row_is_a_line_of_plain_text_and_its_first_word_the_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, said = _shown("table", monkeypatch, None, False)
    head, *lines = text.splitlines()
    assert [line.split()[0] for line in lines] == [row["id"] for row in ROWS]
    assert all(" ".join(row["summary"].split()) in line for row, line in zip(ROWS, lines, strict=True))
    assert {line.index("HIGH" if "HIGH" in line else line.split()[2]) for line in lines} == {head.index("severity")}
    assert "\x1b" not in text
    assert "2026-03-02T04:00:00.000Z" in text
    assert said == "a note\n"


def test_json_is_one_object_a_line_and_csv_holds_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    text, said = _shown("json", monkeypatch, "20", False)
    assert [json.loads(line) for line in text.splitlines()] == ROWS
    assert said == ""
    text, _ = _shown("csv", monkeypatch, "20", False)
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in found] == [row["id"] for row in ROWS]
    assert [row["summary"] for row in found] == [row["summary"] for row in ROWS]


@pytest.mark.parametrize(
    ("seconds", "said"), [(4, "4 s ago"), (61, "1 min ago"), (7_300, "2 h ago"), (200_000, "2 d ago")]
)
def test_a_time_is_said_by_how_long_ago_it_was(seconds: int, said: str) -> None:
    at = "2026-03-02T04:00:00.000Z"
    assert listing.ago(at, parse_ms(at) / 1000 + seconds) == said
    assert listing.ago(at, parse_ms(at) / 1000 - 10) == "2026-03-02T04:00"


def test_the_beginning_of_an_id_is_enough_if_only_one_begins_so() -> None:
    ids = ["3d5f0a7e-1", "3d5f0b11-2", "77"]
    assert listing.one_of(ids, "3d5f0a", "alert", "list them") == "3d5f0a7e-1"
    assert listing.one_of([*ids, "7"], "7", "alert", "list them") == "7"
    with pytest.raises(click.ClickException, match="2 alerts have ids that begin with 3d5f"):
        listing.one_of(ids, "3d5f", "alert", "list them")
    with pytest.raises(
        click.ClickException, match=r"begin with 3d5f \(3d5f0a7e-1, 3d5f.*\): give more of it; list them"
    ):
        listing.one_of(ids, "3d5f", "alert", "list them")
    with pytest.raises(
        click.ClickException, match="1,000 drift events or alerts have ids that begin with 7: give more"
    ):
        listing.one_of((f"7{number}" for number in range(1_000)), "7", "drift event or alert", "list them")
    with pytest.raises(click.ClickException, match="alerts have ids: give one; list them"):
        listing.one_of(ids, "", "alert", "list them")
    with pytest.raises(click.ClickException, match="no alert has the id zz; list them"):
        listing.one_of(ids, "zz", "alert", "list them")


LONG = "n" * 128
MODEL = f"{LONG}:{'t' * 128}"
ID = "84a3e89f-0dc5-5957-a0eb-906ad1d5550c"


def _golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / f"{name}.json").read_text())
    return {**found, "id": ID, "model": MODEL, "model_version": "v" * 128}


#: list → one of its rows with names as long as they may be, and what of it has to stand there whole
LONG_ROWS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "models": (
        {
            "model": MODEL, "active_version": "v" * 128, "date": "2026-03-01", "predictions": 1_000, "coverage": 0.9,
            "metric": {"name": "accuracy", "value": 0.75, "low": 0.7, "high": 0.8}, "job": None, "so_far": [],
            "traffic": {"last_seen": "2026-03-02T04:00:00.000Z", "others": []},
        },
        (MODEL, "v" * 128),
    ),
    "snapshots": (_golden("metric-snapshot.closed"), ("2026-03-01", "v" * 128)),
    "alerts": (_golden("alert.opened"), (ID, MODEL)),
    "audit": (_golden("audit-record.refused"), (ID, MODEL)),
    "dead_letters": (
        {"topic": f"{LONG}.predictions", "partition": 11, "offset": 10**12, "reason": "invalid_field",
         "at": "2026-03-02T04:00:00.000Z", "error": "score is no number " * 20},
        (f"{LONG}.predictions[11]@{10**12}", "invalid_field"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("name", LONG_ROWS)
def test_every_list_shows_ids_and_the_longest_names_whole_at_80_columns(
    name: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = importlib.import_module(f"stream_app.cli.{name}")._COLUMNS
    row, whole = LONG_ROWS[name]
    monkeypatch.setattr(listing, "_terminal", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "80")

    @click.command()
    def command() -> None:
        listing.show([row], columns, "table")

    text = CliRunner().invoke(command, catch_exceptions=False, color=False).stdout
    assert text.splitlines()[1].split()[: len(whole)] == list(whole)
