"""Files of many makes, each with the rows it has to give or the sentence it has to be refused with."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.support.table_files import NAMED, read

AT = 1_772_445_600_000  # 2026-03-02T10:00Z
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}  # fmt: skip


@dataclass
class Case:
    """``rows``: ids to (time, score, label); ``refused``: what a refusal says; ``said``: what is said of rows."""

    name: str
    data: bytes
    rows: dict[str, tuple[int, float, bool | None]] = field(default_factory=dict)
    refused: str = ""
    said: str = ""
    options: tuple[str, ...] = ()


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"p-{n}", "time": AT + n * 1000, "score": n % 101 / 101, "actual": n % 3 == 0, "note": f"é{n}"}
        for n in range(count)
    ]


def wanted(table: list[dict[str, Any]]) -> dict[str, tuple[int, float, bool | None]]:
    return {row["id"]: (row["time"], row["score"], row["actual"]) for row in table}


def as_csv(table: list[dict[str, Any]], delimiter: str = ",", time: Callable[[int], Any] = iso, end: str = "\n") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(table[0])
    for row in table:
        label = "" if row["actual"] is None else row["actual"]
        label = int(label) if isinstance(label, bool) else label
        writer.writerow([row["id"], time(row["time"]), row["score"], label, *list(row.values())[4:]])
    return out.getvalue()


def encodings() -> Iterator[Case]:
    table = plain(7)
    for encoding, delimiter, packed in itertools.product(
        ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"), ",;\t|", PACK
    ):
        text = as_csv(table, delimiter)
        if delimiter == ";":
            for row in table:
                text = text.replace(str(row["score"]), str(row["score"]).replace(".", ","))
        told = () if encoding in ("utf-8", "utf-8-sig", "utf-16") else ("--encoding", encoding)
        name = f"{encoding}-{ord(delimiter)}.csv{packed}"
        yield Case(name, PACK[packed](text.encode(encoding)), wanted(table), options=told)
        if told and not packed:
            what = "no UTF-8" if encoding in ("latin-1", "cp1252") else "say --encoding utf-16"
            yield Case(f"untold-{name}", text.encode(encoding), refused=what)


def headers() -> Iterator[Case]:
    table = plain(3)
    text, good = as_csv(table), wanted(table)
    shapes: dict[str, tuple[Callable[[str], str], dict[str, Any]]] = {
        "good": (lambda t: t, {"rows": good}),
        "crlf": (lambda t: t.replace("\n", "\r\n"), {"rows": good}),
        "no-end": (lambda t: t.rstrip("\n"), {"rows": good}),
        "blank-lines": (lambda t: t.replace("\n", "\n\n") + "\n\n", {"rows": good}),
        "quoted-break": (lambda t: t.replace("é1", '"a\nb"'), {"rows": good}),
        "quoted-sign": (lambda t: t.replace("é1", '"a,""b"""'), {"rows": good}),
        "short": (lambda t: t.replace(",é1", ""), {"rows": {k: v for k, v in good.items() if k != "p-1"},
                  "said": "row 2: has 4 columns where the header has 5"}),
        "long": (lambda t: t.replace("é1", "a,b"), {"rows": {k: v for k, v in good.items() if k != "p-1"},
                 "said": "row 2: has 6 columns where the header has 5"}),
        "unclosed": (lambda t: t.replace("é1", '"é1'), {"said": "quote"}),
    }  # fmt: skip
    faults: dict[str, tuple[Callable[[str], str], str]] = {
        "none": (lambda t: t, ""),
        "blanks": (lambda t: t.replace("id,time,score", "id , time, score", 1), ""),
        "quoted": (lambda t: t.replace("id,time", '"id","time"', 1), ""),
        "unnamed": (lambda t: t.replace("note", "", 1), ""),
        "twice": (lambda t: t.replace("note", "score", 1), "2 columns 'score'"),
        "missing": (lambda t: t.replace("score", "prob", 1), "no score: map a column"),
        "misspelt": (lambda t: t.replace("time", "tim", 1), "did you mean tim?"),
        "absent": (lambda t: t.split("\n", 1)[1], "no column 'id'"),
        "sep": (lambda t: "sep=,\n" + t, ""),
    }
    for (shape, (change, what)), (fault, (spoil, refused)) in itertools.product(shapes.items(), faults.items()):
        data = spoil(change(text)).encode()
        if shape == "unclosed":
            yield Case(f"{fault}-{shape}.csv", data, refused=refused or "quote")
        elif refused:
            yield Case(f"{fault}-{shape}.csv", data, refused=refused)
        else:
            yield Case(f"{fault}-{shape}.csv", data, **what)


def as_lines(table: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table).encode()


def as_parquet(table: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), out)
    return out.getvalue()


def three(name: str, table: list[dict[str, Any]], **expected: Any) -> Iterator[Case]:
    yield Case(f"{name}.csv", as_csv(table, time=lambda t: t).encode(), **expected)
    yield Case(f"{name}.ndjson", as_lines(table), **expected)
    yield Case(f"{name}.parquet", as_parquet(table), **expected)


def times() -> Iterator[Case]:
    table = plain(3)

    def local(ms: int, form: str = "%Y-%m-%d %H:%M:%S", hours: int = 0) -> str:
        return (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=hours)).strftime(form)

    forms: dict[str, tuple[Callable[[int], Any], tuple[str, ...], str]] = {
        "z": (iso, (), ""),
        "offset": (lambda t: local(t, "%Y-%m-%dT%H:%M:%S+02:00", 2), (), ""),
        "blank": (lambda t: local(t) + "+00:00", (), ""),
        "utc": (lambda t: local(t) + " UTC", (), ""),
        "naive": (local, (), "has no offset"),
        "assumed": (local, ("--assume-utc",), ""),
        "zone": (lambda t: local(t, hours=1), ("--timezone", "Europe/Berlin"), ""),
        "seconds": (lambda t: t // 1000, ("--time-format", "s"), ""),
        "seconds-untold": (lambda t: t // 1000, (), "--time-format s"),
        "fractions": (lambda t: f"{t // 1000}.000", ("--time-format", "s"), ""),
        "ms": (lambda t: t, (), ""),
        "us": (lambda t: t * 1000 + 999, ("--time-format", "us"), ""),
        "us-untold": (lambda t: t * 1000, (), "outside 1970 to 2141"),
        "ns": (lambda t: t * 1_000_000 + 999_999, ("--time-format", "ns"), ""),
        "pattern": (
            lambda t: local(t, "%d.%m.%Y %H:%M:%S"),
            ("--time-format", "%d.%m.%Y %H:%M:%S", "--assume-utc"),
            "",
        ),
        "pattern-naive": (lambda t: local(t, "%d.%m.%Y %H:%M:%S"), ("--time-format", "%d.%m.%Y %H:%M:%S"), "no offset"),
        "other": (lambda t: local(t, "%m/%d/%Y"), (), "neither RFC 3339"),
        "word": (lambda t: "yesterday", (), "neither RFC 3339"),
        "missing": (lambda t: "NaT", (), "no predicted_at"),
        "digits": (lambda t: "20260302", (), "say with --time-format"),
    }
    for name, (form, options, refused) in forms.items():
        changed = [{**row, "time": form(row["time"])} for row in table]
        expected = {"refused": refused} if refused else {"rows": wanted(table)}
        yield from three(f"time-{name}", changed, options=options, **expected)


def labels() -> Iterator[Case]:
    words: dict[str, tuple[Any, Any, tuple[str, ...], str]] = {
        "10": (1, 0, (), ""), "floats": (1.0, 0.0, (), ""), "truth": (True, False, (), ""),
        "texts": ("true", "FALSE", (), ""), "yes": ("Yes", "no", (), ""), "letters": ("t", "f", (), ""),
        "words": ("fraud", "legit", ("--positive", "fraud"), ""),
        "both": ("Fraud", "LEGIT ", ("--positive", "fraud", "--negative", "legit"), ""),
        "other": ("fraud", "legit", ("--positive", "fraud", "--negative", "fine"), "neither of --positive fraud"),
        "untold": ("fraud", "legit", (), "neither true nor false"),
        "two": (2, 1, ("--positive", "2", "--negative", "1"), ""),
        "missing": ("yes", "-", ("--positive", "yes", "--negative", "-"), ""),
        "upside": (0, 1, ("--positive", "0"), ""),
    }  # fmt: skip
    for name, (yes, no, options, said) in words.items():
        table = [{**row, "actual": yes if row["actual"] else no} for row in plain(6)]
        good = wanted(plain(6))
        if name == "other":
            good = {key: row for key, row in good.items() if row[2]}
        expected = {"refused": said} if said and name != "other" else {"rows": good, "said": said}
        yield from three(f"label-{name}", table, options=options, **expected)
    for word in ("", "nan", "None", "NULL", "n/a", "NA", "<NA>", "\\N"):
        table = [{**row, "actual": str(int(row["actual"])) if n else word} for n, row in enumerate(plain(4))]
        good = {key: (*row[:2], None if key == "p-0" else row[2]) for key, row in wanted(plain(4)).items()}
        yield from three(f"label-blank-{len(word)}{word.strip('<>/').replace(chr(92), 'b').replace('/', '')}", table,
                         options=("--positive", "1"), rows=good)  # fmt: skip


def values() -> Iterator[Case]:
    spoilt: dict[str, tuple[str, Any, str]] = {
        "score-high": ("score", 1.5, "score is"), "score-low": ("score", -0.1, "score is"),
        "score-text": ("score", "high", "not a number"), "score-empty": ("score", "", "no score"),
        "score-nan": ("score", "NaN", "no score"), "score-inf": ("score", "inf", "not a number"),
        "score-grouped": ("score", "1_0", "not a number"), "id-empty": ("id", "", "no prediction_id"),
        "id-nan": ("id", "nan", "no prediction_id"), "id-null": ("id", "NULL", "no prediction_id"),
        "id-long": ("id", "x" * 129, "prediction_id"), "id-blank": ("id", " p-1", "begins or ends with a blank"),
        "time-far": ("time", 253_402_214_400_000, "outside 1970 to 2141"),
        "time-past": ("time", 946_684_799_000, "far outside"),
    }  # fmt: skip
    for name, (column, value, said) in spoilt.items():
        table = plain(5)
        good = {key: row for key, row in wanted(table).items() if key != "p-1"}
        texts = [{**row, column: str(row[column]) if isinstance(value, str) else row[column]} for row in table]
        texts[1][column] = value
        yield from three(name, texts, rows=good, said=said)


def sizes() -> Iterator[Case]:
    for count, packed in itertools.product((1, 2, 1_000, 20_000), ("", ".gz", ".zst")):
        table = plain(count)
        for case in three(f"size-{count}", table, rows=wanted(table)):
            if packed and case.name.endswith(".parquet"):
                continue
            yield Case(case.name + packed, PACK[packed](case.data), case.rows)


CASES = [case for make in (encodings, headers, times, labels, values, sizes) for case in make()]


def test_the_matrix_is_as_large_as_it_says() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_file_gives_its_rows_or_sentences(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.data)
    found = read(path, *NAMED, *case.options)
    if case.refused:
        assert found.refused is not None, found.predictions[:3]
        assert case.refused in found.refused
        return
    assert found.refused is None, found.refused
    late = {row["prediction_id"]: row["actual"] for row in found.outcomes}
    arrived = {
        row["prediction_id"]: (row["predicted_at"], row["score"], late.get(row["prediction_id"]))
        for row in found.predictions
    }
    assert len(arrived) == len(found.predictions)
    assert arrived == case.rows
    assert (case.said in "\n".join(found.faults)) if case.said else found.faults == []
