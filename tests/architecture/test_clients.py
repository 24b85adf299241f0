"""Kafka clients come from one factory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FACTORY = ROOT / "stream_app/kafka/clients.py"
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"}


def _made() -> Iterator[str]:
    for room in ("stream_app", "agents", "benchmarks", "tests"):
        for path in (ROOT / room).rglob("*.py"):
            if path == FACTORY:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
                if name in CLIENTS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_nobody_but_the_factory_makes_a_kafka_client() -> None:
    assert not list(_made()), "stream_app/kafka/clients.py makes clients: consumer, log_reader, producer, admin"


def test_what_is_uncommitted_is_read_by_nobody_and_only_asked_for_where_a_log_ends() -> None:
    """What was taken back must not count anywhere. Both ask for the end that holds for all, and fetch nothing."""
    found = [
        str(path.relative_to(ROOT))
        for room in ("stream_app", "agents")
        for path in (ROOT / room).rglob("*.py")
        if "read_uncommitted" in path.read_text()
    ]
    assert sorted(found) == ["stream_app/engine/engine.py", "stream_app/kafka/reading.py"]
