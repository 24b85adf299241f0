"""Settings under change: what a worker starts with, what one ``set`` command makes of it, what a file announces.

A worker's stages start with the defaults: what the file, the environment and its profile say on top reaches them as
``set`` commands, at a known place in the log. Only what the state was built with, and what the labels stage counts by,
holds from the start.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stream_app.core.changes import Change
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked
from stream_app.settings.installation import Installation
from stream_app.settings.model import Settings, problems
from stream_app.settings.names import nearest
from stream_app.settings.rules import TypeSettings

_TABLES: Final = ("types", "lines")


class _Exact(Settings):
    """The model without its sources: no variable and no file has a say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def changeable(name: str) -> bool:
    """Whether a setting can be changed while workers run."""
    field = Settings.model_fields[name]
    return name not in Installation.model_fields and not marked(field, STATIC) and not marked(field, AT_START)


def base(settings: Settings) -> Settings:
    """What the stages of a worker start with: defaults, but for what cannot change while it runs."""
    kept = {name: getattr(settings, name) for name in Settings.model_fields if not changeable(name)}
    types = {name: {k: v for k, v in rules.items() if not changeable(k)} for name, rules in settings.types.items()}
    return _Exact(**{**kept, "types": {name: rules for name, rules in types.items() if rules}, "lines": {}})


def announcements(settings: Settings) -> dict[tuple[str, str], Any]:
    """What file, environment and profile say beyond the defaults: (line or ``*``, key) → value as JSON."""
    plain = base(settings)
    shown = settings.model_dump(mode="json")
    found = {
        ("*", name): shown[name]
        for name in Settings.model_fields
        if name not in _TABLES and changeable(name) and getattr(settings, name) != getattr(plain, name)
    }
    for owner, rules in shown["types"].items():
        found |= {("*", f"types.{owner}.{name}"): value for name, value in rules.items() if changeable(name)}
    for line, rules in shown["lines"].items():
        found |= {(line, name): value for name, value in rules.items()}
    return found


def changed(settings: Settings, change: Change) -> Settings:
    """The settings after one change, all of it or nothing; ``ValueError`` says why it cannot be."""
    if change.line != "*":
        return _of_line(settings, change)
    values = {field: getattr(settings, field) for field in Settings.model_fields}
    for key, value in change.values.items():
        owner, name = _split(key)
        _check(key, name, TypeSettings if owner else Settings)
        if owner:
            rules = _with(values["types"].get(owner, {}), {name: value})
            values["types"] = _with(values["types"], {owner: rules or None})
        else:
            values = _with(values, {name: value})
    try:
        return _Exact(**values)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error))) from error


def _of_line(settings: Settings, change: Change) -> Settings:
    """One line's own rules; only they have to be looked at again."""
    for key in change.values:
        _check(key, key, TypeSettings)
    rules = _with(settings.lines.get(change.line, {}), change.values)
    after = settings.model_copy(update={"lines": _with(settings.lines, {change.line: rules or None})})
    after.check_line(change.line)
    return after


def _split(key: str) -> tuple[str, str]:
    """(model type, name) of ``types.TYPE.NAME``; no type for anything else."""
    where, _, rest = key.partition(".")
    owner, _, name = rest.rpartition(".")
    return (owner, name) if where == "types" and owner else ("", key)


def _check(key: str, name: str, known: type[Settings] | type[TypeSettings]) -> None:
    if name in _TABLES or name not in known.model_fields:
        raise ValueError(f"{key}: unknown setting{nearest(name, known.model_fields)}")
    if name in Installation.model_fields:
        raise ValueError(f"{key}: this belongs to a process; set it where the process is started")
    if marked(Settings.model_fields[name], STATIC):
        raise ValueError(f"{key}: fixed for the life of the input prefix, the state was built with it")
    if not changeable(name):
        raise ValueError(f"{key}: the joining of labels counts by it; set it in the file and restart all workers")
    if known is TypeSettings and marked(TypeSettings.model_fields[name], EVERYWHERE):
        raise ValueError(f"{key}: this can only be set for all lines")


def _with(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with some entries changed, or gone for ``None``."""
    return {key: value for key, value in {**table, **changes}.items() if value is not None}
