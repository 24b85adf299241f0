"""A map at work on one source partition: records in, predictions and outcomes out. No I/O, no clock."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from schemas import bounds, deadletters
from schemas.common import NAME
from schemas.inputs import OUTCOME_DECODER, PREDICTION_DECODER, Outcome, Prediction
from schemas.unreadable import Unreadable
from stream_app.core.kit.effects import ConsumedRecord
from stream_app.ingest.relay.expressions import Expression
from stream_app.ingest.relay.maps import Condition, Join, MapOutput, RelayMap
from stream_app.ingest.relay.source import Source, Unmappable
from stream_app.ingest.relay.words import is_no_name

_NAME: Final = re.compile(NAME)
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
#: The labels stage's own decoders: what they take, it takes.
_DECODE: Final = {"predictions": PREDICTION_DECODER.decode, "outcomes": OUTCOME_DECODER.decode}


#: Records that are made of one. A mebibyte of zeros between commas would be half a million: more than a transaction's
#: time allows, at every start. Honest batches of a mebibyte, features among them, hold fewer.
MOST_ITEMS: Final = 50_000


class Made(NamedTuple):
    """A record made: ``to`` is predictions or outcomes; ``key`` the prediction id."""

    to: str
    key: bytes
    value: bytes


#: Bytes of records that a partition's join holds, as they came; unpacked they may take ten times that.
HELD_BYTES: Final = 32 << 20


class HeldBack:
    """What a join keeps, by id, for as many offsets as it may look back, and of the newest records at most
    :data:`HELD_BYTES`.

    What is found depends on the partition's records alone, never on when they were read: a relay that starts again
    reads that many offsets once more and finds the same. Of two records the older always goes first, so what lies
    before the offsets that are read again cannot displace what lies within them.
    """

    def __init__(self, join: Join) -> None:
        self._join = join
        self._kept: OrderedDict[str, tuple[int, Any, int]] = OrderedDict()
        self._bytes = 0

    def put(self, source: Source) -> None:
        """Keep of this record what the map names, under its id; the newest counts."""
        name = self._join.id.evaluate(source)
        if name is None:
            raise Unmappable(f"join.id: nothing at {self._join.id.text}")
        offset, size = source.record.offset, len(source.record.value or b"")
        self._bytes -= self._kept.pop(str(name), (0, None, 0))[2]
        self._kept[str(name)] = (offset, self._join.keep.evaluate(source), size)
        self._bytes += size
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] >= offset - self._join.within and self._bytes <= HELD_BYTES:
                break
            self._bytes -= self._kept.pop(oldest)[2]

    def find(self, source: Source) -> Any:
        """What is kept under this record's id, ``None`` if nothing within reach."""
        name = self._join.id.evaluate(source)
        found = self._kept.get(str(name))
        if found is None or found[0] < source.record.offset - self._join.within:
            return None
        return found[1]


class Mapper:
    """A compiled map with the state of one partition. ``map`` makes all of a record or nothing."""

    def __init__(self, relay_map: RelayMap, max_record_bytes: int) -> None:
        self._source = Source(relay_map.lets)
        self._emits = relay_map.emits
        self._join = relay_map.join
        self._held = HeldBack(relay_map.join) if relay_map.join is not None else None
        if self._held is not None:
            self._source.find_joined = self._held.find
        self._most = min(max_record_bytes, bounds.SENT)
        self._good_names: set[tuple[str, str, str | None]] = set()

    @property
    def look_back(self) -> int:
        """Offsets before a position that have to be read again for joins to find what they found before."""
        return self._join.within if self._join is not None else 0

    def remember(self, record: ConsumedRecord) -> None:
        """Take a record below the position only for what a join holds."""
        source = self._source
        source.load(record)
        try:
            if self._held is not None and self._join is not None and _hold(self._join.hold, source):
                self._held.put(source)
        except Unmappable:
            return  # it was dead-lettered when it was first read

    def map(self, record: ConsumedRecord) -> list[Made]:
        """What the map makes of a record, nothing if no part of it selects the record. Raises ``Unmappable``."""
        if isinstance(record.value, Unreadable):
            raise Unmappable(record.value.error, record.value.reason)
        source = self._source
        source.load(record)
        if self._join is not None and self._held is not None and _hold(self._join.hold, source):
            self._held.put(source)
        made: list[Made] = []
        for emit in self._emits:
            if not _hold(emit.when, source):
                continue
            if emit.each is None:
                made.append(self._one(emit, source))
            else:
                self._each(emit, emit.each, source, made)
        return made

    def _each(self, emit: MapOutput, each: Expression, source: Source, made: list[Made]) -> None:
        items = each.evaluate(source)
        if not isinstance(items, list):
            raise Unmappable(f"each: {each.text} is {'missing' if items is None else 'no list'}")
        if len(items) > MOST_ITEMS:
            raise Unmappable(
                f"each: {each.text} has {len(items):,} items, and a record makes at most {MOST_ITEMS:,}: send smaller "
                "requests"
            )
        for index, item in enumerate(items):
            source.item, source.index = item, index
            source.part = f"-{index}" if len(items) > 1 else ""
            try:
                made.append(self._one(emit, source))
            except Unmappable as error:
                where = f"item {index} of {len(items)}, " if len(items) > 1 else ""
                raise Unmappable(f"{where}{error}", error.reason) from error
        source.item = source.index = None
        source.part = ""

    def _one(self, emit: MapOutput, source: Source) -> Made:
        if emit.copy is not None:
            whole = emit.copy.evaluate(source)
            if not isinstance(whole, dict):
                raise Unmappable(f"copy: {emit.copy.text} is no object")
            # Bytes that are a record already stay as they are.
            value = source.record.value if emit.copy.text == "value" else _dumped(whole)
        else:
            row: dict[str, Any] = {}
            for name, expression in emit.fields:
                try:
                    found = expression.evaluate(source)
                except Unmappable as error:
                    raise Unmappable(f"{name}: {error}", error.reason) from error
                if found is not None:
                    row[name] = found
            if not isinstance(row.get("features", {}), dict):
                raise Unmappable(f"features: {_written(emit, 'features')} is no object; `| features` makes one")
            value = _dumped(row)
        return Made(emit.to, self._check(emit, value or b""), value or b"")

    def _check(self, emit: MapOutput, value: bytes) -> bytes:
        """The record's key, if it is one that the labels stage takes."""
        decode: Callable[[bytes], Any] = _DECODE[emit.to]
        try:
            record = decode(value)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise Unmappable(_explain(emit, error)) from error
        key = self._key(emit, record)
        if len(key) + len(value) > self._most:
            raise Unmappable(
                f"the {emit.to[:-1]} made of it has {len(key) + len(value)} bytes, max_record_bytes is {self._most}",
                deadletters.OVERSIZED,
            )
        return key

    def _key(self, emit: MapOutput, record: Prediction | Outcome) -> bytes:
        identity = record.prediction_id
        if is_no_name(identity):
            raise Unmappable(f"prediction_id: nothing at {_written(emit, 'prediction_id')} but {identity[:20]!r}")
        key = identity.encode()
        if len(key) > 128:
            raise Unmappable(f"prediction_id: {_written(emit, 'prediction_id')} is longer than 128 bytes")
        if isinstance(record, Prediction):
            names = (record.model_type, record.model_version, record.tenant_id)
            if names not in self._good_names:
                for field, name in zip(("model_type", "model_version", "tenant_id"), names, strict=True):
                    if name is not None and (not _NAME.fullmatch(name) or (name == "global" and field == "tenant_id")):
                        raise Unmappable(
                            f"{field}: {_written(emit, field)} is {name[:60]!r}, which is no name", deadletters.BAD_NAME
                        )
                if len(self._good_names) < 100_000:
                    self._good_names.add(names)
        return key


def _hold(conditions: tuple[Condition, ...], source: Source) -> bool:
    for _, evaluate, wanted in conditions:
        found = evaluate(source)
        if isinstance(wanted, bool):
            if (found is not None) is not wanted:
                return False
        elif found not in wanted:
            return False
    return True


def _dumped(row: dict[str, Any]) -> bytes:
    """A row as JSON; what orjson refuses, as integers beyond 64 bits, msgspec may write."""
    try:
        # a copy of its own length: what orjson returns keeps the kilobytes that it was written into
        return bytes(memoryview(orjson.dumps(row)))
    except TypeError:
        pass
    try:
        return msgspec.json.encode(row)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unmappable(f"it cannot be written as JSON: {error}") from error


def _written(emit: MapOutput, field: str) -> str:
    return next((expression.text for name, expression in emit.fields if name == field), field)


def _explain(emit: MapOutput, error: Exception) -> str:
    """Which field, by which path, is at fault."""
    absent = _MISSING.search(str(error))
    if absent is not None:
        field = absent[1]
        return f"{field}: nothing at {_written(emit, field)}"
    _, text = deadletters.explain(error)
    field = str(error).rpartition("$.")[2].partition(".")[0].rstrip("`")
    return f"{field}: {_written(emit, field)}: {text}"
