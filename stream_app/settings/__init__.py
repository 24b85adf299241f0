"""One settings model: ``PLUMBLINE_*`` environment over a TOML file over the environment's profile.

Every setting says its unit, why it has its value and what happens when it is changed. Static ones are fixed for the
life of the input prefix and stored in the state; a worker that differs stops with the setting's name. Secrets come
from the environment only and are never printed. Rules of models can be set for all, for a model type in
``[types.NAME]`` and for one model in ``[models."TYPE:TENANT"]``.
"""

from __future__ import annotations

from stream_app.settings.model import Settings, settings_hash
from stream_app.settings.names import NOT_SETTINGS, PREFIX, nearest
from stream_app.settings.rules import BUILT_IN, TypeSettings
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
    "announcements",
    "base",
    "changed",
    "find",
    "load",
    "nearest",
    "settings_hash",
]
