"""Rows a second and peak memory of reading a table as a replay does: both passes, and the sort by time.

``python -m benchmarks.table_reading [--rows 5000000] [--features]``: one CSV and one Parquet file of that many rows are
written to a temporary folder, and each is read by a process of its own. Nothing is sent.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.table import Table

from stream_app.ingest.faults import Faults
from stream_app.ingest.inputs import Admission
from stream_app.ingest.mapping import Mapping
from stream_app.replay.run import ReplayPlan, look_through
from stream_app.replay.timeline import Timeline, events

_STEP = 250_000
_START = 1_772_445_600_000


def _batch(first: int, count: int) -> pa.RecordBatch:
    numbers = range(first, first + count)
    times = pa.array([_START + number * 1_000 for number in numbers]).cast(pa.timestamp("ms", "UTC"))
    return pa.record_batch(
        {
            "id": [f"p-{number}" for number in numbers], "time": times,
            "score": [number % 101 / 101 for number in numbers], "actual": [number % 3 == 0 for number in numbers],
            "age": [18 + number % 60 for number in numbers], "plan": [f"plan-{number % 5}" for number in numbers],
        }
    )  # fmt: skip


def write(folder: Path, rows: int) -> list[Path]:
    """The same table as CSV and as Parquet."""
    paths = [folder / "table.csv", folder / "table.parquet"]
    schema = _batch(0, 1).schema
    with pyarrow.csv.CSVWriter(paths[0], schema) as text, pyarrow.parquet.ParquetWriter(paths[1], schema) as packed:
        for first in range(0, rows, _STEP):
            batch = _batch(first, min(_STEP, rows - first))
            text.write_batch(batch)
            packed.write_batch(batch)
    return paths


def peak_mb() -> float:
    """Most memory that this process had. Not ``ru_maxrss``: a child's begins with its parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found is not None else float("nan")


def read(path: Path, features: bool) -> dict[str, float]:
    """Read one file in this process."""
    mapping = Mapping(
        columns={"prediction_id": "id", "predicted_at": "time"},
        constants={"model_type": "churn", "model_version": "v1"},
        features=("age", "plan") if features else (),
    )
    plan = ReplayPlan([path], mapping=mapping)
    began = time.perf_counter()
    known = look_through(plan, Admission())
    looked = time.perf_counter()
    with Timeline(events(plan.inputs(), known, Faults())) as timeline:
        count = sum(1 for _ in timeline)
    done = time.perf_counter()
    if count != known.predictions + known.outcomes or known.predictions != known.rows:
        raise SystemExit(f"{path.name}: {count} events of {known.rows} rows")
    return {
        "rows": known.rows, "look_rows_per_s": known.rows / (looked - began),
        "sort_rows_per_s": known.rows / (done - looked), "peak_mb": peak_mb(), "cpu_s": time.process_time(),
    }  # fmt: skip


@click.command()
@click.option("--rows", default=5_000_000, show_default=True)
@click.option("--features", is_flag=True, help="Two columns travel as features, judged over the whole column.")
@click.option("--file", "path", type=click.Path(path_type=Path), hidden=True)
def main(rows: int, features: bool, path: Path | None) -> None:
    """Read tables and print what it took."""
    if path is not None:
        click.echo(json.dumps(read(path, features)))
        return
    table = Table("file", "rows", "first pass, rows/s", "second pass and sort, rows/s", "CPU s", "peak memory, MB")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="plumbline-tables-") as folder:
        for made in write(Path(folder), rows):
            command = [sys.executable, "-m", "benchmarks.table_reading", "--file", str(made)]
            done = subprocess.run([*command, *(["--features"] if features else [])], capture_output=True, check=True)
            found = figures[made.suffix[1:]] = json.loads(done.stdout)
            table.add_row(
                made.suffix[1:], f"{found['rows']:,}", f"{found['look_rows_per_s']:,.0f}",
                f"{found['sort_rows_per_s']:,.0f}", f"{found['cpu_s']:,.0f}", f"{found['peak_mb']:,.0f}",
            )  # fmt: skip
    Console(stderr=True).print(table)
    click.echo(json.dumps(figures))


if __name__ == "__main__":
    main()
