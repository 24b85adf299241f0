"""``plumbline trainer``, ``plumbline predictor``."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_app import settings as settings_module
from stream_app.cli.options import metrics_port

# scikit-learn is imported by who fits or serves: a shell that completes an option does without
if TYPE_CHECKING:
    from stream_app.reference.predictor import Deployer
    from stream_app.reference.registry import Registry
    from stream_app.reference.trainer import Trainer
    from stream_app.settings import Settings

_registry = click.option(
    "--registry", type=click.Path(path_type=Path), default=Path(".plumbline/registry"), show_default=True,
    help="Folder of models; not used if MLFLOW_TRACKING_URI is set. Only what was made or served here is loaded, "
    "unless registry_trust is set.",
)  # fmt: skip
_learner = click.option(
    "--learner", default="boosting", show_default=True, help="boosting, logistic, river, or module:function."
)


@click.command()
@_registry
@_learner
@click.option("--group", default="plumbline-trainer", show_default=True, help="Consumer group: trainers share it.")
@metrics_port
def trainer(registry: Path, learner: str, group: str, port: int | None) -> None:
    """Train what the coordinator commands: the reference trainer, until it is told to stop.

    It rebuilds the labelled rows that a command names from the topics, with the features that the predictions carried,
    fits a model, stores it in the registry and answers with its metrics beside those of the active version. Put
    your own in its place with docs/write-a-trainer.md.

    \b
    Example: plumbline trainer --registry models --learner logistic
    """
    from stream_app.reference.registry import open_registry
    from stream_app.reference.trainer import Trainer

    settings = settings_module.load()
    _until_told(settings, Trainer(settings, open_registry(registry, writing=True), learner, group), port)


@click.group(invoke_without_command=False)
def predictor() -> None:
    """Serve a recorded stream with the active version, and deploy what the coordinator commands."""


@predictor.command(short_help="Carry out what the coordinator commands.")
@_registry
@click.option("--group", default="plumbline-deployer", show_default=True, help="Consumer group of the deployer.")
@metrics_port
def deploy(registry: Path, group: str, port: int | None) -> None:
    """Carry out `recalibrate`, `activate` and `rollback` commands in the registry, until told to stop.

    \b
    Example: plumbline predictor deploy --registry models
    """
    from stream_app.reference.predictor import Deployer
    from stream_app.reference.registry import open_registry

    settings = settings_module.load()
    _until_told(settings, Deployer(settings, open_registry(registry, writing=True), group), port)


@predictor.command(name="serve", short_help="Answer the requests of FILE with the active version.")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@_registry
@click.option("--rate", type=click.FloatRange(0.001), default=10.0, show_default=True, help="Requests per second.")
def serve_(file: Path, registry: Path, rate: float) -> None:
    """Answer the requests of FILE (NDJSON, CSV or Parquet) with the active version and send the predictions.

    \b
    Example row: {"prediction_id": "p-1", "model_type": "churn", "features": {"age": 41}, "actual": true}
    """
    from stream_app.kafka.admin import require_counts
    from stream_app.kafka.topics import topics_of
    from stream_app.reference.predictor import Predictor
    from stream_app.reference.registry import open_registry
    from stream_app.reference.serving import serve

    settings = settings_module.load()
    predictor_ = Predictor(open_registry(registry), settings.registry_trust)
    topics = topics_of(settings)
    asyncio.run(require_counts(settings.kafka_bootstrap, settings.kafka_client_options(), topics))
    sent = asyncio.run(serve(settings, topics, predictor_, file, rate))
    click.echo(f"sent {sent:,} predictions")


@predictor.command(name="seed", short_help="Fit a model's first version on FILE.")
@click.argument("model")
@click.argument("version")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@_registry
@_learner
def seed_(model: str, version: str, file: Path, registry: Path, learner: str) -> None:
    """Fit a model's first version on the labelled requests of FILE and let it serve. Doing it twice is fine.

    \b
    Example: plumbline predictor seed churn:global v1 labelled.ndjson
    """
    import numpy as np

    from stream_app.reference.learners import find
    from stream_app.reference.predictor import seed
    from stream_app.reference.registry import open_registry
    from stream_app.reference.serving import requests

    found = [row for row in requests(file) if row.get("actual") is not None]
    if len({bool(row["actual"]) for row in found}) < 2:
        raise click.ClickException(f"{file.name} has to hold labelled requests of both outcomes")
    actual = np.array([int(bool(row["actual"])) for row in found], dtype=np.int64)
    store: Registry = open_registry(registry, writing=True)
    seed(store, model, version, find(learner), [row["features"] for row in found], actual)
    click.echo(f"{model}: {store.active(model)} is active")


def _until_told(settings: Settings, work: Trainer | Deployer, port: int | None) -> None:
    """Run until SIGTERM or SIGINT, and end without a word of complaint."""
    from stream_app.kafka.admin import require_counts
    from stream_app.kafka.topics import topics_of
    from stream_app.worker import metrics

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    async def run() -> None:
        await require_counts(settings.kafka_bootstrap, settings.kafka_client_options(), topics_of(settings))
        async with metrics.served(settings, port, work.put):
            task = asyncio.create_task(work.run())
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
