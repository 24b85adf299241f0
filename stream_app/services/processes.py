"""Processes we started: remembered by id and start time, so that a recycled id is never killed. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process by id and start: the boot's id and the kernel's clock ticks since then."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs; one that is dead and only not yet reaped does not."""
        return self.started != "" and _started(self.pid) == self.started

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            _wait([self], 10)


def stop_all(processes: Iterable[Process], bound_s: float = 20.0) -> None:
    """SIGTERM to all at once, and SIGKILL to those still there after ``bound_s`` seconds."""
    running = [process for process in processes if process.alive()]
    for process in running:
        # Gone since we looked: that is what we want.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    _wait(running, bound_s)
    for process in running:
        process.kill()


def spawn(command: list[str], log: Path, cwd: Path) -> Process:
    """Start a process in a session of its own, so that Ctrl-C here does not reach it; its output goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True
        )
    child.returncode = 0  # it outlives this handle on purpose; says so to Popen's destructor, which would warn
    return Process(child.pid, _started(child.pid))


def _wait(processes: Iterable[Process], bound_s: float) -> None:
    deadline = time.monotonic() + bound_s
    for process in processes:
        while process.alive() and time.monotonic() < deadline:
            time.sleep(0.02)


def _started(pid: int) -> str:
    """When the process started; empty if there is none or it is dead. Reaps a child of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        # The name, in brackets, may hold anything; what follows it are fields 3 and on of proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    state, threads, ticks = fields[0], int(fields[17]), fields[19]
    # The first thread of a killed JVM is a zombie while others still hold its ports.
    if state in "ZX" and threads <= 1:
        return ""
    return f"{boot}:{ticks}"
