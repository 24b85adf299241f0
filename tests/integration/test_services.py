"""``plumbline services`` with real processes, each test in a folder and on ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.services import _Forwarding
from stream_app.services.kafka import LocalKafka, brokers
from stream_app.services.ports import free_ports
from stream_app.services.stack import Stack
from stream_app.settings import children

pytestmark = pytest.mark.kafka

_Plumbline = Callable[..., "subprocess.CompletedProcess[str]"]
_COMMAND = [sys.executable, "-m", "stream_app", "services"]


def _environment() -> dict[str, str]:
    """Without settings of whoever runs the tests, but with their cache of jars."""
    cache = os.environ.get("PLUMBLINE_CACHE_DIR")
    kept = children.fresh_environment(**({"cache_dir": cache} if cache else {}))
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[_Plumbline]:
    """Run ``plumbline services ARGS`` in a folder of this test; whatever it left running is stopped."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_COMMAND, *arguments], cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False
        )

    yield call
    Stack(tmp_path / ".plumbline").down()


def _status(run: _Plumbline) -> dict[str, dict[str, object]]:
    found = [json.loads(text) for text in run("status", "--json").stdout.splitlines()]
    return {service["name"]: service for service in found}


def test_up_status_and_down_do_what_they_say_and_twice_is_fine(run: _Plumbline, tmp_path: Path) -> None:
    first = run("up", "--port", "0", "--redis-port", "0")
    assert first.returncode == 0, first.stderr
    before = _status(run)
    assert all(service["answers"] for service in before.values())
    assert set(before) == {"kafka", "redis"}
    assert run("up", "--port", "0", "--redis-port", "0").returncode == 0
    assert _status(run) == before
    assert "answers" in run("status").stdout
    other = subprocess.run([*_COMMAND, "down", "--dir", "elsewhere"], cwd=tmp_path, env=_environment(), check=True)
    assert other.returncode == 0
    assert _status(run) == before
    assert run("down").stdout == "stopped kafka and redis\n"
    assert run("down").stdout == "nothing was running\n"
    gone = run("status")
    assert (gone.returncode, "nothing runs" in gone.stderr) == (1, True)
    assert brokers(str(before["kafka"]["address"])) == 0


def test_a_busy_port_is_explained_and_nothing_is_started(run: _Plumbline, tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    assert run("up", "--port", port, "--no-redis").returncode == 0
    second = run("up", "--port", port, "--no-redis", "--dir", "second")
    assert second.returncode == 1
    assert f"port {port} for Kafka is taken by another program" in second.stderr
    assert "--port" in second.stderr
    assert not (tmp_path / "second" / "services.json").exists()


def test_a_killed_broker_is_told_by_status_and_mended_by_up_with_its_data(run: _Plumbline, tmp_path: Path) -> None:
    assert run("up", "--port", "0", "--redis-port", "0").returncode == 0
    stack = Stack(tmp_path / ".plumbline")
    kafka = stack.services()["kafka"]
    kafka.processes[1].kill()
    assert set(_status(run)) == {"redis"}
    formatted = (tmp_path / ".plumbline" / "kafka-1" / "data" / "meta.properties").stat().st_mtime_ns
    assert run("up", "--port", str(kafka.ports[0])).returncode == 0
    assert _status(run)["kafka"]["address"] == kafka.address
    assert (tmp_path / ".plumbline" / "kafka-1" / "data" / "meta.properties").stat().st_mtime_ns == formatted


def test_run_gives_the_addresses_to_its_command_passes_its_exit_code_and_leaves_nothing(run: _Plumbline) -> None:
    program = (
        "import os, sys; from stream_app.services.kafka import brokers;"
        "print(brokers(os.environ['PLUMBLINE_KAFKA_BOOTSTRAP']), os.environ['PLUMBLINE_REDIS_URL'][:8]); sys.exit(7)"
    )
    done = run("run", "--port", "0", "--redis-port", "0", "--", sys.executable, "-c", program)
    assert (done.returncode, done.stdout) == (7, "1 redis://\n"), done.stderr
    assert run("status").returncode == 1


def test_run_leaves_what_was_up_before(run: _Plumbline) -> None:
    assert run("up", "--port", "0", "--no-redis").returncode == 0
    before = _status(run)
    assert run("run", "--no-redis", "--", "true").returncode == 0
    assert _status(run) == before


def test_of_two_runs_at_once_the_last_one_stops_the_services(run: _Plumbline, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [*_COMMAND, "run", "--port", "0", "--no-redis", "--", "sh", "-c", "echo up; read model"],
        cwd=tmp_path, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "up\n"
        before = _status(run)
        assert run("run", "--port", "0", "--no-redis", "--", "true").returncode == 0
        assert _status(run) == before
    finally:
        holder.communicate("done\n", timeout=60)
    assert holder.returncode == 0
    assert run("status").returncode == 1


def test_run_that_is_told_to_stop_stops_its_command_and_the_services(run: _Plumbline, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*_COMMAND, "run", "--port", "0", "--no-redis", "--", "sh", "-c", "echo up; exec sleep 600"],
        cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "up\n"
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 128 + signal.SIGTERM
    assert run("status").returncode == 1


def test_a_signal_that_comes_while_the_command_starts_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command may run, and say so, before ``Popen`` has returned."""
    started = subprocess.Popen

    def slow(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = started(*arguments, **options)
        os.kill(os.getpid(), signal.SIGTERM)
        return child

    with _Forwarding() as forwarding:
        monkeypatch.setattr(subprocess, "Popen", slow)
        assert forwarding.run(("sleep", "600"), dict(os.environ)) == 128 + signal.SIGTERM


async def test_a_node_of_three_can_be_killed_and_comes_back(tmp_path: Path) -> None:
    """In a running event loop on purpose: fixtures and tests of both kinds use the class."""
    kafka = LocalKafka(tmp_path, nodes=3)
    try:
        kafka.start()
        assert brokers(kafka.bootstrap) == 3
        kafka.kill(2)
        assert not kafka.running(2)
        deadline = time.monotonic() + 20
        while brokers(kafka.bootstrap) != 2:
            assert time.monotonic() < deadline, "the two nodes left never noticed"
        kafka.restart(2)
        assert brokers(kafka.bootstrap) == 3
    finally:
        kafka.stop()
    assert brokers(kafka.bootstrap) == 0
