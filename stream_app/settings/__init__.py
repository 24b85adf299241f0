"""One settings model: ``PLUMBLINE_*`` environment over a TOML file over the environment's profile.

Every setting says its unit, why it has its value and what happens when it is changed. Static ones are fixed for the
life of the input prefix and stored in the state; a worker that differs stops with the setting's name. Secrets come
from the environment only and are never printed. Rules of models can be set for all, for a model type in
``[types.NAME]`` and for one model in ``[models."TYPE:TENANT"]``.

The names are imported when they are asked for: a command that only looks asks for none (``place``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stream_app.settings.built_in import BUILT_IN
from stream_app.settings.names import NOT_SETTINGS, PREFIX, nearest
from stream_app.settings.place import Whereabouts

if TYPE_CHECKING:
    from stream_app.settings.model import Settings, settings_hash
    from stream_app.settings.rules import TypeSettings
    from stream_app.settings.runtime import announcements, base, changed
    from stream_app.settings.sources import PROFILES, Found, find, load

__all__ = [
    "BUILT_IN",
    "NOT_SETTINGS",
    "PREFIX",
    "PROFILES",
    "Found",
    "Settings",
    "TypeSettings",
    "Whereabouts",
    "announcements",
    "base",
    "changed",
    "find",
    "load",
    "nearest",
    "settings_hash",
]

_LATER: Final = {
    "Settings": "model", "settings_hash": "model", "TypeSettings": "rules", "announcements": "runtime",
    "base": "runtime", "changed": "runtime", "PROFILES": "sources", "Found": "sources", "find": "sources",
    "load": "sources",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
