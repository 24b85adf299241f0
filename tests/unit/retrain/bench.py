"""A retrain lane driven manually: entries of the log in, records out; cut and restarted at will."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from schemas.audit import AuditRecord
from schemas.common import encode, uuid5
from schemas.drift import DriftKind, Severity, Verdict
from schemas.training import TrainingCommand, TrainingJob
from stream_app import pipeline
from stream_app.core import model_log
from stream_app.core.comparisons.finding import Finding
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.kit.effects import Emit
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage.border import read_command, read_result
from stream_app.core.retrain import Flags, RetrainConfig, RetrainRules
from stream_app.core.retrain.config import Allowed
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.kafka.topics import Topics
from stream_app.simulator import DictTable
from tests.machine.world import FLOORS, GOOD, ON, windows

#: Wednesday 4 March 2026
D = 20_516
MODEL = "conflict:global"
HOURS = {"completeness": 1, "statistical": 3, "performance": 4}
RULES = RetrainRules(validation_floors=FLOORS)

_wire: dict[str, Any] = {
    "audit": msgspec.json.Decoder(AuditRecord),
    "training-commands": msgspec.json.Decoder(TrainingCommand),
    "training-jobs": msgspec.json.Decoder(TrainingJob),
}


def at(day: int, hour: float = 4) -> int:
    return day * DAY_MS + round(hour * HOUR_MS)


def snapshot(day: int, outcomes: int = 1_000, version: str = "v0", model: str = MODEL) -> Any:
    return model_log.SnapshotEntry(model, version, day, 1, outcomes, outcomes // 2)


def completeness(day: int, labelled: int = 950, model: str = MODEL) -> Any:
    return model_log.CompletenessEntry(model, "v0", day - 2, 1_000, labelled, at(day, 1), at(day, 1))


def event(kind: str, day: int, verdict: str = "drift", severity: str | None = "HIGH", **rest: Any) -> Any:
    """A drift event at the close of ``day``."""
    model = rest.get("model", MODEL)
    check = "completeness" if kind == "completeness" else rest.get("check")
    close = rest.get("close_ms", at(day, HOURS[kind]))
    sort = "quality" if kind == "completeness" else kind
    run_from = rest.get("run_from", day - 2) if verdict == "drift" else None
    finding = Finding(
        id=uuid5("drift-event", model, sort, str(close), check or "", "again" if "revises" in rest else ""),
        model=model,
        kind=DriftKind(sort),
        check=check,
        version=rest.get("version", "v0"),
        close_ms=close,
        day=day - 2,
        verdict=Verdict(verdict),
        severity=Severity(severity) if severity is not None and verdict == "drift" else None,
        run_from=run_from,
        faults=rest.get("faults", []),
        revises=rest.get("revises"),
    )
    return model_log.EventEntry(finding, bounds=rest.get("bounds", []))


def lifecycle(version: str, previous: str | None, since: int, how: str = "commanded", model: str = MODEL) -> Any:
    return model_log.LifecycleEntry(model, version, previous, how, since)


def command(name: str, model: str = MODEL, id: str | None = None, **arguments: Any) -> Any:
    record = {"id": id or f"{name}-{model}", "model": model, "command": name, "arguments": arguments, "actor": "ada",
              "reason": "because"}  # fmt: skip
    return read_command(encode(record))


def result(sent: TrainingCommand, status: str, **rest: Any) -> Any:
    """An answer to a command that was read from the topic."""
    record: dict[str, Any] = {"model": sent.model, "command_id": sent.command_id, "attempt": sent.attempt,
                              "status": status}  # fmt: skip
    if status == "succeeded":
        record |= {"candidate_version": "v1", "candidate_metrics": GOOD, "champion_metrics": GOOD}
    if status in ("activated", "rolled_back"):
        record["candidate_version"] = sent.candidate_version
    return read_result(encode(record | rest))


def probation(version: str, previous: str, since: int, now: int, down: float = 0.0, model: str = MODEL) -> Any:
    found = windows(down, first=now // DAY_MS - 8)
    hours = (now - since) // HOUR_MS
    return model_log.ProbationEntry(model, version, previous, since, now, hours, list(found), "0" * 16)


def tick(now: int) -> Any:
    """Two partitions of one input; its end offsets are the hour."""
    return model_log.TickEntry(now, {"ml.predictions": {0: now // HOUR_MS, 1: now // HOUR_MS + 5}}, [], {})


class Bench:
    """One lane. With a seed: cut into checkpoints anywhere, thrown away and loaded again at half of them."""

    def __init__(
        self, rules: RetrainRules = RULES, flags: Flags = ON, seed: int | None = None, partition: int = 0
    ) -> None:
        self.config = RetrainConfig(
            "/plumbline/test", "ml.training-results", Fixed(lambda model: Allowed(rules, flags), "0123456789abcdef")
        )
        self.partition = partition
        self.table = DictTable()
        self.emits: list[Emit] = []
        self.rng = random.Random(seed) if seed is not None else None
        self.restarts = 0
        spec = pipeline.retrain(Topics("", "", 1, 1), self.config)
        self.lane = LaneDriver(spec, partition, self.table, {"log": Log("l")})

    @property
    def stage(self) -> Any:
        return self.lane.stage

    @property
    def lane_state(self) -> bytes | None:
        return self.lane.lane_state

    def feed(self, *entries: Any) -> Bench:
        for entry in entries:
            model = getattr(entry, "model", None)
            key = model.encode() if model is not None else None
            self.lane.logs["log"].append(model_log.encode(entry), key)
            self.lane.fetch("log")
            while self.lane.core.work():
                pass  # the tick of a large epoch is handed in again
            if self.rng is not None and self.rng.random() < 0.4:
                self.checkpoint()
        return self

    def checkpoint(self) -> None:
        self.lane.checkpoint()
        self.emits += self.lane.take()  # type: ignore[arg-type]
        if self.rng is not None and self.rng.random() < 0.5:
            self.lane.reopen()
            self.restarts += 1

    def of(self, topic: str) -> list[Any]:
        """What was sent to a topic, decoded as its readers do."""
        self.checkpoint()
        return [_wire[topic].decode(e.value or b"") for e in self.emits if e.topic == topic]

    def log(self) -> list[Any]:
        self.checkpoint()
        return [model_log.decode(e.value or b"") for e in self.emits if e.topic == "decision-log"]

    def last(self, topic: str) -> Any:
        return self.of(topic)[-1]

    # -- a model's life --------------------------------------------------------------------------------------------

    def serving(self, days: int = 9, model: str = MODEL) -> Bench:
        """``v0`` serves since ``days`` before D, with a thousand labelled rows a day."""
        self.feed(lifecycle("v0", None, at(D - days), "observed", model), tick(at(D - days)))
        for day in range(D - days + 1, D + 1):
            self.feed(
                completeness(day, model=model), tick(at(day, 1)), snapshot(day - 1, model=model), tick(at(day, 2))
            )
        return self

    def activated(self) -> Bench:
        """From drift at D to v1 serving, an hour each."""
        self.serving().feed(event("performance", D), tick(at(D)))
        self.feed(result(self.last("training-commands"), "succeeded"), tick(at(D, 5)))
        self.feed(result(self.last("training-commands"), "activated"))
        return self.feed(lifecycle("v1", "v0", at(D, 6)), tick(at(D, 6)))
