"""Commands to trainers and the deployer, their answers, and the state of each model's job."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from schemas.common import (
    NAME_PATTERN,
    Count,
    Finite,
    Id,
    ModelId,
    Name,
    Offset,
    Output,
    Partition,
    Sha256,
    Text,
    Timestamp,
    Token,
    Uuid,
)

#: How the error of a training begins for which retention left too few rows: it counts for no circuit.
ROWS_EXPIRED = "rows_expired"

Attempt = Annotated[int, Meta(ge=1, le=1_000)]
Metrics = dict[Token, Finite | None]
#: names of ranges, and how many a command has at most
RANGE, MOST_RANGES = "(onset|all|[1-9][0-9]{0,2}d)", 8
#: since the drift began, as far back as `retrain_all_days` says, or so many days
RangeName = Annotated[str, Meta(pattern=rf"^{RANGE}\Z", extra_json_schema={"pattern": f"^{RANGE}$"})]
RangeNames = Annotated[list[RangeName], Meta(min_length=1, max_length=MOST_RANGES)]
Answer = Literal["accepted", "progress", "succeeded", "failed", "unsupported", "activated", "rolled_back"]
TopicName = Annotated[str, Meta(min_length=1, max_length=249, extra_json_schema={"pattern": NAME_PATTERN})]


class Trigger(msgspec.Struct, frozen=True):
    """Why the command was given."""

    kind: Literal["statistical", "performance", "manual", "probation", "floor", "labels", "schedule"]
    drift_event_ids: Annotated[list[Uuid], Meta(max_length=100)]
    reason: Text


class DataRange(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to use: by time, ``from`` included and ``to`` excluded, and where they lie."""

    from_: Timestamp = field(name="from")
    to: Timestamp
    #: topic → partition → first offset and the offset after the last
    offsets: dict[TopicName, dict[Partition, tuple[Offset, Offset]]]


class TrainingRange(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that a candidate may learn from, by time of prediction; they lie between the offsets of ``train``."""

    name: RangeName
    from_: Timestamp = field(name="from")
    #: where the hold-out begins
    to: Timestamp
    #: labelled rows that are known in it
    rows: Count


class TrainingData(msgspec.Struct, frozen=True):
    """Rows to train on, and the newest ones, to judge by."""

    train: DataRange
    holdout: DataRange
    #: for trainers that fit several models: what to learn from instead of ``train``
    ranges: Annotated[list[TrainingRange], Meta(max_length=MOST_RANGES)] | UnsetType = UNSET


class TriedRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of learning from one range."""

    name: Name
    #: labelled rows that there were
    rows: Count
    #: of the primary metric on the hold-out
    value: Finite | None = None
    #: standard error of the difference from the best range on the same rows, by resampling them in pairs; 0: the best
    se: Finite | None = None
    #: why nothing was fitted
    skipped: Annotated[str, Meta(max_length=400)] | None = None


class VersionComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate beside the active version on the same rows of the hold-out, by one metric (0 to 1)."""

    metric: Token
    candidate: Finite
    champion: Finite
    #: candidate − champion
    difference: Finite
    #: 95 % interval of the difference, by resampling the rows in pairs; absent or null where it cannot be told
    lower: Finite | None = None
    upper: Finite | None = None


class ExpectedGain(msgspec.Struct, frozen=True):
    """What a repair is expected to win back, measured on rows that it was not fitted on."""

    metric: Token
    #: repaired − served (0 to 1), and its 95 % interval
    gain: Finite
    lower: Finite
    upper: Finite


class Recalibration(msgspec.Struct, frozen=True):
    """score′ = σ(a·ln(score/(1 − score)) + b), the logit cut off at ±16, and a yes from ``threshold`` on."""

    a: Finite
    b: Finite
    threshold: Finite
    expected: ExpectedGain


class TrainingCommand(Output, frozen=True, kw_only=True):
    """Command to the trainer (train, cancel) or the deployer (recalibrate, activate, rollback)."""

    schema: Literal["io.plumbline.training-command.v1"]
    command: Literal["train", "recalibrate", "cancel", "activate", "rollback"]
    command_id: Uuid
    #: counts repetitions of the same order; a (command_id, attempt) that was answered is done
    attempt: Attempt
    #: version the new one is trained from, or the one the command is about
    model_version: Name
    #: the command is void if another version is active
    expected_current_version: Name
    #: version to activate, or to go back to; recalibrate: the name of the wrapped version
    candidate_version: Name | UnsetType = UNSET
    #: activate: what the trainer said of the candidate's artefact; a deployer checks the bytes before it loads them
    artifact_sha256: Sha256 | UnsetType = UNSET
    trigger: Trigger | UnsetType = UNSET
    data: TrainingData | UnsetType = UNSET
    #: train: the metric that decides between candidate and active version
    primary_metric: Token | UnsetType = UNSET
    #: recalibrate: how ``model_version`` is to be wrapped; its artefact stays as it is
    recalibration: Recalibration | UnsetType = UNSET
    #: deadlines that the coordinator keeps, by ticks; never to be compared with a local clock
    accept_by: Timestamp | UnsetType = UNSET
    finish_by: Timestamp | UnsetType = UNSET
    reply_topic: TopicName
    reply_partition: Partition


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer of a trainer or deployer. Absent and null mean the same. ``unsupported``: it never carries out commands
    of this kind, so nobody need wait."""

    model: ModelId
    command_id: Id
    attempt: Attempt
    status: Answer
    candidate_version: Name | None = None
    #: for people: nobody opens it. The reference registry's is a path inside the registry
    artifact_uri: Annotated[str, Meta(max_length=2_000)] | None = None
    #: of the artefact's bytes, with ``succeeded``; it comes back in the ``activate`` command
    artifact_sha256: Sha256 | None = None
    training_samples: Count | None = None
    holdout_samples: Count | None = None
    candidate_metrics: Metrics | None = None
    #: of the active version, on the same rows
    champion_metrics: Metrics | None = None
    #: of both by the command's ``primary_metric``, with an interval; without it, the metrics above decide
    comparison: VersionComparison | None = None
    #: name of the range that the candidate learnt from, of several that were tried
    range: Name | None = None
    tried: Annotated[list[TriedRange], Meta(max_length=MOST_RANGES)] | None = None
    error: Text | None = None


class Failure(msgspec.Struct, frozen=True):
    """A command that came to nothing, and why."""

    command: Literal["train", "activate", "rollback"]
    command_id: Uuid
    #: the attempt that failed
    attempt: Attempt
    #: tick that gave it up
    at: Timestamp
    reason: Text


class TrainingJob(Output, frozen=True, kw_only=True):
    """Where a model's retraining stands."""

    schema: Literal["io.plumbline.training-job.v1"]
    state: Token
    command_id: Uuid | None
    attempt: Annotated[int, Meta(ge=0, le=1_000)]
    candidate_version: Name | None
    circuit: Literal["closed", "open"]
    since: Timestamp
    #: what failed last; there until an order of its kind succeeds, or a person dismisses it or resets the circuit
    failure: Failure | UnsetType = UNSET
    #: awaiting_approval: what a person is asked
    asked: Literal["train", "recalibrate", "activate"] | UnsetType = UNSET
    #: of a job that repairs
    recalibration: Recalibration | UnsetType = UNSET
