"""What a registry keeps of a version beside its artefact, and the rule by which an artefact may be loaded.

Loading a model runs code, so the bytes have to be those that this pipeline knows of, and their digest comes through the
log: a trainer names it in ``succeeded``, the coordinator in ``activate``. A version that served keeps the digest it
served with, so that one can go back to it. What somebody else put into the registry has no such digest and is refused,
unless the setting ``registry_trust`` is on.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any, Final, NamedTuple

import joblib

from schemas.common import NAME
from stream_app.errors import Incompatible
from stream_app.reference.learners import Fitted

ARTEFACT: Final = "model.joblib"
CARD: Final = "card.json"

_NAME: Final = re.compile(NAME)
_NAMED: Final = re.compile(f"{NAME}:{NAME}")

Card = dict[str, Any]


class Stored(NamedTuple):
    """Where an artefact is, for people, and the SHA-256 of its bytes."""

    uri: str
    sha256: str


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def dump(model: Fitted) -> bytes:
    """A model's artefact."""
    stream = io.BytesIO()
    joblib.dump(model, stream)
    return stream.getvalue()


def undump(content: bytes, wanted: str | None, what: str) -> Fitted:
    """The model in an artefact whose bytes have the digest ``wanted``; ``None``: they are trusted. ``Incompatible`` if
    they have another, or if they are no model. ``what`` names the version."""
    if wanted is not None:
        check(content, wanted, what)
    try:
        model = joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling raises whatever the bytes make it raise
        raise Incompatible(f"the artefact of {what} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(model, Fitted):
        raise Incompatible(f"the artefact of {what} is no model of this trainer but {type(model).__name__}")
    return model


def check(content: bytes, wanted: str, what: str) -> None:
    """``Incompatible`` if an artefact is not the one that is meant."""
    found = sha256(content)
    if found != wanted:
        raise other(what, found, wanted)


def other(what: str, found: str, wanted: str) -> Incompatible:
    """Why a version whose artefact is not the one that is meant is not used."""
    return Incompatible(
        f"the artefact of {what} in the registry has SHA-256 {found}, and {wanted} was expected: it is not what was "
        "trained. Restore it, or train again."
    )


def unknown(what: str) -> Incompatible:
    """Why a version that nobody here made is not used."""
    return Incompatible(
        f"{what} was registered by somebody else: no digest of its artefact is known, and loading it would run its "
        "code. Set registry_trust if the registry's other writers are trusted."
    )


def check_names(model: str, version: str) -> None:
    """``Incompatible`` if these cannot be parts of a path."""
    if not _NAMED.fullmatch(model):
        raise Incompatible(f"{model[:300]!r} is no model, which is written TYPE:TENANT")
    if not _NAME.fullmatch(version):
        raise Incompatible(f"{version[:300]!r} is no name of a version: letters, digits and . _ - can stand there")
