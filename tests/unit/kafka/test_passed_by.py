"""What a reader passes by is counted where operators look."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.unreadable import Unreadable
from stream_app.kafka import arrived, passed_by
from stream_app.worker.exposition import put
from stream_app.worker.metrics import MetricsPage


def _samples() -> list[str]:
    engine: Any = SimpleNamespace(lanes={}, assignments=1)
    page = MetricsPage(partial(put, engine)).body().decode()
    return [row for row in page.splitlines() if row.startswith("plumbline_passed_by_records_total")]


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    passed_by.PASSED_BY.clear()
    arrived.SKIPPED.clear()


def test_metrics_say_how_many_records_of_a_topic_were_passed_by_and_why() -> None:
    assert [row.partition("{")[2] for row in _samples()] == [
        'reason="unreadable",topic=""} 0.0', 'reason="undecodable",topic=""} 0.0'
    ], "there before anything is, so that rate() sees the first"  # fmt: skip
    batch = Unreadable.of(b"x", reason="unreadable_batch", error="e", span=(5, 11), records=7, sha256="s")
    records = [SimpleNamespace(topic="ml.audit", partition=1, offset=n, value=value) for n, value in enumerate(
        (batch, b"{}", b"no JSON"))]  # fmt: skip
    found = list(passed_by.readable(records))
    assert [record.value for record in found] == [b"{}", b"no JSON"]
    for record in found:
        arrived.decoded(lambda value: int(value) if value != b"{}" else 0, record)
    assert [row.partition("{")[2] for row in _samples()] == [
        'reason="unreadable",topic="ml.audit"} 7.0', 'reason="undecodable",topic="ml.audit"} 1.0'
    ]  # fmt: skip
