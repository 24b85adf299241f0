"""Ids that come again in files are told, whatever their number, and refused where everything has to be right."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli import cli
from stream_app.ingest import repeats
from stream_app.ingest.inputs import Admission
from stream_app.ingest.load import LoadPlan, look_through
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.repeats import Repeats
from tests.support.table_files import NAMED, TableRead, read

AT = 1_772_445_600_000  # 2026-03-02T10:00Z


def put(path: Path, *rows: str, header: str = "id,time,score,actual") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def told(found: TableRead) -> str:
    assert found.survey is not None, found.refused
    return "\n".join(found.survey.repeats.sentences())


def test_a_row_that_comes_again_is_told_and_one_that_differs_is_warned_of(tmp_path: Path) -> None:
    a = put(tmp_path / "a.csv", f"p,{AT},0.5,1", f"q,{AT},0.5,1", f"p,{AT},0.5,1", f"q,{AT},0.6,1", f"q,{AT},0.5,0")
    found = read(a, *NAMED)
    assert len(found.predictions) == 5
    assert told(found).splitlines() == [
        "1 row repeats an earlier one and counts once: a.csv, row 3 (as a.csv, row 1)",
        "Warning: 2 rows have the id of an earlier row and other content; of each id the prediction of the earliest "
        "time counts, and the latest outcome: a.csv, row 4 (as a.csv, row 2), a.csv, row 5 (as a.csv, row 2)",
    ]
    refused = read(a, *NAMED, "--strict").refused or ""
    assert refused.startswith("ids come again, and nothing was sent:\n1 row repeats")
    # across files and formats, and as much as can be said of many
    b = tmp_path / "b.ndjson"
    b.write_text("".join(f'{{"id":"{name}","time":{AT},"score":0.5,"actual":true}}\n' for name in "pqrsr"))
    both = told(read([a, b], *NAMED))
    assert both.splitlines()[0] == (
        "4 rows repeat earlier ones and count once: a.csv, row 3 (as a.csv, row 1), "
        "b.ndjson, line 1 (as a.csv, row 1), b.ndjson, line 2 (as a.csv, row 2), …"
    )
    assert not told(read(put(tmp_path / "c.csv", f"p,{AT},0.5,1", f"q,{AT},0.5,1"), *NAMED, "--strict"))


def test_outcomes_that_come_again_are_corrections_and_those_of_no_prediction_are_named(tmp_path: Path) -> None:
    a = put(tmp_path / "a.csv", f"p,{AT},0.5", f"q,{AT},0.5", header="id,time,score")
    late = [f"p,1,{AT + 9}", f"p,0,{AT + 10}", f"x,0,{AT + 9}", f"x,0,{AT + 9}", f"q,0,{AT + 9}"]
    outcomes = put(tmp_path / "o.csv", *late, header="id,actual,seen")
    found = read(a, "--outcomes", str(outcomes), *NAMED, "--map", "observed_at=seen", "--strict")
    assert found.refused is None
    assert told(found).splitlines() == [
        "2 outcomes come again for an id: of each the latest counts, as a correction",
        "2 of 5 outcomes belong to no prediction of these files and count only where that was sent before: "
        "o.csv, row 3, o.csv, row 4",
    ]
    mapping = Mapping({"prediction_id": "id", "observed_at": "seen"})
    known, _ = look_through(LoadPlan("outcomes", (outcomes,), mapping), Admission())
    assert known.repeats.sentences() == ["2 outcomes come again for an id: of each the latest counts, as a correction"]


def test_commands_say_it(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", f"p,{AT},0.5,1", f"p,{AT},0.6,1", f"q,{AT + 1},0.1,0")
    done = CliRunner().invoke(cli, ["replay", str(path), *NAMED, "--dry-run"])
    assert done.exit_code == 0
    assert "Warning: 1 row has the id of an earlier row" in done.stderr
    report = ["--report", str(tmp_path / "r.html")]
    tried = CliRunner().invoke(
        cli, ["try", str(path), "--yes", "--ids", "content", "--report", str(tmp_path / "r.html")]
    )
    assert "id of an earlier row" not in tried.output
    named = ["--map", "prediction_id=id", "--map", "predicted_at=time", *report]
    assert "Warning: 1 row has the id" in CliRunner().invoke(cli, ["try", str(path), "--yes", *named]).output


@given(
    ids=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), st.booleans()), max_size=60),
    held=st.integers(1, 20),
)
def test_it_counts_as_a_plain_count_however_little_is_held(ids: list[tuple[int, int, bool]], held: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "_HELD", held)
        found = Repeats()
        found.begin("p", "row", outcomes=False)
        rows = [(name, content) for name, content, outcome in ids if not outcome]
        for number, (name, content) in enumerate(rows, 1):
            found.add(number, b"%d" % name, b"%d" % content)
        found.begin("o", "row", outcomes=True)
        late = [name for name, _, outcome in ids if outcome]
        for number, name in enumerate(late, 1):
            found.add(number, b"%d" % name, b"")
        found.look()
    first: dict[int, int] = {}
    equal: list[tuple[int, int]] = []
    differing: list[tuple[int, int]] = []
    for at, (name, content) in enumerate(rows):
        begin = first.setdefault(name, at)
        if begin != at:
            (equal if content == rows[begin][1] else differing).append((at + 1, begin + 1))
    assert (found.equal.count, found.equal.first) == (len(equal), equal[:3])
    assert (found.differing.count, found.differing.first) == (len(differing), differing[:3])
    assert found.corrections == sum(count - 1 for count in Counter(late).values())
    assert found.strangers.count == sum(name not in first for name in late)


def test_memory_does_not_grow_with_the_rows() -> None:
    draw = random.Random(7)
    found = Repeats()
    found.begin("p", "row", outcomes=False)
    found.add(1, b"warm", b"")
    tracemalloc.start()
    for number in range(300_000):
        found.add(number, b"%d" % draw.getrandbits(60), b"")
    found.look()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15_000_000
    assert found.of_predictions == 0
