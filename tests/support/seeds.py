"""One good record of everything that strangers write, to be spoiled: bytes as they stand on the topics."""

from __future__ import annotations

import json
from typing import Any, Final

DAY_MS: Final = 86_400_000
NOW_MS = 20_000 * DAY_MS + 7 * 3_600_000


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


PREDICTION: Final = _json(
    prediction_id="p-1", model_type="churn", model_version="v1", tenant_id="acme", predicted_at=NOW_MS, score=0.7,
    threshold=0.5, predicted=True, ci_lower=0.6, ci_upper=0.8, role="active", features={"age": 41, "plan": "b"},
)  # fmt: skip
OUTCOME: Final = _json(prediction_id="p-1", actual=1, observed_at="2024-10-04T07:00:00Z")
IDS: Final = {"command_id": "4f0c2f2a-6f2f-5d5e-8f3e-2b8f0b6f7a10", "attempt": 1}
MODEL: Final = "churn:acme"
COMMANDS: Final = tuple(
    _json(id=f"c-{name}", model=model, command=name, arguments=arguments, actor="olga", reason="because")
    for name, model, arguments in (
        ("retrain", MODEL, {}),
        ("approve", "*", {"command_id": "x"}),
        ("reject", MODEL, {}),
        ("rollback", MODEL, {"model_version": "v0"}),
        ("acknowledge", MODEL, {"alert_id": "a"}),
        ("reset_circuit", "*", {}),
        ("dismiss", MODEL, {}),
        ("register", MODEL, {"model_version": "v2"}),
        ("rebaseline", MODEL, {}),
        ("set", MODEL, {"values": {"drop_points": 7.5}}),
        ("set", "*", {"key": "types.churn.label_delay_days", "value": 2}),
    )
)
RESULTS: Final = tuple(
    _json(model=MODEL, status=status, candidate_version="v1-r1", **IDS, **rest)
    for status, rest in (
        ("accepted", {}),
        ("succeeded", {"candidate_metrics": {"accuracy": 0.8}, "champion_metrics": {"accuracy": 0.7}}),
        ("failed", {"error": "no rows"}),
        ("activated", {}),
        ("rolled_back", {}),
    )
)
TICK: Final = _json(at="2024-10-04T07:00:00Z", ends_epoch=True, mode="live", end_offsets={"ml.predictions": 7})
