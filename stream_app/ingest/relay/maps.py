"""Map files: read, checked key by key, compiled. Shipped maps lie beside this file, in ``maps/``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from stream_app.errors import Incompatible
from stream_app.ingest.mapping import OUTCOME_FIELDS, PREDICTION_FIELDS
from stream_app.ingest.relay.expressions import BadExpression, Evaluate, Expression, Names, compile_expression
from stream_app.settings.names import nearest
from stream_app.settings.toml_text import parsed

_KEYS: Final = ("description", "parameters", "let", "join", "emit")
_JOIN_KEYS: Final = ("id", "hold", "keep", "within")
_EMIT_KEYS: Final = ("to", "when", "each", "fields", "copy")
_FIELDS: Final = {"predictions": (*PREDICTION_FIELDS, "features"), "outcomes": OUTCOME_FIELDS}
_REQUIRED: Final = {
    "predictions": ("prediction_id", "model_type", "model_version", "predicted_at", "score"),
    "outcomes": OUTCOME_FIELDS,
}
#: Fields that say of whom or what a record is.
_IDS: Final = ("prediction_id", "tenant_id")
#: Offsets a request may stand before its response. Request and response are milliseconds apart; one partition carries
#: a few thousand records a second at most. Memory: that many kept values a partition.
WITHIN: Final = 5_000
_LONGEST_WITHIN: Final = 100_000

Condition = tuple[str, Evaluate, bool | tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class MapOutput:
    """One kind of record that a map makes. ``fields`` or ``copy``, never both."""

    to: str
    when: tuple[Condition, ...]
    each: Expression | None
    fields: tuple[tuple[str, Expression], ...]
    copy: Expression | None


@dataclass(frozen=True, slots=True)
class Join:
    """Records that are held until another with the same id comes: at most ``within`` offsets later, same partition."""

    id: Expression
    hold: tuple[Condition, ...]
    keep: Expression
    within: int


@dataclass(frozen=True, slots=True)
class RelayMap:
    """A compiled map."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    lets: int
    join: Join | None
    emits: tuple[MapOutput, ...]


def shipped() -> list[str]:
    """Names of the maps that come with the package."""
    folder = resources.files(__package__) / "maps"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def text_of(name: str) -> str:
    """A map's TOML by the name of a shipped one or the path of a file. ``Incompatible`` if there is neither."""
    if name in shipped():
        return (resources.files(__package__) / "maps" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        if "/" in name or name.endswith(".toml"):
            raise Incompatible(f"{name}: {error.strerror}") from error
        hint = nearest(name, shipped())
        raise Incompatible(f"{name!r} is no shipped map and no file{hint} (`plumbline relay --list-maps`)") from error


def title_of(name: str) -> str:
    """The first line of a map's description."""
    lines = str(parsed(text_of(name)).get("description", "")).strip().splitlines()
    return lines[0] if lines else ""


def load_map(name: str, parameters: Mapping[str, Any] | None = None) -> RelayMap:
    """Read and compile a map, with ``parameters`` over its own. ``Incompatible`` names the key that is wrong."""
    short = Path(name).name.removesuffix(".toml")
    try:
        raw = parsed(text_of(name))
    except ValueError as error:
        raise Incompatible(f"map {name}: {error}") from error
    try:
        return _compile(short, raw, dict(parameters or {}))
    except BadExpression as error:
        raise Incompatible(f"map {name}: {error}") from error


def _compile(name: str, raw: dict[str, Any], given: dict[str, Any]) -> RelayMap:
    _known(raw, _KEYS, "")
    own = _table(raw, "parameters")
    for key in given:
        if key not in own:
            raise BadExpression(f"{key} is no parameter of this map{nearest(key, own)}; it has {_list(own)}")
    for key, value in own.items():
        if isinstance(value, dict):
            _known(value, ("required",), f"parameters.{key}")
            if key not in given:
                raise BadExpression(f"the map needs --set {key}=…: {value.get('required')}")
    names = Names({**own, **given})
    for number, (key, written) in enumerate(_table(raw, "let").items()):
        names.lets[key] = (number, _expression(written, names, f"let.{key}").evaluate)
    emits = raw.get("emit")
    if not isinstance(emits, list) or not emits:
        raise BadExpression("emit: a map needs at least one [[emit]]")
    return RelayMap(
        name,
        str(raw.get("description", "")).strip(),
        names.parameters,
        len(names.lets),
        _join(_table(raw, "join"), names) if "join" in raw else None,
        tuple(_emit(item, names, f"emit[{number}]") for number, item in enumerate(emits)),
    )


def _join(raw: dict[str, Any], names: Names) -> Join:
    _known(raw, _JOIN_KEYS, "join")
    for key in ("id", "hold", "keep"):
        if key not in raw:
            raise BadExpression(f"join.{key} is missing")
    within = raw.get("within", WITHIN)
    if not isinstance(within, int) or isinstance(within, bool) or not 0 < within <= _LONGEST_WITHIN:
        raise BadExpression(f"join.within is a number of records, 1 to {_LONGEST_WITHIN}")
    return Join(
        _expression(raw["id"], names, "join.id", of_id=True),
        _conditions(raw["hold"], names, "join.hold"),
        _expression(raw["keep"], names, "join.keep"),
        within,
    )


def _emit(raw: Any, names: Names, where: str) -> MapOutput:
    if not isinstance(raw, dict):
        raise BadExpression(f"{where} is no table")
    _known(raw, _EMIT_KEYS, where)
    to = raw.get("to")
    if to not in _FIELDS:
        raise BadExpression(f"{where}.to is {to!r}: predictions or outcomes")
    if ("fields" in raw) == ("copy" in raw):
        raise BadExpression(f"{where} has either fields or copy")
    fields = _table(raw, "fields", where)
    _known(fields, _FIELDS[to], f"{where}.fields")
    if "fields" in raw:
        for key in _REQUIRED[to]:
            if key not in fields:
                raise BadExpression(f"{where}.fields.{key} is missing: every {to[:-1]} needs it")
    return MapOutput(
        to,
        _conditions(raw.get("when", {}), names, f"{where}.when"),
        _expression(raw["each"], names, f"{where}.each") if "each" in raw else None,
        tuple(
            (key, _expression(written, names, f"{where}.fields.{key}", of_id=key in _IDS))
            for key, written in fields.items()
        ),
        _expression(raw["copy"], names, f"{where}.copy") if "copy" in raw else None,
    )


def _conditions(raw: Any, names: Names, where: str) -> tuple[Condition, ...]:
    """Path = value, list of values, or { present = true }; all have to hold."""
    if not isinstance(raw, dict):
        raise BadExpression(f'{where} is a table: {{ "header.type" = "x" }}')
    found: list[Condition] = []
    for path, wanted in raw.items():
        evaluate = _expression(path, names, where).evaluate
        if isinstance(wanted, dict):
            _known(wanted, ("present",), f"{where}.{path}")
            if not isinstance(wanted.get("present"), bool):
                raise BadExpression(f"{where}.{path}.present is true or false")
            found.append((path, evaluate, wanted["present"]))
        else:
            texts = wanted if isinstance(wanted, list) else [wanted]
            found.append((path, evaluate, tuple(_expected(item, names, f"{where}.{path}") for item in texts)))
    return tuple(found)


def _expected(wanted: Any, names: Names, where: str) -> Any:
    if isinstance(wanted, str) and wanted.startswith("$"):
        return _expression(wanted, names, where).evaluate(None)  # type: ignore[arg-type]  # a constant looks at nothing
    if isinstance(wanted, dict | list):
        raise BadExpression(f"{where} is compared with a text, a number or true or false")
    return wanted


def _expression(written: Any, names: Names, where: str, of_id: bool = False) -> Expression:
    if isinstance(written, dict | list):
        raise BadExpression(f"{where}: an expression is a text, a number, or true or false")
    try:
        return compile_expression(written, names, of_id)
    except BadExpression as error:
        raise BadExpression(f"{where}: {error}") from error


def _table(raw: dict[str, Any], key: str, where: str = "") -> dict[str, Any]:
    found = raw.get(key, {})
    if not isinstance(found, dict):
        raise BadExpression(f"{where}{'.' if where else ''}{key} is a table")
    return found


def _known(raw: dict[str, Any], known: Iterable[str], where: str) -> None:
    for key in raw:
        if key not in known:
            name = f"{where}.{key}" if where else key
            raise BadExpression(f"unknown key {name}{nearest(key, known)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
