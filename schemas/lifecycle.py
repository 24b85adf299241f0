"""Which version of a line is active, and since when."""

from __future__ import annotations

from typing import Literal

import msgspec


class ModelLifecycle(msgspec.Struct, frozen=True):
    """One record of model-lifecycle, a line's newest state."""

    schema: str
    id: str
    at: str
    line: str
    model_type: str
    tenant_id: str
    active_version: str
    previous_version: str | None
    how: Literal["observed", "registered", "commanded"]
    since: str
