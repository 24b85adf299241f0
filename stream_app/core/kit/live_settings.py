"""What holds for a model now: the settings a stage started with, and what commands changed since.

Three layers go over each other: for all models, for a type, for one model. The first two are few and kept in memory
once they were asked for; a model's own values are read from the stage's table when the model is touched. Nothing is
read when a lane is opened, nothing of it stands in the positions record, and a command costs the same however many
models have settings of their own.

What a resolver makes of the layers is a pure function of them: it does not matter when, in which stage or after how
many restarts a model is touched. So when a later change for all or for a type contradicts values that a model was
given before, nothing is rewritten: while they contradict, the type's values hold in their place
(:mod:`stream_app.settings.layers` says which), and once they no longer do, the model's own hold again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from stream_app.core.kit.changes import Change, by_type
from stream_app.core.kit.settings_table import EVERYWHERE, TOTALS, TYPE, decode, encode, model_key, type_key

#: Settings of single models that one partition keeps; some 5 MB of its table. Beyond it a command is refused by name.
MOST_OF_MODELS: Final = 100_000
#: Model types with changed settings. They are checked one by one when a setting changes for all: 5 µs each.
MOST_TYPES: Final = 1_000
#: Models whose rules are at hand; some 800 bytes each where they have settings of their own. Fewer: a daily check
#: reads more models twice. More: memory of four stages for each partition of a worker.
AT_HAND: Final = 4_096

Values = Mapping[str, Any]
R = TypeVar("R")
C = TypeVar("C")


class Held(NamedTuple, Generic[R]):
    """What holds for a model: the stage's rules, and the digest that its decisions carry."""

    rules: R
    hash: str


class Resolver(Protocol[R]):
    """Makes rules out of layers. Pure: the same values give the same, in every process.

    ``everywhere`` and ``of_type`` return values of the resolver's own that are handed back to it. ``enter_*`` return a
    layer's values after a change, checked and as they are stored; their ``ValueError`` says why it cannot be.
    """

    @property
    def types(self) -> Collection[str]:
        """Types that have settings of their own from the start; all others are alike until one is changed."""
        ...

    def everywhere(self, values: Values) -> Any:
        """What holds for all. ``ValueError`` if the values cannot stand together."""
        ...

    def of_type(self, everywhere: Any, model_type: str, values: Values) -> Any:
        """What holds for a type."""
        ...

    def of_model(self, of_type: Any, model: str, own: Values) -> Held[R]:
        """What holds for a model; own values that contradict its type's are set aside."""
        ...

    def hash_of_all(self, everywhere: Any) -> str:
        """Digest for what concerns no model alone."""
        ...

    def enter_everywhere(self, before: Values, changes: Values) -> dict[str, Any]: ...
    def enter_type(self, model_type: str, before: Values, changes: Values) -> dict[str, Any]: ...
    def enter_model(self, of_type: Any, change: Change, before: Values) -> dict[str, Any]: ...

    def check_type(self, everywhere: Any, model_type: str, values: Values) -> None:
        """``ValueError`` if a type's values contradict what holds for all."""
        ...

    def mark(self, model: str, own: Values) -> str | None:
        """By what the stage has to be able to find models with these values, without reading them."""
        ...


class SettingsStore(Protocol):
    """The stage's unit of work: reads see its own puts."""

    def get(self, keys: list[bytes]) -> list[bytes | None]: ...
    def put(self, key: bytes, value: bytes | None) -> None: ...
    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]: ...


class LiveSettings(Generic[C, R]):
    """Settings of one lane under change. ``config``: the stage's own, which does not change. Not thread-safe."""

    def __init__(self, config: C, resolver: Resolver[R], table: SettingsStore) -> None:
        self.config = config
        self._resolver = resolver
        self._table = table
        #: commands applied since the lane was opened; what is derived from the settings is made anew when it moves
        self.applied = 0
        self._for_all: dict[str, Any] | None = None
        self._everywhere: Any = None
        self._of_types: dict[str, dict[str, Any]] | None = None
        self._levels: dict[str, Any] = {}
        self._models: dict[str, Held[R]] = {}
        self._settings = -1
        self._marks: dict[str, int] = {}

    # -- what holds ----------------------------------------------------------------------------------------------

    def rules_of(self, model: str) -> R:
        """Rules of a model, as they hold now."""
        return self._held(model).rules

    def hash_of(self, model: str) -> str:
        """Digest of what holds for a model; for ``*``, of what holds for all."""
        if model == "*":
            return self._resolver.hash_of_all(self.everywhere())
        return self._held(model).hash

    def read(self, models: Iterable[str]) -> None:
        """Have the settings of some models at hand with one read; at most ``AT_HAND`` stay there."""
        at_hand = self._models
        wanted = [model for model in dict.fromkeys(models) if model not in at_hand]
        if not wanted:
            return
        stored: Iterable[bytes | None] = [None] * len(wanted)
        if self.of_models():
            stored = self._table.get([model_key(model) for model in wanted])
        for model, value in zip(wanted, stored, strict=True):
            own = decode(value) if value is not None else {}
            at_hand[model] = self._resolver.of_model(self._level(model.partition(":")[0]), model, own)
        surplus = len(at_hand) - AT_HAND
        for model in list(at_hand)[:surplus] if surplus > 0 else ():
            del at_hand[model]

    def _held(self, model: str) -> Held[R]:
        held = self._models.get(model)
        if held is None:
            self.read([model])
            held = self._models[model]
        return held

    # -- the layers ----------------------------------------------------------------------------------------------

    def for_all(self) -> dict[str, Any]:
        """Values changed for all models."""
        if self._for_all is None:
            value = self._table.get([EVERYWHERE])[0]
            self._for_all = decode(value) if value is not None else {}
        return self._for_all

    def everywhere(self) -> Any:
        """What holds for all, as the resolver has it."""
        if self._everywhere is None:
            self._everywhere = self._resolver.everywhere(self.for_all())
        return self._everywhere

    def of_types(self) -> dict[str, dict[str, Any]]:
        """Values changed for model types."""
        if self._of_types is None:
            self._of_types = {
                key[len(TYPE) :].decode(): decode(value) for key, value in self._table.scan(TYPE, None, MOST_TYPES)
            }
        return self._of_types

    def of_models(self) -> int:
        """How many settings of single models there are."""
        if self._settings < 0:
            value = self._table.get([TOTALS])[0]
            found: dict[str, Any] = decode(value) if value is not None else {"settings": 0, "marks": {}}
            self._settings, self._marks = found["settings"], found["marks"]
        return self._settings

    def marks(self) -> Collection[str]:
        """Marks of the models' own values that there are."""
        self.of_models()
        return self._marks

    def own(self, model: str) -> dict[str, Any]:
        """A model's own values."""
        value = self._table.get([model_key(model)])[0]
        return decode(value) if value is not None else {}

    def _level(self, model_type: str) -> Any:
        changed = self.of_types()
        # types that nothing was said about are alike, however many producers name
        name = model_type if model_type in changed or model_type in self._resolver.types else ""
        if name not in self._levels:
            self._levels[name] = self._resolver.of_type(self.everywhere(), name, changed.get(name, {}))
        return self._levels[name]

    # -- commands ------------------------------------------------------------------------------------------------

    def change(self, change: Change) -> None:
        """Apply a change, all of it or nothing; ``ValueError`` says why it cannot be."""
        if change.model == "*":
            self._change_all(change)
        else:
            self._change_model(change)
        self.applied += 1

    def _change_all(self, change: Change) -> None:
        """It is checked with what holds for all and for the types; models follow when they are touched."""
        resolver, said = self._resolver, by_type(change.values)
        for_all, everywhere, changed = self.for_all(), self.everywhere(), self.of_types()
        own = said.pop("", {})
        if own:
            for_all = resolver.enter_everywhere(for_all, own)
            everywhere = resolver.everywhere(for_all)
        after = {name: resolver.enter_type(name, changed.get(name, {}), values) for name, values in said.items()}
        types = {name: values for name, values in {**changed, **after}.items() if values}
        if len(types) > max(MOST_TYPES, len(changed)):
            raise ValueError(
                f"{MOST_TYPES:,} model types have settings of their own already; take some back by setting them to null"
            )
        for name in {*types, *resolver.types} if own else after:
            resolver.check_type(everywhere, name, types.get(name, {}))
        if own:
            self._table.put(EVERYWHERE, encode(for_all) if for_all else None)
        for name, values in after.items():
            if values or name in changed:
                self._table.put(type_key(name), encode(values) if values else None)
        self._for_all, self._everywhere, self._of_types = for_all, everywhere, types
        self._levels.clear()
        self._models.clear()

    def _change_model(self, change: Change) -> None:
        model, resolver = change.model, self._resolver
        before = self.own(model)
        after = resolver.enter_model(self._level(model.partition(":")[0]), change, before)
        count = self.of_models() + len(after) - len(before)
        if len(after) > len(before) and count > MOST_OF_MODELS:
            raise ValueError(
                f"{MOST_OF_MODELS:,} settings of single models are set already in its partition; "
                "take some back by setting them to null"
            )
        self._settings = count
        for mark, more in ((resolver.mark(model, before), -1), (resolver.mark(model, after), 1)):
            if mark is not None:
                self._marks[mark] = self._marks.get(mark, 0) + more
                if not self._marks[mark]:
                    del self._marks[mark]
        totals = encode({"settings": count, "marks": self._marks}) if count else None
        self._table.put(TOTALS, totals)
        if after or before:
            self._table.put(model_key(model), encode(after) if after else None)
        self._models.pop(model, None)


@dataclass(frozen=True, slots=True)
class Fixed(Generic[R]):
    """Rules by a function of the model, which nothing changes: for drawings and figures of a stage alone."""

    of: Callable[[str], R]
    hash: str = "0" * 16
    days: tuple[int, ...] = ()
    types: Collection[str] = field(default=())

    def __call__(self, model: str) -> R:
        """The rules of a model."""
        return self.of(model)

    def everywhere(self, values: Values) -> None:
        """Nothing."""

    def of_type(self, everywhere: Any, model_type: str, values: Values) -> None:
        """Nothing."""

    def of_model(self, of_type: Any, model: str, own: Values) -> Held[R]:
        """What the function says."""
        return Held(self.of(model), self.hash)

    def hash_of_all(self, everywhere: Any) -> str:
        """The one there is."""
        return self.hash

    def enter_everywhere(self, before: Values, changes: Values) -> dict[str, Any]:
        """Refused."""
        raise ValueError("the settings of this stage cannot be changed while it runs")

    def enter_type(self, model_type: str, before: Values, changes: Values) -> dict[str, Any]:
        """Refused."""
        return self.enter_everywhere(before, changes)

    def enter_model(self, of_type: Any, change: Change, before: Values) -> dict[str, Any]:
        """Refused."""
        return self.enter_everywhere(before, change.values)

    def check_type(self, everywhere: Any, model_type: str, values: Values) -> None:
        """Nothing is changed."""

    def mark(self, model: str, own: Values) -> None:
        """Nothing is counted."""

    def assume_days(self, everywhere: Any, of_types: Mapping[str, Values], marks: Collection[str]) -> tuple[int, ...]:
        """Days after which any model's unlabelled predictions count as negatives."""
        return self.days
