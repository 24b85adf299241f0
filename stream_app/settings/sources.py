"""Where settings come from: environment over file over profile, and who said what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from stream_app.errors import Incompatible
from stream_app.settings.entry import problems
from stream_app.settings.installation import has_password
from stream_app.settings.model import Settings
from stream_app.settings.names import NOT_SETTINGS, PREFIX, nearest
from stream_app.settings.toml_text import parsed

#: What an environment changes. Production takes the defaults as they are: nothing is retrained without a person.
PROFILES: dict[str, dict[str, Any]] = {
    "development": {
        "auto_retrain": True,
        "auto_retrain_conflict": True,
        "auto_retrain_fraud": True,
        "auto_retrain_tenants": ("*",),
        "retrain_min_samples": 30,
        "holdout_min_rows": 30,
        "holdout_min_class": 5,
        "retrain_cooldown_days": 1.0,
    },
    "staging": {"auto_retrain": True, "auto_retrain_fraud": True, "auto_retrain_tenants": ("*",)},
    "production": {},
}


_TABLES: Final = ("types", "models", "auto_retrain_types")


@dataclass(frozen=True, slots=True)
class Found:
    """The settings and, for each that is not a default, who set it: a variable, the file, or a profile."""

    settings: Settings
    origin: dict[str, str]


def load(overrides: dict[str, Any] | None = None) -> Settings:
    """Read environment, file and profile. ``Incompatible`` names the key of anything unusable and what to do."""
    return find(overrides).settings


def find(overrides: dict[str, Any] | None = None) -> Found:
    """As :func:`load`, with where each value comes from. ``overrides`` go over everything."""
    given = overrides or {}
    variables = _variables()
    path, file = _file()
    environment = given.get(
        "environment", os.environ.get(PREFIX + "ENVIRONMENT", file.get("environment", "production"))
    )
    profile = PROFILES.get(str(environment), {})
    origin = {
        **dict.fromkeys(profile, f"profile {environment}"),
        **dict.fromkeys(file, str(path)),
        **{name: PREFIX + name.upper() for name in variables},
        **dict.fromkeys(given, "the command"),
    }
    below = {name: value for name, value in {**profile, **file}.items() if name not in variables}
    for name in _TABLES:
        if name in variables and name in file and (table := _table(name)) is not None:
            below[name] = _merged(file[name], table)
    try:
        return Found(Settings(**{**below, **given}), origin)
    except ValidationError as error:
        named = [_with_origin(text, origin) for text in problems(error)]
        raise Incompatible(f"settings refused: {'; '.join(named)}") from error
    except SettingsError as error:
        name = next((name for name in variables if f'"{name}"' in str(error)), "")
        raise Incompatible(
            f'settings refused: {PREFIX}{name.upper()} has to be JSON, for example ["*"] for a list or {{"a": true}} '
            "for a table"
        ) from error


def _table(name: str) -> dict[str, Any] | None:
    """A variable's table; ``None`` for anything else, which is left to the model to refuse by name."""
    try:
        value = orjson.loads(os.environ[PREFIX + name.upper()])
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _merged(low: Any, high: Any) -> Any:
    """``high`` over ``low``, table by table, so that a variable about one type leaves the file's others in place."""
    if not isinstance(low, dict) or not isinstance(high, dict):
        return high
    return {**low, **{key: _merged(low.get(key), value) for key, value in high.items()}}


def _with_origin(problem: str, origin: dict[str, str]) -> str:
    source = origin.get(problem.partition(":")[0].partition(".")[0])
    return f"{problem} (set by {source})" if source else problem


def _variables() -> set[str]:
    """Settings that variables give. Refuses misspelt ones: they would be passed over in silence."""
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    found = set()
    for variable in sorted(os.environ):
        upper = variable.upper()
        if not upper.startswith(PREFIX):
            continue
        if upper.removeprefix(PREFIX) not in known:
            hint = nearest(upper, [PREFIX + name for name in known])
            raise Incompatible(f"unknown environment variable {variable}{hint}. Unset it or correct its name.")
        if variable != upper:
            raise Incompatible(f"environment variable {variable}: write it in capitals, {upper}")
        found.add(upper.removeprefix(PREFIX).lower())
    return found - {name.lower() for name in NOT_SETTINGS}


def _file() -> tuple[Path, dict[str, Any]]:
    """The TOML file that PLUMBLINE_CONFIG names, else ./plumbline.toml if there is one."""
    named = os.environ.get(PREFIX + "CONFIG")
    path = Path(named) if named else Path("plumbline.toml")
    if not path.is_file():
        if named:
            raise Incompatible(f"{PREFIX}CONFIG names {named}, which is not a file: correct it, or unset it")
        return path, {}
    try:
        content = parsed(path.read_text("utf-8"))
    except ValueError as error:
        raise Incompatible(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise Incompatible(f"{path} cannot be read: {error.strerror}") from error
    for key, value in content.items():
        field = Settings.model_fields.get(key)
        if field is None:
            raise Incompatible(f"{path}: unknown setting {key!r}{nearest(key, Settings.model_fields)}")
        if field.annotation is SecretStr or (key == "redis_url" and isinstance(value, str) and has_password(value)):
            name = key if field.annotation is SecretStr else "redis_password"
            raise Incompatible(
                f"{path}: {key} holds a secret; take it out and give it as {PREFIX}{name.upper()} in the environment"
            )
    return path, content
