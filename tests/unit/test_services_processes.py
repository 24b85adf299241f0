"""Processes and ports: only what was started here is ever touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from stream_app.errors import Unavailable
from stream_app.services.ports import free_ports, is_free, refuse_busy
from stream_app.services.processes import Process, spawn, started, stop_all

_SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
_DEAF = [sys.executable, "-c", "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(600)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = spawn(_SLEEP, tmp_path / "log", tmp_path)
    yield process
    process.kill()


def test_a_process_is_alive_until_it_is_stopped(sleeper: Process) -> None:
    assert sleeper.alive()
    stop_all([sleeper])
    assert not sleeper.alive()


def test_a_recycled_id_is_never_signalled(sleeper: Process) -> None:
    recycled = replace(sleeper, started="another boot:1")
    assert not recycled.alive()
    recycled.kill()
    stop_all([recycled])
    assert sleeper.alive()


def test_a_process_that_was_never_found_is_not_alive() -> None:
    assert not Process(os.getpid(), "").alive()


def test_what_ignores_sigterm_is_killed_after_the_bound(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn(_DEAF, log, tmp_path)
    while "up" not in log.read_text():
        assert process.alive()
    stop_all([process], bound_s=0.2)
    assert not process.alive()


def test_a_dead_child_that_nobody_reaped_is_not_alive(tmp_path: Path) -> None:
    """As in a container whose first process reaps nothing: the parent here is another process."""
    parent = subprocess.Popen(
        [sys.executable, "-c", "import os, time\npid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(600)"],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        child = Process(pid, started(pid))
        assert child.alive()
        child.kill()
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert not child.alive()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()


def test_free_ports_are_distinct_and_never_given_to_a_client() -> None:
    ports = free_ports(6)
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(ports)) == 6
    assert max(ports) < max(first_outgoing, 22_000)
    assert all(map(is_free, ports))


def test_a_busy_port_is_explained_with_the_option_that_chooses_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} for Redis is taken.*--redis-port"):
            refuse_busy(port, "Redis", "--redis-port")
    refuse_busy(port, "Redis", "--redis-port")
