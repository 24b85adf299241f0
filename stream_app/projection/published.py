"""Settings as they hold now, out of the records that the stages published about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from stream_app.core.kit.changes import by_type
from stream_app.core.kit.live_settings import LiveSettings, Resolver
from stream_app.core.kit.settings_table import EVERYWHERE, MODEL, TOTALS, TYPE, encode, model_key, type_key
from stream_app.settings.entry import entered

R = TypeVar("R")


class Published:
    """A stage's table of settings, in memory; values of single models are looked at when they are asked for."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        """``records``: the newest of each setting, as on ``ml.settings``."""
        by_owner: dict[str, dict[str, Any]] = {}
        for row in records:
            if row["value"] is not None:
                by_owner.setdefault(row["model"], {})[row["key"]] = row["value"]
        said = by_type(by_owner.pop("*", {}))
        #: model → its own values, as they were published
        self.models = by_owner
        self._rows: dict[bytes, bytes | None] = {EVERYWHERE: encode(said.pop("", {}))}
        self._rows |= {type_key(name): encode(entered(f"types.{name}", values)) for name, values in said.items()}
        self._rows[TOTALS] = encode({"settings": sum(map(len, by_owner.values())), "marks": {}})

    def under(self, resolver: Resolver[R]) -> LiveSettings[None, R]:
        """What a resolver makes of it; changes to that stay with it."""
        fork = Published(())
        fork.models, fork._rows = self.models, dict(self._rows)
        return LiveSettings(None, resolver, fork)

    def get(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by key, in the order asked."""
        return [self._rows[key] if key in self._rows else self._own(key) for key in keys]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write, or delete with ``None``."""
        self._rows[key] = value

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries of types."""
        if prefix != TYPE or after is not None:
            raise ValueError("only the types are read as a whole")
        found = sorted((k, v) for k, v in self._rows.items() if k.startswith(prefix) and v is not None)
        return found[:limit]

    def _own(self, key: bytes) -> bytes | None:
        if not key.startswith(MODEL):
            return None
        model = key[len(MODEL) :].decode()
        values = self.models.get(model)
        return encode(entered(model, values)) if values is not None and key == model_key(model) else None
