"""One id of each kind, as docs/reference/ids.md says it is made: who stores ids by kind relies on them."""

from __future__ import annotations

import uuid

import pytest

from schemas.common import uuid5
from stream_app.core.drift.events import event_id
from stream_app.core.retrain.transition import command_id

#: what it names, its parts as the document lists them, and the id
IDS = {
    "metric snapshot": ("metric-snapshot", "fraud", "v3", "acme", "2026-03-01"),
    "change of the active version": ("model-lifecycle", "fraud", "acme", "v4", "2026-03-02T02:00:00.000Z"),
    "setting": ("setting", "0d2c3b0e-8f0e-4a39-8f64-27f1a5e3a9a1", "fraud:acme", "drop_points"),
    "drift event": ("drift-event", "fraud:acme", "statistical", "", "2026-03-02T03:00:00.000Z", ""),
    "recomputed drift event": ("drift-event", "fraud:acme", "performance", "", "2026-03-02T04:00:00.000Z", "again"),
    "alert": ("alert", "ML_DRIFT_DETECTED", "fraud:acme", "2026-03-02T03:00:00.000Z"),
    "alert about retraining": ("alert", "ML_CIRCUIT_OPEN", "fraud:acme", "circuit/7"),
    "outcome of a command": ("command-outcome", "c1", "3"),
    "correlation": ("alert-correlation", "fraud", "2026-03-02"),
    "audit record": ("audit", "fraud:acme", "train", "refused", "84a3e89f-0dc5-5957-a0eb-906ad1d5550c"),
    "training command": ("training-command", "fraud:acme", "7", "train"),
    "training job": ("training-job", "fraud:acme", "7", "training", "1", "closed", "2026-03-02T03:00:00.000Z"),
    "command from the web": ("web-command", "ada", "key-1"),
}
FIXED = {
    "metric snapshot": "da1268fb-1da1-5842-b908-338e221f77f8",
    "change of the active version": "2442937d-1284-50af-8528-e701b9c4297f",
    "setting": "cfa566c0-f80a-5b84-b5a4-d0d68b47aa99",
    "drift event": "9f385483-0317-52ea-9a2c-6dafe60f9dc5",
    "recomputed drift event": "8d585bfc-dff8-5062-a5b2-f2c3083e736a",
    "alert": "1a066462-9db4-56b4-999f-1b4c203b2c1c",
    "alert about retraining": "8398e59f-9fbe-5d4d-869e-a4345e319c4c",
    "outcome of a command": "ce9594cd-4832-5f1e-98be-ff9249f796a1",
    "correlation": "b3085839-4e1b-5d16-82b5-4dd64a2e4698",
    "audit record": "1382c5d5-ec26-538f-a2a9-a7f702badac4",
    "training command": "b135d9d4-ee5d-53ef-aa8f-cfef41b1b14f",
    "training job": "2eebc45e-f458-5b1a-b081-0984a177051e",
    "command from the web": "a505a6fc-90c9-5297-bf20-a184a5dab736",
}


def test_every_kind_has_its_id() -> None:
    assert {name: uuid5(*parts) for name, parts in IDS.items()} == FIXED


@pytest.mark.parametrize("name", IDS)
def test_it_is_the_uuid_of_the_parts_in_their_order_between_unit_separators(name: str) -> None:
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:plumbline")
    assert str(uuid.uuid5(namespace, "\x1f".join(IDS[name]))) == FIXED[name]


def test_the_stages_make_them_of_these_parts() -> None:
    at = 1_772_420_400_000  # 2026-03-02T03:00:00Z
    assert event_id("fraud:acme", "statistical", None, at) == FIXED["drift event"]
    assert event_id("fraud:acme", "performance", None, at + 3_600_000, True) == FIXED["recomputed drift event"]
    assert command_id("fraud:acme", 7, "train") == FIXED["training command"]
