"""Settings changed while running, as the log's order applied them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from schemas.common import END, Actor, Everything, ModelIdOrAll, Output, Text


class Setting(Output, frozen=True, kw_only=True):
    """Value of one setting for one model, or for all: then model, model_type and tenant_id are ``*``."""

    schema: Literal["io.plumbline.setting.v1"]
    model: ModelIdOrAll
    model_type: Everything
    tenant_id: Everything
    key: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_:-]+)*" + END, max_length=300)]
    #: any JSON value
    value: Any
    actor: Actor
    reason: Text
