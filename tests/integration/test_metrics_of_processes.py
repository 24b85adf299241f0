"""Relay, bridge, trainer and deployer tell Prometheus what they did; the web process tells whoever has a token."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stream_app.services.ports import free_ports
from tests.integration.test_bridge import Hook, alert, publish
from tests.support.kafka_io import Prefix, until
from tests.support.live import Site
from tests.support.metrics import documented, exposed
from tests.support.reference import Process, command_of, send_commands
from tests.support.relay import Out, make_topic, produce

OTHERS = documented("Relay, bridge, web, trainer, deployer") | {"plumbline_passed_by_records_total"}


def _page(port: int, host: str = "127.0.0.1") -> tuple[int, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def _values(page: str) -> dict[str, float]:
    """Sums by name and, where there is one, status."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = " ".join(filter(None, (sample.name.removeprefix("plumbline_"), sample.labels.get("status"))))
            found[name] = found.get(name, 0.0) + sample.value
    return found


async def test_they_count_what_they_did_and_say_what_waits(prefix: Prefix, tmp_path: Path) -> None:
    hook, ports = Hook(), free_ports(4)
    await hook.start()
    source = await make_topic(prefix, "other")
    path = tmp_path / "map.toml"
    path.write_text(
        '[[emit]]\nto = "outcomes"\nfields = { prediction_id = "value.id", actual = "value.y", '
        "observed_at = \"value.at | time('s')\" }\n"
    )
    bridge = {"PLUMBLINE_BRIDGE_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/"}
    models = ["--registry", str(tmp_path / "models")]
    running = [
        Process(prefix, tmp_path, name, [*command, "--metrics-port", str(port)], env=env)
        for (name, command, env), port in zip(
            (
                ("relay", ["relay", source, "--map", str(path)], None),
                ("bridge", ["bridge"], bridge),
                ("trainer", ["trainer", *models], None),
                ("deployer", ["predictor", "deploy", *models], None),
            ),
            ports,
            strict=True,
        )
    ]
    good = json.dumps({"id": "p", "y": True, "at": 1_772_000_000}).encode()
    await produce(prefix, source, [Out(good), Out(good), Out(b"{")])
    await publish(prefix, alert(1, 1, "opened"))
    # neither names rows nor a version that is there
    await send_commands(
        prefix, [command_of(prefix, "churn:acme", kind, n) for n, kind in enumerate(("train", "activate"))]
    )
    wanted: list[dict[str, float]] = [
        {"relay_records_total": 3, "relay_outcomes_total": 2, "relay_dead_letters_total": 1, "relay_lag_records": 0},
        {"bridge_delivered_total": 1, "bridge_open_alerts": 1, "bridge_lag_records": 0},
        {"commands_answered_total accepted": 1, "commands_answered_total failed": 1, "commands_lag_records": 0},
        {"commands_answered_total accepted": 1, "commands_answered_total failed": 1, "commands_lag_records": 0},
    ]
    try:
        for process in running:
            process.start()

        def told() -> bool:
            assert all(process.exit_code is None for process in running), [process.tail() for process in running]
            pages = [_values(_page(port)[1]) for port in ports]
            return all(want.items() <= page.items() for want, page in zip(wanted, pages, strict=True))

        await until(told, 60, "what all of them did")
        for port in ports:
            assert exposed(_page(port)[1]) <= OTHERS
            assert _page(port, "evil.example")[0] == 421
        await hook.stop()
        await publish(prefix, alert(1, 2, "severity"), alert(1, 3, "escalated"))
        await until(lambda: _values(_page(ports[1])[1]).get("bridge_lag_records", 0) >= 2, 30, "alerts that wait")
        assert _values(_page(ports[1])[1])["bridge_retries_total"] >= 1
        assert [process.stop() for process in running] == [0] * 4
    finally:
        for process in running:
            process.kill()
        await hook.stop()


async def test_the_web_process_tells_it_to_whoever_has_a_token(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.web.address, timeout=30) as stranger:
        assert (await stranger.get("/metrics")).status_code == 401
    async with site.web.client() as viewer:

        async def looked() -> bool:
            return _values((await viewer.get(f"{site.web.address}/metrics")).text)["web_degraded"] == 0

        await until(looked, 30, "the web process to have looked at the read model")
        answer = await viewer.get(f"{site.web.address}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = _values(answer.text)
    assert exposed(answer.text) <= OTHERS
    assert values["web_answers_total 200"] >= 1
    assert values["web_answers_total 401"] >= 1
    assert values["web_read_model_timestamp_seconds"] > 0
