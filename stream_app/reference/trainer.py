"""The trainer: takes ``train`` commands, one at a time, answers each attempt once, and stops when it is called back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import re
import threading
import time
from collections import deque
from typing import Any, Final

import msgspec

from schemas.common import uuid5
from schemas.training import TrainingCommand
from stream_app.errors import Broken, Incompatible
from stream_app.kafka.topics import topics_of
from stream_app.reference import artefacts
from stream_app.reference.artefacts import Card
from stream_app.reference.commands import CommandReader, ReceivedCommand
from stream_app.reference.learners import Fitted, find
from stream_app.reference.registry import Registry
from stream_app.reference.rows import Wanted, labelled_rows
from stream_app.reference.training import Task, Trained, Unusable, train
from stream_app.settings import Settings
from stream_app.tasks import end
from stream_app.worker.metrics import MetricFamilies

log = logging.getLogger(__name__)

#: Seconds between two signs of life.
PROGRESS_S: Final = 30.0
#: Commands called back that are remembered: those that wait, and far more.
_CALLED_BACK: Final = 10_000


class Trainer:
    """Runs until it is cancelled."""

    def __init__(self, settings: Settings, registry: Registry, learner: str, group: str = "plumbline-trainer") -> None:
        topics = topics_of(settings)
        self._settings, self._registry = settings, registry
        self._learner_name, self._learner = learner, find(learner)
        self._topics = topics
        self._commands = CommandReader(
            settings.kafka_bootstrap, settings.kafka_client_options(), topics, group,
            ("train", "cancel"),
        )  # fmt: skip
        self._waiting: deque[ReceivedCommand] = deque()
        #: ids of commands that were called back; the newest are kept
        self._cancelled: dict[str, None] = {}
        self._apart = _Apart()
        #: when the training in work began, and seconds that those before it took
        self._begun: float | None = None
        self._spent = 0.0

    def put(self, page: MetricFamilies) -> None:
        """Tell Prometheus."""
        self._commands.put("trainer", page)
        waiting, begun = len(self._waiting), self._begun
        page.put("trainings_waiting", "gauge", "Commands to train that wait for their turn.", waiting)
        running = 0.0 if begun is None else time.monotonic() - begun
        page.put("training_seconds", "gauge", "Time that the training in work has taken so far; 0: there is none.",
                 running)  # fmt: skip
        page.put("trainings_seconds_total", "counter", "Time spent in trainings, whatever came of them.",
                 self._spent + running)  # fmt: skip

    async def run(self) -> None:
        """Take commands for ever."""
        try:
            async with self._commands:
                log.info("waiting for commands")
                while True:
                    await self._take()
                    if self._waiting:
                        await self._train(self._waiting.popleft())
        finally:
            self._apart.stop()

    async def _take(self, wait_ms: int = 500) -> None:
        for received in await self._commands.read(wait_ms):
            if received.command.command == "cancel":
                self._cancelled[received.command.command_id] = None
                if len(self._cancelled) > _CALLED_BACK:
                    del self._cancelled[next(iter(self._cancelled))]
            else:
                self._waiting.append(received)

    async def _train(self, received: ReceivedCommand) -> None:
        if received.command.command_id in self._cancelled or await self._commands.answered(received):
            await self._commands.done(received)
            return
        log.info("%s: training begins, attempt %d", received.command.model, received.command.attempt)
        await self._commands.answer(received, "accepted")
        self._begun = time.monotonic()
        work = asyncio.create_task(self._answer_of(received))
        said = asyncio.get_running_loop().time()
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=0.1)
                await self._take(wait_ms=0)
                if received.command.command_id in self._cancelled:
                    log.info("%s: called back", received.command.model)
                    break
                if not work.done() and asyncio.get_running_loop().time() - said > PROGRESS_S:
                    said = asyncio.get_running_loop().time()
                    await self._commands.answer(received, "progress")
            if work.done() and await self._mine(received):
                answer = work.result()
                await self._commands.answer(received, **answer)
                log.info("%s: %s", received.command.model, answer["status"])
        finally:
            await end(work)
            self._spent, self._begun = self._spent + time.monotonic() - self._begun, None
        await self._commands.done(received)

    async def _mine(self, received: ReceivedCommand) -> bool:
        """Whether nobody else has taken the command over and answered it, while this process stood still."""
        return self._commands.holds(received) and not await self._commands.answered(received)

    async def _answer_of(self, received: ReceivedCommand) -> dict[str, Any]:
        command = received.command
        try:
            return await self._candidate(command)
        except Unusable as error:
            return {"status": "failed", "error": str(error)}
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("%s: training failed", command.model)
            return {"status": "failed", "error": f"{type(error).__name__}: {error}"[:1_000]}

    async def _candidate(self, command: TrainingCommand) -> dict[str, Any]:
        if command.data is msgspec.UNSET:
            raise Unusable("the command names no rows")
        settings, data = self._settings, command.data
        rules = settings.for_model(command.model)
        wanted = Wanted(
            model=command.model,
            is_global=command.tenant_id == "global",
            data=data,
            max_rows=settings.for_model(command.model).retrain_max_rows,
            silence_is_negative=rules.unlabelled_as == "negative",
        )
        found = await labelled_rows(settings.kafka_bootstrap, settings.kafka_client_options(), self._topics, wanted)
        task = Task(
            ranges=found.ranges,
            holdout=found.holdout,
            champion=await self._champion(command.model, command.expected_current_version),
            champion_version=command.expected_current_version,
            metric=command.primary_metric or "accuracy",
            refit=settings.for_model(command.model).retrain_refit,
            least=rules.retrain_min_samples,
        )
        trained = await self._apart(self._learner_name, task)
        version = candidate_version(command)
        card = self._card(command, trained)
        stored = await asyncio.to_thread(self._registry.put, command.model, version, trained.model, card)
        return {
            "status": "succeeded",
            "candidate_version": version,
            "artifact_uri": stored.uri,
            "artifact_sha256": stored.sha256,
            "training_samples": trained.training_samples,
            "holdout_samples": trained.holdout_samples,
            "candidate_metrics": trained.candidate_metrics,
            "champion_metrics": trained.champion_metrics,
            "comparison": msgspec.to_builtins(trained.comparison),
            "range": trained.range,
            "tried": msgspec.to_builtins(trained.tried),
        }

    async def _champion(self, model: str, version: str) -> Fitted | None:
        """The model that serves, if its artefact is here and is the one that is known; else what it recorded has to
        do: a registry that is damaged, or that others write to, is no reason not to train."""
        registry = self._registry
        try:
            # a registry may be far away and slow, and the group must hear of this process meanwhile
            digest = await asyncio.to_thread(registry.served, model, version) or await self._commands.made(
                model, version
            )
            if digest is not None or self._settings.registry_trust:
                return await asyncio.to_thread(registry.load, model, version, digest)
            if await asyncio.to_thread(registry.digest, model, version) is not None:
                raise artefacts.unknown(f"version {version} of {model}")
        except Incompatible as error:
            log.warning("%s: judged by what was recorded of version %s: %s", model, version, error)
        return None

    def _card(self, command: TrainingCommand, trained: Trained) -> Card:
        return {
            "parent": command.expected_current_version,
            "command_id": command.command_id,
            "attempt": command.attempt,
            "ordered_at": command.at,
            "learner": self._learner_name,
            "features": list(trained.model.features),
            "threshold": trained.model.threshold,
            "judged_threshold": trained.threshold,
            "refitted_on": trained.refitted_on,
            "data": msgspec.to_builtins(command.data, str_keys=True),
            "training_samples": trained.training_samples,
            "holdout_samples": trained.holdout_samples,
            "candidate_metrics": trained.candidate_metrics,
            "champion_metrics": trained.champion_metrics,
            "champion_by": trained.champion_by,
            "comparison": msgspec.to_builtins(trained.comparison),
            "range": trained.range,
            "tried": msgspec.to_builtins(trained.tried),
        }


def _end_with_parent() -> None:
    """In the process that fits: a trainer that is killed takes it along, whatever it does then."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise Broken("the process that fits has no parent")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Apart:
    """A process that fits: heartbeats and calls back go on meanwhile, and a call back ends it at once.

    Not ``anyio.to_process``: when the trainer is killed, its worker goes on to the end of the fit; it answers on its
    standard output, so a learner whose library prints there, as LightGBM does, fails as a broken worker; and what a
    learner says on either output is thrown away (https://github.com/agronholm/anyio/issues/516).
    """

    def __init__(self) -> None:
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    async def __call__(self, *arguments: Any) -> Trained:
        if self._pool is None:
            # a fresh interpreter: a fork would inherit the clients' sockets and threads
            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _work, *arguments)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process, whatever it does; the next call makes another."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _work(learner: str, task: Task) -> Trained:
    return train(find(learner), task)


def candidate_version(command: TrainingCommand) -> str:
    """``BASE-r1a2b3c4d``: the version it began with, without an earlier mark, and the command's own."""
    base = re.sub(r"-[rc][0-9a-f]{8}$", "", command.model_version)
    mark = uuid5("candidate", command.model, command.command_id, str(command.attempt))[:8]
    return f"{base[:118]}-r{mark}"
