"""The same registry in MLflow's: a registered model for each model, ``champion`` serves, ``challenger`` came last.

A version's artefact and card are files of its run, so nothing is tied to a flavour of model. Versions carry their own
name in a tag, because MLflow numbers them, and their artefact's digest in another, which is also what makes storing one
twice harmless. Of several that carry one name, the one with the digest that is asked for is meant, else the newest.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from stream_app.errors import Incompatible, Unavailable
from stream_app.reference import artefacts
from stream_app.reference.artefacts import ARTEFACT, CARD, Card, Stored
from stream_app.reference.learners import Fitted

EXPERIMENT: Final = "plumbline"
CHAMPION, CHALLENGER = "champion", "challenger"
_VERSION, _MODEL = "plumbline.version", "plumbline.model"
#: digest of the artefact as it was stored, and with which it was made to serve
_SHA256, _SERVED = "plumbline.sha256", "plumbline.served_sha256"
#: numbers of a card that are shown as metrics, with the side they belong to
_PARAMS: Final = (
    "learner", "parent", "a", "b", "threshold", "training_samples", "holdout_samples", "champion_by",
    "judged_threshold", "refitted_on", "range",
)  # fmt: skip
_METRICS: Final = ("candidate_metrics", "champion_metrics", "comparison")


class MlflowRegistry:
    """Talks to the server that ``uri`` names. Raises ``Unavailable`` if MLflow is not installed."""

    def __init__(self, uri: str) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise Unavailable("MLFLOW_TRACKING_URI is set and MLflow is not installed: pip install mlflow") from error
        self._client: Any = MlflowClient(tracking_uri=uri)
        self._error: Any = MlflowException

    def put(self, model: str, version: str, estimator: Fitted, card: Card) -> Stored:
        """Log a run with artefact, card and metrics, and register it as the model's challenger."""
        content = artefacts.dump(estimator)
        digest = artefacts.sha256(content)
        known = self._find(model, version, digest)
        if known is None or self._file(known, ARTEFACT) != content:
            known = self._register(model, version, content, {**card, "sha256": digest})
        self._client.set_registered_model_alias(_name(model), CHALLENGER, known.version)
        return Stored(f"models:/{_name(model)}/{known.version}", digest)

    def load(self, model: str, version: str, sha256: str | None) -> Fitted | None:
        """The fitted model, fetched from the run that made it. The bytes that are checked are those that are loaded."""
        content = self._file(self._find(model, version, sha256), ARTEFACT)
        return None if content is None else artefacts.undump(content, sha256, f"{version} of {model}")

    def digest(self, model: str, version: str, sha256: str | None = None) -> str | None:
        """Of the file, fetched whole."""
        content = self._file(self._find(model, version, sha256), ARTEFACT)
        return None if content is None else artefacts.sha256(content)

    def card(self, model: str, version: str) -> Card | None:
        """The card, fetched from the run that made it."""
        content = self._file(self._find(model, version), CARD)
        if content is None:
            return None
        try:
            card = orjson.loads(content)
        except ValueError as error:
            raise Incompatible(f"the card of {version} of {model} is not JSON: {error}") from error
        return card if isinstance(card, dict) else None

    def active(self, model: str) -> str | None:
        """The version that the alias ``champion`` names."""
        try:
            found = self._client.get_model_version_by_alias(_name(model), CHAMPION)
        except self._error:
            return None
        return str(found.tags[_VERSION]) if _VERSION in found.tags else None

    def served(self, model: str, version: str) -> str | None:
        """The tag that :meth:`activate` left."""
        found = [v.tags[_SERVED] for v in self._all(model, version) if v.tags.get(_SERVED)]
        return str(found[0]) if found else None

    def activate(self, model: str, version: str, by: str, sha256: str | None = None) -> None:
        """Move the alias ``champion``. ``Incompatible`` if the version is not registered, or is another."""
        found = self._find(model, version, sha256)
        content = self._file(found, ARTEFACT)
        if found is None or content is None:
            raise Incompatible(f"no version {version} of {model} is registered in MLflow")
        if sha256 is not None:
            artefacts.check(content, sha256, f"{version} of {model}")
        before = self.active(model)
        replaced = self._find(model, before) if before is not None and before != version else None
        if replaced is not None and not replaced.tags.get(_SERVED):
            # it served, whoever registered it: one can go back to these bytes, and to no others
            was = self._file(replaced, ARTEFACT)
            if was is not None:
                self._client.set_model_version_tag(_name(model), replaced.version, _SERVED, artefacts.sha256(was))
        self._client.set_model_version_tag(_name(model), found.version, _SERVED, artefacts.sha256(content))
        self._client.set_registered_model_alias(_name(model), CHAMPION, found.version)
        self._client.set_model_version_tag(_name(model), found.version, "plumbline.activated_by", by)

    # -- MLflow --------------------------------------------------------------------------------------------------

    def _register(self, model: str, version: str, content: bytes, card: Card) -> Any:
        client = self._client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        id = experiment.experiment_id if experiment is not None else self._experiment()
        tags = {_VERSION: version, _MODEL: model, _SHA256: card["sha256"]}
        tags |= {f"plumbline.{name}": str(card[name]) for name in ("command_id", "attempt", "parent") if card.get(name)}
        run = client.create_run(id, run_name=f"{model} {version}", tags=tags).info
        for name in _PARAMS:
            if card.get(name) is not None:
                client.log_param(run.run_id, name, card[name])
        for side in _METRICS:
            for name, value in (card.get(side) or {}).items():
                if isinstance(value, float):
                    client.log_metric(run.run_id, f"{side.removesuffix('_metrics')}.{name}", value)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, ARTEFACT).write_bytes(content)
            Path(folder, CARD).write_bytes(orjson.dumps({**card, "model": model, "version": version}))
            client.log_artifacts(run.run_id, folder)
        client.set_terminated(run.run_id)
        name = _name(model)
        try:
            client.create_registered_model(name, tags={_MODEL: model})
        except self._error as error:
            if "RESOURCE_ALREADY_EXISTS" not in str(getattr(error, "error_code", error)):
                raise
        return client.create_model_version(name, run.artifact_uri, run_id=run.run_id, tags=tags)

    def _experiment(self) -> str:
        try:
            return str(self._client.create_experiment(EXPERIMENT))
        except self._error:  # somebody else was faster
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def _all(self, model: str, version: str) -> list[Any]:
        """Registered versions that carry the name, newest first."""
        artefacts.check_names(model, version)  # they become part of a query
        found = self._client.search_model_versions(f"name = '{_name(model)}' and tags.`{_VERSION}` = '{version}'")
        # two models may share a name in MLflow, where it has no colon
        return sorted((v for v in found if v.tags.get(_MODEL) == model), key=lambda v: -int(v.version))

    def _find(self, model: str, version: str, sha256: str | None = None) -> Any:
        found = self._all(model, version)
        return next((v for v in found if sha256 and v.tags.get(_SHA256) == sha256), found[0] if found else None)

    def _file(self, found: Any, name: str) -> bytes | None:
        """A file of the run that made a registered version; ``None`` if it made none, as other kinds of models do."""
        if found is None or name not in {file.path for file in self._client.list_artifacts(found.run_id)}:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(self._client.download_artifacts(found.run_id, name, folder))
            if not path.resolve().is_relative_to(Path(folder).resolve()) or not path.is_file():
                raise Incompatible(f"{name} of {_name(found.tags.get(_MODEL, ''))} leads out of its run")
            return path.read_bytes()


def _name(model: str) -> str:
    """A registered model's name: MLflow takes neither colons nor slashes there."""
    return "plumbline." + model.replace(":", ".at.")
