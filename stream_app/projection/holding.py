"""What holds for one model now, out of the records that the stages published about settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from stream_app.core.kit.live_settings import Resolver, Values
from stream_app.projection.published import Published
from stream_app.settings import Settings, TypeSettings


def fields_of(model: str) -> list[str]:
    """Fields of the read model's settings that can say something about a model: a few hundred, however many models
    have settings of their own."""
    model_type = model.partition(":")[0]
    return [
        *(f"*|{name}" for name in Settings.model_fields),
        *(f"*|types.{model_type}.{name}" for name in TypeSettings.model_fields),
        *(f"{model}|{name}" for name in TypeSettings.model_fields),
    ]


def rules_of(model: str, records: Iterable[Mapping[str, Any]], resolver: Resolver[Values]) -> dict[str, Any]:
    """Every rule of a model by its name. ``resolver``: what the stages start with, by :func:`values_of`."""
    return dict(Published(records).under(resolver).rules_of(model))


class RulesOfMany:
    """What holds for many models, worked out once for all of a type that have no settings of their own."""

    def __init__(
        self, records: Iterable[Mapping[str, Any]], resolver: Resolver[Values], own_from_start: Collection[str]
    ) -> None:
        """``own_from_start``: models that the settings file names."""
        published = Published(records)
        self._holds = published.under(resolver)
        self._own = {*published.models, *own_from_start}
        self._of_types: dict[str, Values] = {}

    def of(self, model: str) -> Values:
        """Every rule of a model by its name."""
        if model in self._own:
            return self._holds.rules_of(model)
        model_type = model.partition(":")[0]
        if model_type not in self._of_types:
            self._of_types[model_type] = self._holds.rules_of(model)
        return self._of_types[model_type]
