"""From columns of a file to records of the wire, by a mapping the user gives."""

from __future__ import annotations

import random
import tomllib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from schemas.common import flag, to_ms
from stream_app.errors import Incompatible

PREDICTION_FIELDS: Final = (
    "prediction_id", "model_type", "model_version", "tenant_id", "predicted_at", "score", "predicted", "threshold",
    "ci_lower", "ci_upper", "role",
)  # fmt: skip
OUTCOME_FIELDS: Final = ("prediction_id", "actual", "observed_at")
FIELDS: Final = tuple(dict.fromkeys(PREDICTION_FIELDS + OUTCOME_FIELDS))


class BadRow(ValueError):
    """A row that makes no record; the message says why."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """``columns``: field → column; ``constants``: field → value; both override the column of the field's own name."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    #: columns that travel as ``features``
    features: tuple[str, ...] = ()
    #: a naive time is taken as UTC instead of being refused
    assume_utc: bool = False
    #: the time column holds a year; rows are spread over it by seed
    spread_year: bool = False
    #: bounds of the drawn label delay, ms, where a row has an outcome and no time of it
    label_delay_ms: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants):
            if name not in FIELDS:
                raise Incompatible(f"unknown field {name!r}; fields are {', '.join(FIELDS)}")

    def fingerprint(self) -> str:
        """Everything that decides what the records are."""
        return repr(sorted(asdict(self).items()))

    def value(self, row: dict[str, Any], name: str) -> Any:
        """A field's raw value in a row, ``None`` if absent or empty."""
        if name in self.constants:
            return self.constants[name]
        found = row.get(self.columns.get(name, name))
        return None if found == "" else found


def read_mapping(path: Path) -> dict[str, Any]:
    """A mapping file: tables ``map`` and ``set``, and keys named as the command's options."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Incompatible(f"{path}: {error}") from error


def prediction(
    mapping: Mapping, row: dict[str, Any], number: int, draw: random.Random
) -> tuple[int, str, dict[str, Any]]:
    """(predicted_at ms, prediction id, record) of a row. Raises :class:`BadRow`."""
    at = _time(mapping, mapping.value(row, "predicted_at"), "predicted_at", draw)
    identity = mapping.value(row, "prediction_id")
    name = str(identity) if identity is not None else f"row-{number}"
    record: dict[str, Any] = {"prediction_id": name, "predicted_at": at, "score": _number(mapping, row, "score")}
    for key in ("model_type", "model_version", "tenant_id", "role"):
        value = mapping.value(row, key)
        if value is not None:
            record[key] = str(value)
    for key in ("model_type", "model_version"):
        if key not in record:
            raise BadRow(f"no {key}: map a column with --map {key}=COLUMN or give it with --set {key}=VALUE")
    for key in ("threshold", "ci_lower", "ci_upper"):
        if mapping.value(row, key) is not None:
            record[key] = _number(mapping, row, key)
    if mapping.value(row, "predicted") is not None:
        record["predicted"] = _flag(mapping.value(row, "predicted"), "predicted")
    if mapping.features:
        record["features"] = {column: row.get(column) for column in mapping.features}
    elif isinstance(row.get("features"), dict):  # a row that is shaped like the record
        record["features"] = row["features"]
    return at, name, record


def outcome(
    mapping: Mapping, row: dict[str, Any], number: int, predicted_at: int | None, draw: random.Random
) -> tuple[int, str, dict[str, Any]] | None:
    """(observed_at ms, prediction id, record) of a row, ``None`` without an outcome. Raises :class:`BadRow`."""
    actual = mapping.value(row, "actual")
    if actual is None or actual != actual:
        return None
    when = mapping.value(row, "observed_at")
    if when is not None:
        at = _time(mapping, when, "observed_at", draw)
    elif predicted_at is not None:
        low, high = mapping.label_delay_ms or (0, 0)
        at = predicted_at + draw.randint(low, high)
    else:
        raise BadRow("an outcome without observed_at: map its column with --map observed_at=COLUMN")
    identity = mapping.value(row, "prediction_id")
    name = str(identity) if identity is not None else f"row-{number}"
    return at, name, {"prediction_id": name, "actual": _flag(actual, "actual"), "observed_at": at}


def _number(mapping: Mapping, row: dict[str, Any], name: str) -> float:
    value = mapping.value(row, name)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadRow(f"{name} is {value!r}, not a number") from error


def _flag(value: Any, name: str) -> bool:
    found = flag(value)
    if found is None:
        raise BadRow(f"{name} is {value!r}, neither true nor false")
    return found


def _time(mapping: Mapping, value: Any, name: str, draw: random.Random) -> int:
    if value is None:
        raise BadRow(f"no {name}: map its column with --map {name}=COLUMN")
    if mapping.spread_year:
        try:
            year = int(float(value))
            begin, end = to_ms(datetime(year, 1, 1, tzinfo=UTC)), to_ms(datetime(year + 1, 1, 1, tzinfo=UTC))
        except ValueError as error:
            raise BadRow(f"{name} is {value!r}, not a year") from error
        return draw.randrange(begin, end)
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().lstrip("-").isdigit()):
        return int(value)
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadRow(f"{name} is {value!r}, neither RFC 3339 nor epoch milliseconds") from error
    if when.tzinfo is None:
        if not mapping.assume_utc:
            raise BadRow(f"{name} {value!r} has no offset: write ...Z, or pass --assume-utc")
        when = when.replace(tzinfo=UTC)
    return to_ms(when)
