"""A model registry in a folder: an artefact and a card for each version, and which version of a line serves.

::

    REGISTRY/TYPE@TENANT/VERSION/model.joblib   the fitted model; loading one runs its code, so trust the folder
                                 card.json      what it is made of: rows, metrics, libraries, digest
    REGISTRY/TYPE@TENANT/active.json            the version that serves, and the one before

Every write goes to a name of its own first and is renamed, so whoever is killed leaves nothing half written.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

import joblib
import orjson

from stream_app.errors import Incompatible
from stream_app.reference.learners import Fitted

MODEL: Final = "model.joblib"
CARD: Final = "card.json"
ACTIVE: Final = "active.json"

Card = dict[str, Any]


class Registry(Protocol):
    """What the trainer and the deployer ask of a registry."""

    def put(self, line: str, version: str, model: Fitted, card: Card) -> str:
        """Store a version; returns the artefact's URI. The same version again changes nothing."""
        ...

    def load(self, line: str, version: str) -> Fitted | None:
        """The fitted model of a version, if it is here."""
        ...

    def card(self, line: str, version: str) -> Card | None:
        """What is known of a version."""
        ...

    def active(self, line: str) -> str | None:
        """The version that serves."""
        ...

    def activate(self, line: str, version: str, by: str) -> None:
        """Let a version serve from now on; ``by``: id of the order."""
        ...


class FolderRegistry:
    """The registry of the module's text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, line: str, version: str, model: Fitted, card: Card) -> str:
        """Store a version under its name; what is there already stays."""
        target = self._of(line) / version
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            joblib.dump(model, stream)
            artefact = stream.getvalue()
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
                made = Path(scratch, version)
                made.mkdir()
                (made / MODEL).write_bytes(artefact)
                digest = hashlib.sha256(artefact).hexdigest()
                (made / CARD).write_bytes(_json({**card, "line": line, "version": version, "sha256": digest}))
                try:
                    made.rename(target)
                except OSError:
                    if not target.is_dir():  # another trainer was faster with the same version
                        raise
        return (target / MODEL).absolute().as_uri()

    def load(self, line: str, version: str) -> Fitted | None:
        """The model, if its bytes are those that its card names; ``Incompatible`` if they are not."""
        folder = self._of(line) / version
        if not folder.is_dir():
            return None
        artefact = (folder / MODEL).read_bytes()
        card = self.card(line, version) or {}
        if hashlib.sha256(artefact).hexdigest() != card.get("sha256"):
            raise Incompatible(f"{folder / MODEL} is not what its card describes: restore it, or remove {folder}")
        model: Fitted = joblib.load(io.BytesIO(artefact))
        return model

    def card(self, line: str, version: str) -> Card | None:
        """The card, if the version is here."""
        path = self._of(line) / version / CARD
        if not path.is_file():
            return None
        card: Card = orjson.loads(path.read_bytes())
        return card

    def active(self, line: str) -> str | None:
        """The version that serves, as :meth:`activate` wrote it last."""
        path = self._of(line) / ACTIVE
        return str(orjson.loads(path.read_bytes())["version"]) if path.is_file() else None

    def activate(self, line: str, version: str, by: str) -> None:
        """Replace the pointer in one step. ``Incompatible`` if the version is not here."""
        folder = self._of(line)
        if not (folder / version).is_dir():
            raise Incompatible(f"no version {version} of {line} is in the registry")
        before = self.active(line)
        fresh = folder / f".{ACTIVE}.{os.getpid()}"
        fresh.write_bytes(_json({"version": version, "previous": before, "by": by}))
        fresh.replace(folder / ACTIVE)

    def _of(self, line: str) -> Path:
        # a colon cannot stand in names, and an @ neither: no two lines share a folder
        return self._folder / line.replace(":", "@")


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def open_registry(folder: Path) -> Registry:
    """MLflow's registry where ``MLFLOW_TRACKING_URI`` is set, as everywhere else, or the folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return FolderRegistry(folder)
    from stream_app.reference.mlflow_registry import MlflowRegistry

    return MlflowRegistry(uri)
