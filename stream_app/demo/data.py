"""Demo data: records that the ``nannyml`` wheel carries, laid over simulated days.

NannyML 0.13.1 (Apache-2.0) bundles US census rows (ACS PUMS: who is employed?), which the demo's own models see, and
recorded scores of a synthetic car-loan classifier. The wheel is fetched from the package index without its dependencies
and only read. One drift is injected, and called that: from ``INJECTED`` on, ages come in months instead of years.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.errors import Unavailable
from stream_app.ingest.files import rows
from stream_app.replay.timeline import OUTCOME, PREDICTION, TimelineEvent

WHEEL: Final = "nannyml==0.13.1"
_FILES: Final = ("employment_MA_reference.pq", "synthetic_car_loan_reference.csv")

START_MS: Final = 20_454 * DAY_MS  # 2026-01-01
SEED: Final = 20

#: model whose model is retrained, and its first version
MODEL, FIRST_VERSION = "conflict:global", "v1"
#: columns of the census rows that the model sees, all coded as numbers
FEATURES: Final = ("AGEP", "SCHL", "MAR", "RELP", "DIS", "CIT", "MIG", "MIL", "NATIVITY", "DREM", "SEX", "RAC1P")
#: day of the demo, counted from 0, from which on an upstream system sends ages in months
INJECTED: Final = 15
#: rows that the first version is made of; none of them is served
PAST: Final = 6_000


def fetch(cache: Path) -> Path:
    """Folder with the data files; fetched the first time, some 23 MB."""
    target = cache / WHEEL.replace("==", "-")
    if all((target / name).is_file() for name in _FILES):
        return target
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(
                f"the demo's data could not be fetched ({WHEEL} from the package index pip is set to):\n"
                f"{done.stderr[-1000:]}"
            )
        with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
            for name in _FILES:
                (target / name).write_bytes(wheel.read(f"nannyml/datasets/data/{name}"))
    return target


def past(folder: Path) -> tuple[list[dict[str, float]], list[int]]:
    """Features and outcomes that the first version learns from."""
    rows = _sample(folder / _FILES[0], random.Random(SEED), PAST)
    return [_features(row) for row in rows], [int(row["employed"]) for row in rows]


def events(folder: Path, days: int, per_day: int) -> Iterator[TimelineEvent]:
    """Events of three models, with what real inputs bring along: repeats, corrections, broken records.

    Predictions of ``MODEL`` are requests: they hold features and no score, which whoever serves fills in.
    """
    draw = random.Random(SEED)
    number = 0
    sources = (
        ("conflict", _sample(folder / _FILES[0], random.Random(SEED), PAST + days * per_day)[PAST:], _employment),
        ("credit", _sample(folder / _FILES[1], draw, days * per_day), _car_loan),
    )
    for model_type, sample, read in sources:
        for row in sample:
            number += 1
            yield from _events(model_type, number, read(row, draw), days, draw)
    for _ in range(12):
        number += 1
        at = START_MS + draw.randrange(days * DAY_MS)
        yield TimelineEvent(at, PREDICTION, number, f"broken-{number}", draw.choice([b"{", b"[]", b'{"score": 2}']))


def _sample(path: Path, draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Rows without order: the file's own is not exchangeable."""
    found = list(rows(path))
    draw.shuffle(found)
    return found[:count]


def _employment(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    return {"features": _features(row), "actual": bool(row["employed"])}


def _features(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in FEATURES}


def _car_loan(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    score = float(row["y_pred_proba"])
    return {
        "score": score,
        "predicted": float(row["y_pred"]) > 0.5,
        "actual": float(row["repaid"]) > 0.5,
        "tenant_id": draw.choice(["north", "south"]),
        "ci_lower": max(0.0, score - 0.04),
        "ci_upper": min(1.0, score + 0.04),
    }


def _events(
    model_type: str, number: int, row: dict[str, Any], days: int, draw: random.Random
) -> Iterator[TimelineEvent]:
    # Business hours only, so that most hours of the night need no tick.
    at = START_MS + draw.randrange(days) * DAY_MS + 7 * HOUR_MS + draw.randrange(11 * HOUR_MS)
    name = f"{model_type}-{number:06d}"
    actual = row.pop("actual")
    if "features" in row and at >= START_MS + INJECTED * DAY_MS:
        row["features"] = {**row["features"], "AGEP": 12 * row["features"]["AGEP"]}
    record = {"prediction_id": name, "model_type": model_type, "model_version": "v1", "predicted_at": at, **row}
    value = orjson.dumps(record)
    yield TimelineEvent(at, PREDICTION, number, name, value)
    if draw.random() < 0.005:
        yield TimelineEvent(at + HOUR_MS, PREDICTION, number, name, value)
    if draw.random() < 0.96:
        seen = at + draw.randint(HOUR_MS, 30 * HOUR_MS)
        first = not actual if draw.random() < 0.01 else actual
        yield _outcome(number, name, first, seen)
        if first != actual:
            yield _outcome(number, name, actual, seen + draw.randint(HOUR_MS, 20 * HOUR_MS))


def _outcome(number: int, name: str, actual: bool, at: int) -> TimelineEvent:
    value = orjson.dumps({"prediction_id": name, "actual": actual, "observed_at": at})
    return TimelineEvent(at, OUTCOME, number, name, value)
