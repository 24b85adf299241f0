"""Commands that change settings while the pipeline runs (CONTRACT section 6), as every stage carries them out.

A ``set`` command stands in the log like any other record. Every stage behind the labels meets it at the same place and
keeps what it changes in its own table (:mod:`~stream_app.core.kit.live_settings`), so a restart and a replay decide
alike.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.operators import OperatorCommand


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Values of settings for one model, or for all (``*``), that change together; ``None``: as if never set."""

    model: str
    values: dict[str, Any]


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    """One setting, or several that are only possible together."""

    key: str | None = None
    value: Any = None
    values: dict[str, Any] = {}


def of(command: OperatorCommand) -> Change:
    """The change that a ``set`` command commands; ``ValueError`` says what is wrong with it."""
    try:
        arguments = msgspec.convert(command.arguments, _Arguments)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    values = dict(arguments.values)
    if arguments.key is not None:
        values[arguments.key] = arguments.value
    if not values:
        raise ValueError("set needs arguments.key and arguments.value, or arguments.values")
    return Change(command.model, values)


def by_type(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a change for all models says to all (under ``""``), and to each model type by ``types.TYPE.NAME``."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        where, _, rest = key.partition(".")
        owner, _, name = rest.rpartition(".")
        if where == "types" and owner:
            found.setdefault(owner, {})[name] = value
        else:
            found.setdefault("", {})[key] = value
    return found
