"""The reference trainer and deployer as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.kafka_io import Prefix


class Process:
    """One ``plumbline`` command that runs until it is told to stop."""

    def __init__(self, prefix: Prefix, folder: Path, name: str, command: Sequence[str]) -> None:
        self.log = folder / f"{name}.log"
        self._command = [sys.executable, "-m", "stream_app", *command]
        topics = prefix.topics
        self._env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")},
            "PLUMBLINE_KAFKA_BOOTSTRAP": prefix.bootstrap,
            "PLUMBLINE_INPUT_PREFIX": topics.input_prefix,
            "PLUMBLINE_OUTPUT_PREFIX": topics.output_prefix,
            "PLUMBLINE_INPUT_PARTITIONS": str(topics.input_partitions),
            "PLUMBLINE_LINE_PARTITIONS": str(topics.line_partitions),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=out, stderr=out)
        return self

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

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
