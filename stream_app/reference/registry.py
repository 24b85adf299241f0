"""A model registry in a folder: an artefact and a card for each version, and which version of a model serves.

::

    REGISTRY/TYPE@TENANT/VERSION/model.joblib   the fitted model; loading one runs its code
                                 card.json      what it is made of: rows, metrics, libraries, digest
    REGISTRY/TYPE@TENANT/active.json            the version that serves, the one before, digests of those that served

Every write goes to a name of its own first and is renamed, so whoever is killed leaves nothing half written. Names are
checked before they become paths, and a path that leads out of the registry, by a link, is refused.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import orjson

from stream_app.errors import Incompatible
from stream_app.reference import artefacts
from stream_app.reference.artefacts import ARTEFACT, CARD, Card, Stored
from stream_app.reference.learners import Fitted

ACTIVE: Final = "active.json"
#: Versions whose digests are remembered because they served: as many as anybody goes back to.
_SERVED: Final = 50


class Registry(Protocol):
    """What the trainer and the deployer ask of a registry. Every call raises ``Incompatible`` for names that are none,
    and for what stands in the registry and cannot be read."""

    def put(self, model: str, version: str, estimator: Fitted, card: Card) -> Stored:
        """Store a version. The same version with the same artefact again changes nothing."""
        ...

    def load(self, model: str, version: str, sha256: str | None) -> Fitted | None:
        """The fitted model of a version, if it is here and its bytes have that digest; ``None``: they are trusted."""
        ...

    def digest(self, model: str, version: str, sha256: str | None = None) -> str | None:
        """SHA-256 of the artefact's bytes as they are now, unloaded; ``None`` if there is no such version. ``sha256``:
        the one that is meant, where several have that name."""
        ...

    def card(self, model: str, version: str) -> Card | None:
        """What is known of a version."""
        ...

    def active(self, model: str) -> str | None:
        """The version that serves."""
        ...

    def served(self, model: str, version: str) -> str | None:
        """The digest with which a version was last made to serve here; ``None`` if it never was."""
        ...

    def activate(self, model: str, version: str, by: str, sha256: str | None = None) -> None:
        """Let a version serve from now on, if its bytes have that digest; ``by``: id of the command."""
        ...


class _Pointer(msgspec.Struct):
    """What serves, and the digests of what served before; a release before digests kept none."""

    version: str
    #: version → SHA-256 of its artefact, who served last at the end
    served: dict[str, str] = {}


_pointers: Final = msgspec.json.Decoder(_Pointer)


class FolderRegistry:
    """The registry of the module's text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, model: str, version: str, estimator: Fitted, card: Card) -> Stored:
        """Store a version under its name. One that is there with other bytes was never answered for: it is replaced."""
        target, content = self._of(model, version), artefacts.dump(estimator)
        stored = Stored(str(target.relative_to(self._folder) / ARTEFACT), artefacts.sha256(content))
        if self.digest(model, version) == stored.sha256:
            return stored
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
            made = Path(scratch, version)
            made.mkdir()
            (made / ARTEFACT).write_bytes(content)
            (made / CARD).write_bytes(_json({**card, "model": model, "version": version, "sha256": stored.sha256}))
            try:
                made.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                for name in (ARTEFACT, CARD):
                    (made / name).replace(target / name)
        return stored

    def load(self, model: str, version: str, sha256: str | None) -> Fitted | None:
        """The model. The bytes that are checked are those that are loaded."""
        content = self._read(model, version, ARTEFACT)
        return None if content is None else artefacts.undump(content, sha256, f"{version} of {model}")

    def digest(self, model: str, version: str, sha256: str | None = None) -> str | None:
        """Of the file, read whole. One version has a name here."""
        content = self._read(model, version, ARTEFACT)
        return None if content is None else artefacts.sha256(content)

    def card(self, model: str, version: str) -> Card | None:
        """The card, if the version is here."""
        content = self._read(model, version, CARD)
        return None if content is None else _object(content, f"the card of {version} of {model}")

    def active(self, model: str) -> str | None:
        """The version that serves, as :meth:`activate` wrote it last."""
        pointer = self._pointer(model)
        if pointer is None:
            return None
        self._of(model, pointer.version)
        return pointer.version

    def served(self, model: str, version: str) -> str | None:
        """What the pointer remembers."""
        pointer = self._pointer(model)
        return None if pointer is None else pointer.served.get(version)

    def activate(self, model: str, version: str, by: str, sha256: str | None = None) -> None:
        """Replace the pointer in one step. ``Incompatible`` if the version is not here, or is another."""
        content = self._read(model, version, ARTEFACT)
        if content is None:
            raise Incompatible(f"no version {version} of {model} is in the registry")
        if sha256 is not None:
            artefacts.check(content, sha256, f"{version} of {model}")
        pointer = self._pointer(model)
        before, served = (None, {}) if pointer is None else (pointer.version, dict(pointer.served))
        if before is not None and before not in served:
            # it served, whoever registered it: one can go back to these bytes, and to no others
            digest = self.digest(model, before)
            served |= {before: digest} if digest is not None else {}
        served.pop(version, None)
        served[version] = artefacts.sha256(content)
        kept = dict(list(served.items())[-_SERVED:])
        folder = self._model(model)
        fresh = folder / f".{ACTIVE}.{os.getpid()}"
        # the order of ``served`` says who served last, so keys are not sorted
        fresh.write_bytes(
            orjson.dumps({"version": version, "previous": before, "by": by, "served": kept}, option=orjson.OPT_INDENT_2)
        )
        fresh.replace(folder / ACTIVE)

    # -- paths -----------------------------------------------------------------------------------------------------

    def _model(self, model: str) -> Path:
        artefacts.check_names(model, "any")
        # a colon cannot stand in names, and an @ neither: no two models share a folder
        return self._inside(self._folder / model.replace(":", "@"))

    def _of(self, model: str, version: str) -> Path:
        artefacts.check_names(model, version)
        if version == ACTIVE:
            raise Incompatible(f"no version can be called {ACTIVE}: the registry keeps its pointer there")
        return self._inside(self._model(model) / version)

    def _inside(self, path: Path) -> Path:
        """The path, if whatever links there are keep it in the registry."""
        try:
            inside = path.resolve().is_relative_to(self._folder.resolve())
        except (OSError, RuntimeError) as error:  # links that lead in a circle
            raise Incompatible(f"{path} cannot be followed: {error}") from error
        if not inside:
            raise Incompatible(f"{path} leads out of the registry, to {path.resolve()}: nothing there is used")
        return path

    def _read(self, model: str, version: str, name: str) -> bytes | None:
        return _content(self._inside(self._of(model, version) / name))

    def _pointer(self, model: str) -> _Pointer | None:
        content = _content(self._inside(self._model(model) / ACTIVE))
        if content is None:
            return None
        try:
            return _pointers.decode(content)
        except (ValueError, RecursionError) as error:
            raise Incompatible(
                f"{ACTIVE} of {model} names no active version: {error}; restore it or take it away"
            ) from error


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _object(content: bytes, what: str) -> dict[str, Any]:
    try:
        found = orjson.loads(content)
    except ValueError as error:
        raise Incompatible(f"{what} is not JSON: {error}; restore it or take it away") from error
    if not isinstance(found, dict):
        raise Incompatible(f"{what} is no JSON object; restore it or take it away")
    return found


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def open_registry(folder: Path, *, writing: bool = False) -> Registry:
    """MLflow's registry where ``MLFLOW_TRACKING_URI`` is set, as everywhere else, or the folder. ``writing``: it will
    be written, so raise ``OSError`` if it cannot: at the first command it would count as a failure of the model."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        if writing:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return FolderRegistry(folder)
    from stream_app.reference.mlflow_registry import MlflowRegistry

    return MlflowRegistry(uri)
