"""The logs downstream of metrics (model, drift, decision): one order each. One format byte, then MessagePack.

Every stage forwards what its successors need, unchanged, and adds entries of its own. An entry has 256 KiB at most:
what grows with the number of models is written in several, cut by bytes (``LIST_BYTES``); a tick's with its partitions,
and a published record's or a command's with theirs (``schemas/bounds.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from schemas import bounds
from schemas.training import Answer, TriedRange, VersionComparison
from schemas.unreadable import Unreadable
from stream_app.core.comparisons.finding import Finding
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.comparisons.records import BaselineKind, LabelWindow, MetricBound, QualityValue, ScoreWindow
from stream_app.core.kit.codec import Codec
from stream_app.core.kit.effects import ConsumedRecord, Emit
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.log_terms import JobEntry, MuteTerms
from stream_app.errors import Broken, Parked, UnknownFormat

FORMAT: Final = 6

#: Alias of the log that metrics writes.
MODEL_LOG: Final = "model-log"

#: Bytes of a sentence in one entry.
TEXT: Final = 4_000

#: Bytes of a list in one entry; what frames it is little.
LIST_BYTES: Final = bounds.LOG_ENTRY - 1_024


class TickEntry(msgspec.Struct, frozen=True, tag="tick"):
    """An epoch is complete: everything before this entry belongs to it."""

    at_ms: int
    #: read end offsets of the inputs: topic → partition → offset
    inputs: dict[str, dict[int, int]]
    #: kinds of the closes the tick passed, with their nominal times (epoch ms); of very many the newest
    closes: list[tuple[str, int]]
    #: running totals by topic over all source partitions, only in partition 0's log
    dispositions: dict[str, dict[str, int]]


class SnapshotEntry(msgspec.Struct, frozen=True, tag="snapshot"):
    """A closed snapshot was published, for the first time or again."""

    model: str
    version: str
    day: int
    revision: int
    #: labelled predictions
    outcomes: int
    #: positive outcomes among them
    positives: int


class LifecycleEntry(msgspec.Struct, frozen=True, tag="lifecycle"):
    """The active version of a model changed."""

    model: str
    version: str
    previous: str | None
    how: str
    since_ms: int


class CompletenessEntry(msgspec.Struct, frozen=True, tag="completeness"):
    """How much of a model's last mature day is labelled at the 01:00 close, over all its versions."""

    model: str
    #: active version
    version: str
    day: int
    predictions: int
    labelled: int
    close_ms: int
    #: tick that ran the close
    at_ms: int


class BaselineEntry(msgspec.Struct, frozen=True, array_like=True):
    """Which days of the same version a comparison looked at; no ``kind`` if there are none."""

    kind: BaselineKind | None = None
    #: days since 1970; the first included, the last excluded
    first: int = 0
    last: int = 0
    #: days in it that hold counts
    days: int = 0
    #: why there is none: ``too_young`` or ``no_healthy_baseline``
    reason: str | None = None


class StatisticalEntry(msgspec.Struct, frozen=True, tag="statistical"):
    """The 03:00 comparison of a model: seven days, then the last closed day; no windows without a baseline."""

    model: str
    version: str
    close_ms: int
    at_ms: int
    #: newest cohort day of the comparison
    day: int
    baseline: BaselineEntry
    windows: list[ScoreWindow]
    settings_hash: str
    #: outcomes have shown that the run of drift it stands in costs nothing
    acquitted: bool = False


class PerformanceEntry(msgspec.Struct, frozen=True, tag="performance"):
    """The 04:00 comparison of a model: seven days, then the last mature day alone."""

    model: str
    version: str
    close_ms: int
    at_ms: int
    day: int
    baseline: BaselineEntry
    windows: list[LabelWindow]
    settings_hash: str
    #: made again for a past close because labels changed its cells; counts as no close
    again: bool = False
    #: the run of statistical drift that stands is acquitted from this close on
    acquitted: bool = False
    #: at HIGH and above: what a recalibration would do
    repair: RepairProposal | None = None
    #: of metrics that a floor is set for, where the policy ``floor`` may ask: what they are in the seven-day window
    bounds: list[MetricBound] = []


class QualityEntry(msgspec.Struct, frozen=True, tag="quality"):
    """The 02:00 quality figures of a model, one for each check."""

    model: str
    version: str
    close_ms: int
    at_ms: int
    baseline: BaselineEntry
    values: list[QualityValue]
    settings_hash: str


class ProbationEntry(msgspec.Struct, frozen=True, tag="probation"):
    """A new version beside the one before it: hourly from the first look on, until 14 days after the change.

    One window for each possible first day of the previous version's last closed days (CONTRACT section 5), oldest
    first; in each, ``first`` and ``last`` are the previous version's days, ``judged_days`` those among them that hold
    counts, ``baseline`` its labelled rows and ``recent`` those of the new version since it became active.
    ``metrics`` are the model's rollback metrics; days are not left out for coverage. Written before the epoch's tick.
    """

    model: str
    version: str
    previous: str
    #: tick at which the version became active, as in its ``LifecycleEntry``
    since_ms: int
    #: tick that made the comparison
    at_ms: int
    #: full hours between the two
    hours: int
    windows: list[LabelWindow]
    settings_hash: str


class LabelledEntry(msgspec.Struct, frozen=True, tag="labelled"):
    """Where the epoch changed them: labelled predictions since the beginning, as (model, version, count).

    In order of model and version; a large epoch has several entries.
    """

    counts: list[tuple[str, str, int]]


class HoursEntry(msgspec.Struct, frozen=True, tag="hours"):
    """Hours that ended with the epoch: (model, hour since 1970, predictions made in it and known by then).

    Over all versions, in order of hour and model; a large epoch has several entries.
    """

    counts: list[tuple[str, int, int]]


class CommandEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="command"):
    """An operator's command, as the border decoded it (:mod:`stream_app.core.metrics_stage.border`)."""

    #: or ``*``
    model: str
    command: str
    #: its own id; of one that cannot be read, made of its bytes
    id: str
    actor: str = ""
    reason: str = ""
    #: retrain: names of ranges to learn from
    ranges: tuple[str, ...] = ()
    #: set: what changes
    values: dict[str, Any] | None = None
    #: version that it names
    version: str | None = None
    #: commands about an alert: its id; others: the id of the command that it is about
    subject: str | None = None
    #: mute and unmute
    mute: MuteTerms | None = None
    #: verdict: ``real`` or ``false``
    verdict: str | None = None
    #: what stands on the alert from now on
    note: str | None = None
    #: why it is no command; nobody carries it out
    unreadable: str | None = None
    #: what is wrong with its arguments
    unusable: str | None = None
    #: tick that covers it (epoch ms)
    at_ms: int = 0


class EffectEntry(msgspec.Struct, frozen=True, tag="effect"):
    """What one stage did about a command, or would not do; the alerts stage, last of all, publishes it."""

    #: or ``*``
    model: str
    command_id: str
    stage: str
    done: bool
    text: str


class ResultEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="result"):
    """A trainer's or deployer's answer, as the border decoded it."""

    model: str
    command_id: str
    #: ``None`` if it cannot be read
    status: Answer | None = None
    attempt: int = 0
    candidate: str | None = None
    candidate_metrics: dict[str, float | None] | None = None
    champion_metrics: dict[str, float | None] | None = None
    comparison: VersionComparison | None = None
    #: which range the candidate learnt from, and what came of each
    range: str | None = None
    tried: list[TriedRange] | None = None
    error: str | None = None
    artifact_sha256: str | None = None
    #: version that is active from now on, if it says so
    serves: str | None = None
    #: why it is no result otherwise, and an id made of its bytes
    unreadable: str | None = None
    id: str = ""
    #: tick that covers it (epoch ms)
    at_ms: int = 0


class EventEntry(msgspec.Struct, frozen=True, tag="event"):
    """A drift event was published: what it found."""

    finding: Finding
    #: of a performance event, if a recalibration was looked at
    repair: RepairProposal | None = None
    #: of a daily performance check: what metrics that a floor is set for are in the seven-day window
    bounds: list[MetricBound] = []

    @property
    def model(self) -> str:
        """The model it is about."""
        return self.finding.model

    @property
    def id(self) -> str:
        """Id of the event."""
        return self.finding.id


class DecisionEntry(msgspec.Struct, frozen=True, tag="decision"):
    """The coordinator's answer to a drift event; stands before anything that depends on it."""

    model: str
    event_id: str
    eligible: bool
    #: (name, passed, reason)
    safeguards: list[tuple[str, bool, str]]


class KeptEntry(msgspec.Struct, frozen=True, tag="kept"):
    """Probation kept a version that became active at ``since_ms``."""

    model: str
    version: str
    since_ms: int
    #: tick of the decision
    at_ms: int


class ReplacedEntry(msgspec.Struct, frozen=True, tag="replaced"):
    """A version is active in place of another, and the coordinator knows how that came."""

    model: str
    version: str
    previous: str
    #: as in its ``LifecycleEntry``
    since_ms: int
    #: retrained, recalibrated, deployed (by somebody else), or rolled_back
    how: str
    #: id of the train or rollback command it came from
    command_id: str | None


class ForgottenEntry(msgspec.Struct, frozen=True, tag="forgotten"):
    """A model made no predictions for as long as counts are kept: every stage forgets it. Back again, it is new."""

    model: str
    #: days without predictions
    days: int
    #: nominal time of the close that found it (epoch ms)
    close_ms: int


Entry = (
    TickEntry
    | SnapshotEntry
    | LifecycleEntry
    | CompletenessEntry
    | LabelledEntry
    | HoursEntry
    | CommandEntry
    | EffectEntry
    | ResultEntry
    | StatisticalEntry
    | PerformanceEntry
    | QualityEntry
    | ProbationEntry
    | HourlyEntry
    | EventEntry
    | DecisionEntry
    | KeptEntry
    | ReplacedEntry
    | ForgottenEntry
    | JobEntry
)

_codec: Final = Codec[Entry](Entry, FORMAT, "model log entry")
decode = _codec.decode


def encode(entry: Entry) -> bytes:
    """Format byte and MessagePack. ``Broken`` for one that is larger than an entry may be: that is a fault of ours."""
    value = _codec.encode(entry)
    if len(value) > bounds.LOG_ENTRY:
        kind, model = type(entry).__name__, getattr(entry, "model", "no model")
        raise Broken(f"{kind} of {model} has {len(value)} bytes, an entry of the log has {bounds.LOG_ENTRY} at most")
    return value


def effect(found: CommandEntry, stage: str, done: bool, text: str) -> EffectEntry:
    """What a stage did about a command."""
    return EffectEntry(found.model, found.id, stage, done, bounds.cut(text, TEXT))


def append(work: UnitOfWork, entry: Entry) -> None:
    """Append an entry of metrics to its partition's log, under the name of the model that it speaks of."""
    model: str | None = getattr(entry, "model", None)
    work.emit(Emit(MODEL_LOG, work.partition, model.encode() if model is not None else None, encode(entry), []))


def entry_of(record: ConsumedRecord) -> Entry:
    """The entry that a log's record holds. ``Broken`` and ``UnknownFormat`` say where the record stands."""
    try:
        return decode(record.value or b"")
    except UnknownFormat as error:
        raise UnknownFormat(f"{_place(record)}: {error}") from error
    except Broken as error:
        raise Broken(f"{_place(record)} is not an entry of the log: {error}; please report it") from error


@contextmanager
def decoding(record: ConsumedRecord) -> Iterator[None]:
    """Whatever of a log's record cannot be decoded, also inside an entry, is a fault of ours: ``Broken``.

    ``Parked`` for one whose bytes could not be read at all.
    """
    if isinstance(record.value, Unreadable):
        raise Parked("unreadable_log", record.value.parks(record.topic, record.partition))
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken(f"{_place(record)} is not an entry of the log: {error}; please report it") from error


def _place(record: ConsumedRecord) -> str:
    return f"{record.topic}[{record.partition}] offset {record.offset}"
