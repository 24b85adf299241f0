"""Functions of the map language. They get a value that is there, and say why they cannot use it."""

from __future__ import annotations

import base64
import binascii
import csv
import math
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from schemas.common import flag, parse_ms, to_ms
from stream_app.ingest.relay.tensors import columns, named, rows
from stream_app.ingest.relay.words import Fault, shown

#: Units of integer times, as divisors or factors to milliseconds.
_EPOCH: Final[dict[str, tuple[int, int]]] = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


class Function(NamedTuple):
    """What a name in a map does: ``apply(value, *arguments)``, with ``least`` to ``most`` arguments."""

    apply: Callable[..., Any]
    least: int
    most: int
    usage: str


def _json(value: Any) -> Any:
    """JSON in text; what is no text is taken as decoded already."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return orjson.loads(value)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise Fault(f"{shown(value)} is not JSON in text") from error


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Fault(f"{shown(value)} is not base64") from error


def _text(value: Any) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise Fault("these bytes are no text in UTF-8") from error


def _csv(value: Any) -> list[list[str]]:
    """Lines of fields, without empty lines."""
    return [text for text in csv.reader(_text(value).splitlines()) if text]


def _captured(value: Any) -> Any:
    """What a SageMaker endpoint took or gave, decoded by its ``encoding``; CSV becomes lines of fields."""
    if not isinstance(value, dict) or "data" not in value:
        raise Fault(f"{shown(value)} is not {{encoding, data, …}}")
    data, encoding = value["data"], value.get("encoding")
    if encoding == "BASE64":
        data = _base64(data)
        kind = str(value.get("observedContentType", ""))
        encoding = "JSON" if "json" in kind else "CSV"
    if encoding == "CSV":
        return [[_cell(text) for text in line] for line in _csv(data)]
    if encoding == "JSON":
        return _json(data)
    raise Fault(f"encoding {shown(encoding)} is none of CSV, JSON, BASE64")


def _cell(text: str) -> Any:
    try:
        return number(text)
    except Fault:
        return text.strip()


def _dataframe(value: Any) -> list[dict[str, Any]]:
    """Rows of a request to an MLflow model server, one object each, from any of its four forms."""
    request = value if isinstance(value, dict) else {}
    if "dataframe_records" in request:
        found = request["dataframe_records"]
    elif "dataframe_split" in request:
        split = request["dataframe_split"]
        if not isinstance(split, dict) or "columns" not in split or "data" not in split:
            raise Fault("dataframe_split has no columns and data")
        found = [dict(zip(split["columns"], row, strict=False)) for row in split["data"]]
    else:
        found = request.get("instances", request.get("inputs"))
    if isinstance(found, dict):  # inputs by column
        found = [dict(zip(found, row, strict=False)) for row in zip(*found.values(), strict=False)]
    return [_features(row) for row in found] if isinstance(found, list) else []


def number(value: Any) -> float:
    """A finite number from a number or its text."""
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise Fault(f"{shown(value)} is not a number") from error
    if not math.isfinite(found):
        raise Fault(f"{shown(value)} is not finite")
    return found


def _integer(value: Any) -> int:
    found = number(value)
    if found != int(found):
        raise Fault(f"{shown(value)} is not a whole number")
    return int(found)


def _flag(value: Any) -> bool:
    found = flag(value)
    if found is None:
        raise Fault(f"{shown(value)} is neither true nor false")
    return found


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Fault(f"{name!r} is no time zone") from error


def _time(value: Any, form: str = "rfc3339", zone: str = "") -> int:
    """Epoch milliseconds, rounded down. ``form``: rfc3339, s, ms, us, ns, or a pattern of strptime."""
    if form in _EPOCH:
        times, by = _EPOCH[form]
        found = value if isinstance(value, int) else number(value)
        return int(found * times // by)
    try:
        if form == "rfc3339":
            if zone and isinstance(value, str):
                when = datetime.fromisoformat(value)
                return to_ms(when if when.tzinfo else when.replace(tzinfo=_zone(zone)))
            return parse_ms(value)
        when = datetime.strptime(str(value), form)
    except ValueError as error:
        raise Fault(str(error)) from error
    if when.tzinfo is None:
        if not zone:
            raise Fault(f"{shown(value)} has no offset: name its zone, as in time('{form}', 'Europe/Berlin')")
        when = when.replace(tzinfo=_zone(zone))
    return to_ms(when)


def _same(left: Any, right: Any) -> bool:
    """Labels travel as numbers here and as text there: 1, 1.0 and '1' are one label."""
    if left == right:
        return True
    if isinstance(left, str) == isinstance(right, str):
        return False
    try:
        return float(left) == float(right)
    except (TypeError, ValueError):
        return str(left) == str(right)


def _equals(value: Any, *labels: Any) -> bool:
    return any(_same(value, label) for label in labels)


def _threshold(value: Any, least: float) -> bool:
    return number(value) >= least


def _scores(value: Any) -> tuple[list[Any], list[float]]:
    """Classes (or their positions) and their probabilities."""
    if isinstance(value, dict):
        return list(value), [number(score) for score in value.values()]
    if isinstance(value, list) and value:
        return list(range(len(value))), [number(score) for score in value]
    raise Fault(f"{shown(value)} is neither a list nor an object of probabilities")


def _position(label: Any, names: list[Any], classes: Any) -> int:
    if classes:
        names = list(classes) if isinstance(classes, list) else [name.strip() for name in str(classes).split(",")]
    for position, name in enumerate(names):
        if _same(name, label):
            return position
    raise Fault(f"class {shown(label)} is none of {shown(names)}")


def _probability(value: Any, label: Any, classes: Any = None) -> float:
    """One versus the rest: the probability of one class; a single number is taken for it already."""
    if not isinstance(value, list | dict):
        return number(value)
    if isinstance(value, list) and len(value) == 1:
        return number(value[0])
    names, scores = _scores(value)
    position = _position(label, names, classes)
    if position >= len(scores):
        raise Fault(f"class {shown(label)} is number {position} of {len(scores)} probabilities")
    return scores[position]


def _argmax(value: Any, classes: Any = None) -> Any:
    """The likeliest class, the first of equals: its name where there are names, else its position."""
    names, scores = _scores(value)
    best = scores.index(max(scores))
    if classes:
        names = list(classes) if isinstance(classes, list) else [name.strip() for name in str(classes).split(",")]
    if best >= len(names):
        raise Fault(f"{len(scores)} probabilities for {len(names)} classes")
    return names[best]


def _argmax_is(value: Any, label: Any, classes: Any = None) -> bool | None:
    """Whether a class is the likeliest; of a single number nothing is said, its threshold decides."""
    if not isinstance(value, list | dict) or len(value) == 1:
        return None
    return _same(_argmax(value, classes), label)


def _at(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (LookupError, TypeError):
        return None


def _features(value: Any, prefix: str = "x") -> dict[str, Any]:
    """An object as it is; a list as ``x0``, ``x1``, …; anything else as ``x0``."""
    if isinstance(value, dict):
        return value
    return {f"{prefix}{at}": item for at, item in enumerate(value if isinstance(value, list) else [value])}


def _split(value: Any, sign: str) -> list[str]:
    return [part.strip() for part in _text(value).split(sign)]


FUNCTIONS: Final = {
    "argmax": Function(_argmax, 0, 1, "argmax or argmax(CLASSES)"),
    "argmax_is": Function(_argmax_is, 1, 2, "argmax_is(CLASS) or argmax_is(CLASS, CLASSES)"),
    "at": Function(_at, 1, 1, "at(INDEX or NAME)"),
    "base64": Function(_base64, 0, 0, "base64"),
    "captured": Function(_captured, 0, 0, "captured"),
    "columns": Function(columns, 0, 0, "columns"),
    "csv": Function(_csv, 0, 0, "csv"),
    "dataframe": Function(_dataframe, 0, 0, "dataframe"),
    "equals": Function(_equals, 1, 16, "equals(LABEL, …)"),
    "features": Function(_features, 0, 1, "features or features(PREFIX)"),
    "flag": Function(_flag, 0, 0, "flag"),
    "integer": Function(_integer, 0, 0, "integer"),
    "json": Function(_json, 0, 0, "json"),
    "lower": Function(lambda value: _text(value).lower(), 0, 0, "lower"),
    "named": Function(named, 1, 1, "named(NAME)"),
    "nonempty": Function(lambda value: value or None, 0, 0, "nonempty"),
    "number": Function(number, 0, 0, "number"),
    "probability": Function(_probability, 1, 2, "probability(CLASS) or probability(CLASS, CLASSES)"),
    "rows": Function(rows, 0, 0, "rows"),
    "split": Function(_split, 1, 1, "split(SIGN)"),
    "text": Function(_text, 0, 0, "text"),
    "threshold": Function(_threshold, 1, 1, "threshold(NUMBER)"),
    "time": Function(_time, 0, 2, "time, time('s'), time('%d.%m.%Y %H:%M', 'Europe/Berlin')"),
}
