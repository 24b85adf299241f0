"""What holds for a model where the layers of settings lie over each other, as a stage, a page or a command sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Generic, NamedTuple, TypeVar

from stream_app.core.kit.changes import Change
from stream_app.core.kit.live_settings import Held, Values
from stream_app.settings.layers import Everywhere, Layers, OfType
from stream_app.settings.model import Settings, settings_hash

R = TypeVar("R")

#: Makes a stage's rules of what holds for all, of the rules that hold for the model, and of its name.
View = Callable[[Settings, Values, str], R]


class _Level(NamedTuple, Generic[R]):
    """What holds for a type, and what a stage makes of it for a model without settings of its own."""

    of_type: OfType
    held: Held[R]


class StageRules(Generic[R]):
    """A stage's resolver (:class:`~stream_app.core.kit.live_settings.Resolver`): its view of the layers of settings.

    ``by_name``: the view depends on the model's name too, so that no two models share what it makes.
    """

    def __init__(self, base: Settings, view: View[R], *, by_name: bool = False) -> None:
        self._layers = Layers(base)
        self._view = view
        self._by_name = by_name

    def __call__(self, model: str) -> R:
        """Rules of a model before anything was changed."""
        level = self.of_type(self.everywhere({}), model.partition(":")[0], {})
        return self.of_model(level, model, {}).rules

    @property
    def types(self) -> Collection[str]:
        """Types that have settings of their own from the start."""
        return self._layers.types

    def everywhere(self, values: Values) -> Everywhere:
        """What holds for all."""
        return self._layers.everywhere(values)

    def hash_of_all(self, everywhere: Everywhere) -> str:
        """Digest of what holds for all."""
        return everywhere.hash

    def of_type(self, everywhere: Everywhere, model_type: str, values: Values) -> _Level[R]:
        """What holds for a type."""
        known = self._layers.of_type(everywhere, model_type, values)
        return _Level(known, Held(self._view(everywhere.settings, known.rules, f"{model_type}:"), known.hash))

    def of_model(self, level: _Level[R], model: str, own: Values) -> Held[R]:
        """What holds for a model; own values that contradict its type's are set aside."""
        of_type, mine = level.of_type, self._layers.own(model, own)
        if not mine and not self._by_name:
            return level.held
        for name in self._layers.aside(of_type, mine):
            del mine[name]
        rules = {**of_type.rules, **mine}
        hash = settings_hash({**of_type.everywhere.view, **rules}) if mine else of_type.hash
        return Held(self._view(of_type.everywhere.settings, rules, model), hash)

    def check_type(self, everywhere: Everywhere, model_type: str, values: Values) -> None:
        """``ValueError`` if a type's values contradict what holds for all."""
        self._layers.check_type(everywhere, model_type, values)

    def enter_everywhere(self, before: Values, changes: Values) -> dict[str, Any]:
        """What is set for all after a change."""
        return self._layers.enter_everywhere(before, changes)

    def enter_type(self, model_type: str, before: Values, changes: Values) -> dict[str, Any]:
        """What is set for a type after a change."""
        return self._layers.enter_type(model_type, before, changes)

    def enter_model(self, level: _Level[R], change: Change, before: Values) -> dict[str, Any]:
        """What is set for a model after a change."""
        return self._layers.enter_model(level.of_type, change, before)

    def mark(self, model: str, own: Values) -> str | None:
        """Nothing is looked for."""
        return None


def values_of(settings: Settings) -> StageRules[Values]:
    """The rules of a model by their names, for people."""
    return StageRules(settings, lambda known, of, model: of)
