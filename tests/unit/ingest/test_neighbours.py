"""Files beside those that were misread once: each gives its rows, or a sentence, and no command ends in a traceback."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard

from stream_app.errors import Incompatible
from stream_app.ingest.files import Reading
from stream_app.ingest.inputs import Admission, Kind
from stream_app.ingest.load import LoadPlan, look_through
from stream_app.ingest.mapping import Mapping
from stream_app.trial.columns import look_at
from stream_app.trial.guess import guess
from tests.support.table_files import NAMED, read

AT = 1_772_445_600_000  # 2026-03-02T10:00Z
HEAD = "id,time,score,actual\n"
LINES = [f"p-{n},2026-03-02T1{n}:00:00Z,0.{n}5,{n % 2}\n" for n in range(4)]
CSV = HEAD + "".join(LINES)
ALL = 4


def with_cells(place: int, *cells: str) -> str:
    """The table with other cells in one column, as many rows as there are cells."""
    rows = [LINES[n % 4].strip().split(",") for n in range(len(cells))]
    for number, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        row[0] = f"p-{number}"
        row[place] = cell
    return HEAD + "".join(",".join(row) + "\n" for row in rows)


def line(**cells: Any) -> str:
    return json.dumps({"id": "p-1", "time": AT, "score": 0.5, "actual": True, **cells}) + "\n"


def lines(**cells: Any) -> str:
    return line() + line(id="p-2", **cells)


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    base: dict[str, Any] = {"id": ["a", "b"], "time": [AT, AT + 1], "score": [0.25, 0.5], "actual": [True, False]}
    pq.write_table(pa.table({**base, **columns}), out)
    return out.getvalue()


def arrow() -> bytes:
    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"id": ["a"]}), out)
    return out.getvalue()


#: What a file gives: the number of its predictions, and what is said of its rows; or with 0 how it is refused.
Case = tuple[str | bytes, int, str, tuple[str, ...]]


def case(data: str | bytes, rows: int, says: str = "", *options: str) -> Case:
    return data, rows, says, options


def zstd(text: str) -> bytes:
    return zstandard.ZstdCompressor().compress(text.encode())


#: A frame that readers of zstd pass over.
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
FAR = "beyond the years 1 to 9999"


def wall(value: int, unit: str) -> pa.Array:
    return pa.array([value, AT * 1000 // {"s": 10**6, "ms": 1000, "us": 1}[unit]], pa.int64()).cast(pa.timestamp(unit))


PERCENT = ("--map", "score=score | scale(0, 100)")
CASES: dict[str, Case] = {
    # what it is in is not what it is called
    "packed.csv": case(gzip.compress(CSV.encode()), ALL),
    "plain.csv.gz": case(CSV, ALL),
    "twice.csv.gz": case(gzip.compress(gzip.compress(CSV.encode())), 0, "NUL bytes"),
    "followed.csv.gz": case(gzip.compress(CSV.encode()) + b"garbage", 0, "damaged"),
    "padded.csv.gz": case(gzip.compress(CSV.encode()) + b"\0" * 100, ALL),
    "parquet.csv": case(parquet(), 2),
    "parquet": case(parquet(), 2),
    "packed.parquet.gz": case(gzip.compress(parquet()), 0, "no Parquet"),
    "arrow.feather": case(arrow(), 0, "NUL bytes"),
    "arrow.csv": case(arrow(), 0, "NUL bytes"),
    "arrow.parquet": case(arrow(), 0, "no Parquet"),
    "damaged.parquet": case(parquet()[:200] + b"\0" * 50 + parquet()[250:], 0, "cannot be read"),
    "pointer.parquet": case("version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", 0, "no Parquet"),
    "pointer.csv": case("version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", 0, "no column 'id'"),
    "page.csv": case("<html><body>Sign in</body></html>\n", 0, "no column 'id'"),
    "page.ndjson": case("<!DOCTYPE html>\n", 0, "no JSON"),
    "csv.ndjson": case(CSV, 0, "no JSON"),
    "UPPER.CSV": case(CSV, ALL),
    "no-ending": case(CSV, 0, "cannot tell the format"),
    "skippable.csv.zst": case(SKIPPABLE + zstd(CSV), ALL),
    "skippable-between.csv.zst": case(zstd(HEAD) + SKIPPABLE + zstd("".join(LINES)), ALL),
    "skippable-alone.csv.zst": case(SKIPPABLE, 0, "is empty"),
    "padded.csv.xz": case(lzma.compress(CSV.encode()) + b"\0" * 8, ALL),
    "other.br": case(b"\x0b\x05abc", 0, "cannot tell the format"),
    # text
    "returns.csv": case(CSV.replace("\n", "\r"), ALL),
    "mixed-ends.csv": case(CSV.replace("\n", "\r\n", 2), ALL),
    "nul-tail.csv": case(CSV.encode() + b"\0" * 500, 0, "NUL bytes"),
    "surrogate.csv": case(CSV.encode().replace(b"p-2", b"\xed\xa0\x80"), 0, "row 3"),
    "half.csv": case(CSV.encode("utf-16")[:-1], 0, "no utf-16"),
    "sjis.csv": case(CSV.replace("p-2", "日本").encode("shift_jis"), ALL, "", "--encoding", "shift_jis"),
    "sjis-untold.csv": case(CSV.replace("p-2", "日本").encode("shift_jis"), 0, "row 3"),
    "ebcdic.csv": case(CSV.encode("cp037"), ALL, "", "--encoding", "cp037"),
    "ascii.csv": case(CSV.replace("p-2", "é"), 0, "no ascii", "--encoding", "ascii"),
    "sep-quoted.csv": case('"sep=;"\r\n' + CSV.replace(",", ";"), ALL),
    "sep-upper.csv": case("SEP=;\r" + CSV.replace(",", ";"), ALL),
    # header and rows
    "no-rows.csv": case(HEAD, 0, "nothing to send"),
    "comments.csv": case("# exported\n" + CSV, 0, "no column 'id'"),
    "title.csv": case("My report\n\n" + CSV, 0, "no column 'id'"),
    "totals.csv": case(CSV + "Total,,4,\n", ALL, "row 5"),
    "joined.csv": case(CSV + CSV, 8, "row 5: score is 'score'"),
    "index.csv": case("," + HEAD + "".join(f"{n},{row}" for n, row in enumerate(LINES)), ALL),
    "empty-column.csv": case(CSV.replace("\n", ",\n"), ALL),
    "row-commas.csv": case(HEAD + "".join(row.replace("\n", ",\n") for row in LINES), 0, "has 5 columns"),
    "header-comma.csv": case(CSV.replace("actual\n", "actual,\n"), 0, "has 4 columns"),
    "blanks-between.csv": case(CSV.replace(",", " "), 0, "no column 'id'"),
    "caret.csv": case(CSV.replace(",", "^"), ALL, "", "--delimiter", "^"),
    "blanks-before.csv": case(CSV.replace(",", ", "), ALL),
    "case-twin.csv": case(CSV.replace("actual", "Score", 1), ALL),
    "open-end.csv": case(CSV + '"p-9,2026-03-02T10:00:00Z,0.5,1\n', 0, "quote"),
    "huge-id.csv": case(with_cells(0, "p-0", "x" * 1_500_000).replace("p-1,", "x" * 1_500_000 + ","), 1, "128"),
    "huge-row.csv": case(CSV + "x" * 3_000_000 + "\n", 0, "longer than 2 MiB"),
    # scores
    "grouped.csv": case(with_cells(2, "0.5", '"1,000.15"'), 1, "row 2: score is '1,000.15', not a number"),
    "apostrophe.csv": case(with_cells(2, "0.5", "'0.15"), 1, "not a number"),
    "currency.csv": case(with_cells(2, "0.5", "€0.15"), 1, "not a number"),
    "percent-sign.csv": case(with_cells(2, "5%", "15%"), 0, "not a number"),
    "percent.csv": case(with_cells(2, "5", "15"), 2, "", *PERCENT),
    "percent-untold.csv": case(with_cells(2, "5", "15"), 0, "if it is per cent"),
    "semicolon-grouped.csv": case(CSV.replace(",", ";").replace("0.15", "1.234,5"), 3, "not between 0 and 1"),
    "huge.csv": case(with_cells(2, "0.5", "1e999"), 1, "not a number"),
    "halves.csv": case(with_cells(2, "0.5", "1/2"), 1, "not a number"),
    # times
    "float-seconds.csv": case(with_cells(1, f"{AT / 1000}", f"{AT / 1000 + 0.25}"), 2, "", "--time-format", "s"),
    "float-seconds-untold.csv": case(with_cells(1, f"{AT / 1000 + 0.25}"), 0, "--time-format"),
    "micro.csv": case(with_cells(1, f"{AT * 1000}"), 0, "if it is microseconds, say --time-format us"),
    "nano.csv": case(with_cells(1, f"{AT * 10**6}"), 0, "if it is nanoseconds, say --time-format ns"),
    "micro-told.csv": case(with_cells(1, f"{AT * 1000}"), 1, "", "--time-format", "us"),
    "sentinel-ms.csv": case(with_cells(1, f"{AT}", "253402300799000"), 1, "is 9999-12-31, outside 1970 to 2141"),
    "days.csv": case(with_cells(1, "2026-03-01", "2026-03-02"), 0, "has no offset"),
    "days-told.csv": case(with_cells(1, "2026-03-01", "2026-03-02"), 2, "", "--assume-utc"),
    "zones.csv": case(with_cells(1, "2026-03-02T10:00:00+05:30", "2026-03-02 10:00:00-08:00", "2026-03-02T10:00:00"),
                      2, "row 3: predicted_at is '2026-03-02T10:00:00', which has no offset"),
    "zone-names.csv": case(with_cells(1, "2026-03-02 10:00:00 EST", "2026-03-02 10:00:00 UTC"), 1, "EST"),
    "gap.csv": case(with_cells(1, "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-29 03:00:00"), 2,
                    "does not exist in Europe/Berlin", "--timezone", "Europe/Berlin"),
    "future.csv": case(CSV + "f,2031-03-02T10:00:00Z,0.5,1\n", ALL, "row 5: predicted_at is 2031-03-02, far outside"),
    "epoch.csv": case(CSV + "f,1970-01-01T00:00:00Z,0.5,1\n", ALL, "row 5: predicted_at is 1970-01-01, far outside"),
    "no-days.csv": case(with_cells(1, "2026-03-02T10:00:00Z", "2026-02-30T10:00:00Z"), 1, "2026-02-30"),
    "half-days.csv": case(with_cells(1, "03/02/2026 10:01 PM"), 1, "",
                          "--time-format", "%m/%d/%Y %I:%M %p", "--assume-utc"),
    # labels
    "ja.csv": case(with_cells(3, "ja", "nein"), 0, "say which labels are with --positive"),
    "ja-told.csv": case(with_cells(3, "ja", "nein"), 2, "", "--positive", "ja"),
    "minus-one.csv": case(with_cells(3, "1", "-1"), 1, "actual is '-1'"),
    "minus-one-told.csv": case(with_cells(3, "1", "-1"), 2, "", "--positive", "1"),
    "signs.csv": case(with_cells(3, "+", "-"), 1, "actual is '+'"),
    # NDJSON
    "odd.ndjson": case(line() + '\n  \nnull\n[]\n3\n"x"\n{bad\n' + line(id="p-3") + '{"id":', 2, "no JSON object"),
    "ends.ndjson": case((line() + line(id="p-2")).replace("\n", "\r\n"), 2),
    "pretty.json": case(json.dumps({"id": "p-1", "time": AT}, indent=1), 0, "no JSON"),
    "in-one-line.ndjson": case(line().strip() + line(id="p-2"), 0, "trailing characters"),
    "list.json": case(f"[{line().strip()}]", 0, "holds one JSON array"),
    "wrapped.json": case(f'{{"data":[{line().strip()}]}}', 0, "no column 'id'"),
    "deep.ndjson": case(line() + '{"a":' + "[" * 5000 + "]" * 5000 + "}\n", 1, "nested too deeply"),
    "id-list.ndjson": case(lines() + line(id=["a"]), 2, "neither text nor a whole number"),
    "id-fraction.ndjson": case(lines() + line(id=1.0), 2, "neither text nor a whole number"),
    "id-long.ndjson": case(lines() + line(id=10**40), 3),
    "id-half.ndjson": case(lines() + line(id="\ud800"), 2, "surrogate"),
    "score-list.ndjson": case(lines(score=[0.5]), 1, "not a number"),
    "score-true.ndjson": case(lines(score=True), 1, "not a number"),
    "time-object.ndjson": case(lines(time={"$date": "2026-03-02T10:00:00Z"}), 1, "neither RFC 3339"),
    "actual-half.ndjson": case(lines(actual=0.5), 1, "neither true nor false"),
    "features.ndjson": case(lines(features={"a": 10**30}) + line(id="p-3", features="{bad"), 1, "64-bit"),
    "features-list.ndjson": case(lines(features=[1]), 1, "no JSON object"),
    "features-text.ndjson": case(lines(features="[1]"), 1, "no JSON object"),
    "features-number.ndjson": case(lines(features=5), 1, "--features"),
    "features-missing.ndjson": case(lines(features="None"), 2),
    # Parquet
    "half.parquet": case(parquet(score=pa.array([0.25, 0.5], pa.float32())), 2),
    "decimal.parquet": case(parquet(score=pa.array([Decimal("0.25"), Decimal("0.5")])), 2),
    "before.parquet": case(parquet(time=pa.array([-1, AT], pa.int64()).cast(pa.timestamp("ms", "UTC"))), 1, "1969"),
    "first.parquet": case(parquet(time=pa.array([-(2**63), 2**63 - 1]).cast(pa.timestamp("ns", "UTC"))), 0, "1677"),
    "wall-late.parquet": case(parquet(time=wall(10**13, "s")), 1, FAR, "--assume-utc"),
    "wall-early.parquet": case(parquet(time=wall(-(10**13), "s")), 1, FAR, "--timezone", "Europe/Berlin"),
    "wall-last.parquet": case(parquet(time=wall(2**63 - 1, "us")), 1, FAR, "--assume-utc"),
    "wall-first.parquet": case(parquet(time=wall(-(2**63), "us")), 1, FAR, "--timezone", "Asia/Tokyo"),
    "wall-9999.parquet": case(parquet(time=wall(253_402_300_799_999, "ms")), 1, "outside", "--assume-utc"),
    "day-late.parquet": case(parquet(time=pa.array([2**31 - 1, 20500], pa.date32())), 1, FAR, "--assume-utc"),
    "day-early.parquet": case(parquet(time=pa.array([-(2**31), 20500], pa.date32())), 1, FAR, "--assume-utc"),
    "clock.parquet": case(parquet(time=pa.array([1, 2], pa.time64("us"))), 0, "--time-format"),
    "days.parquet": case(parquet(time=pa.array([20500, 20501], pa.date32())), 2, "", "--assume-utc"),
    "no-labels.parquet": case(parquet(actual=pa.nulls(2)), 2),
    "no-scores.parquet": case(parquet(score=pa.nulls(2)), 0, "no score"),
    "lists.parquet": case(parquet(score=pa.array([[0.5], [0.2]])), 0, "not a number"),
    "views.parquet": case(parquet(id=pa.array(["a", "b"], pa.string_view())), 2),
    "large.parquet": case(parquet(id=pa.array(["a", "b"], pa.large_string())), 2),
    "coded.parquet": case(parquet(id=pa.array(["a", "b"]).dictionary_encode()), 2),
    "bytes.parquet": case(parquet(id=pa.array([b"\xff", b"b"])), 1, "no text in UTF-8"),
    "fractions.parquet": case(parquet(id=[1.0, 2.0]), 0, "neither text nor a whole number"),
    "float-times.parquet": case(parquet(time=pa.array([float(AT), float("nan")])), 1, "no predicted_at"),
    "dotted.parquet": case(parquet(**{"a.b": [1, 2]}), 2, "", "--features", "a.b"),
    "feature-bytes.parquet": case(parquet(f=pa.array([b"\xff", b"a"])), 1, "feature f", "--features", "f"),
    "feature-list.parquet": case(parquet(f=pa.array([[Decimal("1.5")], []])), 1, "JSON", "--features", "f"),
}  # fmt: skip


def put(folder: Path, name: str) -> Path:
    data = CASES[name][0]
    path = folder / name
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("name", CASES)
def test_each_gives_its_rows_or_a_sentence(tmp_path: Path, name: str) -> None:
    _, rows, says, options = CASES[name]
    named = [*NAMED, *options]
    found = read(put(tmp_path, name), *named)
    if not rows:
        assert found.refused is not None, found.predictions
        assert says in found.refused
        return
    assert found.refused is None, found.refused
    assert len(found.predictions) == rows
    said = "\n".join(found.faults)
    assert (says in said) if says else not said


PREDICTIONS = Mapping({"prediction_id": "id", "predicted_at": "time"}, {"model_type": "m", "model_version": "v"})
OUTCOMES = Mapping({"prediction_id": "id"}, {"observed_at": "2026-03-20T00:00:00Z"})


@pytest.mark.parametrize("name", CASES)
def test_loads_and_the_guess_of_columns_end_in_rows_or_a_sentence(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name)
    loads: tuple[tuple[Kind, Mapping], ...] = (("predictions", PREDICTIONS), ("outcomes", OUTCOMES))
    for kind, mapping in loads:
        with suppress(Incompatible):
            known, _ = look_through(LoadPlan(kind, (path,), mapping), Admission())
            assert known.predictions or known.outcomes
    with suppress(Incompatible):
        assert guess(look_at([path], Reading()), [path], {}).lines
