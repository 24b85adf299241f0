"""Random tables with random dirt: what arrives is what pandas reads, but for the rows that are refused, and named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.table_files import NAMED, read

#: Shrinking tables takes minutes and tells little.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
AT = 1_772_445_600_000
IDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=("C",)), max_size=12)
SCORES = st.one_of(
    st.floats(0, 1).map(repr), st.floats(0, 1).map(lambda x: f"{x:.3e}"), st.integers(0, 1).map(str),
    st.sampled_from(["", "nan", "NULL", "1.01", "-0.1", "0,5", "x", " 0.25 ", ".5", "1.", "inf", "0x1", "1e-400"]),
)  # fmt: skip
LABELS = st.sampled_from(["0", "1", "true", "False", "yes", "", "NaN", "maybe", "2", "1.0", " no "])
NOTES = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\n", exclude_categories=("Cs",)), max_size=8)
FEATURES = st.sampled_from(["1", "2.5", "-3e2", "", "007", "x", "NA", "true", "1e5", "None"])
TABLES = st.lists(
    st.fixed_dictionaries(
        {"id": IDS, "time": st.integers(0, 10**9).map(lambda n: str(AT + n)), "score": SCORES, "actual": LABELS,
         "note": NOTES, "a": FEATURES, "b": st.sampled_from(["1", "2.5", "", "NA", "7"])}
    ), min_size=1, max_size=12,
)  # fmt: skip
#: Ids that say that there is none. Hypothesis also draws texts that stand in the project's sources, so all are here.
NO_ID = {"", "nan", "-nan", "null", "none", "n/a", "#n/a", "<na>", "nat", "\\n", "undefined"}
TRUE, FALSE, MISSING = {"1", "true", "yes", "1.0"}, {"0", "false", "no", "0.0"}, {"", "nan", "null", "none", "na"}


def number(text: str) -> float | None:
    """What pandas makes of one cell; ``None`` for what it takes for text."""
    found = pd.to_numeric(pd.Series([text.strip()]), errors="coerce").iloc[0]
    return None if math.isnan(found) or math.isinf(found) or "x" in text else float(text)


def expected(frame: pd.DataFrame, delimiter: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    numeric = {
        name: all(
            number(cell) is not None and not cell.startswith("0") for cell in frame[name] if cell.lower() not in MISSING
        )
        for name in "ab"
    }
    truths = {name: {cell for cell in frame[name] if cell.lower() not in MISSING} == {"true"} for name in "ab"}
    for row in frame.itertuples():
        # where commas do not part columns, one may stand in a number
        text = row.score if delimiter == "," else row.score.replace(",", ".")
        score, label = number(text), row.actual.strip().lower()
        if row.id != row.id.strip() or row.id.lower() in NO_ID:
            continue
        if score is None or not 0 <= score <= 1 or label not in TRUE | FALSE | MISSING or len(row.id.encode()) > 128:
            continue
        features: dict[str, Any] = {}
        for name in "ab":
            cell = getattr(row, name)
            if truths[name]:
                features[name] = None if cell.lower() in MISSING else True
            elif numeric[name]:
                features[name] = None if cell.lower() in MISSING else number(cell)
            else:
                features[name] = None if cell.lower() in MISSING - {"na"} else cell
        rows.append((row.id, int(row.time), score, None if label in MISSING else label in TRUE, features))
    return rows


def _named(*ids: str) -> list[dict[str, str]]:
    row = {"time": str(AT), "score": "0.5", "actual": "1", "note": "", "a": "1", "b": "1"}
    return [{"id": id, **row} for id in ids]


@example(table=_named("p", "undefined", "#N/A", "-nan", "NA"), delimiter=",", end="\n", packed=False)
@given(table=TABLES, delimiter=st.sampled_from(",\t|"), end=st.sampled_from(["\n", "\r\n"]), packed=st.booleans())
@settings(max_examples=150, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_what_arrives_is_what_pandas_reads(
    tmp_path_factory: Any, table: list[dict[str, str]], delimiter: str, end: str, packed: bool
) -> None:
    path: Path = tmp_path_factory.mktemp("t") / ("a.csv.gz" if packed else "a.csv")
    frame = pd.DataFrame(table)
    frame.to_csv(path, index=False, sep=delimiter, lineterminator=end)
    again = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False)
    found = read(path, *NAMED, "--features", "a,b", "--delimiter", delimiter)
    want = expected(again, delimiter)
    if not want:
        assert found.refused is not None
        return
    assert found.refused is None, found.refused
    outcomes = iter(found.outcomes)
    labels = [None if row[3] is None else next(outcomes, {"actual": "missing"})["actual"] for row in want]
    assert next(outcomes, None) is None
    arrived = [
        (row["prediction_id"], row["predicted_at"], row["score"], label, row["features"])
        for row, label in zip(found.predictions, labels, strict=True)
    ]
    assert arrived == want
    assert found.survey is not None
    assert found.survey.faults.count == len(table) - len(want)
