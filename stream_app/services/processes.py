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

import psutil


@dataclass(frozen=True, slots=True)
class Process:
    """A process by id and start: the boot's id and the seconds since then."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs; one that is dead and only not yet reaped does not."""
        return self.started != "" and started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        # gone since we looked: whoever signals here wants that
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.alive():
                psutil.Process(self.pid).send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        _wait([self], 10)


def stop_all(processes: Iterable[Process], bound_s: float = 20.0) -> None:
    """SIGTERM to all at once, and SIGKILL to those still there after ``bound_s`` seconds."""
    running = [process for process in processes if process.alive()]
    for process in running:
        process.signal(signal.SIGTERM)
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
    return Process(child.pid, started(child.pid))


def _wait(processes: Iterable[Process], bound_s: float) -> None:
    # not psutil.wait_procs: it waits for the dead that their parent has not reaped
    deadline = time.monotonic() + bound_s
    for process in processes:
        while process.alive() and time.monotonic() < deadline:
            time.sleep(0.02)


def started(pid: int) -> str:
    """When a process started; empty if there is none or it is dead. Reaps a child of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        process = psutil.Process(pid)
        # The first thread of a killed JVM is a zombie while others still hold its ports.
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) and process.num_threads() <= 1:
            return ""
        return f"{_boot()}:{_since_boot(pid):.2f}"
    except psutil.NoSuchProcess:
        return ""


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _since_boot(pid: int) -> float:
    """psutil says both as time of day, which moves when the clock is corrected; what lies between does not."""
    while True:
        boot: float = psutil.boot_time()
        created: float = psutil.Process(pid).create_time()
        if psutil.boot_time() == boot:
            return created - boot
