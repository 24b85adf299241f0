"""Settings under change: what a worker starts with, what one ``set`` command makes of it, what a file announces.

A worker's stages start with the defaults: what the file, the environment and its profile say on top reaches them as
``set`` commands, at a known place in the log. Only what the state was built with, and what the labels stage counts by,
holds from the start.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from stream_app.core.kit.changes import Change, by_type
from stream_app.settings.entry import problems
from stream_app.settings.layers import TABLES, Exact, changeable, check_key, merged
from stream_app.settings.model import Settings
from stream_app.settings.rules import TypeSettings


def base(settings: Settings) -> Settings:
    """What the stages of a worker start with: defaults, but for what cannot change while it runs."""
    kept = {name: getattr(settings, name) for name in Settings.model_fields if not changeable(name)}
    types = {name: {k: v for k, v in rules.items() if not changeable(k)} for name, rules in settings.types.items()}
    return Exact(**{**kept, "types": {name: rules for name, rules in types.items() if rules}, "models": {}})


def announcements(settings: Settings) -> dict[tuple[str, str], Any]:
    """What file, environment and profile say beyond the defaults: (model or ``*``, key) → value as JSON."""
    plain = base(settings)
    shown = settings.model_dump(mode="json")
    found = {
        ("*", name): shown[name]
        for name in Settings.model_fields
        if name not in TABLES and changeable(name) and getattr(settings, name) != getattr(plain, name)
    }
    for owner, rules in shown["types"].items():
        found |= {("*", f"types.{owner}.{name}"): value for name, value in rules.items() if changeable(name)}
    for model, rules in shown["models"].items():
        found |= {(model, name): value for name, value in rules.items()}
    return found


def changed(settings: Settings, change: Change) -> Settings:
    """The settings after one change, all of it or nothing; ``ValueError`` says why it cannot be.

    For one change at a time: it copies the rules of all models, and checks them where the change is for all.
    """
    if change.model != "*":
        return _of_model(settings, change)
    values = {field: getattr(settings, field) for field in Settings.model_fields}
    for owner, said in by_type(change.values).items():
        for name in said:
            check_key(f"types.{owner}.{name}" if owner else name, name, TypeSettings if owner else Settings)
        if owner:
            rules = merged(values["types"].get(owner, {}), said)
            values["types"] = merged(values["types"], {owner: rules or None})
        else:
            values = merged(values, said)
    try:
        return Exact(**values)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error))) from error


def _of_model(settings: Settings, change: Change) -> Settings:
    """One model's own rules; only they have to be looked at again."""
    for key in change.values:
        check_key(key, key, TypeSettings)
    rules = merged(settings.models.get(change.model, {}), change.values)
    after = settings.model_copy(update={"models": merged(settings.models, {change.model: rules or None})})
    after.check_model(change.model, {})
    return after
