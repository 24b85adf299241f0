"""Which names a labels lane has seen, and how many more it takes (CONTRACT section 9, cardinality).

Producers choose the names of model types, models and versions, and every name costs memory in every stage. A lane
counts the names of its own predictions, in log order and by the UTC days of its ticks: a (model, version) pair counts
from the tick that covers its first prediction until ``keep_days`` whole days after the day of its last one. What would
be one too many is dead-lettered; names that are known go on. The rule looks at ticks and the log alone, so a replay
refuses the same records wherever chunks, checkpoints and crashes fall.

Stored in the labels table, beside the predictions (:mod:`stream_app.core.labels.entry`), little-endian, no padding::

    key   b"n", 8 bytes of the type's digest, 12 of the model's, 12 of the version's
    value u1 b"n", u1 format, u2 UTC day last seen, u2 UTC day written

    key   b"t", name of a model type
    value u1 b"t", u1 format, u2 UTC day last seen, u2 UTC day written, u2 horizon in days, u1 scope

Digests, because 200,000 pairs of the longest names would take 100 MB in each lane, and with them take 40. A collision
(96 bits) would let two names count as one, no more. The table deletes no key: a name is written at most once a day
when it is seen and once in ``refresh_days`` when it is not, so that neither the segments of the store nor the
changelog's retention ever takes a name that counts; one that no longer counts is not written again, and time takes it.

Growth: the limits. Types also keep the scope and the horizon they were counted with, which are fixed once a type was
seen; a configuration that says otherwise is refused by the type's name.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from stream_app.core.kit.codec import body
from stream_app.core.kit.effects import TableReader
from stream_app.core.labels.config import BadName, Name, NameLimits, TypeRules
from stream_app.errors import Broken, Incompatible

FORMAT: Final = 1
PAIR: Final = b"n"
TYPE: Final = b"t"

_PAIR: Final = Struct("<cBHH")
_TYPE: Final = Struct("<cBHHHB")
_SCOPES: Final = ("auto", "global", "tenant")
#: Where the model's and the version's digests start in a pair's digest.
_MODEL_AT, _VERSION_AT = 8, 20
#: Names read from the table at once.
_PAGE: Final = 20_000

Puts = dict[bytes, bytes | None]


class Usage(NamedTuple):
    """How many names of a kind count now, and the most that may."""

    known: int
    limit: int


class _Type(NamedTuple):
    last: int
    rules: TypeRules


class KnownNames:
    """The names that count in one lane. Days are UTC days since 1970. Not thread-safe; owned by the stage."""

    def __init__(self, limits: NameLimits, keep_days: int, refresh_days: int) -> None:
        self._limits = limits
        self._keep_days = keep_days
        self._refresh_days = refresh_days
        self._clear()

    def _clear(self) -> None:
        #: digest of a pair → day last seen
        self._pairs: dict[bytes, int] = {}
        #: digest of a model → its versions that count; digest of a type → its models that count
        self._versions: dict[bytes, int] = {}
        self._models: dict[bytes, int] = {}
        #: name of a type → day last seen, and what it was counted with
        self._types: dict[str, _Type] = {}

    def load(self, table: TableReader | None, today: int, rules: Callable[[str], TypeRules]) -> None:
        """Start from the table as it stood on day ``today``. ``Incompatible`` if ``rules`` differ for a known type."""
        self._clear()
        if table is None:
            return
        days: dict[int, int] = {}  # one object a day, not one a name
        after: bytes | None = None
        while page := table.scan(PAIR, after, _PAGE):
            for key, value in page:
                _, _, last, _ = _PAIR.unpack(_checked(value))
                if today - last <= self._keep_days:
                    self._add(key[1:], days.setdefault(last, last))
            after = page[-1][0]
        for key, value in table.scan(TYPE, None, 1 << 30):
            _, _, last, _, horizon, scope = _TYPE.unpack(_checked(value))
            counted = _Type(last, TypeRules(_SCOPES[scope], horizon))
            name = key[1:].decode()
            if not self._gone(counted, today):
                _refuse_changed(name, counted.rules, rules(name))
                self._types[name] = counted

    def seen(self, name: Name, rules: TypeRules, today: int, puts: Puts) -> None:
        """A prediction names it on day ``today``. Raises :class:`BadName` if that makes one too many.

        Called at most a few times a day for each name: the stage keeps the answer until the day turns, which is right
        because no name stops counting in the middle of a day.
        """
        key = digest(name)
        last = self._pairs.get(key)
        if last == today:
            return
        if last is None:
            self._refuse_one_more(name, key)
            self._add(key, today)
        else:
            self._pairs[key] = today
        puts[PAIR + key] = _PAIR.pack(PAIR, FORMAT, today, today)
        of_type = self._types.get(name.model_type)
        if of_type is None or of_type.last != today:
            self._types[name.model_type] = _Type(today, rules)
            puts[TYPE + name.model_type.encode()] = _type_value(self._types[name.model_type], today)

    def turn(self, before: int, today: int, puts: Puts) -> None:
        """Days after ``before`` up to ``today`` have begun: forget what was last seen too long ago, and write anew
        what the changelog's retention would take."""
        for key in [key for key, last in self._pairs.items() if today - last > self._keep_days]:
            self._remove(key)
        for model_type in [name for name, kept in self._types.items() if self._gone(kept, today)]:
            del self._types[model_type]
        every = self._refresh_days
        for key, last in self._pairs.items():
            # A pair's turn comes once in ``every`` days; by digest, so that a day writes an even share of them.
            slot = (key[_MODEL_AT] ^ key[_VERSION_AT] | (key[_MODEL_AT + 1] ^ key[_VERSION_AT + 1]) << 8) % every
            if (today - slot) // every > (before - slot) // every:
                puts[PAIR + key] = _PAIR.pack(PAIR, FORMAT, last, today)
        if today // every > before // every:
            for name, known in self._types.items():
                puts[TYPE + name.encode()] = _type_value(known, today)

    def usage(self) -> dict[str, Usage]:
        """How full each bound is. ``versions``: of the model that has most."""
        return {
            "types": Usage(len(self._models), self._limits.types),
            "models": Usage(len(self._versions), self._limits.models),
            "versions": Usage(max(self._versions.values(), default=0), self._limits.versions),
            "pairs": Usage(len(self._pairs), self._limits.pairs),
        }

    # -- counting ------------------------------------------------------------------------------------------------

    def _add(self, key: bytes, last: int) -> None:
        model, model_type = key[:_VERSION_AT], key[:_MODEL_AT]
        versions = self._versions.get(model, 0)
        if not versions:
            self._models[model_type] = self._models.get(model_type, 0) + 1
        self._versions[model] = versions + 1
        self._pairs[key] = last

    def _remove(self, key: bytes) -> None:
        model, model_type = key[:_VERSION_AT], key[:_MODEL_AT]
        del self._pairs[key]
        if _one_less(self._versions, model):
            _one_less(self._models, model_type)

    def _refuse_one_more(self, name: Name, key: bytes) -> None:
        limits, model = self._limits, key[:_VERSION_AT]
        if key[:_MODEL_AT] not in self._models and len(self._models) >= limits.types:
            self._full(f"model type {name.model_type!r} is new", f"{limits.types} model types", "max_model_types")
        if model not in self._versions and len(self._versions) >= limits.models:
            self._full(f"model {name.model!r} is new", f"{limits.models} models", "max_models")
        if self._versions.get(model, 0) >= limits.versions:
            self._full(
                f"version {name.version!r} of model {name.model!r} is new",
                f"{limits.versions} versions of this model",
                "max_versions_per_model",
            )
        if len(self._pairs) >= limits.pairs:
            self._full(
                f"version {name.version!r} of model {name.model!r} is new",
                f"{limits.pairs} versions of all models together",
                "max_versions",
            )

    def _full(self, what: str, bound: str, setting: str) -> None:
        raise BadName(
            "too_many_models",
            f"{what}, and this partition counts {bound} of the last {self._keep_days} days already, "
            f"as many as {setting}",
        )

    def _gone(self, kept: _Type, today: int) -> bool:
        """Whether neither a name nor a prediction of the type counts any more."""
        return today - kept.last > max(self._keep_days, kept.rules.horizon_days)


def digest(name: Name) -> bytes:
    """32 bytes that stand for a (model, version) pair; the first 20 for the model, the first 8 for its type."""
    return (
        blake2b(name.model_type.encode(), digest_size=_MODEL_AT).digest()
        + blake2b(name.model.encode(), digest_size=_VERSION_AT - _MODEL_AT).digest()
        + blake2b(name.version.encode(), digest_size=12).digest()
    )


def written_day(value: bytes) -> int:
    """UTC day that decides which time segment holds a name."""
    day: int = _PAIR.unpack_from(_checked(value))[3]
    return day


def _type_value(known: _Type, today: int) -> bytes:
    scope = _SCOPES.index(known.rules.scope)
    return _TYPE.pack(TYPE, FORMAT, known.last, today, known.rules.horizon_days, scope)


def _one_less(counts: dict[bytes, int], key: bytes) -> bool:
    """Take one from a count; whether that was the last."""
    left = counts[key] - 1
    if left:
        counts[key] = left
        return False
    del counts[key]
    return True


def _checked(value: bytes) -> bytes:
    """A stored name as it is. ``UnknownFormat`` or ``Broken`` if it cannot be one."""
    body(value[1:], FORMAT, "a name in the labels table")
    if len(value) != {PAIR: _PAIR.size, TYPE: _TYPE.size}.get(value[:1]):
        raise Broken(f"a name in the labels table cannot be read: {value[:20]!r}")
    return value


def _refuse_changed(name: str, counted: TypeRules, now: TypeRules) -> None:
    if counted != now:
        raise Incompatible(
            f"types.{name} has scope {now.scope} and pending_horizon_days {now.horizon_days} here, and its predictions "
            f"were counted with {counted.scope} and {counted.horizon_days}. Both are fixed once a type was seen: set "
            "them back, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX."
        )
