"""Functions of the map language. They get a value that is there, and say why they cannot use it."""

from __future__ import annotations

import base64
import binascii
import csv
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from schemas.common import flag, parse_ms, to_ms
from stream_app.ingest.relay.cells import UNITS, Instant, WallTime, by_pattern, in_unit, in_zone, label, moment
from stream_app.ingest.relay.labels import alike, equals, is_class, is_label, label_of, names_of, number_of
from stream_app.ingest.relay.tensors import columns, named, rows
from stream_app.ingest.relay.words import Fault, decode_json, decoded, identifier, is_missing, shown


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
        return decode_json(value)
    except ValueError as error:
        raise Fault(f"{shown(value)} is not JSON in text") from error


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Fault(f"{shown(value)} is not base64") from error


def _text(value: Any) -> str:
    return decoded(value) if isinstance(value, bytes) else str(value)


# A field may be as long as its record; the module's own bound is 128 KiB.
csv.field_size_limit(max(csv.field_size_limit(), 1 << 24))


def _csv(value: Any) -> list[list[str]]:
    """Lines of fields, without empty lines."""
    return [text for text in csv.reader(_text(value).splitlines()) if text]


def _captured(value: Any) -> Any:
    """What a SageMaker endpoint took or gave, decoded by its ``encoding``; CSV becomes lines of fields."""
    if not isinstance(value, dict) or "data" not in value:
        raise Fault(f"{shown(value)} is not {{encoding, data, …}}")
    data, encoding = value["data"], value.get("encoding")
    kind = str(value.get("observedContentType") or "")
    if encoding == "BASE64":
        data = _base64(data)
        encoding = "JSON" if "json" in kind else "CSV"
    if "jsonlines" in kind:
        return [_json(text) for text in _text(data).splitlines() if text.strip()]
    if encoding == "CSV":
        return [[_cell(text) for text in line] for line in _csv(data)]
    if encoding == "JSON":
        return _json(data)
    raise Fault(f"encoding {shown(encoding)} is none of CSV, JSON, BASE64")


def _cell(text: str) -> Any:
    """A field of CSV: a whole number, a number, or text; a label stays apart from a probability."""
    text = text.strip()
    try:
        if text.isdecimal() or (text[:1] == "-" and text[1:].isdecimal()):
            return int(text)  # fails beyond thousands of digits
        return number(text)
    except ValueError:
        return text


#: Where requests of several rows hold them.
_ROWS: Final = ("instances", "predictions", "inputs", "dataframe_records")


def _count(given: Any) -> int | None:
    """Rows of an endpoint's input, where it says so itself."""
    if isinstance(given, dict):
        given = next((given[name] for name in _ROWS if isinstance(given.get(name), list)), None)
        return len(given) if given else None
    if not isinstance(given, list) or not given:
        return None
    return len(given) if isinstance(given[0], list | dict) else 1


def _results(value: Any, given: Any = None) -> Any:
    """What an endpoint answered, one item for each row of its input (None: unknown)."""
    if isinstance(value, dict):
        raise Fault(f"{shown(value)} is no list of results")
    found = value if isinstance(value, list) else [value]
    count = _count(given)
    if count is None or len(found) == count:
        return alike(found)
    if len(found) == 1 and isinstance(found[0], list) and len(found[0]) == count:
        return alike(found[0])  # several results on one line
    if count == 1 and found and not any(isinstance(item, list | dict) for item in found):
        return [found]  # the classes of one row
    raise Fault(f"{len(found)} results for {count} rows of the input")


def _counted(value: Any, rows: Any = None) -> Any:
    """Results of a response as they are, where they are as many as its request has rows (nothing: unknown)."""
    if isinstance(value, list) and isinstance(rows, list) and rows and len(value) != len(rows):
        raise Fault(f"{len(value)} results for {len(rows)} rows of the request")
    return value


def _dataframe(value: Any) -> list[dict[str, Any]]:
    """Rows of a request to an MLflow model server, one object each, from any of its four forms."""
    request = value if isinstance(value, dict) else {}
    if "dataframe_records" in request:
        found = request["dataframe_records"]
    elif "dataframe_split" in request:
        found = _of_split(request["dataframe_split"])
    else:
        found = request.get("instances", request.get("inputs"))
    if isinstance(found, dict):
        found = _of_columns(found)
    return [_features(row) for row in found] if isinstance(found, list) else []


def _of_split(split: Any) -> list[dict[str, Any]]:
    """Rows of a request that names its columns once."""
    names, rows = (split.get(key) for key in ("columns", "data")) if isinstance(split, dict) else (None, None)
    if not isinstance(names, list) or not isinstance(rows, list):
        raise Fault("dataframe_split has no lists of columns and data")
    texts = list(map(_text, names))
    if len(set(texts)) < len(texts):
        raise Fault(f"dataframe_split names a column twice: {shown(names)}")
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) != len(names):
            raise Fault(f"dataframe_split has {len(names)} columns and a row {shown(row)}")
        found.append(dict(zip(texts, row, strict=True)))
    return found


def _of_columns(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of inputs by column; where a value is no list, the object is one row."""
    lists = [cells for cells in columns.values() if isinstance(cells, list)]
    if len(lists) < len(columns):
        return [columns]
    if len({len(cells) for cells in lists}) > 1:
        raise Fault(f"{shown(columns)} has columns of different lengths")
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def number(value: Any) -> float:
    """A finite number from a number or its text."""
    if value.__class__ is float and math.isfinite(value):
        fraction: float = value
        return fraction
    if isinstance(value, str) and "_" in value:  # Python reads 1_000, nobody writes it
        raise Fault(f"{shown(value)} is not a number")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Fault(f"{shown(value)} is not a number") from error
    if not math.isfinite(found):
        raise Fault(f"{shown(value)} is not finite")
    return found


def _integer(value: Any) -> int:
    exact = whole(value)
    if exact is not None:
        return exact
    found = number(value)
    if found != int(found):
        raise Fault(f"{shown(value)} is not a whole number")
    return int(found)


def whole(value: Any) -> int | None:
    """A whole number with every digit, from one or its text; ``None`` for anything else."""
    if value.__class__ is int:
        found: int = value
        return found
    try:
        return int(value) if isinstance(value, str) and "_" not in value else None
    except ValueError:
        return None


def _flag(value: Any) -> bool:
    found = flag(value)
    if found is None:
        raise Fault(f"{shown(value)} is neither true nor false")
    return found


#: How a map says of which unit a number is.
_UNIT: Final = "write time('{}')"


def _time(value: Any, form: str = "rfc3339", zone: str = "") -> int:
    """Epoch milliseconds, rounded down. ``form``: rfc3339, s, ms, us, ns, or a pattern of strptime."""
    if isinstance(value, Instant | WallTime):  # of a typed column, which says itself what it is
        return moment(value, "", zone)
    if form in UNITS:
        return in_unit(value, form, _UNIT)
    try:
        if form == "rfc3339":
            if zone and isinstance(value, str):
                when = datetime.fromisoformat(value)
                return to_ms(when if when.tzinfo else in_zone(when, zone))
            return in_unit(value, "ms", _UNIT) if value.__class__ is int else parse_ms(value)
    except ValueError as error:
        raise Fault(str(error)) from error
    when = by_pattern(value, form)
    if when.tzinfo is None:
        if not zone:
            raise Fault(f"{shown(value)} has no offset: name its zone, as in time('{form}', 'Europe/Berlin')")
        when = in_zone(when, zone)
    return to_ms(when)


def _present(value: Any) -> Any:
    return None if is_missing(value) else value


def _trim(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _scale(value: Any, low: float, high: float) -> float:
    """From ``low`` to ``high`` to 0 to 1."""
    found = number(value)
    if not low < high:
        raise Fault(f"a scale from {low} to {high} has no length")
    if not low <= found <= high:
        raise Fault(f"{shown(value)} is not between {low} and {high}")
    return (found - low) / (high - low)


def _threshold(value: Any, least: float) -> bool:
    return number(value) >= least


def _scores(value: Any) -> tuple[list[Any], list[float]]:
    """Classes (or their positions) and their probabilities."""
    if isinstance(value, dict) and value:
        return list(value), list(map(number, value.values()))
    if isinstance(value, list) and value:
        return list(range(len(value))), list(map(number, value))
    raise Fault(f"{shown(value)} is neither a list nor an object of probabilities")


#: What a text classifier answers: the likeliest class and its probability alone.
_CHOSEN: Final = frozenset({"label", "score"})


def _is_chosen(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= _CHOSEN


def _answer(value: Any) -> Any:
    """What is said of one row: the score of an object that has one, and classes with their scores as one object."""
    if isinstance(value, list) and value and all(map(_is_chosen, value)):
        if len(value) == 1:
            return value[0]
        scores = {label_of(one["label"]): one["score"] for one in value}
        if len(scores) < len(value):
            raise Fault(f"{shown(value)} names a class twice")
        return scores
    return value["score"] if isinstance(value, dict) and "score" in value and "label" not in value else value


def _of_chosen(chosen: dict[str, Any], wanted: Any, classes: Any) -> float:
    """The probability of a class where only the likeliest one is told: the rest of two classes is the other's."""
    score = number(chosen["score"])
    if is_class(chosen["label"], wanted, classes):
        return score
    if score < 0.5 or (classes and len(names_of(classes)) != 2):
        raise Fault(
            f"{shown(chosen)} says nothing of class {shown(wanted)}: with more than two classes the endpoint has to "
            "answer with the scores of all"
        )
    return 1 - score


def _probability(value: Any, wanted: Any, classes: Any = None, answers: Any = "") -> float:
    """One versus the rest: the probability of one class, which a single fraction is already; 1 or 0 of a label."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if _is_chosen(value):
        return _of_chosen(value, wanted, classes)
    if not isinstance(value, list | dict):
        return float(is_class(value, wanted, classes)) if is_label(value, answers) else number(value)
    names, scores = _scores(value)
    position = number_of(wanted, names_of(classes) if classes else names)
    if position >= len(scores):
        raise Fault(f"class {shown(wanted)} is number {position} of {len(scores)} probabilities")
    return scores[position]


def _argmax(value: Any, classes: Any = None) -> Any:
    """The likeliest class, the first of equals: its name where there are names, else its position."""
    names, scores = _scores(value)
    best = scores.index(max(scores))
    if classes:
        names = names_of(classes)
    if best >= len(names):
        raise Fault(f"{len(scores)} probabilities for {len(names)} classes")
    return names[best]


def _argmax_is(value: Any, wanted: Any, classes: Any = None, answers: Any = "") -> bool | None:
    """Whether a class is the likeliest or the label; of a single fraction nothing is said, its threshold decides."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if _is_chosen(value):
        return is_class(value["label"], wanted, classes)
    if isinstance(value, list | dict):
        names, scores = _scores(value)
        best = scores.index(max(scores))
        return best == number_of(wanted, names_of(classes) if classes else names)
    return is_class(value, wanted, classes) if is_label(value, answers) else None


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
    if not isinstance(sign, str) or not sign:
        raise Fault(f"{shown(sign)} parts nothing")
    return [part.strip() for part in _text(value).split(sign)]


def _nonempty(value: Any) -> Any:
    """Nothing for what is blank or holds nothing; 0 and false are something."""
    blank = not value.strip() if isinstance(value, str) else isinstance(value, list | dict | bytes) and not value
    return None if blank else value


FUNCTIONS: Final = {
    "alike": Function(alike, 0, 0, "alike"),
    "answer": Function(_answer, 0, 0, "answer"),
    "argmax": Function(_argmax, 0, 1, "argmax or argmax(CLASSES)"),
    "argmax_is": Function(_argmax_is, 1, 3, "argmax_is(CLASS), argmax_is(CLASS, CLASSES) or with ANSWERS"),
    "at": Function(_at, 1, 1, "at(INDEX or NAME)"),
    "base64": Function(_base64, 0, 0, "base64"),
    "captured": Function(_captured, 0, 0, "captured"),
    "columns": Function(columns, 0, 0, "columns"),
    "counted": Function(_counted, 1, 1, "counted(ROWS)"),
    "csv": Function(_csv, 0, 0, "csv"),
    "dataframe": Function(_dataframe, 0, 0, "dataframe"),
    "equals": Function(equals, 1, 16, "equals(LABEL, …)"),
    "features": Function(_features, 0, 1, "features or features(PREFIX)"),
    "flag": Function(_flag, 0, 0, "flag"),
    "id": Function(identifier, 0, 0, "id"),
    "integer": Function(_integer, 0, 0, "integer"),
    "json": Function(_json, 0, 0, "json"),
    "label": Function(label, 1, 2, "label(POSITIVE) or label(POSITIVE, NEGATIVE)"),
    "lower": Function(lambda value: _text(value).lower(), 0, 0, "lower"),
    "named": Function(named, 1, 1, "named(NAME)"),
    "nonempty": Function(_nonempty, 0, 0, "nonempty"),
    "number": Function(number, 0, 0, "number"),
    "present": Function(_present, 0, 0, "present"),
    "probability": Function(_probability, 1, 3, "probability(CLASS), probability(CLASS, CLASSES) or with ANSWERS"),
    "results": Function(_results, 0, 1, "results or results(INPUT)"),
    "rows": Function(rows, 0, 0, "rows"),
    "scale": Function(_scale, 2, 2, "scale(LOW, HIGH)"),
    "split": Function(_split, 1, 1, "split(SIGN)"),
    "text": Function(_text, 0, 0, "text"),
    "threshold": Function(_threshold, 1, 1, "threshold(NUMBER)"),
    "time": Function(_time, 0, 2, "time, time('s'), time('%d.%m.%Y %H:%M', 'Europe/Berlin')"),
    "trim": Function(_trim, 0, 0, "trim"),
}
