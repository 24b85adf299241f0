"""What can be commanded: each an operator command on Kafka, answered with its id before it is carried out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from schemas.common import NAME
from stream_app.core.kit.changes import Change
from stream_app.projection.published import Published
from stream_app.web.answers import Refused
from stream_app.web.auth import User
from stream_app.web.reading import ModelId
from stream_app.web.site import operator, site_of

router = APIRouter(prefix="/api/v1", tags=["ordering"])

Operator = Annotated[User, Depends(operator)]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,128}$", description="the same key commands once"),
]
Action = Annotated[
    Literal["approve", "reject", "retrain", "rollback", "rebaseline", "reset_circuit", "dismiss"],
    Path(description="the command"),
]


class Because(BaseModel):
    """Why it is commanded; it is kept with the command."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1_000, pattern=r"\S")


class ModelCommand(Because):
    """A command about a model."""

    command_id: str | None = Field(None, pattern=r"^[0-9a-f-]{36}$", description="approve, reject: only this request")
    model_version: str | None = Field(None, pattern=f"^{NAME}$", description="rollback: the version to put back")


class SettingCommand(Because):
    """A changed setting; ``null`` takes a change back."""

    model: str = Field("*", pattern=rf"^(\*|{NAME}:{NAME})$")
    key: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+)*$", max_length=300)
    value: JsonValue = None


@router.post("/models/{model}/{action}", status_code=202)
async def order(
    request: Request, model: ModelId, action: Action, body: ModelCommand, user: Operator, key: Key = None
) -> Response:
    """Command something about a model. What became of it is answered at ``href``."""
    arguments: dict[str, Any] = {}
    if body.command_id is not None:
        if action not in ("approve", "reject"):
            raise Refused(422, "not_here", f"{action} takes no command_id")
        arguments["command_id"] = body.command_id
    if body.model_version is not None:
        if action != "rollback":
            raise Refused(422, "not_here", f"{action} takes no model_version")
        arguments["model_version"] = body.model_version
    return await site_of(request).ordered(user, key, model, action, arguments, body.reason)


@router.post("/settings", status_code=202)
async def change_setting(request: Request, body: SettingCommand, user: Operator, key: Key = None) -> Response:
    """Change a setting from the next tick on, for all models or one."""
    site = site_of(request)
    known = Published(await site.reader.settings()).under(site.start)
    try:
        known.change(Change(body.model, {body.key: body.value}))
    except ValueError as error:
        raise Refused(422, "cannot_be", str(error)) from error
    arguments = {"values": {body.key: body.value}}
    return await site.ordered(user, key, body.model, "set", arguments, body.reason)
