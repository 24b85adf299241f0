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
from schemas.common import NAME
from stream_app.settings.built_in import BUILT_IN
from stream_app.settings.entry import check_together, entered, problems
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, marked, setting
from stream_app.settings.installation import Installation, host_of, without_password
from stream_app.settings.names import PREFIX, nearest
from stream_app.settings.rules import Rules, TypeSettings

_NAME = re.compile(NAME)

#: Different horizons over all types. The labels lanes count what waits by horizon and day, and each checkpoint writes
#: these counts: 16 horizons of a year are 50 kB.
MOST_HORIZONS = 16


class Settings(Rules, Installation, BaseSettings):
    """Settings of this installation; the rules of models among them hold where no type or model says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    # -- fixed for the life of the input prefix
    input_partitions: int = setting(
        12,
        "Partitions of both inputs and their clock: at most as many workers can share the joining.",
        STATIC,
        ge=1,
        le=1000,
    )
    model_partitions: int = setting(
        4, "Partitions of everything keyed by model: at most as many workers can share metrics.", STATIC, ge=1, le=1000
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

    # -- names: what a partition counts at a time, in the last cell_retention_days
    max_model_types: int = setting(
        1_000,
        "Model types that a partition counts at a time; predictions of one more are dead-lettered as too_many_models.",
        AT_START,
        ge=1,
        le=10_000,
    )
    max_models: int = setting(
        100_000, "The same for models. Each costs memory and disk in every stage.", AT_START, ge=1, le=1_000_000
    )
    max_versions_per_model: int = setting(
        1_000, "The same for versions of one model: a build number in place of a version ends here.", AT_START,
        ge=1, le=10_000,
    )  # fmt: skip
    max_versions: int = setting(
        200_000, "The same for versions of all models together. A lane keeps some 0.2 kB for each in memory.", AT_START,
        ge=1, le=2_000_000,
    )  # fmt: skip

    # -- what may happen by itself (CONTRACT section 5); the profiles differ here
    monitoring: bool = setting(True, "Whether drift is looked for at all.")
    statistical_drift: bool = setting(True, "Whether scores are compared with their baseline.")
    performance_drift: bool = setting(True, "Whether metrics are compared with their baseline.")
    auto_retrain: bool = setting(False, "Master switch of retraining without a person.")
    auto_retrain_conflict: bool = setting(False, "Whether conflict models may be retrained without a person.")
    auto_retrain_fraud: bool = setting(False, "Whether fraud models may be retrained without a person.")
    auto_retrain_types: dict[str, bool] = setting(dict, "The same for other model types, by name; absent means no.")
    auto_retrain_tenants: tuple[str, ...] = setting(
        (), 'Tenants whose models may be retrained: none, names, or "*" for all; global models need none.'
    )

    types: dict[str, dict[str, Any]] = setting(dict, "Rules of one model type: [types.NAME] in the file.")
    models: dict[str, dict[str, Any]] = setting(dict, 'Rules of one model: [models."TYPE:TENANT"] in the file.')

    @field_validator("auto_retrain_tenants", "auto_retrain_types")
    @classmethod
    def _names(cls, value: Any) -> Any:
        for name in value:
            if name != "*" and not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name: letters, digits and . _ - can stand here, and not . or .. alone"
                )
        return value

    @model_validator(mode="after")
    def _whole(self) -> Any:
        for model_type, override in self.types.items():
            self.check_type_name(model_type)
            self._check_override(f"types.{model_type}", override, (EVERYWHERE,))
            self._resolve(f"types.{model_type}", model_type, None)
        self._check_types()
        of_types: dict[str, dict[str, Any]] = {}
        for model in self.models:
            self.check_model(model, of_types)
        self._check_windows("settings", self.baseline_end_days)
        for name in self.named_types:
            self._check_windows(f"types.{name}", self.for_type(name).baseline_end_days)
        return self

    def _check_types(self) -> None:
        if len(self.types) > self.max_model_types:
            raise ValueError(f"types: {len(self.types)} of them, max_model_types is {self.max_model_types}")
        horizons = sorted({rules.pending_horizon_days for rules in self._known_types})
        if len(horizons) > MOST_HORIZONS:
            days = ", ".join(str(horizon) for horizon in horizons)
            raise ValueError(
                f"pending_horizon_days: {len(horizons)} different ones over all types ({days}), and at most "
                f"{MOST_HORIZONS} can be: what waits is counted for each of them apart"
            )

    @staticmethod
    def check_type_name(model_type: str) -> None:
        """``ValueError`` if a type cannot be called that."""
        if not _NAME.fullmatch(model_type):
            raise ValueError(
                f'types."{model_type}" is no name of a model type: letters, digits and . _ - can stand here'
            )

    @staticmethod
    def check_model_name(model: str, scope: str) -> None:
        """``ValueError`` if a model cannot be called that, or its type's scope leaves no room for it."""
        where = f'models."{model}"'
        model_type, _, tenant = model.partition(":")
        if not _NAME.fullmatch(model_type) or not _NAME.fullmatch(tenant):
            raise ValueError(f"{where}: a model is written TYPE:TENANT or TYPE:global")
        if (scope == "global") != (tenant == "global") and scope != "auto":
            owner = "global, its only model is" if scope == "global" else "per tenant, so there is no model"
            raise ValueError(f"{where}: {model_type} is {owner} {model_type}:global")

    def check_model(self, model: str, of_types: dict[str, dict[str, Any]]) -> None:
        """``ValueError`` if the rules of one model cannot be. ``of_types`` remembers what holds for types."""
        where, own = f'models."{model}"', self.models.get(model, {})
        model_type = model.partition(":")[0]
        self.check_model_name(model, "auto")
        self._check_override(where, own, (EVERYWHERE, STATIC))
        if model_type not in of_types:
            of_types[model_type] = dict(self.for_type(model_type))
        rules = {**of_types[model_type], **entered(where, own)}
        self.check_model_name(model, rules["scope"])
        check_together(where, rules, own)
        self._check_windows(where, rules["baseline_end_days"])

    def _check_windows(self, where: str, baseline_end_days: int) -> None:
        if baseline_end_days > self.cell_retention_days:
            raise ValueError(f"{where}: baseline_end_days is above cell_retention_days, {self.cell_retention_days}")

    def _check_override(self, where: str, override: Mapping[str, Any], refused: Iterable[str]) -> None:
        for key in override:
            field = TypeSettings.model_fields.get(key)
            if field is None:
                raise ValueError(f"{where}.{key}: unknown setting{nearest(key, TypeSettings.model_fields)}")
            if any(marked(field, mark) for mark in refused):
                level = "all models" if marked(field, EVERYWHERE) else "a whole model type"
                raise ValueError(f"{where}.{key}: this can only be set for {level}")

    def _resolve(self, where: str, model_type: str, model: str | None) -> TypeSettings:
        merged = {name: getattr(self, name) for name in TypeSettings.model_fields}
        merged |= BUILT_IN.get(model_type, {}) | self.types.get(model_type, {})
        if model is not None:
            merged |= self.models.get(model, {})
        try:
            return TypeSettings(**merged)
        except ValidationError as error:
            raise ValueError("; ".join(problems(error, where))) from error

    @property
    def named_types(self) -> list[str]:
        """Model types that have rules of their own: those built in and those of the file."""
        return sorted({*BUILT_IN, *self.types})

    def for_type(self, model_type: str) -> TypeSettings:
        """Rules of a model type: [types.NAME] over what is built in over what is set for all."""
        return self._resolve(f"types.{model_type}", model_type, None)

    def for_model(self, model: str) -> TypeSettings:
        """Rules of a model ``type:tenant``: its own over its type's."""
        return self._resolve(f'models."{model}"', model.partition(":")[0], model)

    @cached_property
    def _known_types(self) -> list[TypeSettings]:
        return [self.for_type(name) for name in ("", *self.named_types)]

    @property
    def max_horizon_days(self) -> int:
        """Longest time any entry of the labels table counts."""
        return max(self.early_outcome_days, *(t.pending_horizon_days for t in self._known_types))

    @property
    def min_horizon_days(self) -> int:
        """Shortest horizon of any type."""
        return min(t.pending_horizon_days for t in self._known_types)

    def static_view(self) -> dict[str, str]:
        """Settings that the state was built with and that cannot change under it.

        Scope and horizon of single types are not among them: every checkpoint writes this view, and people name types.
        The labels lanes keep them in their tables, from the first prediction of a type on.
        """
        fields = type(self).model_fields
        return {name: str(getattr(self, name)) for name, field in fields.items() if marked(field, STATIC)}

    def view_of_all(self) -> dict[str, Any]:
        """What holds for all, of what a decision can depend on, as plain JSON: no addresses or limits of a process."""
        return self.model_dump(mode="json", exclude={*Installation.model_fields, "types", "models"})

    def at_start_view(self) -> dict[str, str]:
        """Settings that are read once, at start, and by which every worker that runs must count alike."""
        fields = type(self).model_fields
        return {name: str(getattr(self, name)) for name, field in fields.items() if marked(field, AT_START)}

    def decision_view(self) -> dict[str, Any]:
        """All that any decision can depend on, those of every type and model."""
        view = self.view_of_all()
        view["types"] = {name: self.for_type(name).model_dump(mode="json") for name in self.named_types}
        view["models"] = {model: self.models[model] for model in sorted(self.models)}
        return view

    def hash(self) -> str:
        """Digest of all settings that decisions depend on: whether two processes would decide alike."""
        return settings_hash(self.decision_view())

    def hash_of(self, model: str) -> str:
        """Digest of what holds for a model, whoever set it; every decision about it carries it. ``*``: for all."""
        view = self.view_of_all()
        return settings_hash(view if model == "*" else view | self.for_model(model).model_dump(mode="json"))

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
