"""Processes we started: remembered by id and start time, so that a recycled id is never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Process:
    """A process by id and kernel start time (clock ticks since boot)."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return _start_time(self.pid) == self.started

    def stop(self, bound_s: float = 20.0) -> None:
        """SIGTERM, and SIGKILL after ``bound_s`` seconds."""
        if not self.alive():
            return
        os.kill(self.pid, signal.SIGTERM)
        if not self._gone(bound_s):
            os.kill(self.pid, signal.SIGKILL)
            self._gone(5)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            self._gone(5)

    def _gone(self, bound_s: float) -> bool:
        deadline = time.monotonic() + bound_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def state(self) -> dict[str, Any]:
        """For the state file."""
        return asdict(self)


def _start_time(pid: int) -> int:
    """Field 22 of ``/proc/PID/stat``; 0 if there is no such process or it is a zombie. Reaps our own children."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def spawn(command: list[str], log: Path, cwd: Path) -> Process:
    """Start a process of its own session with its output in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True
        )
    child.returncode = 0  # reaped by Process; keeps Popen's destructor from warning
    return Process(child.pid, _start_time(child.pid))
