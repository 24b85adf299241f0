"""From columns of a file to records of the wire, by a mapping the user gives: the relay's language, in short.

``--map score=probability`` reads a column; ``--map 'score=percent | scale(0, 100)'`` is an expression of the relay's
maps whose names are columns. What a field is made of then goes through the field's own function, as a map would write
it: ``| id``, ``| present | number``, ``| flag`` or ``| label('fraud')``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.common import flag, to_ms
from stream_app.errors import Incompatible
from stream_app.ingest.decimal_signs import FIGURE, plain
from stream_app.ingest.faults import BadRow
from stream_app.ingest.kinds import as_kind
from stream_app.ingest.relay import cells
from stream_app.ingest.relay.expressions import BadExpression, Names, compile_expression
from stream_app.ingest.relay.functions import number
from stream_app.ingest.relay.source import Unmappable
from stream_app.ingest.relay.words import Fault, decoded, is_missing, is_no_name, of_field, shown
from stream_app.settings.names import nearest
from stream_app.settings.toml_text import parsed

PREDICTION_FIELDS: Final = (
    "prediction_id", "model_type", "model_version", "tenant_id", "predicted_at", "score", "predicted", "threshold",
    "ci_lower", "ci_upper", "role",
)  # fmt: skip
OUTCOME_FIELDS: Final = ("prediction_id", "actual", "observed_at")
FIELDS: Final = tuple(dict.fromkeys(PREDICTION_FIELDS + OUTCOME_FIELDS))
#: What a file has to say, in a column or by --set.
NEEDED: Final = {
    "predictions": ("prediction_id", "model_type", "model_version", "predicted_at", "score"),
    "outcomes": ("prediction_id", "actual", "observed_at"),
}
_NAMES: Final = ("prediction_id", "model_type", "model_version", "tenant_id", "role")
_SHARES: Final = ("score", "threshold", "ci_lower", "ci_upper")
_LABELS: Final = ("predicted", "actual")
_TIMES: Final = ("predicted_at", "observed_at")
_REMEMBERED: Final = 10_000
#: Signs that make an expression of what is no column.
_SIGNS: Final = frozenset("|?()*/+'\"{")

_FIGURE: Final = re.compile(FIGURE)

Cell = Callable[[dict[str, Any]], Any]
Convert = Callable[[Any], Any]


class _Row:
    """A row as expressions look at it."""

    __slots__ = ("value",)

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mapping:
    """``columns``: field → column or expression; ``constants``: field → value; both override the column of the field's
    own name, and an empty column says that there is none."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    #: columns that travel as ``features``
    features: tuple[str, ...] = ()
    #: a naive time is taken as UTC instead of being refused
    assume_utc: bool = False
    #: the zone of times without an offset
    timezone: str = ""
    #: how times are written: s, ms, us, ns or a pattern of strptime; empty: RFC 3339 or milliseconds
    time_format: str = ""
    #: labels that mean true, and false; without the latter all others do
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    #: ids are made of the file's content
    content_ids: bool = False
    #: first and last day of times, ``YYYY-MM-DD``; empty: what the file's bulk says
    first_day: str = ""
    last_day: str = ""
    #: the time column holds a year; rows are spread over it by seed
    spread_year: bool = False
    #: bounds of the drawn label delay, ms, where a row has an outcome and no time of it
    label_delay_ms: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants):
            if name not in FIELDS:
                raise Incompatible(f"unknown field {name!r}{nearest(name, FIELDS)}; fields are {', '.join(FIELDS)}")
        if self.content_ids and "prediction_id" in (*self.columns, *self.constants):
            raise Incompatible("--ids content and a prediction_id that is mapped exclude each other")
        if self.negative and not self.positive:
            raise Incompatible("--negative names the other labels of --positive, which is not given")
        for label in self.positive:
            if is_missing(label):
                raise Incompatible(
                    f"--positive {label}: this says that there is no label, and cannot be the positive one"
                )
        if self.timezone and self.assume_utc:
            raise Incompatible("--timezone and --assume-utc exclude each other")
        try:
            cells.in_zone(datetime(2026, 1, 1), self.zone or "UTC")
        except Fault as error:
            raise Incompatible(f"--timezone: {error}; zones are named like Europe/Berlin") from error
        for day in filter(None, (self.first_day, self.last_day)):
            try:
                datetime.strptime(day, "%Y-%m-%d")
            except ValueError as error:
                raise Incompatible(f"{day!r} is no day: write it as 2026-03-02") from error

    @property
    def zone(self) -> str:
        """The zone of times without an offset; empty: they are refused."""
        return "UTC" if self.assume_utc else self.timezone

    def fingerprint(self) -> str:
        """Everything that decides what the records are."""
        return repr(sorted(asdict(self).items()))

    def expression(self, name: str, known: Iterable[str]) -> str | None:
        """What is written for a field that is no column's name but an expression; ``known``: the columns there are."""
        written = self.columns.get(name, "")
        return written if written not in known and not _SIGNS.isdisjoint(written) else None


def read_mapping(path: Path) -> dict[str, Any]:
    """A mapping file: tables ``map`` and ``set``, and keys named as the command's options."""
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Incompatible(f"{path}: {getattr(error, 'strerror', None) or error}") from error


class RowReader:
    """A mapping on a file: reads the fields of its rows. ``columns``: those of the file, ``None`` where each row has
    its own; ``decimal_comma``: numbers in text may have one; ``sign``: the decimal sign that the files decided for."""

    def __init__(
        self, mapping: Mapping, columns: tuple[str, ...] | None = None, decimal_comma: bool = False,
        kinds: dict[str, str | None] | None = None, sign: str | None = None,
    ) -> None:  # fmt: skip
        self.mapping = mapping
        self._decimal_comma, self._sign = decimal_comma, sign
        self._kinds = kinds or {}
        self._draw: random.Random | None = None
        #: columns that each field is read from
        self.columns: dict[str, tuple[str, ...]] = {}
        #: fields that expressions of columns give
        self._expressed: set[str] = set()
        #: fields that --set gives
        self._fixed: dict[str, Any] = {}
        self._cells: dict[str, tuple[Cell, Convert]] = {}
        for name in FIELDS:
            self._prepare(name, columns)
        self._steps = {
            kind: tuple((name, *self._cells[name]) for name in fields if name in self._cells)
            for kind, fields in (("predictions", PREDICTION_FIELDS), ("outcomes", OUTCOME_FIELDS))
        }
        self._given = {
            kind: {name: self._fixed[name] for name in fields if name in self._fixed}
            for kind, fields in (("predictions", PREDICTION_FIELDS), ("outcomes", OUTCOME_FIELDS))
        }

    def shares(self) -> dict[str, bool]:
        """Columns that fields of numbers are read from, and whether such a field is the column as it stands."""
        written = {column for name in _SHARES if name in self._expressed for column in self.columns[name]}
        return {column: column not in written for name in _SHARES for column in self.columns.get(name, ())}

    def has(self, name: str) -> bool:
        """Whether a field is read from anywhere."""
        return name in self._cells or name in self._fixed

    def _prepare(self, name: str, columns: tuple[str, ...] | None) -> None:
        written = self.mapping.columns.get(name)
        if name in self.mapping.constants:
            constant = self.mapping.constants[name]
            if self.mapping.spread_year and name in _TIMES:
                self._cells[name] = (lambda row: constant), self._within_year
                return
            try:
                self._fixed[name] = self._converter(name, False)(constant)
            except (BadRow, Fault) as error:
                raise Incompatible(f"--set {name}={constant}: {error}") from error
        elif written is not None and self.mapping.expression(name, columns or ()):
            cell, self.columns[name] = self._expression(name, written)
            self._expressed.add(name)
            self._cells[name] = cell, self._converter(name, True)
        elif written != "" and (written is not None or columns is None or name in columns):
            column = written or name
            self.columns[name] = (column,)
            self._cells[name] = (lambda row: row.get(column)), self._converter(name, False)

    def _expression(self, name: str, written: str) -> tuple[Cell, tuple[str, ...]]:
        names = Names({}, columns=True)
        try:
            evaluate = compile_expression(written, names).evaluate
        except BadExpression as error:
            raise Incompatible(f"--map {name}: {error}") from error
        holder: Any = _Row()
        read = self._of_text if name in _NAMES else self._of_value

        def cell(row: dict[str, Any]) -> Any:
            holder.value = {column: read(value) for column, value in row.items()}
            try:
                return evaluate(holder)
            except Unmappable as error:
                raise BadRow(f"{name}: {error}") from error

        return cell, tuple(sorted(names.seen))

    def _of_text(self, value: Any) -> Any:
        return None if is_no_name(value) else value

    def _of_value(self, value: Any) -> Any:
        if is_missing(value):
            return None
        return _dotted(value, self._sign) if self._decimal_comma else value

    def _converter(self, name: str, by_expression: bool) -> Convert:
        """From a cell to a field, ``None`` for one that says nothing is there."""
        if name == "prediction_id":
            return cells.name_in_cell
        if name in _NAMES:
            return _remembered(cells.name_in_cell)
        if name in _SHARES:
            commas = self._decimal_comma  # a share has no thousands
            return lambda value: _share(name, _dotted(value, None) if commas else value)
        if name in _LABELS:
            return _remembered(lambda value: self._flag(name, value, by_expression))
        if self.mapping.spread_year:
            return self._within_year
        form, zone = "" if by_expression else self.mapping.time_format, self.mapping.zone
        return lambda value: None if is_missing(value) else cells.moment(value, form, zone)

    def prediction(
        self, row: dict[str, Any], content_id: str | None, draw: random.Random | None
    ) -> tuple[int, str, dict[str, Any]]:
        """(predicted_at ms, prediction id, record) of a row. Raises :class:`BadRow`."""
        record, wrong = self._read("predictions", row, content_id, draw)
        if self.mapping.features or "features" in row:
            try:
                features = self._features(row)
            except BadRow as error:
                wrong += error.sentences
            else:
                if features is not None:
                    record["features"] = features
        if "ci_lower" in record or "ci_upper" in record:
            if ("ci_lower" in record) != ("ci_upper" in record):
                wrong.append("has only one of ci_lower and ci_upper")
            elif record["ci_lower"] > record["ci_upper"]:
                wrong.append("ci_lower is above ci_upper")
        if wrong:
            raise BadRow(*wrong)
        return record["predicted_at"], record["prediction_id"], record

    def outcome(
        self, row: dict[str, Any], content_id: str | None, predicted_at: int | None, draw: random.Random | None
    ) -> tuple[int, str, dict[str, Any]] | None:
        """(observed_at ms, prediction id, record) of a row, ``None`` without an outcome. Raises :class:`BadRow`."""
        record, wrong = self._read("outcomes", row, content_id, draw, predicted_at)
        if wrong:
            if "actual" not in record and not any(text.startswith("actual") for text in wrong):
                return None
            raise BadRow(*wrong)
        return record["observed_at"], record["prediction_id"], record

    def _read(
        self, kind: str, row: dict[str, Any], content_id: str | None, draw: random.Random | None,
        predicted_at: int | None = None,
    ) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
        """A row's fields, and all that is wrong with them."""
        record: dict[str, Any] = self._given[kind].copy()
        wrong: list[str] = []
        failed: set[str] = set()
        self._draw = draw
        if content_id is not None:
            record["prediction_id"] = content_id
        for name, cell, convert in self._steps[kind]:
            if name in record:
                continue
            value = None
            try:
                value = cell(row)
                if value is not None:
                    found = convert(value)
                    if found is not None:
                        record[name] = found
            except BadRow as error:
                failed.add(name)
                wrong += error.sentences
            except Fault as error:
                failed.add(name)
                wrong.append(of_field(name, value, error))
        if predicted_at is not None and "observed_at" not in record and "observed_at" not in failed:
            low, high = self.mapping.label_delay_ms or (0, 0)
            record["observed_at"] = predicted_at + (draw.randint(low, high) if draw is not None else low)
        for name in NEEDED[kind]:
            if name not in record and name not in failed:
                raw = self._cells[name][0](row) if name in self._cells else None
                wrong.append(f"no {name}" if raw is None or raw == "" else f"no {name}, only {shown(raw)}")
        return record, wrong

    def _within_year(self, value: Any) -> int | None:
        """A time drawn within a year."""
        if self._draw is None or is_missing(value):
            return None
        try:
            year = int(float(value))
            begin, end = to_ms(datetime(year, 1, 1, tzinfo=UTC)), to_ms(datetime(year + 1, 1, 1, tzinfo=UTC))
        except (TypeError, ValueError, OverflowError) as error:
            raise Fault(f"{shown(value)}, not a year") from error
        return self._draw.randrange(begin, end)

    def _flag(self, name: str, value: Any, by_expression: bool) -> bool | None:
        mapping = self.mapping
        if is_missing(value):
            # a word that elsewhere says that there is no label is one where somebody has named it
            word = value.strip() if isinstance(value, str) else None
            return False if word in mapping.negative else None
        if mapping.positive and not (by_expression and isinstance(value, bool)):
            read = cells.label if name == "actual" else cells.decision
            try:
                return read(value, mapping.positive, mapping.negative or None)
            except Fault as error:
                raise BadRow(
                    f"{name} is {shown(value)}, neither of --positive {','.join(mapping.positive)} nor of "
                    f"--negative {','.join(mapping.negative)}"
                ) from error
        found = flag(value if not isinstance(value, bytes) else decoded(value))
        if found is None:
            raise BadRow(f"{name} is {shown(value)}, neither true nor false: say which labels are with --positive")
        return found

    def _features(self, row: dict[str, Any]) -> dict[str, Any] | None:
        if not self.mapping.features:
            found = row.get("features")  # a row that is shaped like the record
            if isinstance(found, str) and found.lstrip().startswith("{"):
                try:
                    found = orjson.loads(found)
                except orjson.JSONDecodeError as error:
                    raise BadRow(f"features are no JSON: {error}") from error
            if isinstance(found, dict):
                return found
            if found is None or is_missing(found):
                return None
            raise BadRow(f"features is {shown(found)}, no JSON object: name the columns of features with --features")
        made, kinds = {}, self._kinds
        for name in self.mapping.features:
            try:
                made[name] = as_kind(row.get(name), kinds.get(name), self._sign)
            except ValueError as error:
                raise BadRow(f"feature {name}: {error}") from error
        return made


def _dotted(value: Any, sign: str | None) -> Any:
    """A number in text with a decimal comma or thousands in groups, as others write it."""
    return plain(value.strip(), sign) if isinstance(value, str) and _FIGURE.match(value.strip()) else value


def _share(name: str, value: Any) -> float | None:
    if is_missing(value):
        return None
    if isinstance(value, bool):
        raise BadRow(f"{name} is {value!r}, not a number")
    try:
        found = number(value)
    except Fault as error:
        raise BadRow(f"{name} is {shown(value)}, not a number") from error
    if not 0 <= found <= 1:
        hint = f": if it is per cent, map it as `{name}=COLUMN | scale(0, 100)`" if 1 < found <= 100 else ""
        raise BadRow(f"{name} is {shown(value)}, not between 0 and 1{hint}")
    return found


def _remembered(convert: Convert) -> Convert:
    """The same for fields of few values: what a text was converted to is kept."""
    known: dict[str, Any] = {}

    def remembered(value: Any) -> Any:
        if value.__class__ is not str:
            return convert(value)
        if value in known:
            return known[value]
        found = convert(value)
        if len(known) < _REMEMBERED:
            known[value] = found
        return found

    return remembered
