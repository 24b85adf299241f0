"""Parquet files that are small and hold much: memory is bounded, or the file is refused in a sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_app.ingest.faults import FileFault
from stream_app.ingest.files import table

#: Rows of a file that would unpack to 400 MB, and what a process may take for it.
ROWS, TEXT, MOST_MB = 1_000, 400_000, 300

READ = """
import sys
from pathlib import Path
from stream_app.ingest.files import table
with table(Path(sys.argv[1])) as found:
    rows = [len(str(row["text"])) for _, row in found.rows(("id", "text"), None)]
# of this program alone: what getrusage says begins with the size of the process that started it
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(len(rows), min(rows), int(status["VmHWM"].split()[0]) >> 10)
"""


def put(path: Path, texts: pa.ChunkedArray, **options: Any) -> Path:
    ids = [f"p-{n}" for n in range(len(texts))]
    pq.write_table(
        pa.table({"id": ids, "text": texts}), path, dictionary_pagesize_limit=1 << 30, row_group_size=len(texts),
        **options,
    )  # fmt: skip
    return path


def texts(shape: str, distinct: int = 20, rows: int = ROWS, size: int = TEXT) -> pa.ChunkedArray:
    plain = [f"{n}".ljust(size, "x") for n in range(distinct)]  # pages end with an array, if not before
    shaped: dict[str, pa.Array] = {
        "text": pa.array(plain),
        "bytes": pa.array([text.encode() for text in plain]),
        "object": pa.array([{"a": {"b": text}} for text in plain]),
        "list": pa.array([[text] for text in plain]),
        "map": pa.array([[("a", text)] for text in plain], pa.map_(pa.string(), pa.string())),
    }
    return pa.chunked_array([shaped[shape]] * (rows // distinct))


@pytest.mark.parametrize("shape", ["text", "bytes", "object", "list", "map"])
def test_a_dictionary_of_huge_texts_is_unpacked_a_few_rows_at_a_time(shape: str, tmp_path: Path) -> None:
    path = put(tmp_path / "a.parquet", texts(shape))
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    rows, shortest, megabytes = map(int, done.stdout.split())
    assert rows == ROWS
    assert shortest >= TEXT
    assert megabytes < MOST_MB


def test_pages_that_cannot_be_held_are_refused_by_name(tmp_path: Path) -> None:
    dictionary = put(tmp_path / "a.parquet", texts("text", distinct=120, rows=240, size=500_000))
    page = put(tmp_path / "b.parquet", texts("text", distinct=260, rows=260, size=400_000), use_dictionary=False)
    for path in (dictionary, page):
        with (
            pytest.raises(FileFault, match=f"{re.escape(str(path))}: row group 1 has pages that unpack to [0-9]+ MiB"),
            table(path) as found,
        ):
            next(iter(found.rows(("id", "text"), None)))
        with table(path) as found:  # nobody asks for the column
            assert next(iter(found.rows(("id",), None))) == (1, {"id": "p-0"})


def test_usual_rows_are_read_in_usual_batches(tmp_path: Path) -> None:
    path = put(tmp_path / "a.parquet", texts("text", distinct=1_000, rows=20_000, size=30))
    with table(path) as found:
        rows = [row["text"] for _, row in found.rows(("id", "text"), None) if isinstance(row, dict)]
    assert rows == [f"{n % 1000}".ljust(30, "x") for n in range(20_000)]
