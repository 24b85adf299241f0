"""Folders of parts as other systems write them, and packed files of several frames of which one is damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from stream_app.ingest.files import Reading, digest, rows
from stream_app.trial.columns import look_at
from stream_app.trial.guess import guess
from tests.support.table_files import NAMED, read

AT = 1_772_445_600_000  # 2026-03-02T10:00Z


def written(path: Path, first: int, **columns: object) -> None:
    """Two rows, in the format of the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {"id": [f"p-{first}", f"p-{first + 1}"], "time": [AT, AT + 1], "score": [0.25, 0.5]}
        | {name: [cell] * 2 for name, cell in columns.items()}
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        path.write_text(table.to_pandas().to_csv(index=False))
    else:
        path.write_text(table.to_pandas().to_json(orient="records", lines=True))


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_columns_that_stand_in_names_of_folders_are_columns(tmp_path: Path, ending: str) -> None:
    written(tmp_path / "out" / "tenant_id=acme" / "plan=pro%20plus" / f"part-0.{ending}", 0)
    written(tmp_path / "out" / "tenant_id=beta" / "plan=__HIVE_DEFAULT_PARTITION__" / f"part-0.{ending}", 2)
    named = [*NAMED, "--features", "plan"]
    found = read(tmp_path / "out", *named)
    assert found.refused is None, found.refused
    assert [(row["prediction_id"], row["tenant_id"], row["features"]) for row in found.predictions] == [
        ("p-0", "acme", {"plan": "pro plus"}), ("p-1", "acme", {"plan": "pro plus"}),
        ("p-2", "beta", {"plan": None}), ("p-3", "beta", {"plan": None}),
    ]  # fmt: skip
    assert {row["tenant_id"] for row in rows(tmp_path / "out")} == {"acme", "beta"}
    guessed = guess(look_at([tmp_path / "out"], Reading()), [tmp_path / "out"], {})
    assert ("tenant_id", "tenant_id") in {line[:2] for line in guessed.lines}
    refused = read(tmp_path / "out", *NAMED, "--map", "threshold=plam").refused or ""
    assert "did you mean plan?" in refused
    # what stands in the file wins, and a folder of another name is another table
    written(tmp_path / "own" / "tenant_id=acme" / f"part-0.{ending}", 0, tenant_id="own")
    assert {row["tenant_id"] for row in read(tmp_path / "own", *NAMED).predictions} == {"own"}
    before = digest(tmp_path / "out")
    (tmp_path / "out" / "tenant_id=beta").rename(tmp_path / "out" / "tenant_id=gamma")
    assert digest(tmp_path / "out") != before


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("_delta_log/00000000000000000000.json", "Delta"),
        (".hoodie/hoodie.properties", "Hudi"),
        ("metadata/v1.metadata.json", "Iceberg"),
        ("deep/er/_delta_log/0.json", "Delta"),
    ],
)
def test_tables_whose_folders_hold_deleted_rows_are_refused(tmp_path: Path, mark: str, name: str) -> None:
    written(tmp_path / "part-0.parquet", 0)
    (tmp_path / mark).parent.mkdir(parents=True)
    (tmp_path / mark).write_text("{}")
    assert f"a table of {name}" in (read(tmp_path, *NAMED).refused or "")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("ending", PACKERS)
def test_a_frame_that_is_cut_or_damaged_never_drops_rows_without_a_word(tmp_path: Path, ending: str) -> None:
    lines = [f"p-{n},{AT + n},0.5\n" for n in range(40)]
    first = PACKERS[ending]("".join(["id,time,score\n", *lines[:20]]).encode())
    second = PACKERS[ending]("".join(lines[20:]).encode())
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(first + second)
    assert len(read(path, *NAMED).predictions) == 40
    for at in range(1, len(second), 3):
        spoiled = {"cut": second[:at], "damaged": second[: at - 1] + bytes([second[at - 1] ^ 0x5A]) + second[at:]}
        for how, data in spoiled.items():
            path.write_bytes(first + data)
            found = read(path, *NAMED)
            assert found.refused is not None or len(found.predictions) == 40, (how, at)
