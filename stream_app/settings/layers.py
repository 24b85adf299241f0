"""Settings as layers: for all, for a model type, for one model; what holds where they lie over each other.

Values are checked when they come in, so that laying them over each other is a merge of maps. What is set for all and
for the types of models always stands together. A model's own values may come to contradict a change that is made later
for all or for its type; then the type's values hold in place of the model's own ones of that group
(:data:`~stream_app.settings.groups.GROUPS`), until the group stands together again. Every process that knows the layers
comes to the same, whenever it looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stream_app.core.kit.changes import Change
from stream_app.settings.built_in import BUILT_IN
from stream_app.settings.entry import check_together, entered, groups_of, problems
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked
from stream_app.settings.groups import contradiction
from stream_app.settings.installation import Installation
from stream_app.settings.model import Settings, settings_hash
from stream_app.settings.names import nearest
from stream_app.settings.rules import TypeSettings

Values = Mapping[str, Any]

TABLES: Final = ("types", "models")


class Exact(Settings):
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


def check_key(key: str, name: str, known: type[Settings] | type[TypeSettings]) -> None:
    """``ValueError`` if a setting is unknown, or cannot be changed while workers run. ``key``: as people wrote it."""
    if name in TABLES or name not in known.model_fields:
        raise ValueError(f"{key}: unknown setting{nearest(name, known.model_fields)}")
    if name in Installation.model_fields:
        raise ValueError(f"{key}: this belongs to a process; set it where the process is started")
    if marked(Settings.model_fields[name], STATIC):
        raise ValueError(f"{key}: fixed for the life of the input prefix, the state was built with it")
    if not changeable(name):
        raise ValueError(f"{key}: the joining of labels counts by it; set it in the file and restart all workers")
    if known is TypeSettings and marked(TypeSettings.model_fields[name], EVERYWHERE):
        raise ValueError(f"{key}: this can only be set for all models")


def merged(table: Values, changes: Values) -> dict[str, Any]:
    """A copy with some entries changed, or gone for ``None``."""
    return {key: value for key, value in {**table, **changes}.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Everywhere:
    """What holds for all."""

    #: without types and models
    settings: Settings
    #: its rules by name
    rules: dict[str, Any]
    #: all that decisions depend on, as plain JSON
    view: dict[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class OfType:
    """What holds for the models of a type that have no settings of their own."""

    everywhere: Everywhere
    model_type: str
    rules: dict[str, Any]
    hash: str


class Layers:
    """The layers that a process started with, and what is laid over them. Pure but for what it remembers of them."""

    def __init__(self, base: Settings) -> None:
        """``base``: the settings at the start, types and models included."""
        self._base = base
        names = {*BUILT_IN, *base.types}
        self._types = {
            name: entered(f"types.{name}", {**BUILT_IN.get(name, {}), **base.types.get(name, {})}) for name in names
        }
        self.types = frozenset(names)
        #: models that have settings of their own from the start
        self.models = base.models

    # -- what holds ----------------------------------------------------------------------------------------------

    def everywhere(self, values: Values) -> Everywhere:
        """What holds for all; ``ValueError`` if it cannot be."""
        given = {name: getattr(self._base, name) for name in Settings.model_fields}
        try:
            found = Exact(**{**given, **values, "types": {}, "models": {}})
        except ValidationError as error:
            raise ValueError("; ".join(problems(error))) from error
        rules = {name: getattr(found, name) for name in TypeSettings.model_fields}
        view = found.view_of_all()
        return Everywhere(found, rules, view, settings_hash(view))

    def of_type(self, everywhere: Everywhere, model_type: str, values: Values) -> OfType:
        """What holds for a type."""
        rules = {**everywhere.rules, **self._types.get(model_type, {}), **values}
        return OfType(everywhere, model_type, rules, settings_hash({**everywhere.view, **rules}))

    def check_type(self, everywhere: Everywhere, model_type: str, values: Values) -> None:
        """``ValueError`` if a type's values contradict what holds for all."""
        where, given = f"types.{model_type}", {**self._types.get(model_type, {}), **values}
        rules = {**everywhere.rules, **given}
        check_together(where, rules, given)
        self._check_window(where, rules)

    def own(self, model: str, changed: Values) -> dict[str, Any]:
        """A model's own values: those it started with, and what was changed over them."""
        if model not in self.models:
            return dict(changed)
        return {**entered(f'models."{model}"', self.models[model]), **changed}

    @staticmethod
    def aside(of_type: OfType, own: Values) -> list[str]:
        """Names of own values that are set aside, because they contradict what holds for the type."""
        if not own:
            return []
        rules = {**of_type.rules, **own}
        found = [group for group in groups_of(own) if contradiction(group, rules) is not None]
        return [name for group in found for name in group if name in own]

    # -- what comes in -------------------------------------------------------------------------------------------

    @staticmethod
    def enter_everywhere(before: Values, changes: Values) -> dict[str, Any]:
        """What is set for all after a change; :meth:`everywhere` checks the values."""
        for key in changes:
            check_key(key, key, Settings)
        return merged(before, changes)

    @staticmethod
    def enter_type(model_type: str, before: Values, changes: Values) -> dict[str, Any]:
        """What is set for a type after a change; :meth:`check_type` checks it against what holds for all."""
        where = f"types.{model_type}"
        for name in changes:
            check_key(f"{where}.{name}", name, TypeSettings)
        Settings.check_type_name(model_type)
        return merged(before, {**changes, **entered(where, merged({}, changes))})

    def enter_model(self, of_type: OfType, change: Change, before: Values) -> dict[str, Any]:
        """What a model has of its own after a change. Only groups that the change touches have to stand together."""
        model, where = change.model, f'models."{change.model}"'
        for name in change.values:
            check_key(name, name, TypeSettings)
        Settings.check_model_name(model, of_type.rules["scope"])
        values = {**change.values, **entered(where, merged({}, change.values))}
        after = merged(before, values)
        rules = {**of_type.rules, **self.own(model, after)}
        check_together(where, rules, change.values)
        self._check_window(where, rules)
        return after

    def _check_window(self, where: str, rules: Values) -> None:
        if rules["baseline_end_days"] > self._base.cell_retention_days:
            kept = self._base.cell_retention_days
            raise ValueError(f"{where}: baseline_end_days is above cell_retention_days, {kept}")
