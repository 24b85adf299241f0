"""The same registry in MLflow's: a registered model for each line, ``champion`` serves, ``challenger`` came last.

A version's artefact and card are files of its run, so nothing is tied to a flavour of model. Versions carry their own
name in a tag, because MLflow numbers them; that tag is also what makes storing one twice harmless.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any, Final

import joblib
import orjson

from stream_app.errors import Incompatible, Unavailable
from stream_app.reference.learners import Fitted
from stream_app.reference.registry import CARD, MODEL, Card

EXPERIMENT: Final = "plumbline"
CHAMPION, CHALLENGER = "champion", "challenger"
_VERSION: Final = "plumbline.version"
#: numbers of a card that are shown as metrics, with the side they belong to
_METRICS: Final = ("candidate_metrics", "champion_metrics")


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

    def put(self, line: str, version: str, model: Fitted, card: Card) -> str:
        """Log a run with artefact, card and metrics, and register it as the line's challenger."""
        known = self._find(line, version)
        if known is None:
            known = self._register(line, version, model, card)
        self._client.set_registered_model_alias(_name(line), CHALLENGER, known.version)
        return f"models:/{_name(line)}/{known.version}"

    def load(self, line: str, version: str) -> Fitted | None:
        """The fitted model, fetched from the run that made it."""
        content = self._file(line, version, MODEL)
        if content is None:
            return None
        model: Fitted = joblib.load(io.BytesIO(content))
        return model

    def card(self, line: str, version: str) -> Card | None:
        """The card, fetched from the run that made it."""
        content = self._file(line, version, CARD)
        card: Card | None = orjson.loads(content) if content is not None else None
        return card

    def active(self, line: str) -> str | None:
        """The version that the alias ``champion`` names."""
        try:
            found = self._client.get_model_version_by_alias(_name(line), CHAMPION)
        except self._error:
            return None
        return str(found.tags[_VERSION]) if _VERSION in found.tags else None

    def activate(self, line: str, version: str, by: str) -> None:
        """Move the alias ``champion``. ``Incompatible`` if the version is not registered."""
        found = self._find(line, version)
        if found is None:
            raise Incompatible(f"no version {version} of {line} is registered in MLflow")
        self._client.set_registered_model_alias(_name(line), CHAMPION, found.version)
        self._client.set_model_version_tag(_name(line), found.version, "plumbline.activated_by", by)

    # -- MLflow --------------------------------------------------------------------------------------------------

    def _register(self, line: str, version: str, model: Fitted, card: Card) -> Any:
        client = self._client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        id = experiment.experiment_id if experiment is not None else self._experiment()
        tags = {_VERSION: version, "plumbline.line": line}
        tags |= {f"plumbline.{name}": str(card[name]) for name in ("command_id", "attempt", "parent") if card.get(name)}
        run = client.create_run(id, run_name=f"{line} {version}", tags=tags).info
        for name in ("learner", "threshold", "training_samples", "holdout_samples", "champion_by"):
            if card.get(name) is not None:
                client.log_param(run.run_id, name, card[name])
        for side in _METRICS:
            for name, value in (card.get(side) or {}).items():
                if value is not None:
                    client.log_metric(run.run_id, f"{side.removesuffix('_metrics')}.{name}", value)
        with tempfile.TemporaryDirectory() as folder:
            joblib.dump(model, Path(folder, MODEL))
            Path(folder, CARD).write_bytes(orjson.dumps({**card, "line": line, "version": version}))
            client.log_artifacts(run.run_id, folder)
        client.set_terminated(run.run_id)
        name = _name(line)
        try:
            client.create_registered_model(name, tags={"plumbline.line": line})
        except self._error as error:
            if "RESOURCE_ALREADY_EXISTS" not in str(getattr(error, "error_code", error)):
                raise
        return client.create_model_version(name, run.artifact_uri, run_id=run.run_id, tags=tags)

    def _experiment(self) -> str:
        try:
            return str(self._client.create_experiment(EXPERIMENT))
        except self._error:  # somebody else was faster
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def _find(self, line: str, version: str) -> Any:
        """The registered version that carries the name."""
        found = self._client.search_model_versions(f"name = '{_name(line)}' and tags.`{_VERSION}` = '{version}'")
        return found[0] if found else None

    def _file(self, line: str, version: str, name: str) -> bytes | None:
        found = self._find(line, version)
        if found is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(self._client.download_artifacts(found.run_id, name, folder)).read_bytes()


def _name(line: str) -> str:
    """A registered model's name: MLflow takes neither colons nor slashes there."""
    return "plumbline." + line.replace(":", ".at.")
