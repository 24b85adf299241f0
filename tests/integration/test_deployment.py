"""The files that start Plumbline: the Procfile by honcho for real, the Kubernetes file against the commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from stream_app.cli import cli
from stream_app.services.ports import free_ports
from stream_app.settings import Settings, children
from tests.support.kafka_io import Prefix, until
from tests.support.live import RedisServer

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "docs" / "operations" / "kubernetes.yaml"


def _honcho(folder: Path, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "honcho", "-f", str(ROOT / "Procfile"), "-d", str(folder), "start"]
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True)


async def test_honcho_starts_every_process_of_the_procfile_and_sigterm_ends_them_all(
    prefix: Prefix, tmp_path: Path
) -> None:
    (port, dashboard), log = free_ports(2), tmp_path / "honcho.log"
    redis = RedisServer(tmp_path / "redis").start()
    env = children.fresh_environment(
        kafka_bootstrap=prefix.bootstrap,
        redis_url=redis.url,
        app_id=f"{prefix.topics.input_prefix}app",
        dashboard_port=dashboard,
        web_port=port,
        session_timeout_s=2,
        **prefix.topics.as_settings(),
    )
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    running = _honcho(tmp_path, env, log)

    def ready() -> bool:
        assert running.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.HTTPError, OSError):
            return False

    try:
        await until(ready, 90, f"the worker of the Procfile to be ready\n{log.read_text()}")
        await until(lambda: log.read_text().count("waiting for commands") >= 2, 60, "trainer and deployer")
        # the address that is printed signs in, and what the worker projects is there
        printed = re.search(r"#token=(\S+)", log.read_text())
        assert printed, log.read_text()

        def shown() -> bool:
            request = urllib.request.Request(f"http://127.0.0.1:{dashboard}/api/v1/status")
            request.add_header("authorization", f"Bearer {printed[1]}")
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)["degraded"] is False

        await until(shown, 30, "the dashboard to be whole")
        running.send_signal(signal.SIGTERM)
        await until(lambda: running.poll() is not None, 30, f"honcho to end\n{log.read_text()}")
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        redis.kill()
    text = log.read_text()
    for name in ("worker.1", "web.1", "trainer.1", "deployer.1"):
        assert f"{name} stopped (rc=" in text, text
    assert "Traceback" not in text, text


def _documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def _pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in _documents():
        if document["kind"] in ("StatefulSet", "Deployment"):
            assert document["spec"]["selector"]["matchLabels"] == document["spec"]["template"]["metadata"]["labels"]
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def test_kubernetes_starts_commands_that_exist_as_nobody_with_room_to_drain() -> None:
    names = set()
    for name, pod in _pods():
        names.add(name)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["terminationGracePeriodSeconds"] >= 30
        for container in pod["containers"]:
            command: Any = cli
            for word in container["args"]:
                if not isinstance(command, click.Group):
                    break  # its options
                command = command.get_command(click.Context(command), word)
                assert command is not None, f"{name}: no command {word}"
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"configMapRef": {"name": "plumbline"}} in container["envFrom"]
    assert names == {"plumbline-worker", "plumbline-web", "plumbline-bridge", "plumbline-trainer"}


def test_kubernetes_workers_have_a_disk_each_and_probes_that_the_worker_answers() -> None:
    (worker,) = [d for d in _documents() if d["kind"] == "StatefulSet"]
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    views = (ROOT / "stream_app" / "worker" / "views.py").read_text()
    for probe in ("livenessProbe", "startupProbe", "readinessProbe"):
        assert f'"{container[probe]["httpGet"]["path"]}"' in views
    assert [port["containerPort"] for port in container["ports"]] == [Settings().web_port]
    (claim,) = worker["spec"]["volumeClaimTemplates"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == claim["metadata"]["name"]
    assert f"PLUMBLINE_DATA_DIR={mount['mountPath']}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_kubernetes_sets_settings_that_exist_and_secrets_only_as_secrets(kind: str) -> None:
    (document,) = [d for d in _documents() if d["kind"] == kind]
    values = document["data" if kind == "ConfigMap" else "stringData"]
    known = {f"PLUMBLINE_{name.upper()}" for name in Settings.model_fields}
    assert set(values) <= known
    assert all(any(w in name for w in ("PASSWORD", "SECRET", "TOKENS")) == (kind == "Secret") for name in values)
