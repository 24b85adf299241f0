"""Which record lives on which topic, under which key and headers (CONTRACT section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from schemas import deadletters
from schemas.alerts import Alert
from schemas.audit import AuditRecord
from schemas.clock import Tick
from schemas.drift import DriftEvent
from schemas.hourly import HourlyEvidence
from schemas.inputs import Outcome, PredictionWithFeatures
from schemas.lifecycle import ModelLifecycle
from schemas.operators import CommandOutcome, OperatorCommand
from schemas.owner import Owner
from schemas.settings import Setting
from schemas.snapshots import MetricSnapshot
from schemas.training import TrainingCommand, TrainingJob, TrainingResult

#: CloudEvents binary headers of every output.
CE_HEADERS: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type")


@dataclass(frozen=True, slots=True)
class Family:
    """One public topic. ``topic`` is without prefix; ``sent`` says who writes: ``in`` others, ``out`` Plumbline."""

    topic: str
    record: type[msgspec.Struct] | None
    sent: Literal["in", "out"]
    key: str
    cleanup: tuple[str, ...]
    #: which partition count it shares: that of the inputs, that of the models; or it has one partition
    placed: Literal["inputs", "models", "one"]
    about: str
    headers: tuple[str, ...] = ()
    #: where the contract fixes it; -1 is for ever
    retention_ms: int | None = None
    #: headers that some records have
    more_headers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Kind of the record, ``metric-snapshot``, as in its ``schema``; the topic's for dead-lettered records."""
        return NAMES[self.record] if self.record is not None else self.topic


NAMES: Final[dict[Any, str]] = {
    PredictionWithFeatures: "prediction",
    Outcome: "outcome",
    Tick: "tick",
    OperatorCommand: "operator-command",
    CommandOutcome: "command-outcome",
    TrainingResult: "training-result",
    MetricSnapshot: "metric-snapshot",
    ModelLifecycle: "model-lifecycle",
    DriftEvent: "drift-event",
    HourlyEvidence: "hourly-evidence",
    Alert: "alert",
    TrainingCommand: "training-command",
    TrainingJob: "training-job",
    Setting: "setting",
    AuditRecord: "audit-record",
    Owner: "owner",
}

_DELETE, _COMPACT = ("delete",), ("compact",)
_DAYS_90_MS: Final = 90 * 86_400_000


def _input(
    topic: str, record: type[msgspec.Struct], key: str, placed: Literal["inputs", "models"], about: str
) -> Family:
    return Family(topic, record, "in", key, _DELETE, placed, about)


def _output(
    topic: str,
    record: type[msgspec.Struct],
    key: str,
    cleanup: tuple[str, ...],
    about: str,
    retention_ms: int | None = None,
) -> Family:
    return Family(topic, record, "out", key, cleanup, "models", about, CE_HEADERS, retention_ms)


FAMILIES: Final = (
    _input("predictions", PredictionWithFeatures, "prediction_id", "inputs", "What classifiers said."),
    _input("outcomes", Outcome, "prediction_id", "inputs", "What really happened."),
    _input("clock", Tick, "none", "inputs", "Time of the inputs; LogAppendTime."),
    _input("model-clock", Tick, "none", "models", "Time of commands and results; LogAppendTime."),
    _input("operator-commands", OperatorCommand, "model", "models", "What people command."),
    _input("training-results", TrainingResult, "model", "models", "Answers to training commands."),
    _output("metric-snapshots", MetricSnapshot, "model|version|date", _COMPACT, "Daily quality."),
    _output("model-lifecycle", ModelLifecycle, "model", _COMPACT, "Active versions."),
    _output("drift-events", DriftEvent, "id", _DELETE, "What the checks found."),
    _output("hourly-evidence", HourlyEvidence, "model", _DELETE, "Evidence at full hours, where there is some."),
    _output("alerts", Alert, "id", ("compact", "delete"), "What people should know.", _DAYS_90_MS),
    Family(
        "training-commands",
        TrainingCommand,
        "out",
        "model",
        _DELETE,
        "models",
        "Commands to trainer and deployer; the header plumbline.command lets each take only its own.",
        (*CE_HEADERS, "plumbline.command"),
    ),
    _output("training-jobs", TrainingJob, "model", _COMPACT, "Where retraining stands."),
    _output("command-outcomes", CommandOutcome, "command id", _COMPACT, "What became of commands."),
    _output("settings", Setting, "model|key", _COMPACT, "Settings changed while running."),
    Family("owner", Owner, "out", "owner", _COMPACT, "one", "Which application writes under the output prefix."),
    _output("audit", AuditRecord, "id", _DELETE, "Every decision and its grounds.", -1),
    Family(
        "dead-letters",
        None,
        "out",
        "that of the original",
        _DELETE,
        "models",
        "Records that were refused, byte for byte up to a limit; headers say where they stood and why they are here.",
        deadletters.HEADERS,
        _DAYS_90_MS,
        deadletters.MORE_HEADERS,
    ),
)


def records() -> dict[str, type[msgspec.Struct]]:
    """Every record by its name."""
    return {name: record for record, name in NAMES.items()}
