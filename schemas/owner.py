"""Who owns an output prefix: one application writes there, or every count would stand twice."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.common import Timestamp

Partitions = Annotated[int, Meta(ge=1, le=1_000)]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of one application, the newest record counts."""

    schema: Literal["io.plumbline.owner.v1"]
    app: Annotated[str, Meta(min_length=1, max_length=249)]
    #: since when it owns the prefix, by the clock of the worker that wrote the claim
    since: Timestamp
    input_partitions: Partitions
    model_partitions: Partitions
    #: settings that all its workers must agree on while they run, as text: they are read once, at start
    at_start: dict[str, str] = {}
