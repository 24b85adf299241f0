"""Settings that people change while the pipeline runs (CONTRACT section 6).

A ``set`` command stands in the log like any other record. Every stage behind the labels meets it at the same place,
applies it to the settings it started with and keeps it in its own state, so a restart and a replay decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from schemas.operators import OperatorCommand
from stream_app.stored import Codec

FORMAT: Final = 1

#: Changes that a lane keeps; each costs some 100 bytes in the positions record of four stages.
MOST: Final = 10_000


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Values of settings for one line, or for all (``*``), that change together; ``None``: as if never set."""

    line: str
    values: dict[str, Any]


class Changeable(Protocol):
    """A stage's config. ``change`` gives the config after one more change; ``ValueError`` says why it cannot be."""

    @property
    def change(self) -> Callable[[Change], Any] | None: ...


C = TypeVar("C", bound=Changeable)


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    """One setting, or several that are only possible together."""

    key: str | None = None
    value: Any = None
    values: dict[str, Any] = {}


class _Command(msgspec.Struct):
    command: str


class Adjustable(Generic[C]):
    """A config under the changes that came since: ``current`` is what holds now, ``changes`` what the state keeps."""

    def __init__(self, base: C, changes: Iterable[Change]) -> None:
        self.current = base
        #: line or ``*`` → key → value
        self._values: dict[str, dict[str, Any]] = {}
        for change in changes:
            self._apply(change)

    @property
    def changes(self) -> list[Change]:
        """What makes the config of today out of the first one: all lines together, then each."""
        return [Change(line, self._values[line]) for line in sorted(self._values)]

    def order(self, record: bytes) -> Change:
        """Apply a ``set`` command. ``ValueError`` says why it cannot be, and nothing is changed."""
        change = read(record)
        if sum(map(len, self._values.values())) + len(change.values) > MOST:
            raise ValueError(f"{MOST} settings are changed already; take some back by setting them to null")
        self._apply(change)
        return change

    def _apply(self, change: Change) -> None:
        if self.current.change is None:
            raise ValueError("the settings of this stage cannot be changed while it runs")
        self.current = self.current.change(change)
        merged = {**self._values.get(change.line, {}), **change.values}
        self._values[change.line] = {key: merged[key] for key in sorted(merged) if merged[key] is not None}
        if not self._values[change.line]:
            del self._values[change.line]


def is_set(record: bytes) -> bool:
    """Whether an operator's command orders a setting."""
    try:
        return _commands.decode(record).command == "set"
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def read(record: bytes) -> Change:
    """The change that a ``set`` command orders; ``ValueError`` says what is wrong with it."""
    try:
        found = _orders.decode(record)
        arguments = msgspec.convert(found.arguments, _Arguments)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    values = dict(arguments.values)
    if arguments.key is not None:
        values[arguments.key] = arguments.value
    if not values:
        raise ValueError("set needs arguments.key and arguments.value, or arguments.values")
    return Change(found.line, values)


_commands = msgspec.json.Decoder(_Command)
_orders = msgspec.json.Decoder(OperatorCommand)
_codec: Final = Codec[list[Change]](list[Change], FORMAT, "changed settings")
encode, decode = _codec.encode, _codec.decode
