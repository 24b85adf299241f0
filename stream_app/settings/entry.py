"""Values of rules as they come in, each checked by itself; and what of them cannot stand together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from stream_app.settings.groups import GROUPS, contradiction
from stream_app.settings.rules import RuleFields


def problems(error: ValidationError, where: str = "") -> list[str]:
    """One sentence for each fault, key first; values are left out, as one of them may be a secret."""
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"])
        key = ".".join(part for part in (where, path) if part)
        text = item["msg"].removeprefix("Value error, ")
        found.append(f"{key}: {text}" if key else text)
    return found


def entered(where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the types of their fields, names in order; ``ValueError`` names what is none."""
    try:
        found = RuleFields(**values)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error, where))) from error
    return {name: getattr(found, name) for name in sorted(values)}


def check_together(where: str, rules: Mapping[str, Any], names: Iterable[str]) -> None:
    """``ValueError`` if rules contradict each other in a group that one of the names is in."""
    for group in groups_of(names):
        fault = contradiction(group, rules)
        if fault is not None:
            raise ValueError(f"{where}: {fault}")


def groups_of(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups that any of the names is in."""
    wanted = set(names)
    return [group for group in GROUPS if not wanted.isdisjoint(group)]
