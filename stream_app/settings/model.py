"""The settings model: everything a process of Plumbline can be told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas import bounds
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked, setting
from stream_app.settings.installation import Installation, host_of, without_password
from stream_app.settings.names import PREFIX, nearest
from stream_app.settings.rules import BUILT_IN, Rules, TypeSettings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Settings(Rules, Installation, BaseSettings):
    """Settings of this installation; the rules of lines among them hold where no type or line says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    # -- fixed for the life of the input prefix
    input_partitions: int = setting(
        12,
        "Partitions of both inputs and their clock: at most as many workers can share the joining.",
        STATIC,
        ge=1,
        le=512,
    )
    line_partitions: int = setting(
        4, "Partitions of everything keyed by line: at most as many workers can share metrics.", STATIC, ge=1, le=128
    )
    early_outcome_days: int = setting(
        7, "Days an outcome waits for its prediction, then it is unmatched.", STATIC, ge=1, le=60
    )
    max_prediction_age_days: int = setting(
        90, "Days before its tick beyond which a prediction is dead-lettered as too old.", STATIC, ge=1, le=365
    )
    cell_retention_days: int = setting(
        90, "Days the daily counts are kept. Labels of older days count in the dispositions and nowhere else.", STATIC,
        ge=61, le=365,
    )  # fmt: skip

    # -- records
    future_tolerance_s: float = setting(
        300.0,
        "Seconds an event may lie after its covering tick: clocks of producers differ by that much.",
        AT_START,
        ge=0,
        le=86_400,
    )
    max_record_bytes: int = setting(
        bounds.RECORD,
        "Bytes of key, value and headers, unpacked, beyond which an input record is dead-lettered as oversized.",
        AT_START,
        ge=1024,
        le=bounds.RECORD,
    )

    # -- what may happen by itself (CONTRACT section 5); the profiles differ here
    monitoring: bool = setting(True, "Whether drift is looked for at all.")
    statistical_drift: bool = setting(True, "Whether scores are compared with their baseline.")
    performance_drift: bool = setting(True, "Whether metrics are compared with their baseline.")
    auto_retrain: bool = setting(False, "Master switch of retraining without a person.")
    auto_retrain_conflict: bool = setting(False, "Whether conflict models may be retrained without a person.")
    auto_retrain_fraud: bool = setting(False, "Whether fraud models may be retrained without a person.")
    auto_retrain_types: dict[str, bool] = setting(dict, "The same for other model types, by name; absent means no.")
    auto_retrain_tenants: tuple[str, ...] = setting(
        (), 'Tenants whose models may be retrained: none, names, or "*" for all; global lines need none.'
    )

    types: dict[str, dict[str, Any]] = setting(dict, "Rules of one model type: [types.NAME] in the file.")
    lines: dict[str, dict[str, Any]] = setting(dict, 'Rules of one line: [lines."TYPE:TENANT"] in the file.')

    @field_validator("auto_retrain_tenants", "auto_retrain_types")
    @classmethod
    def _names(cls, value: Any) -> Any:
        for name in value:
            if name != "*" and not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: letters, digits and . _ - can stand here")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Any:
        for model_type, override in self.types.items():
            if not _NAME.fullmatch(model_type):
                raise ValueError(
                    f'types."{model_type}" is no name of a model type: letters, digits and . _ - can stand here'
                )
            self._check_override(f"types.{model_type}", override, (EVERYWHERE,))
            self._resolve(f"types.{model_type}", model_type, None)
        for line in self.lines:
            self.check_line(line)
        self._check_windows("settings", self.for_type(""))
        for name in self._named:
            self._check_windows(f"types.{name}", self.for_type(name))
        return self

    def check_line(self, line: str) -> None:
        """``ValueError`` if the rules of one line cannot be."""
        where = f'lines."{line}"'
        model_type, _, tenant = line.partition(":")
        if not _NAME.fullmatch(model_type) or not _NAME.fullmatch(tenant):
            raise ValueError(f"{where}: a line is written TYPE:TENANT or TYPE:global")
        self._check_override(where, self.lines.get(line, {}), (EVERYWHERE, STATIC))
        rules = self._resolve(where, model_type, line)
        if (rules.scope == "global") != (tenant == "global") and rules.scope != "auto":
            owner = "global, its only line is" if rules.scope == "global" else "per tenant, so there is no line"
            raise ValueError(f"{where}: {model_type} is {owner} {model_type}:global")
        self._check_windows(where, rules)

    def _check_windows(self, where: str, rules: TypeSettings) -> None:
        if rules.baseline_end_days > self.cell_retention_days:
            raise ValueError(f"{where}: baseline_end_days is above cell_retention_days, {self.cell_retention_days}")

    def _check_override(self, where: str, override: Mapping[str, Any], refused: Iterable[str]) -> None:
        for key in override:
            field = TypeSettings.model_fields.get(key)
            if field is None:
                raise ValueError(f"{where}.{key}: unknown setting{nearest(key, TypeSettings.model_fields)}")
            if any(marked(field, mark) for mark in refused):
                level = "all lines" if marked(field, EVERYWHERE) else "a whole model type"
                raise ValueError(f"{where}.{key}: this can only be set for {level}")

    def _resolve(self, where: str, model_type: str, line: str | None) -> TypeSettings:
        merged = {name: getattr(self, name) for name in TypeSettings.model_fields}
        merged |= BUILT_IN.get(model_type, {}) | self.types.get(model_type, {})
        if line is not None:
            merged |= self.lines.get(line, {})
        try:
            return TypeSettings(**merged)
        except ValidationError as error:
            raise ValueError("; ".join(problems(error, where))) from error

    @property
    def _named(self) -> list[str]:
        return sorted({*BUILT_IN, *self.types})

    def for_type(self, model_type: str) -> TypeSettings:
        """Rules of a model type: [types.NAME] over what is built in over what is set for all."""
        return self._resolve(f"types.{model_type}", model_type, None)

    def for_line(self, line: str) -> TypeSettings:
        """Rules of a line ``type:tenant``: its own over its type's."""
        return self._resolve(f'lines."{line}"', line.partition(":")[0], line)

    def may_retrain(self, line: str) -> bool:
        """Whether the flags allow retraining of a line without a person; the other safeguards come after them."""
        model_type, _, tenant = line.partition(":")
        of_type = {"conflict": self.auto_retrain_conflict, "fraud": self.auto_retrain_fraud, **self.auto_retrain_types}
        allowed = tenant == "global" or "*" in self.auto_retrain_tenants or tenant in self.auto_retrain_tenants
        return self.monitoring and self.auto_retrain and of_type.get(model_type, False) and allowed

    @cached_property
    def _known_types(self) -> list[TypeSettings]:
        return [self.for_type(name) for name in ("", *self._named)]

    @property
    def max_horizon_days(self) -> int:
        """Longest time any entry of the labels table counts."""
        return max(self.early_outcome_days, *(t.pending_horizon_days for t in self._known_types))

    @property
    def min_horizon_days(self) -> int:
        """Shortest horizon of any type."""
        return min(t.pending_horizon_days for t in self._known_types)

    def static_view(self) -> dict[str, str]:
        """Settings that the state was built with and that cannot change under it."""
        fields = type(self).model_fields
        view = {name: str(getattr(self, name)) for name, field in fields.items() if marked(field, STATIC)}
        for name in self._named:
            known = self.for_type(name)
            view[f"types.{name}.scope"] = known.scope
            view[f"types.{name}.pending_horizon_days"] = str(known.pending_horizon_days)
        return view

    def decision_view(self) -> dict[str, Any]:
        """All that a decision can depend on, as plain JSON; no addresses, secrets or limits of a process."""
        view = self.model_dump(mode="json", exclude={*Installation.model_fields, "types", "lines"})
        view["types"] = {name: self.for_type(name).model_dump(mode="json") for name in self._named}
        view["lines"] = {line: self.lines[line] for line in sorted(self.lines)}
        return view

    def hash(self) -> str:
        """Digest of the settings that decisions depend on; every decision carries it."""
        return settings_hash(self.decision_view())

    def shown(self) -> dict[str, Any]:
        """Every setting as it may be shown: secrets as stars, and of addresses that can hold one the host alone."""
        view = {name: getattr(self, name) for name in type(self).model_fields}
        view = {name: str(value) if isinstance(value, SecretStr | Path) else value for name, value in view.items()}
        view["redis_url"] = without_password(self.redis_url)
        view |= {name: host_of(view[name]) for name in ("bridge_alertmanager_url", "bridge_webhook_url")}
        return view


def settings_hash(view: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of a view as JSON with sorted keys."""
    return hashlib.sha256(orjson.dumps(view, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def problems(error: ValidationError, where: str = "") -> list[str]:
    """One sentence for each fault, key first; values are left out, as one of them may be a secret."""
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"])
        key = ".".join(part for part in (where, path) if part)
        text = item["msg"].removeprefix("Value error, ")
        found.append(f"{key}: {text}" if key else text)
    return found
