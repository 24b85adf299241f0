"""Files that were misread once: each is read right or refused in sentences, and nothing is sent before."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.ingest.inputs import Admission, Inputs, of_files, survey
from stream_app.ingest.mapping import Mapping
from stream_app.settings import Settings
from tests.support.table_files import CHURN, NAMED, read

AT = 1_772_445_600_000  # 2026-03-02T10:00Z


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(*cells: tuple[Any, ...], header: str = "id,time,score,actual") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in cells)]) + "\n"


GOOD = rows(("p-1", "2026-03-02T10:00:00Z", 0.83, 1), ("p-2", "2026-03-02T11:00:00Z", 0.1, 0))
WANTED = [("p-1", AT, 0.83, True), ("p-2", AT + 3_600_000, 0.1, False)]


def pairs(found: Any) -> list[tuple[Any, ...]]:
    assert found.refused is None, found.refused
    return [
        (p["prediction_id"], p["predicted_at"], p["score"], o["actual"])
        for p, o in zip(found.predictions, found.outcomes, strict=True)
    ]


def test_no_column_of_ids_is_refused_and_ids_can_be_made_of_the_content(tmp_path: Path) -> None:
    days = [
        put(tmp_path / f"{day}.csv", f"time,score,actual\n2026-03-0{day}T10:00:00Z,0.9,1\n2026-03-02T12:00:00Z,0.5,0\n")
        for day in (2, 3)
    ]
    by_time = (*CHURN, "--map", "predicted_at=time")
    refused = read(days, *by_time).refused or ""
    assert refused.count("--ids content") == 2
    assert "The columns are 'time', 'score', 'actual'" in refused
    first, again, other = (read(day, *by_time, "--ids", "content") for day in (days[0], days[0], days[1]))
    ids = [{row["prediction_id"] for row in found.predictions} for found in (first, again, other)]
    assert [len(found) for found in ids] == [2, 2, 2]
    assert ids[0] == ids[1]
    assert ids[0].isdisjoint(ids[2])
    assert [row["prediction_id"] for row in first.outcomes] == [row["prediction_id"] for row in first.predictions]
    both = read(days, *by_time, "--ids", "content")
    assert {row["prediction_id"] for row in both.predictions} == ids[0] | ids[2]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert pairs(read(put(tmp_path / "a.csv", b"\xef\xbb\xbf" + GOOD.encode()), *NAMED)) == WANTED
    predictions = put(tmp_path / "p.csv", b"\xef\xbb\xbfid,time,score\np-1,2026-03-12T10:00:00Z,0.83\n")
    labels = put(tmp_path / "l.csv", b"\xef\xbb\xbfid,actual,seen\np-1,1,2026-03-13T00:00:00Z\n")
    found = read(predictions, "--outcomes", str(labels), *NAMED, "--map", "observed_at=seen")
    assert [row["prediction_id"] for row in (*found.predictions, *found.outcomes)] == ["p-1", "p-1"]


def test_a_decimal_comma_between_commas_is_refused_by_row(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", rows(("p-1", "2026-03-02T10:01:00Z", 1, "0,91"), header="id,time,actual,score"))
    refused = read(path, *NAMED, "--strict").refused or ""
    assert "a.csv, row 1: has 5 columns where the header has 4" in refused


def test_a_decimal_comma_between_semicolons_is_a_number(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "id;time;score;actual;x\np-1;2026-03-02T10:00:00Z;0,83;1;3,5\n")
    found = read(path, *NAMED, "--features", "x")
    assert (found.predictions[0]["score"], found.predictions[0]["features"]) == (0.83, {"x": 3.5})


def test_columns_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", rows(("q-1", "2026-03-05T10:01:00Z", 0.35, 1, 0.3, "acme"),
               header="id,time,score,actual,cut,customer"))  # fmt: skip
    refused = read(path, *NAMED, "--map", "threshold=cutoff", "--map", "tenant_id=Customer").refused or ""
    assert "no column 'cutoff' for threshold, did you mean cut?" in refused
    assert "no column 'Customer' for tenant_id, did you mean customer?" in refused
    assert "'id', 'time', 'score', 'actual', 'cut', 'customer'" in refused


@pytest.mark.parametrize("far", ["9999-12-31T00:00:00Z", "2099-12-31T00:00:00Z", "1970-01-02T00:00:00Z", "1900-01-01"])
def test_a_time_far_from_the_others_never_moves_the_clock(tmp_path: Path, far: str) -> None:
    cells = [(f"p-{n}", f"2026-03-02T1{n}:00:00Z", 0.5, n % 2, "2026-03-03T00:00:00Z") for n in range(3)]
    path = put(tmp_path / "a.csv", rows(*cells, ("p-9", "2026-03-02T19:00:00Z", 0.5, 0, far),
               header="id,time,score,actual,seen"))  # fmt: skip
    found = read(path, *NAMED, "--map", "observed_at=seen", "--assume-utc")
    assert [row["prediction_id"] for row in found.predictions] == ["p-0", "p-1", "p-2"]
    assert [row["prediction_id"] for row in found.outcomes] == ["p-0", "p-1", "p-2"]
    assert found.faults[0].startswith(f"a.csv, row 4: observed_at is {far[:10]}, ")
    swapped = put(tmp_path / "b.csv", path.read_text().replace("time,score,actual,seen", "seen,score,actual,time"))
    assert [row["prediction_id"] for row in read(swapped, *NAMED, "--map", "observed_at=seen", "--assume-utc")
            .predictions] == ["p-0", "p-1", "p-2"]  # fmt: skip


def test_days_that_are_stated_are_the_days_that_count(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", GOOD + "p-3,2029-03-02T11:00:00Z,0.1,0\n")
    assert "row 3: predicted_at is 2029-03-02" in read(path, *NAMED).faults[0]
    assert len(read(path, *NAMED, "--last-day", "2029-03-02").predictions) == 3
    late = read(path, *NAMED, "--first-day", "2026-03-02", "--last-day", "2026-03-02")
    assert len(late.predictions) == 2
    assert "outside --first-day and --last-day" in late.faults[0]


def test_features_of_a_csv_are_of_one_kind_over_the_whole_column(tmp_path: Path) -> None:
    lines = [f"p-{n},2026-03-02T10:00:00Z,0.5,1,{n},{n},{n / 2},true,0{n},{'' if n == 3 else n}" for n in range(200)]
    lines[150] = lines[150].replace(",150,150,", ",150,unknown,")
    path = put(tmp_path / "a.csv", "id,time,score,actual,age,code,half,flag,zip,gap\n" + "\n".join(lines) + "\n")
    found = read(path, *NAMED, "--features", "age,code,half,flag,zip,gap").predictions
    assert found[1]["features"] == {"age": 1, "code": "1", "half": 0.5, "flag": True, "zip": "01", "gap": 1}
    assert found[150]["features"]["code"] == "unknown"
    assert found[3]["features"]["gap"] is None
    assert {type(row["features"]["code"]) for row in found} == {str}


def test_typed_features_stay_what_they_are_and_mixed_ones_become_one_kind(tmp_path: Path) -> None:
    lines = ['"n":1,"m":1,"t":"7","f":true', '"n":2.5,"m":"2","t":"8","f":false', '"n":null,"m":"x","t":"9","f":"no"']
    path = put(tmp_path / "a.ndjson", "".join(
        f'{{"id":"p-{at}","time":{AT},"score":0.5,{line}}}\n' for at, line in enumerate(lines)))  # fmt: skip
    found = [row["features"] for row in read(path, *NAMED, "--features", "n,m,t,f").predictions]
    assert found == [
        {"n": 1, "m": "1", "t": "7", "f": "true"},
        {"n": 2.5, "m": "2", "t": "8", "f": "false"},
        {"n": None, "m": "x", "t": "9", "f": "no"},
    ]


def test_several_frames_of_every_packer_are_one_file(tmp_path: Path) -> None:
    import bz2
    import lzma

    half = len(GOOD) // 2
    pack: dict[str, Any] = {
        "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor().compress, "lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    }  # fmt: skip
    for ending, compress in pack.items():
        parts = [GOOD[:half].encode(), GOOD[half:].encode()]
        if ending == "lz4":
            stream = pa.BufferOutputStream()
            with pa.CompressedOutputStream(stream, "lz4") as out:
                out.write(GOOD.encode())
            data = stream.getvalue().to_pybytes()
        else:
            data = b"".join(map(compress, parts))
        assert pairs(read(put(tmp_path / f"a.csv.{ending}", data), *NAMED)) == WANTED, ending
        assert pairs(read(put(tmp_path / "misnamed.csv", data), *NAMED)) == WANTED, ending
        cut = read(put(tmp_path / f"b.csv.{ending}", data[:-9]), *NAMED).refused or ""
        assert "cut short" in cut, (ending, cut)


def test_ndjson_of_several_frames(tmp_path: Path) -> None:
    line = b'{"prediction_id":"p-%d","predicted_at":"2026-03-02T10:00:00Z","score":0.8,"actual":true}\n'
    compress = zstandard.ZstdCompressor().compress
    path = put(tmp_path / "a.ndjson.zst", b"".join(compress(line % n) for n in range(4)))
    assert [row["prediction_id"] for row in read(path, *CHURN).predictions] == ["p-0", "p-1", "p-2", "p-3"]


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("ns", "UTC"), AT * 1_000_000 + 999_999), (pa.timestamp("us", "UTC"), AT * 1_000 + 999),
        (pa.timestamp("ms", "Europe/Berlin"), AT), (pa.timestamp("s", "UTC"), AT // 1_000),
    ],
)  # fmt: skip
def test_times_of_parquet_are_cut_to_milliseconds(tmp_path: Path, kind: Any, value: int) -> None:
    times = pa.array([value, None], pa.int64()).cast(kind)
    path = parquet(tmp_path / "a.parquet", {"id": ["p-1", "p-2"], "time": times, "score": [0.5, 0.5]})
    found = read(path, *NAMED)
    assert [row["predicted_at"] for row in found.predictions] == [AT]
    assert found.faults == ["a.parquet, row 2: no predicted_at"]


def test_times_of_parquet_without_a_zone_need_one(tmp_path: Path) -> None:
    times = pa.array([AT * 1000], pa.int64()).cast(pa.timestamp("us"))
    for name, options in (("a", {}), ("b", {"use_deprecated_int96_timestamps": True})):
        path = parquet(tmp_path / f"{name}.parquet", {"id": ["p-1"], "time": times, "score": [0.5]}, **options)
        assert "has no offset" in (read(path, *NAMED).refused or "")
        assert read(path, *NAMED, "--assume-utc").predictions[0]["predicted_at"] == AT
        berlin = read(path, *NAMED, "--timezone", "Europe/Berlin").predictions[0]["predicted_at"]
        assert berlin == AT - 3_600_000


def test_other_types_of_parquet(tmp_path: Path) -> None:
    from decimal import Decimal
    from uuid import UUID

    path = parquet(tmp_path / "a.parquet", {
        "id": pa.array([b"p-1", b"p-2"]), "time": pa.array([AT, AT]),
        "score": pa.array([Decimal("0.83"), Decimal("0.10")]),
        "actual": pa.array(["yes", None]).dictionary_encode(),
        "who": pa.array([Decimal(7), None], pa.decimal128(38, 0)),
        "x": pa.array([Decimal("1.50"), None]), "far": pa.array([2**40, 3]), "nan": pa.array([float("nan"), 2.5]),
        "tags": pa.array([["a"], []]), "kind": pa.array(["a", "b"]).dictionary_encode(),
    })  # fmt: skip
    found = read(path, *NAMED, "--map", "tenant_id=who", "--features", "x,far,nan,tags,kind")
    assert found.faults == []
    assert [row["prediction_id"] for row in found.predictions] == ["p-1", "p-2"]
    assert found.predictions[0]["tenant_id"] == "7"
    assert "tenant_id" not in found.predictions[1]
    assert found.predictions[0]["features"] == {"x": 1.5, "far": 2**40, "nan": None, "tags": ["a"], "kind": "a"}
    assert [row["actual"] for row in found.outcomes] == [True]
    ids = {
        "uuid": pa.array([UUID(int=2**100 + 7).bytes], pa.binary(16)),
        "float": pa.array([7.0]),
        "flag": pa.array([True]),
    }
    for name, array in ids.items():
        bad = parquet(tmp_path / f"{name}.parquet", {"id": array, "time": [AT], "score": [0.5]})
        refused = read(bad, *NAMED).refused or ""
        assert "prediction_id" in refused, name
    whole = parquet(tmp_path / "whole.parquet", {"id": pa.array([2**63], pa.uint64()), "time": [AT], "score": [0.5]})
    assert read(whole, *NAMED).predictions[0]["prediction_id"] == str(2**63)


def test_scores_beyond_their_range_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    cells = [("p-1", 83), ("p-2", 1.0000001), ("p-3", "nan"), ("", 0.1), ("p-5", 0.9)]
    path = put(tmp_path / "a.csv", rows(*((name, "2026-03-02T10:00:00Z", score, 1) for name, score in cells)))
    refused = read(path, *NAMED, "--strict").refused or ""
    assert refused.startswith("4 rows are invalid, and nothing was sent:")
    assert "2 rows: score is …, not between 0 and 1" in refused
    assert "row 3: no score, only 'nan'" in refused
    assert "row 4: no prediction_id" in refused
    assert [row["prediction_id"] for row in read(path, *NAMED).predictions] == ["p-5"]
    scaled = read(path, *NAMED, "--map", "score=score | scale(0, 100)").predictions
    assert scaled[0]["score"] == 0.83


def test_text_that_is_no_utf8_is_one_sentence_with_its_row(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", GOOD.replace("p-2", "p-é").encode("latin-1"))
    refused = read(path, *NAMED).refused or ""
    assert "a.csv: row 2: 'p-\\xe9' is no UTF-8" in refused
    assert "--encoding cp1252" in refused
    assert pairs(read(path, *NAMED, "--encoding", "latin-1"))[1][0] == "p-é"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path / "a.csv", GOOD.encode(encoding))
    marked = encoding in ("utf-16", "utf-32")
    assert pairs(read(path, *NAMED, *(() if marked else ("--encoding", encoding)))) == WANTED
    if not marked:
        assert f"say --encoding {encoding}" in (read(path, *NAMED).refused or "")


def _xlsx() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return data.getvalue()


PARQUET = io.BytesIO()
pq.write_table(pa.table({"id": ["p-1"], "time": [AT], "score": [0.5]}), PARQUET)
BAD: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "is empty"), "blank.csv": (b"\n \n", "is empty"),
    "header.csv": (b"id,time,score\n", "nothing to"),
    "cut.csv.gz": (gzip.compress(GOOD.encode() * 999)[:-40], "cut short"),
    "damaged.csv.gz": (b"\x1f\x8b\x08\x00" + b"\x07" * 60, "damaged"),
    "no.csv.gz": (b"\x1f\x8b", "cut short"), "book.csv": (_xlsx(), "Excel workbook"), "book.ndjson": (_xlsx(), "Excel"),
    "cut.parquet": (PARQUET.getvalue()[:-30], "cut short"), "no.parquet": (b"PAR1", "cut short"),
    "text.parquet": (GOOD.encode(), "no Parquet"), "nul.csv": (GOOD.replace("p-2", "p\0").encode(), "NUL bytes"),
    "noise.csv": (bytes(range(256)) * 50, "NUL"), "noise.ndjson": (bytes(range(128, 256)) * 9, "no JSON"),
    "array.json": (b'[{"id": 1},\n{"id": 2}]', "one object a line"), "json.csv": (b'{"id": 1}\n', "holds JSON"),
    "pdf.csv": (b"%PDF-1.4 x", "a PDF"), "data.dat": (GOOD.encode(), "cannot tell the format"),
    "empty.ndjson": (b"", "is empty"), "blank.ndjson": (b"\n\n", "nothing to"),
    "utf16.ndjson": ('{"id": 1}'.encode("utf-16-le"), "UTF-16"),
    "twice.csv": (GOOD.replace("actual", "score").encode(), "2 columns 'score'"),
    "unclosed.csv": (GOOD.replace("p-1", '"p-1').encode(), "quote"),
    "open.csv": (GOOD.encode() + b'"p-3', "cut short"),
    "long.csv": (GOOD.encode() + b'"' + b"x\n" * 3_000_000, "longer than"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_is_one_sentence_and_exit_1(tmp_path: Path, name: str) -> None:
    content, says = BAD[name]
    path = put(tmp_path / name, content)
    done = CliRunner().invoke(cli, ["replay", str(path), *NAMED, "--dry-run"])
    assert isinstance(done.exception, Exception)
    assert says in str(done.exception), done.exception
    assert type(done.exception).__name__ == "Incompatible"


def test_exit_codes(tmp_path: Path) -> None:
    good, bad = put(tmp_path / "a.csv", GOOD), put(tmp_path / "b.csv", b"")
    for code, arguments in (
        (0, (str(good), *NAMED, "--dry-run")), (1, (str(bad), *NAMED, "--dry-run")), (1, (str(tmp_path), *NAMED)),
        (2, (str(good), "--map", "x", "--dry-run")), (2, (str(good), "--no-such-option")),
        (2, (str(good), *NAMED, "--encoding", "latin-99")), (1, (str(tmp_path / "none.csv"), *NAMED)),
    ):  # fmt: skip
        command = [sys.executable, "-m", "stream_app", "replay", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    for day, name in ((2, "part-00000.csv"), (3, "deep/part-00001.csv.gz")):
        path = tmp_path / "out" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        data = GOOD.replace("p-", f"{day}-").encode()
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    put(tmp_path / "out" / "_SUCCESS", b"")
    put(tmp_path / "out" / ".part-00000.csv.crc", b"crc")
    assert {row["prediction_id"] for row in read(tmp_path / "out", *NAMED).predictions} == {"2-1", "2-2", "3-1", "3-2"}
    put(tmp_path / "out" / "part-00002.csv", b"id,when\n")
    assert "part-00002.csv: there is no column 'time'" in (read(tmp_path / "out", *NAMED).refused or "")
    (tmp_path / "empty").mkdir()
    assert "a folder without any file" in (read(tmp_path / "empty", *NAMED).refused or "")


def test_rows_that_an_unclosed_quote_swallows_are_missed(tmp_path: Path) -> None:
    lines = [f'p-{n},2026-03-02T10:00:00Z,0.5,1,"fine"' for n in range(9)]
    lines[3] = lines[3].replace('"fine"', '"not closed')
    path = put(tmp_path / "a.csv", "id,time,score,actual,comment\n" + "\n".join(lines) + "\n")
    assert "is a quote not closed?" in (read(path, *NAMED).refused or "")
    fine = put(tmp_path / "b.csv", 'id,time,score,actual,comment\np-1,2026-03-02T10:00:00Z,0.5,1,"two\nlines, so"\n')
    assert read(fine, *NAMED).faults == []


@pytest.mark.parametrize("place", range(5))
def test_an_unclosed_quote_is_told_from_a_text_of_several_lines_in_every_column(tmp_path: Path, place: int) -> None:
    head = ["id", "time", "score", "actual"]
    head.insert(place, "comment")
    rows = [[f"p-{n}", "2026-03-02T10:00:00Z", "0.5", "1"] for n in range(9)]
    for row in rows:
        row.insert(place, '"fine"')
    rows[3][place] = '"Dear all,\nwell, one, two, and three\nand that, as you know, is, all"'
    text = "\n".join([",".join(head), *map(",".join, rows), ""])
    assert read(put(tmp_path / "a.csv", text), *NAMED).faults == []
    rows[3][place] = '"not closed'
    text = "\n".join([",".join(head), *map(",".join, rows), ""])
    assert "is a quote not closed?" in (read(put(tmp_path / "b.csv", text), *NAMED).refused or "")


def test_a_prediction_of_a_type_per_tenant_without_a_tenant_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    at = "2026-03-02T10:00:00Z"
    cells = (("p-1", at, 0.5, 1, "a"), ("p-2", at, 0.5, 1, ""))
    path = put(tmp_path / "a.csv", rows(*cells, header="id,time,score,actual,who"))
    mapping = Mapping(
        {"prediction_id": "id", "predicted_at": "time", "score": "score", "actual": "actual", "tenant_id": "who"},
        {"model_type": "fraud", "model_version": "v1"},
    )
    found = survey(Inputs(of_files([path], "both"), mapping, taken=Admission.by(Settings())))
    (line,) = found.faults.lines()
    assert "is per tenant and tenant_id is missing" in line
    assert (found.predictions, found.outcomes) == (1, 1)
    assert survey(Inputs(of_files([path], "both"), mapping)).faults.count == 0
