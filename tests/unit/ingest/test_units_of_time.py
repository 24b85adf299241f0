"""Numbers of one unit read as another: 1970 or the far future by a thousand, so they are refused by the unit's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from schemas.common import MAX_MS
from stream_app.cli.relay import relay
from stream_app.ingest.relay import cells
from stream_app.ingest.relay.functions import FUNCTIONS
from stream_app.ingest.relay.words import Fault
from tests.support.table_files import NAMED, read

NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: From 2000 to 2141, in seconds.
TIMES = st.integers(946_684_801, MAX_MS // 1000)


@given(at=TIMES, is_of=st.sampled_from(list(NAMES)), said=st.sampled_from(["", *NAMES]), text=st.booleans())
def test_a_number_is_of_the_unit_that_is_said_or_its_own_is_named(at: int, is_of: str, said: str, text: bool) -> None:
    number = at * PER_S[is_of]
    cell = str(number) if text else number
    for convert, how in (
        (lambda: cells.moment(cell, said), f"say --time-format {is_of}"),
        (lambda: FUNCTIONS["time"].apply(cell if said else number, *([said] if said else [])), f"time('{is_of}')"),
    ):
        if is_of == (said or "ms"):
            assert convert() == at * 1000
        else:
            with pytest.raises(Fault) as refused:
                convert()
            assert f"in {NAMES[said or 'ms']}: if it is {NAMES[is_of]}, " in str(refused.value)
            assert how in str(refused.value)


@pytest.mark.parametrize("name", ["mlflow-inference-table", "databricks-inference-table"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_a_gateway_whose_milliseconds_are_none_is_refused_by_the_unit(name: str, unit: str, tmp_path: Path) -> None:
    row = {
        "model_name": "churn", "request_metadata": {"model_name": "churn", "model_version": "7"}, "request_id": "r",
        "databricks_request_id": "r", "timestamp_ms": 1_772_442_942 * PER_S[unit], "request": "{}",
        "response": json.dumps({"predictions": [0.5]}),
    }  # fmt: skip
    path = tmp_path / "sample.jsonl"
    path.write_text(json.dumps({"value": row}) + "\n")
    done = CliRunner().invoke(relay, ["--map", name, "--check", "--sample", str(path), "--json"])
    (made,) = [json.loads(text) for text in done.output.splitlines()]
    assert not made.get("made")
    assert f"in milliseconds: if it is {NAMES[unit]}, write time('{unit}')" in made["error"]


def test_a_file_says_so_of_each_row_and_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    rows = [{"id": f"p-{n}", "time": 1_772_442_942 + n, "score": 0.5, "actual": True} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "if it is seconds, say --time-format s" in (read(path, *NAMED).refused or "")
    assert "if it is seconds, say --time-format s" in (read(path, *NAMED, "--time-format", "us").refused or "")
    assert len(read(path, *NAMED, "--time-format", "s").predictions) == 3
