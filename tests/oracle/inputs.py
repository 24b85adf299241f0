"""Reading input records by the contract, with json and datetime alone."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = 86_400_000
NAME = re.compile(r"\A(?!\.\.?\Z)[A-Za-z0-9._-]{1,128}\Z")


class Refused(Exception):
    """The record belongs into the dead-lettered records."""


@dataclass
class Made:
    """A prediction as the contract understands it."""

    identity: str
    model: str
    model_type: str
    version: str
    at: int
    score: float
    predicted: bool
    interval: tuple[float, float] | None
    shadow: bool


@dataclass
class Seen:
    """An outcome as the contract understands it."""

    identity: str
    actual: bool
    at: int


def _refuse_constant(text: str) -> Any:
    raise Refused(text)


def _object(value: bytes | None, limit: int) -> dict[str, Any]:
    if value is None:
        raise Refused("no value")
    if len(value) > limit:
        raise Refused("oversized")
    try:
        found = json.loads(value.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from error
    if not isinstance(found, dict):
        raise Refused("not an object")
    return found


def _text(row: dict[str, Any], key: str, optional: bool = False) -> Any:
    value = row.get(key)
    if value is None and optional:
        return None
    if not isinstance(value, str):
        raise Refused(f"{key} is not a string")
    return value


def _name(row: dict[str, Any], key: str) -> str:
    value = _text(row, key)
    if not NAME.match(value):
        raise Refused(f"bad {key}")
    return str(value)


def _identity(row: dict[str, Any]) -> str:
    value = _text(row, "prediction_id")
    if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= 128:
        raise Refused("prediction_id length")
    value.encode()
    return str(value)


def _unit(row: dict[str, Any], key: str, default: float | None = None) -> float | None:
    value = row.get(key)
    if value is None:
        if key in row and key in ("score", "threshold"):
            raise Refused(f"{key} is null")
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{key} is not a number")
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise Refused(f"{key} out of range")
    return float(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise Refused("not a flag")


def _time(row: dict[str, Any], key: str) -> int:
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise Refused("before 1970")
        return value
    if not isinstance(value, str):
        raise Refused(f"{key} is not a time")
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused(str(error)) from error
    if when.tzinfo is None:
        raise Refused("no offset")
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def prediction(value: bytes | None, limit: int) -> Made:
    """Raises :class:`Refused`."""
    row = _object(value, limit)
    identity = _identity(row)
    model_type, version = _name(row, "model_type"), _name(row, "model_version")
    tenant = _text(row, "tenant_id", optional=True)
    if model_type == "conflict":
        owner = "global"
    elif tenant is None:
        if model_type == "fraud":
            raise Refused("no tenant")
        owner = "global"
    else:
        if not NAME.match(tenant) or tenant == "global":
            raise Refused("bad tenant")
        owner = tenant
    if model_type == "conflict" and tenant is not None and not 1 <= len(tenant) <= 128:
        raise Refused("tenant length")
    score = _unit(row, "score")
    if score is None:
        raise Refused("no score")
    threshold = _unit(row, "threshold", 0.5)
    assert threshold is not None
    predicted = row.get("predicted")
    low, high = _unit(row, "ci_lower"), _unit(row, "ci_upper")
    if (low is None) != (high is None):
        raise Refused("half an interval")
    if low is not None and high is not None and low > high:
        raise Refused("interval upside down")
    role = row.get("role", "active")
    if role not in ("active", "shadow"):
        raise Refused("bad role")
    return Made(
        identity,
        f"{model_type}:{owner}",
        model_type,
        version,
        _time(row, "predicted_at"),
        score,
        score >= threshold if predicted is None else _flag(predicted),
        None if low is None or high is None else (low, high),
        role == "shadow",
    )


def outcome(value: bytes | None, limit: int) -> Seen:
    """Raises :class:`Refused`."""
    row = _object(value, limit)
    return Seen(_identity(row), _flag(row.get("actual")), _time(row, "observed_at"))
