"""The reference trainer and deployer as processes, and commands as the coordinator writes them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from schemas.partitioning import partition_for
from stream_app.kafka import clients
from stream_app.settings import children
from tests.support.kafka_io import Prefix


class Process:
    """One ``plumbline`` command that runs until it is told to stop."""

    def __init__(
        self, prefix: Prefix, logs: Path, name: str, command: Sequence[str], script: Path | None = None,
        folder: Path | None = None, env: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``script``: a program of its own instead of a command; ``folder``: where it runs."""
        self._folder = folder
        self.log = logs / f"{name}.log"
        self._command = [sys.executable, *(["-m", "stream_app"] if script is None else [str(script)]), *command]
        topics = prefix.topics
        self._env = {
            **children.fresh_environment(kafka_bootstrap=prefix.bootstrap, **topics.as_settings()),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(self._command, env=self._env, cwd=self._folder, stdout=out, stderr=out)
        return self

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def wait(self, bound_s: float) -> int:
        """Its exit code, once it ends by itself."""
        assert self._process is not None
        return self._process.wait(bound_s)

    def kill(self) -> None:
        """SIGKILL and reap."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, bound_s: float = 20.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(bound_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop within {bound_s:.0f} s\n{self.tail()}") from None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3_000:] if self.log.exists() else ""


class Runs:
    """Pickled, it leaves a file behind when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._trace,)


def command_of(
    prefix: Prefix, model: str, command: str, number: int, attempt: int = 1, candidate: str | None = None,
    current: str = "v1", data: dict[str, Any] | None = None, sha256: str | None = None,
    recalibration: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A command as it stands on the topic."""
    model_type, _, tenant = model.partition(":")
    id = f"00000000-0000-4000-8000-{number:012d}"
    found: dict[str, Any] = {
        "schema": "io.plumbline.training-command.v1", "id": id, "at": "2026-03-02T04:00:00.000Z", "model": model,
        "model_type": model_type, "tenant_id": tenant, "command": command, "command_id": id, "attempt": attempt,
        "model_version": current, "expected_current_version": current, "reply_topic": prefix.topics.training_results,
        "reply_partition": partition_for(model.encode(), prefix.topics.model_partitions),
    }  # fmt: skip
    rest = {
        "candidate_version": candidate, "data": data, "artifact_sha256": sha256, "recalibration": recalibration,
    }  # fmt: skip
    return found | {name: value for name, value in rest.items() if value}


async def send_commands(prefix: Prefix, orders: Sequence[dict[str, Any]]) -> None:
    """Write commands with the header that says whose they are."""
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for sent in orders:
            await kafka.send_and_wait(
                prefix.topics.training_commands, orjson.dumps(sent), key=sent["model"].encode(),
                partition=sent["reply_partition"], headers=[("plumbline.command", sent["command"].encode())],
            )  # fmt: skip
