"""Rows in order, whether they fit in memory or lie in runs on disk; and a load's records stand by their times."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ingest.inputs import Admission
from stream_app.ingest.load import Loaded, LoadPlan, _in_order, look_through
from stream_app.ingest.sorting import Sorted


class Item(NamedTuple):
    at: int
    number: int
    value: bytes


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 20))
def test_rows_come_in_order_however_many_lie_on_disk(times: list[int], run: int) -> None:
    rows = [Item(at, number, b"%d" % at) for number, at in enumerate(times)]
    with Sorted(Item, iter(rows), run) as found:
        assert list(found) == list(found) == sorted(rows)
        assert found.count == len(rows)
        assert (found.first, found.last) == ((min(rows), max(rows)) if rows else (None, None))


@pytest.mark.parametrize("order", ["time", "prediction", "reverse", "shuffled", "by tenant"])
def test_a_load_writes_its_records_in_the_order_of_their_times_whatever_the_order_of_its_files(
    tmp_path: Path, order: str
) -> None:
    draw = random.Random(5)
    rows: list[dict[str, Any]] = [
        {
            "prediction_id": f"p-{n}",
            "actual": n % 2,
            "observed_at": 1_770_000_000_000 + n * 1_000 + draw.randrange(40) * 1_000,
            "t": n % 3,
        }
        for n in range(500)
    ]
    by_time = sorted(row["observed_at"] for row in rows)
    if order == "time":
        rows.sort(key=lambda row: row["observed_at"])
    elif order == "reverse":
        rows.reverse()
    elif order == "shuffled":
        draw.shuffle(rows)
    elif order == "by tenant":
        rows.sort(key=lambda row: row["t"])
    paths = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for path, part in zip(paths, (rows[:200], rows[200:]), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in part))
    plan = LoadPlan("outcomes", tuple(paths))
    with _in_order(plan, look_through(plan, Admission())[0], Admission(), Loaded()) as found:
        records = list(found)
    assert [row.at_ms for row in records] == by_time
    assert {row.key.decode() for row in records} == {row["prediction_id"] for row in rows}
