"""Real worker processes, started and killed by id, always reaped."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream_app.kafka.topics import Topics
from stream_app.services.ports import free_ports
from stream_app.settings import children
from stream_app.settings.names import PREFIX


class Worker:
    """One ``plumbline worker`` process."""

    def __init__(self, bootstrap: str, topics: Topics, app_id: str, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.log = folder / f"worker-{app_id}.log"
        folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, object] = {
            "environment": "development", "kafka_bootstrap": bootstrap, "app_id": app_id, "data_dir": folder / "data",
            "session_timeout_s": 2, "clock": "follow", "redis_url": "", "web_port": free_ports(1)[0],
            **topics.as_settings(), **settings,
        }  # fmt: skip
        self.env = children.fresh_environment(**known)
        self._process: subprocess.Popen[bytes] | None = None
        #: resource → what the process may have of it, soft and hard
        self._limits: dict[int, tuple[int, int]] = {}

    def limit_file_size(self, size: int) -> None:
        """From the next start on no file of the process may grow beyond that: what a full disk looks like."""
        self._limits[resource.RLIMIT_FSIZE] = (size, resource.RLIM_INFINITY)

    def limit_descriptors(self, count: int) -> None:
        """From the next start on the process may open that many files and connections."""
        self._limits[resource.RLIMIT_NOFILE] = (count, count)

    def start(self, *, arguments: Sequence[str] = (), **extra: str) -> Worker:
        """Start, with further settings, and arguments of the command, for this run alone."""
        env = self.env | {f"{PREFIX}{name.upper()}": value for name, value in extra.items()}
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "worker", *arguments],
                env=env,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                preexec_fn=(lambda: _limited(self._limits)) if self._limits else None,
            )
        return self

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._process is not None

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs or was never started."""
        return self._process.poll() if self._process is not None else None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        if self.exit_code is None and self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL and reap."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, bound_s: float = 30.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(bound_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not stop within {bound_s:.0f} s\n{self.tail()}") from None

    def view(self, path: str) -> tuple[int, Any]:
        """Status and body of one of its views."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.env['PLUMBLINE_WEB_PORT']}{path}", timeout=10
            ) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if "json" in answer.headers["content-type"] else text
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def ready(self) -> str:
        """What its lanes say of themselves."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.env['PLUMBLINE_WEB_PORT']}/readyz", timeout=2
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return f"no answer: {error}"

    def tail(self, lines: int = 40) -> str:
        """Its lanes and the end of its log, for failures."""
        return f"{self.ready()}\n{self._log_tail(lines)}"

    def _log_tail(self, lines: int) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def _limited(limits: dict[int, tuple[int, int]]) -> None:
    # the signal would kill; ignored, a write fails as it does on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for kind, limit in limits.items():
        resource.setrlimit(kind, limit)
