"""Which version of a model is active, and since when."""

from __future__ import annotations

from typing import Literal

from schemas.common import Name, Output, Timestamp


class ModelLifecycle(Output, frozen=True, kw_only=True):
    """Active version of a model: how it became active and since when."""

    schema: Literal["io.plumbline.model-lifecycle.v1"]
    active_version: Name
    previous_version: Name | None
    how: Literal["observed", "registered", "commanded"]
    since: Timestamp
