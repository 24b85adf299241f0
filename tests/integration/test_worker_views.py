"""The worker's views: any worker answers for any model; the metrics tell what happened."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Callable

import yaml

from stream_app.http import bounds
from tests.support.generate import history
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, read, until, write
from tests.support.metrics import OPERATIONS, documented
from tests.support.strangers import answer, close, raw
from tests.support.worker import Worker


async def test_any_worker_answers_for_any_model_and_says_so_while_its_owner_is_gone(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=81, days=2, per_day=300)
    first, second = worker("first").start(), worker("second").start()
    await write(prefix, steps)
    await finished(prefix, steps[-1][0], [first, second])
    parts = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    models = {json.loads(record.value)["model"] for records in parts.values() for record in records}
    assert len(models) >= 3

    def metrics_lanes(of: Worker) -> set[int]:
        return {int(name[-1]) for name in of.view("/readyz")[1]["lanes"] if name.startswith("metrics-")}

    async def shared() -> bool:
        return all(metrics_lanes(of) for of in (first, second))

    await until(shared, 60, "both workers to own models")
    for model in sorted(models):
        answers = [of.view(f"/models/{model}") for of in (first, second)]
        assert answers[0] == answers[1]
        assert answers[0][0] == 200
        assert answers[0][1]["cells"]
        windows = [of.view(f"/models/{model}?window=recent") for of in (first, second)]
        assert windows[0] == windows[1]
        assert windows[0][0] == 200
        told = windows[0][1]
        same = [cell for cell in answers[0][1]["cells"] if cell["model_version"] == told["model_version"]]
        assert told["cells"] == [cell for cell in same if told["from"] <= cell["date"] <= told["to"]] != []
        assert told["figures"]["predictions"] == sum(cell["predictions"] for cell in told["cells"])
        assert first.view(f"/models/{model}?window=baseline")[1]["cells"] == []
        assert first.view(f"/models/{model}?window=recent&as_of=1999-01-01")[1]["to"] == "1998-12-31"
        for wrong in ("window=last", "window=recent&limit=5", "as_of=2026-01-01", "window=recent&as_of=yesterday"):
            assert first.view(f"/models/{model}?{wrong}")[0] == 400, wrong
    assert [of.view("/models/no:model")[0] for of in (first, second)] == [404, 404]
    assert first.view("/models/no:model?window=recent")[0] == 404

    owned = metrics_lanes(second)
    theirs = next(model for model in sorted(models) if first.view(f"/models/{model}")[1]["partition"] in owned)
    second.signal(signal.SIGSTOP)  # alive for Kafka a little longer, and it answers nobody
    status, told = first.view(f"/models/{theirs}")
    assert status == 503
    assert "does not answer" in told["error"]
    await _flooded(int(first.env["PLUMBLINE_WEB_PORT"]), theirs)
    second.kill()
    await until(lambda: first.view(f"/models/{theirs}")[0] == 200, 60, "the other worker to take over")


async def _flooded(port: int, model: str) -> None:
    """Questions that wait for an owner who says nothing: two hundred do, those beyond are refused, probes answer."""
    beyond = 30
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(bounds.IN_WORK + beyond)]
    question = f"GET /models/{model} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    for _, writer in connections:
        writer.write(question)
    probe = await raw(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert probe.status == 200
    answers = await asyncio.gather(*(answer(reader) for reader, _ in connections))
    refused = [got for got in answers if b"too many requests are in work" in got.body]
    assert 1 <= len(refused) <= beyond, len(refused)
    assert {got.status for got in refused} == {503}
    assert (await raw(port, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).status == 200
    for _, writer in connections:
        await close(writer)


NAME = re.compile(r"plumbline_[a-z_]+")


def test_rules_and_dashboard_use_metrics_that_are_documented() -> None:
    rules = yaml.safe_load((OPERATIONS / "prometheus-rules.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    expressions += [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(expressions) >= 20
    for expression in expressions:
        used = set(NAME.findall(expression))
        assert used, expression
        assert used <= documented(), expression
    troubleshooting = (OPERATIONS / "metrics.md").read_text()
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert f"### {rule['alert']}" in troubleshooting, rule["alert"]
