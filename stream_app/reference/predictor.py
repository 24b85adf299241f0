"""Serving: rows scored by the version that is active, and the deployer that changes which one that is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from stream_app.errors import Incompatible
from stream_app.kafka.topics import topics_of
from stream_app.reference import artefacts
from stream_app.reference.commands import CommandReader, ReceivedCommand
from stream_app.reference.learners import Fitted, Labels, Learner, Matrix, repaired
from stream_app.reference.registry import Registry
from stream_app.reference.rows import Encoding
from stream_app.reference.training import threshold
from stream_app.settings import Settings
from stream_app.worker.metrics import MetricFamilies

log = logging.getLogger(__name__)


class Served(NamedTuple):
    """One answer: the version that gave it, its score in [0, 1], and the decision."""

    version: str
    score: float
    predicted: bool


class Predictor:
    """Scores with the active version of a registry; looks at every call which one that is.

    Only an artefact with the digest that it was made to serve with is loaded; ``trust``: any that is there.
    """

    def __init__(self, registry: Registry, trust: bool = False) -> None:
        self._registry, self._trust = registry, trust
        self._loaded: dict[tuple[str, str], Any] = {}

    def predict(self, model: str, features: Sequence[dict[str, Any]]) -> list[Served]:
        """Answers for rows of features. ``Incompatible`` if no version of the model is active."""
        version = self._registry.active(model)
        if version is None:
            raise Incompatible(f"no version of {model} is active in the registry: `plumbline predictor seed` makes one")
        estimator = self._loaded.get((model, version))
        if estimator is None:
            digest = self._registry.served(model, version)
            if digest is None and not self._trust:
                raise artefacts.unknown(f"version {version} of {model}")
            estimator = self._registry.load(model, version, digest)
            if estimator is None:
                raise Incompatible(f"version {version} of {model} is active and its artefact is not in the registry")
            self._loaded = {key: kept for key, kept in self._loaded.items() if key[0] != model}
            self._loaded[model, version] = estimator
        scores = estimator.scores(Encoding(estimator.features).matrix(features))
        return [Served(version, round(float(score), 6), bool(score >= estimator.threshold)) for score in scores]


def seed(
    registry: Registry, model: str, version: str, learner: Learner, features: Sequence[dict[str, Any]], actual: Labels
) -> None:
    """Fit a model's first version and let it serve, unless one serves already."""
    if registry.active(model) is not None:
        return
    encoding = Encoding.of(features)
    matrix: Matrix = encoding.matrix(features)
    fitted = Fitted(learner(matrix, actual), encoding.columns)
    fitted.threshold = threshold(fitted.scores(matrix), actual)
    card = {"parent": None, "training_samples": len(actual), "champion_by": "nothing"}
    registry.activate(model, version, "seed", registry.put(model, version, fitted, card).sha256)


class Deployer:
    """Carries out ``recalibrate``, ``activate`` and ``rollback``. Runs until it is cancelled."""

    def __init__(self, settings: Settings, registry: Registry, group: str = "plumbline-deployer") -> None:
        topics = topics_of(settings)
        self._registry, self._trust = registry, settings.registry_trust
        self._commands = CommandReader(
            settings.kafka_bootstrap, settings.kafka_client_options(), topics, group,
            ("recalibrate", "activate", "rollback"),
        )  # fmt: skip

    def put(self, page: MetricFamilies) -> None:
        """Tell Prometheus."""
        self._commands.put("deployer", page)

    async def run(self) -> None:
        """Take commands for ever."""
        async with self._commands:
            log.info("waiting for commands to recalibrate, to activate and to roll back")
            while True:
                for received in await self._commands.read():
                    if not await self._commands.answered(received):
                        await self._deploy(received)
                    await self._commands.done(received)

    async def _deploy(self, received: ReceivedCommand) -> None:
        """Switch, and say so. What an earlier attempt, or a killed deployer, has done already is answered as done."""
        command = received.command
        await self._commands.answer(received, "accepted")
        try:
            # a registry may be far away and slow, and the group must hear of this process meanwhile
            error = await asyncio.to_thread(self._switch, received)
        except Incompatible as fault:
            error = str(fault)
        except Exception as fault:
            # a registry that is damaged or away is no reason to leave the other models alone
            log.exception("%s: %s failed", command.model, command.command)
            error = f"{type(fault).__name__}: {fault}"
        if error is not None:
            await self._commands.answer(received, "failed", error=error)
            log.warning("%s: %s refused: %s", command.model, command.command, error)
            return
        status = "rolled_back" if command.command == "rollback" else "activated"
        await self._commands.answer(received, status, candidate_version=command.candidate_version)
        log.info("%s: %s is active (%s)", command.model, command.candidate_version, status)

    def _switch(self, received: ReceivedCommand) -> str | None:
        """Let the version serve; a sentence, here or as ``Incompatible``, if it cannot be."""
        command = received.command
        if command.candidate_version is msgspec.UNSET:
            return "the command names no version"
        wanted, serves = command.candidate_version, self._registry.active(command.model)
        if serves not in (command.expected_current_version, wanted):
            return f"{serves} is active, the command is for {command.expected_current_version}"
        model, registry = command.model, self._registry
        if command.command == "recalibrate":
            return self._repair(received)
        # what the trainer said of it, through the log; for a way back, what it served with
        named = command.artifact_sha256
        digest = named if named is not msgspec.UNSET else registry.served(model, wanted)
        found = registry.digest(model, wanted, digest)
        if found is None:
            return f"version {wanted} is not in the registry"
        if digest is None and not self._trust:
            raise artefacts.unknown(f"version {wanted} of {model}")
        if digest is not None and found != digest:
            raise artefacts.other(f"{wanted} of {model}", found, digest)
        if serves != wanted:
            registry.activate(model, wanted, f"{command.command_id}/{command.attempt}", found)
        return None

    def _repair(self, received: ReceivedCommand) -> str | None:
        """Wrap the version that serves and let the wrapped one serve; both have the bytes that this deployer stored or
        let serve before."""
        command, registry = received.command, self._registry
        model, parent, wanted = command.model, command.model_version, str(command.candidate_version)
        by = command.recalibration
        if by is msgspec.UNSET:
            return "the command names no numbers to recalibrate by"
        if registry.active(model) == wanted:
            return None  # an earlier attempt has done it
        digest = registry.served(model, parent)
        if digest is None and not self._trust:
            raise artefacts.unknown(f"version {parent} of {model}")
        made = registry.load(model, parent, digest)
        if made is None:
            return f"version {parent} is not in the registry"
        card = {
            "parent": parent, "command_id": command.command_id, "attempt": command.attempt, "ordered_at": command.at,
            "features": list(made.features), "a": by.a, "b": by.b, "threshold": by.threshold,
            "expected": msgspec.to_builtins(by.expected),
        }  # fmt: skip
        stored = registry.put(model, wanted, repaired(made, by), card)
        registry.activate(model, wanted, f"{command.command_id}/{command.attempt}", stored.sha256)
        return None
