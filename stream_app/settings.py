"""One settings model: ``PLUMBLINE_*`` environment over a TOML file over the environment's profile.

Every field says its unit, why it has its value and what happens when it is changed. ``static`` ones are fixed for the
life of the input prefix and stored in the state; a worker that differs stops with the setting's name. Secrets come
from the environment only and are never printed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import ssl
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream_app.errors import Incompatible

PREFIX = "PLUMBLINE_"

#: Environment variables with the prefix that are not settings: test hooks and tool paths.
NOT_SETTINGS = frozenset({"CONFIG", "CACHE_DIR", "FAILPOINT", "FAILPOINT_STAGE", "TEST_KAFKA", "TEST_DATA"})

_STATIC: dict[str, Any] = {"static": True}


class TypeSettings(BaseModel):
    """Rules of a model type; a line may override those that are not static."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scope: Literal["global", "tenant", "auto"] = Field(
        "auto",
        description="Who owns a line: everybody, a tenant each, or per tenant if one is given. Fixed once seen.",
        json_schema_extra=_STATIC,
    )
    label_delay_days: int = Field(
        1,
        ge=0,
        le=60,
        description="Days until outcomes can be expected; performance windows end that long before the close.",
    )
    pending_horizon_days: int = Field(
        60,
        ge=1,
        le=365,
        description=(
            "Whole days a prediction waits for its outcome, then it is unmatched. Joined ones are kept as long, for "
            "duplicates and corrections. Doubling it doubles the state."
        ),
        json_schema_extra=_STATIC,
    )
    unlabelled_as: Literal["unknown", "negative"] = Field(
        "unknown",
        description="What a prediction without an outcome means: nothing, or a negative after unlabelled_after_days.",
    )
    unlabelled_after_days: int = Field(
        30, ge=1, le=90, description="Days after which `unlabelled_as = negative` counts."
    )
    performance_metrics: tuple[str, ...] = Field(
        ("accuracy", "precision"),
        description="Metrics that decide performance drift; the first gives performance_delta.",
    )
    rollback_metrics: tuple[str, ...] = Field(("accuracy",), description="Metrics that decide probation.")
    min_coverage: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A day whose share of labelled predictions is below this at label_delay is not judged.",
    )
    recent_days: int = Field(
        7, ge=1, le=30, description="Length of the recent window in days; a week sees every kind of day."
    )
    baseline_start_days: int = Field(
        30, ge=1, le=90, description="The baseline window ends this many days before the close."
    )
    baseline_end_days: int = Field(
        60, ge=2, le=90, description="The baseline window begins this many days before the close."
    )
    narrow_interval_below: float = Field(
        0.2, gt=0, le=1, description="A confidence interval narrower than this is narrow."
    )
    degraded_points: float = Field(
        10.0, ge=0, le=100, description="Drop of the first performance metric, in points, above which is_degraded."
    )

    @field_validator("performance_metrics", "rollback_metrics")
    @classmethod
    def _known_metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {"accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall"}
        for name in value:
            if name not in known:
                raise ValueError(f"unknown metric {name!r}, known are {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> TypeSettings:
        if self.baseline_end_days <= self.baseline_start_days:
            raise ValueError("baseline_end_days must be above baseline_start_days")
        return self


_BUILT_IN: dict[str, dict[str, Any]] = {
    "conflict": {"scope": "global"},
    "fraud": {
        "scope": "tenant",
        "performance_metrics": ("precision", "recall", "pr_auc"),
        "rollback_metrics": ("pr_auc", "recall"),
    },
}

_PROFILES: dict[str, dict[str, Any]] = {"development": {}, "staging": {}, "production": {}}


class Settings(BaseSettings):
    """Everything a process of Plumbline can be told."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_nested_delimiter=None)

    environment: Literal["development", "staging", "production"] = Field(
        "production", description="Profile whose defaults apply; production is the careful one."
    )
    kafka_bootstrap: str = Field("127.0.0.1:19092", description="Kafka brokers, host:port with commas between.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism."
    )
    kafka_sasl_username: str = Field("", description="SASL user name.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="SASL password; from the environment only.")
    kafka_ssl_cafile: str = Field("", description="File with the authorities that signed the brokers' certificates.")
    kafka_ssl_certfile: str = Field("", description="Client certificate file, for mutual TLS.")
    kafka_ssl_keyfile: str = Field("", description="Client key file, for mutual TLS.")
    redis_url: str = Field(
        "redis://127.0.0.1:16379/0", description="Redis that holds the read model; never a source of truth."
    )
    redis_password: SecretStr = Field(SecretStr(""), description="Redis password; from the environment only.")
    data_dir: Path = Field(
        Path(".plumbline/data"), description="Folder of the workers' RocksDB state; one worker a folder."
    )
    input_prefix: str = Field("ml.", description="Prefix of predictions, outcomes, clocks, commands and results.")
    output_prefix: str = Field(
        "ml.", description="Prefix of everything published; another one for a replay that writes elsewhere."
    )
    app_id: str = Field(
        "plumbline", description="Consumer group, transactional ids and changelogs; a new one starts afresh."
    )
    clock: Literal["live", "follow"] = Field(
        "live",
        description="Whether this app's leader writes live ticks, or only follows recorded ones (replays, tests).",
    )
    input_partitions: int = Field(
        12, ge=1, le=512, description="Partitions of both inputs and their clock.", json_schema_extra=_STATIC
    )
    line_partitions: int = Field(
        4, ge=1, le=128, description="Partitions of everything keyed by line.", json_schema_extra=_STATIC
    )
    replication_factor: int = Field(
        1, ge=1, le=7, description="Replicas of topics made by `topics create` and by workers."
    )
    early_outcome_days: int = Field(
        7, ge=1, le=60, description="Days an outcome waits for its prediction.", json_schema_extra=_STATIC
    )
    max_prediction_age_days: int = Field(
        90,
        ge=1,
        le=365,
        description="A prediction made longer before its tick is dead-lettered.",
        json_schema_extra=_STATIC,
    )
    cell_retention_days: int = Field(
        90, ge=61, le=365, description="Days the daily counts are kept.", json_schema_extra=_STATIC
    )
    future_tolerance_s: float = Field(
        300.0, ge=0, le=86_400, description="Seconds an event may lie after its covering tick."
    )
    max_record_bytes: int = Field(262_144, ge=1024, le=900_000, description="A larger input record is dead-lettered.")
    session_timeout_s: float = Field(
        6.0, ge=1, le=300, description="Seconds without heartbeat until a worker's partitions move."
    )
    transaction_timeout_s: float = Field(
        10.0, ge=1, le=300, description="Seconds until the broker aborts an open transaction."
    )
    checkpoint_interval_ms: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Shortest time between a lane's checkpoints; longer is cheaper, shorter shows results sooner.",
    )
    max_checkpoint_events: int = Field(
        12_000, ge=1, le=100_000, description="Events after which a lane checkpoints at once."
    )
    cells_per_checkpoint: int = Field(
        400, ge=1, le=100_000, description="Cells folded or closed before the metrics lane checkpoints; never a result."
    )
    max_poll_records: int = Field(
        12_000, ge=1, le=100_000, description="Records of one poll; affects chunks, never results."
    )
    lane_buffer_bytes: int = Field(
        4 << 20, ge=1 << 16, le=1 << 30, description="Fetched bytes a lane holds per input partition."
    )
    block_cache_mb: int = Field(64, ge=1, le=65_536, description="RocksDB block cache of the process, MiB.")
    write_buffer_mb: int = Field(64, ge=4, le=65_536, description="RocksDB memtables of the process, MiB.")
    web_host: str = Field(
        "127.0.0.1", description="Address of the worker's own views; nothing is open to the world by default."
    )
    web_port: int = Field(6066, ge=0, le=65_535, description="Port of the worker's own views; 0 turns them off.")
    types: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Overrides by model type: [types.NAME].")
    lines: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description='Overrides by line: [lines."TYPE:TENANT"].'
    )

    @field_validator("input_prefix", "output_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", value):
            raise ValueError("a prefix may hold letters, digits and . _ -")
        return value

    @field_validator("app_id")
    @classmethod
    def _app_id(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
            raise ValueError("an app id may hold letters, digits and . _ -")
        return value

    @model_validator(mode="after")
    def _overrides(self) -> Settings:
        for name in self.types:
            self.for_type(name)
        for line, override in self.lines.items():
            model_type, _, tenant = line.partition(":")
            if not tenant:
                raise ValueError(f'lines."{line}": a line is written TYPE:TENANT or TYPE:global')
            for key in override:
                field = TypeSettings.model_fields.get(key)
                if field is not None and field.json_schema_extra:
                    raise ValueError(f'lines."{line}".{key} is static and can only be set for a type')
            TypeSettings(**{**_BUILT_IN.get(model_type, {}), **self.types.get(model_type, {}), **override})
        return self

    def for_type(self, model_type: str) -> TypeSettings:
        """Rules of a model type; unknown ones get the defaults."""
        return TypeSettings(**{**_BUILT_IN.get(model_type, {}), **self.types.get(model_type, {})})

    def for_line(self, line: str) -> TypeSettings:
        """Rules of a line ``type:tenant``: its own over its type's."""
        model_type = line.partition(":")[0]
        merged = {**_BUILT_IN.get(model_type, {}), **self.types.get(model_type, {}), **self.lines.get(line, {})}
        return TypeSettings(**merged)

    @cached_property
    def _known_types(self) -> list[TypeSettings]:
        return [self.for_type(name) for name in {*_BUILT_IN, *self.types, ""}]

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
        view = {
            name: str(getattr(self, name)) for name, field in type(self).model_fields.items() if field.json_schema_extra
        }
        for name in sorted({*_BUILT_IN, *self.types}):
            known = self.for_type(name)
            view[f"types.{name}.scope"] = known.scope
            view[f"types.{name}.pending_horizon_days"] = str(known.pending_horizon_days)
        return view

    def hash(self) -> str:
        """Short digest of the settings that decisions depend on; addresses, secrets and engine limits are left out."""
        view = {
            **self.static_view(),
            "future_tolerance_s": str(self.future_tolerance_s),
            "types": {
                name: self.for_type(name).model_dump(mode="json") for name in sorted({*_BUILT_IN, *self.types, ""})
            },
            "lines": {line: self.for_line(line).model_dump(mode="json") for line in sorted(self.lines)},
        }
        return hashlib.sha256(orjson.dumps(view, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def kafka_client_options(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka clients for TLS and SASL."""
        if self.kafka_security_protocol == "PLAINTEXT":
            return {}
        options: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if self.kafka_security_protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile or None)
            if self.kafka_ssl_certfile:
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile or None)
            options["ssl_context"] = context
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return options


def load(overrides: dict[str, Any] | None = None) -> Settings:
    """Read environment, file and profile. Raises :class:`Incompatible` with the key's name for anything unusable."""
    _refuse_unknown_variables()
    layers: dict[str, Any] = {}
    path = os.environ.get(PREFIX + "CONFIG")
    file = Path(path) if path else Path("plumbline.toml")
    if path and not file.is_file():
        raise Incompatible(f"PLUMBLINE_CONFIG names {path}, which is not a file")
    if file.is_file():
        try:
            layers = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise Incompatible(f"{file}: {error}") from error
        for key in layers:
            if key not in Settings.model_fields:
                raise Incompatible(f"{file}: unknown setting {key!r}{nearest(key, list(Settings.model_fields))}")
            if key.endswith("password"):
                raise Incompatible(f"{file}: {key} is a secret, give it as {PREFIX}{key.upper()} in the environment")
    environment = os.environ.get(PREFIX + "ENVIRONMENT") or layers.get("environment", "production")
    merged = {**_PROFILES.get(str(environment), {}), **layers, **(overrides or {})}
    for key in list(merged):
        if PREFIX + key.upper() in os.environ and key not in (overrides or {}):
            del merged[key]
    try:
        return Settings(**merged)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}" for item in error.errors()
        )
        raise Incompatible(f"settings refused: {problems}") from error


def _refuse_unknown_variables() -> None:
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in known:
            raise Incompatible(
                f"unknown environment variable {variable}"
                f"{nearest(variable, [PREFIX + name for name in known])}. Unset it or correct its name."
            )


def nearest(key: str, known: list[str]) -> str:
    """A hint for a misspelt key."""
    close = difflib.get_close_matches(key, known, n=1)
    return f", did you mean {close[0]}?" if close else ""
