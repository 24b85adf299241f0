"""NDJSON lines in which a name stands twice: readers differ in which of both they take, so none is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ingest.files import table
from tests.support.table_files import NAMED, read

HEAD = '"id": "p-1", "time": 1772445600000, "actual": true'


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ('"score": 0.1, "score": 0.9', "'score' stands twice"),
        ('"score": 0.1, "score": 0.1', "'score' stands twice"),
        ('"score": 0.1, "sc\\u006fre": 0.9', "'score' stands twice"),
        ('"score" : 0.1,\t"score"\t: 0.9', "'score' stands twice"),
        ('"score": 0.5, "id": "p-2"', "'id' stands twice"),
        ('"score": 0.5, "features": {"a": 1, "a": 2}', "'a' stands twice in 'features'"),
        ('"score": 0.5, "features": {"a": [{"b": 1, "b": 2}]}', "'b' stands twice in 'features'"),
        # what nobody reads, and texts that look like names
        ('"score": 0.5, "level": "info", "level": "warn"', ""),
        ('"score": 0.5, "level": {"a": 1, "a": 2}', ""),
        ('"score": 0.5, "note": "\\"score\\": 1, \\"score\\": 2"', ""),
        ('"score": 0.5, "features": {"score": 1, "id": 2}', ""),
        ('"score": 0.5, "note": "\\"a\\":", "large": ' + "9" * 500, ""),
    ],
)
def test_a_name_that_is_read_stands_once(rest: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"id": "p-0", "time": 1772445600000, "actual": true, "score": 0.25}\n{' + f"{HEAD}, {rest}}}\n")
    found = read(path, *NAMED)
    assert len(found.predictions) == (1 if says else 2)
    if says:
        assert found.faults == [f"a.ndjson, line 2: {says}, and would be read from one of them"]


NAMES = st.sampled_from(["a", "b", 'a":', "c:", '"', "é"])
VALUES = st.recursive(
    st.sampled_from([1, None, "x", '"a":', '":', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(rows=st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=5), blank=st.booleans())
def test_lines_without_it_are_read_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], blank: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.ndjson"
    path.write_text("".join(json.dumps(row, separators=(",", " : ") if blank else None) + "\n" for row in rows))
    with table(path) as found:
        assert [row for _, row in found.rows(("a", "b", "c:", "é", '"', 'a":'), None)] == rows
