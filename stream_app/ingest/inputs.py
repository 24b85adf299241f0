"""Files as records of the wire, in two passes: the first finds everything that is wrong, the second makes records.

The first pass also learns what only a whole file says: of which kind the columns of features are, and which days its
times lie on. Nothing is sent between them that the first pass has not seen.
"""

from __future__ import annotations

import hashlib
import random
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
import orjson

from schemas import bounds, deadletters
from schemas.common import MAX_MS, NAME, rfc3339
from schemas.inputs import OUTCOME_DECODER, PREDICTION_WITH_FEATURES_DECODER
from stream_app.core.kit.days import DAY_MS
from stream_app.errors import Incompatible
from stream_app.ingest.faults import BadRow, Faults, FileFault
from stream_app.ingest.files import Lines, Reading, Table, digest, of_folders, parts, table
from stream_app.ingest.kinds import Kinds
from stream_app.ingest.mapping import NEEDED, OUTCOME_FIELDS, PREDICTION_FIELDS, Mapping, RowReader
from stream_app.ingest.relay.words import shown
from stream_app.ingest.repeats import Repeats
from stream_app.ingest.span import Span, bulk, stated
from stream_app.settings.names import nearest

if TYPE_CHECKING:
    from stream_app.settings import Settings

Kind = Literal["outcomes", "predictions"]
Role = Literal["outcomes", "predictions", "both"]

_NAME: Final = re.compile(NAME)


class LoadedRow(NamedTuple):
    """A record: its key, its bytes, its time (epoch ms), and which topic it belongs to."""

    key: bytes
    value: bytes
    at_ms: int
    kind: Kind = "predictions"


@dataclass(frozen=True, slots=True)
class Admission:
    """What the pipeline takes: bytes of a record, and the model types whose predictions must name a tenant."""

    record_bytes: int = bounds.SENT
    per_tenant: frozenset[str] = frozenset()

    @classmethod
    def by(cls, settings: Settings) -> Admission:
        """What a pipeline with these settings takes."""
        types = settings.named_types
        return cls(settings.max_record_bytes, frozenset(t for t in types if settings.for_type(t).scope == "tenant"))


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which files to read, and how. ``limit``: rows of all files but those of outcomes alone."""

    files: tuple[tuple[Path, Role], ...]
    mapping: Mapping = field(default_factory=Mapping)
    reading: Reading = field(default_factory=Reading)
    limit: int | None = None
    taken: Admission = Admission()

    def digest(self) -> str:
        """Of the files' bytes and of everything that decides what is made of them."""
        found = [f"{role} {digest(path)}" for path, role in self.files]
        return hashlib.sha256("\n".join([*found, self.mapping.fingerprint(), repr(self.reading)]).encode()).hexdigest()


@dataclass(slots=True)
class Survey:
    """What the first pass found."""

    faults: Faults = field(default_factory=Faults)
    rows: int = 0
    predictions: int = 0
    outcomes: int = 0
    positives: int = 0
    #: rows of files of outcomes alone that have none
    blank: int = 0
    kinds: dict[str, str | None] = field(default_factory=dict)
    #: the decimal sign of numbers in files whose columns are not parted by commas
    decimal: str | None = None
    #: ids that come again
    repeats: Repeats = field(default_factory=Repeats)
    span: Span | None = None
    #: rows by day: of predictions, of outcomes
    days: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))

    def refuse(self) -> None:
        """Raise :class:`Incompatible` with all that was found, if a file cannot be read or no row makes a record."""
        if self.faults.files or not (self.predictions or self.outcomes):
            why = "nothing was sent" if self.faults.files or self.faults.count else "there is nothing to send"
            raise Incompatible("\n".join([f"{why}:" if self.faults.lines() else why, *self.faults.lines()]))

    def refuse_any(self) -> None:
        """The same if anything at all is wrong."""
        self.refuse()
        lines = []
        if self.faults.count:
            rows = "row is" if self.faults.count == 1 else "rows are"
            lines = [f"{self.faults.count:,} {rows} invalid, and nothing was sent:", *self.faults.lines()]
        if self.repeats.of_predictions:
            lines += [*([] if lines else ["ids come again, and nothing was sent:"]), *self.repeats.sentences()]
        if lines:
            raise Incompatible("\n".join(lines))


def survey(inputs: Inputs, on_record: Callable[[LoadedRow], None] | None = None) -> Survey:
    """Read everything once. What is wrong is in the answer; nothing is raised for it."""
    found, kinds = _pass(inputs, Survey(), on_record)
    if found.faults.files:
        return found
    unclear = kinds.signs.unclear(kinds.numbers(), (name for name, bounded in kinds.shares.items() if bounded))
    if unclear is not None:
        found.faults.files.append(unclear)
        return found
    if kinds.signs.misread(kinds.numbers(), (name for name, bounded in kinds.shares.items() if not bounded)):
        # only now is known how numbers are written of which expressions make fields
        found, _ = _pass(inputs, Survey(decimal=found.decimal), on_record)
    found.span = _span(inputs.mapping, found.days)
    if found.span is not None and any(not found.span.holds(day) for days in found.days for day in days):
        # only now is known which rows lie outside: read again, to name them
        return _pass(inputs, Survey(span=found.span, decimal=found.decimal), None)[0]
    return found


def _pass(inputs: Inputs, found: Survey, on_record: Callable[[LoadedRow], None] | None) -> tuple[Survey, Kinds]:
    kinds = Kinds(inputs.mapping.features, inputs.reading.decimal)
    walk = _Walk(inputs, found, kinds, found.repeats)
    for made in walk.rows():
        for record in made:
            if on_record is not None:
                on_record(record)
            of_outcomes = record.kind == "outcomes"
            found.days[of_outcomes][record.at_ms // DAY_MS] += 1
            found.outcomes += of_outcomes
            found.predictions += not of_outcomes
            found.positives += of_outcomes and b'"actual":true' in record.value
    found.kinds, found.decimal = kinds.of_all(), kinds.signs.decided(kinds.numbers())
    found.repeats.look()
    return found, kinds


def _span(mapping: Mapping, days: tuple[Counter[int], Counter[int]]) -> Span | None:
    now = time.time_ns() // 1_000_000 // DAY_MS
    return stated(mapping.first_day, mapping.last_day, bulk(days[0] or days[1], now))


def records(inputs: Inputs, known: Survey, faults: Faults) -> Iterator[list[LoadedRow]]:
    """The second pass: what each row makes, in file order; an empty list for one that makes nothing."""
    again = Survey(faults=faults, kinds=known.kinds, span=known.span, decimal=known.decimal)
    yield from _Walk(inputs, again, None, None).rows()
    if faults.files:
        raise Incompatible("\n".join(faults.files))


class _Walk:
    """One pass over all files."""

    def __init__(self, inputs: Inputs, found: Survey, kinds: Kinds | None, repeats: Repeats | None) -> None:
        self._inputs, self._found, self._kinds, self._repeats = inputs, found, kinds, repeats
        self._mapping = inputs.mapping
        self._draws = self._mapping.spread_year or self._mapping.label_delay_ms is not None
        self._most = min(inputs.taken.record_bytes, bounds.SENT)
        self._names: set[str] = set()
        self._number = 0

    def rows(self) -> Iterator[list[LoadedRow]]:
        """What each row makes; faults go to the survey."""
        for path, role in self._inputs.files:
            try:
                for part in parts(path):
                    with table(part, self._inputs.reading) as found:
                        yield from self._file(found, role, of_folders(path, part))
            except FileFault as error:
                self._found.faults.files.append(str(error))

    def _file(self, found: Table, role: Role, beside: dict[str, str | None]) -> Iterator[list[LoadedRow]]:
        """``beside``: cells that all rows share, of columns that stand in names of folders."""
        mapping = self._mapping
        beside = {name: cell for name, cell in beside.items() if name not in (found.columns or ())}
        columns = None if found.columns is None else (*found.columns, *beside)
        reader = RowReader(mapping, columns, found.decimal_comma, self._found.kinds, self._found.decimal)
        wanted = _wanted(mapping, reader, role, found.columns)
        if columns is not None:
            self._refuse_absent(found, reader, role, columns)
        content = digest(found.path) if mapping.content_ids else None
        kinds = self._kinds if role != "outcomes" else None
        if kinds is not None:
            kinds.shares |= reader.shares()
        where = "line" if isinstance(found, Lines) else "row"
        repeats = self._repeats
        if repeats is not None:
            repeats.begin(found.path.name, where, role == "outcomes")
        for number, row in found.rows(wanted, kinds):
            if self._inputs.limit is not None and role != "outcomes" and self._number >= self._inputs.limit:
                return
            self._number += 1
            self._found.rows += 1
            try:
                if isinstance(row, str):
                    raise BadRow(row)
                if beside:
                    row = {**beside, **row}
                made = self._row(reader, role, row, content and _content_id(content, number))
            except BadRow as error:
                self._found.faults.add(f"{found.path.name}, {where} {number}", *error.sentences)
                made = []
            else:
                self._found.blank += not made
                if made and repeats is not None:
                    repeats.add(
                        number, made[0].key, made[0].value if len(made) == 1 else (made[0].value, made[1].value)
                    )
            yield made
        if isinstance(found, Lines) and found.seen:
            self._refuse_absent(found, reader, role, tuple(dict.fromkeys((*found.seen, *beside))))

    def _row(self, reader: RowReader, role: Role, row: dict[str, Any], content_id: str | None) -> list[LoadedRow]:
        draw = random.Random(f"{self._mapping.seed}:{self._number}") if self._draws else None
        made: list[LoadedRow] = []
        at: int | None = None
        if role != "outcomes":
            at, name, record = reader.prediction(row, content_id, draw)
            made.append(self._checked("predictions", at, name, record))
        if role != "predictions":
            late = reader.outcome(row, content_id, at, draw)
            if late is not None:
                made.append(self._checked("outcomes", *late))
        return made

    def _checked(self, kind: Kind, at: int, name: str, record: dict[str, Any]) -> LoadedRow:
        what = "predicted_at" if kind == "predictions" else "observed_at"
        if not 0 <= at <= MAX_MS:
            raise BadRow(f"{what} is {_day(at)}, outside 1970 to 2141")
        if self._found.span is not None and not self._found.span.holds(at // DAY_MS):
            raise BadRow(f"{what} is {_day(at)}, {self._found.span.sentence}")
        made = checked(kind, at, name, record, self._most, self._names)
        if (
            kind == "predictions"
            and record["model_type"] in self._inputs.taken.per_tenant
            and record.get("tenant_id") is None
        ):
            raise BadRow(f"model type {record['model_type']!r} is per tenant and tenant_id is missing")
        return made

    def _refuse_absent(self, found: Table, reader: RowReader, role: Role, columns: tuple[str, ...]) -> None:
        absent = list(_absent(self._mapping, reader, role, columns))
        if absent:
            there = ", ".join(repr(name) for name in columns[:50]) + (", …" if len(columns) > 50 else "")
            missing = _missing(self._mapping, reader, role, columns)
            hint = f". {outcomes_alone([found.path])}" if {"score", "predicted_at"} <= set(missing) else ""
            raise FileFault(f"{found.path}: {'; '.join(absent)}. The columns are {there}{hint}")


def outcomes_alone(files: Iterable[Path]) -> str:
    """What to do with files of outcomes that were taken for files of predictions."""
    names = shlex.join(map(str, files))
    return (
        "If these are outcomes alone, of predictions that were sent before, bring them in with "
        f"`plumbline load outcomes {names}`, which needs prediction_id, actual and observed_at"
    )


def _fields(role: Role) -> tuple[str, ...]:
    if role == "outcomes":
        return OUTCOME_FIELDS
    return PREDICTION_FIELDS if role == "predictions" else (*PREDICTION_FIELDS, "actual", "observed_at")


def _wanted(mapping: Mapping, reader: RowReader, role: Role, columns: tuple[str, ...] | None) -> tuple[str, ...]:
    """Columns to read, of those that there are (``None``: of any)."""
    names = [column for field in _fields(role) for column in reader.columns.get(field, ())]
    if role != "outcomes":
        names += mapping.features or ("features",)
    return tuple(name for name in dict.fromkeys(names) if columns is None or name in columns)


def _absent(mapping: Mapping, reader: RowReader, role: Role, columns: tuple[str, ...]) -> Iterator[str]:
    """Sentences on columns that were named and are not there, or are there twice, and on fields that nothing gives."""
    named = {column: field for field in _fields(role) for column in reader.columns.get(field, ())}
    if role != "outcomes":
        named |= dict.fromkeys(mapping.features, "features")
    for column, name in named.items():
        if columns.count(column) > 1:
            yield f"there are {columns.count(column)} columns {column!r}, and {name} would be read from one of them"
        elif column not in columns and (name in mapping.columns or name == "features"):
            yield f"there is no column {column!r} for {name}{nearest(column, columns)}"
    if mapping.content_ids and role == "outcomes":
        yield "outcomes name the predictions they belong to: --ids content gives none to a file of outcomes alone"
    for name in _missing(mapping, reader, role, columns):
        also = f" or give it with --set {name}=VALUE" if name != "prediction_id" else ""
        if name == "prediction_id" and role == "both":
            also = ", or let ids be made of each row's content with --ids content"
        yield f"no {name}: map a column with --map {name}=COLUMN{also}"


def _missing(mapping: Mapping, reader: RowReader, role: Role, columns: tuple[str, ...]) -> list[str]:
    """Fields that are needed and that nothing gives."""
    return [
        name
        for name in NEEDED["outcomes" if role == "outcomes" else "predictions"]
        if not (
            (reader.has(name) and (name not in reader.columns or name in mapping.columns))
            or name in columns
            or (name == "prediction_id" and mapping.content_ids)
        )
    ]


def _content_id(digest: str, number: int) -> str:
    """An id that a file's row has whenever the file is read, and no other file's."""
    return hashlib.sha256(f"{digest}:{number}".encode()).hexdigest()[:32]


def _day(at: int) -> str:
    try:
        return rfc3339(at)[:10]
    except OverflowError:
        return f"{shown(at)} ms since 1970"


def checked(
    kind: Kind, at: int, name: str, record: dict[str, Any], most: int, names: set[str] | None = None
) -> LoadedRow:
    """A record as the labels stage will take it, by the contract's own structs. Raises :class:`BadRow`."""
    decode: Callable[[bytes], Any]
    decode = PREDICTION_WITH_FEATURES_DECODER.decode if kind == "predictions" else OUTCOME_DECODER.decode
    try:
        value, key = orjson.dumps(record), name.encode()
        decode(value)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRow(deadletters.explain(error)[1]) from error
    except TypeError as error:
        raise BadRow(f"features cannot be written as JSON: {error}") from error
    if len(key) > 128:
        raise BadRow("prediction_id is longer than 128 bytes")
    size = bounds.content(key, value, ())
    if size > most:
        raise BadRow(f"the record has {size} bytes and its topic takes {most}")
    if kind == "predictions":
        _check_names(record, names if names is not None else set())
    return LoadedRow(key, value, at, kind)


def _check_names(record: dict[str, Any], known: set[str]) -> None:
    for what in ("model_type", "model_version", "tenant_id"):
        name = record.get(what)
        if name is None or name in known:
            continue
        if not _NAME.fullmatch(name) or (what == "tenant_id" and name == "global"):
            raise BadRow(f"{what} is {name[:60]!r}, which is no name: A-Z a-z 0-9 . _ - and not global")
        if what != "tenant_id" and len(known) < 10_000:
            known.add(name)


def as_record(kind: Kind, mapping: Mapping, row: dict[str, Any], max_record_bytes: int) -> LoadedRow | None:
    """One row as a record, ``None`` for one without an outcome. Raises :class:`BadRow`."""
    reader, most = RowReader(mapping), min(max_record_bytes, bounds.SENT)
    if kind == "predictions":
        return checked(kind, *reader.prediction(row, None, None), most)
    late = reader.outcome(row, None, None, None)
    return None if late is None else checked(kind, *late, most)


def of_files(files: Sequence[Path], role: Role) -> tuple[tuple[Path, Role], ...]:
    """Files that are all read in one role."""
    return tuple((path, role) for path in files)
