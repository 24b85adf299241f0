"""What the labels stage needs to know of the settings, and the identity of what it counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from schemas.common import NAME
from schemas.partitioning import partition_for

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

_NAME = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class TypeRules:
    """Rules of one model type: ``scope`` is global, tenant or auto; horizon in whole days."""

    scope: str
    horizon_days: int


@dataclass(frozen=True, slots=True)
class NameLimits:
    """Most names that a lane counts at a time (:mod:`stream_app.core.labels.names`)."""

    types: int = 1_000
    models: int = 100_000
    #: of one model
    versions: int = 1_000
    #: (model, version)
    pairs: int = 200_000


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """Settings of one labels lane. ``rules`` is pure: the same type gives the same rules for ever."""

    source: int
    targets: int
    rules: Callable[[str], TypeRules]
    partition_of: Callable[[str], int]
    #: shortest and longest time that an entry of any type counts, in whole days
    min_horizon_days: int
    max_horizon_days: int
    early_outcome_days: int = 7
    max_age_days: int = 90
    future_ms: int = 300_000
    narrow_below: float = 0.2
    limits: NameLimits = NameLimits()
    #: whole days without a prediction after which a name counts no more
    names_days: int = 90
    #: days between two writes of a name that is not seen; below the shortest time that the table's entries are kept
    refresh_days: int = 1
    max_record_bytes: int = 1 << 20

    def for_source(self, partition: int) -> LabelsConfig:
        """The same settings for another source partition."""
        return replace(self, source=partition)


@dataclass(slots=True)
class Name:
    """One distinct (type, tenant, version, role): checked once, then found by a dictionary look-up per event."""

    model: str
    model_type: str
    version: str
    stored: bytes
    horizon_days: int
    target: int
    shadow: bool
    #: hour → slot number, for the counts of the current batch
    slots: dict[int, int] = field(default_factory=dict)


class BadName(ValueError):
    """A name that breaks the contract; ``reason`` is the dead-lettered record's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def resolve(config: LabelsConfig, model_type: str, tenant: str | None, version: str, shadow: bool) -> Name:
    """Check the names and find the model they belong to (CONTRACT section 1). Raises :class:`BadName`."""
    for label, text in (("model_type", model_type), ("model_version", version)):
        if not _NAME.fullmatch(text):
            raise BadName("bad_name", f"{label} {text[:140]!r} is no name: 1 to 128 of A-Z a-z 0-9 . _ -")
    rules = config.rules(model_type)
    if rules.scope == "global":
        owner = "global"
    elif tenant is None:
        if rules.scope == "tenant":
            raise BadName("missing_tenant", f"model type {model_type!r} is per tenant and tenant_id is missing")
        owner = "global"
    else:
        if not _NAME.fullmatch(tenant):
            raise BadName("bad_name", f"tenant_id {tenant[:140]!r} is no name: 1 to 128 of A-Z a-z 0-9 . _ -")
        if tenant == "global":
            raise BadName("bad_name", "tenant_id 'global' is reserved")
        owner = tenant
    model = f"{model_type}:{owner}"
    return Name(
        model=model,
        model_type=model_type,
        version=version,
        stored=f"{model_type}|{owner}|{version}".encode(),
        horizon_days=rules.horizon_days,
        target=config.partition_of(model),
        shadow=shadow,
    )


def labels_partition(targets: int) -> Callable[[str], int]:
    """Where a model's deltas go: murmur2 of the model over the model-keyed partitions."""

    def place(model: str) -> int:
        return partition_for(model.encode(), targets)

    return place
