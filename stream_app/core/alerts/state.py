"""What the alerts stage remembers of a model and alert type. One format byte, then MessagePack.

==============================  ====================================================================================
key                             value and growth
==============================  ====================================================================================
``A`` + model, 0, type           history: the latest findings, the open alert; 2 a model ever seen, 2 to 10 kB as a rule
                                at most some 200 kB (100 ids, 22 findings of 16 windows, 32 safeguards)
``O`` + model, 0, type           empty mark of an open alert; gone with it
``E`` + offset (u8)             fact (:mod:`~stream_app.core.alerts.facts`) of the epoch in hand; gone with its tick
``D`` + event id                decision of the epoch in hand; gone with its tick
``C`` + command id              what stages say of a command of the epoch in hand; gone with its tick, 9 kB at most
``M`` + model or type           mutes that hold or are planned, at most 16 of some hundred bytes; gone when lifted, or
                                written over
``R`` + alert id                alert that is over, as large as an open one; gone after 90 days
``W`` + alert id                empty mark of one whose end people have to be told when its mute is over
``X`` + day (u4) + alert id     empty mark: on that day it ended
``V`` + …                       changed settings (:mod:`~stream_app.core.kit.settings_table`)
==============================  ====================================================================================
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.comparisons.finding import Finding
from stream_app.core.kit.codec import Codec

FORMAT: Final = 3
HISTORY, OPEN, DECISION, COMMAND = b"A", b"O", b"D", b"C"
MUTE, CLOSED, OWED, EXPIRY = b"M", b"R", b"W", b"X"

DRIFT: Final = "ML_DRIFT_DETECTED"
INCOMPLETE: Final = "ML_OUTCOMES_INCOMPLETE"
APPROVAL: Final = "ML_APPROVAL_WANTED"
FAILED: Final = "ML_TRAINING_FAILED"
ROLLED_BACK: Final = "ML_ROLLED_BACK"
CIRCUIT: Final = "ML_CIRCUIT_OPEN"

#: Ids of events that an alert names, the newest.
EVENTS: Final = 100
#: Characters of a command's id, and notes that an alert keeps, the newest.
ID, NOTES = 128, 8
#: Newest severe events that can still be recomputed: a comparison is, at its next close; of two kinds, that is 4.
REVISABLE: Final = 32


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """Whether a retraining may follow, and every safeguard's (name, passed, reason)."""

    eligible: bool
    safeguards: list[tuple[str, bool, str]]


class Streak(msgspec.Struct, frozen=True, array_like=True):
    """Closes in a row of one kind: with ``no_drift``, and without ``drift``."""

    no_drift: int = 0
    without_drift: int = 0


class Replacement(msgspec.Struct, frozen=True, array_like=True):
    """The version that became active while an alert was open, the latest."""

    version: str
    previous: str
    since_ms: int
    #: retrained, recalibrated, deployed or rolled_back
    how: str
    #: id of the command it came from
    command_id: str | None


class GivenVerdict(msgspec.Struct, frozen=True, array_like=True):
    """What a person found an alert to be."""

    verdict: str
    actor: str
    at_ms: int
    note: str | None = None


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What a person wrote on an alert."""

    actor: str
    at_ms: int
    note: str


class Mute(msgspec.Struct, frozen=True, array_like=True):
    """A time in which nobody is told; no kinds: of nothing."""

    kinds: tuple[str, ...]
    from_ms: int
    until_ms: int
    actor: str
    reason: str
    command_id: str


class Occasion(msgspec.Struct, frozen=True, array_like=True):
    """What an alert about retraining is about."""

    #: the same as long as it goes on
    about: str
    #: what the alert's id is made of
    subject: str
    version: str
    #: approval wanted: train or activate; training failed: the command
    command: str = ""
    reason: str = ""
    #: version that waits for approval; rolled back: the one that was given up
    candidate: str | None = None
    #: tick from which on a request lapses (epoch ms)
    lapses_ms: int | None = None


class MuteList(msgspec.Struct, frozen=True, array_like=True):
    """Mutes of a model, or of a type, in the order in which they came."""

    mutes: tuple[Mute, ...]


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert as its newest revision shows it."""

    id: str
    type: str
    model: str
    #: nominal close, and tick, that opened it
    close_ms: int
    opened_ms: int
    #: newest cohort day (days since 1970) of the event that opened it
    first_day: int
    #: tick of the opening or of the last rise in severity
    risen_ms: int
    severity: str
    version: str
    event_ids: list[str]
    decision: Decision
    #: kinds that were HIGH or above while it was open
    streaks: dict[str, Streak]
    #: how many events at HIGH or above made it what it is, and the newest of their ids
    severe: int
    severe_ids: list[str]
    #: last finding of drift of each sort while it was open: what it is about
    found: dict[str, Finding]
    #: how many events there were; ``event_ids`` holds the newest
    events: int = 1
    revision: int = 1
    escalation_level: int = 0
    #: reminders that fell due
    reminders: int = 0
    acknowledged_by: str | None = None
    replaced_by: Replacement | None = None
    #: who accepted the present as normal, which ended it
    accepted_by: str | None = None
    #: kind → day (since 1970) of its newest hourly alarm at HIGH or above; closes count only if they have seen it
    alarmed: dict[str, int] = {}
    #: those of them whose hourly episode lasts
    episodes: list[str] = []
    #: checks that were HIGH or above while it was open, in the order in which they came
    raised_by: tuple[str, ...] = ()
    #: what the newest revision says of a mute (epoch ms)
    muted_until_ms: int | None = None
    #: whether people were told of it
    delivered: bool = False
    judgement: GivenVerdict | None = None
    #: the newest, oldest first
    notes: tuple[Note, ...] = ()
    #: of an alert that no drift event raised
    occasion: Occasion | None = None


class AlertHistory(msgspec.Struct, frozen=True):
    """A model's memory of one alert type."""

    type: str
    #: nominal close that opened the last alert
    last_close_ms: int | None = None
    #: latest finding of every sort that speaks to the type
    latest: dict[str, Finding] = {}
    #: quality checks whose latest finding was drift (for ML_DRIFT_DETECTED, which only shows them)
    quality: dict[str, Finding] = {}
    alert: OpenAlert | None = None


class ClosedAlert(msgspec.Struct, frozen=True):
    """An alert that is over."""

    alert: OpenAlert
    resolution: str
    #: tick that ended it
    at_ms: int
    #: end of the mute under which it ended, if people were told of it before and not yet that it is over
    owed_until_ms: int | None = None


class Gathered(msgspec.Struct, frozen=True, array_like=True):
    """A command of the epoch in hand, and what the stages say of it."""

    id: str
    model: str
    command: str
    actor: str
    reason: str
    #: mute, unmute: the model or the type that it is about
    mutes_of: str | None = None
    #: (stage, done, what it did or why not)
    effects: tuple[tuple[str, bool, str], ...] = ()


_closed: Final = Codec[ClosedAlert](ClosedAlert, FORMAT, "alert that is over")
encode_closed, decode_closed = _closed.encode, _closed.decode
_mutes: Final = Codec[MuteList](MuteList, FORMAT, "mutes")
_gathered: Final = Codec[Gathered](Gathered, FORMAT, "what became of a command")
encode_gathered, decode_gathered = _gathered.encode, _gathered.decode

_codec: Final = Codec[AlertHistory](AlertHistory, FORMAT, "history of a model's alerts")
encode, decode = _codec.encode, _codec.decode


def history_key(model: str, type: str) -> bytes:
    """Key of a history."""
    return HISTORY + model.encode() + b"\0" + type.encode()


def split_key(key: bytes) -> tuple[str, str]:
    """(model, type) of a history, or of the mark that an alert is open."""
    model, _, type = key[1:].partition(b"\0")
    return model.decode(), type.decode()


def decision_key(event_id: str) -> bytes:
    """Key of a decision that waits for its tick."""
    return DECISION + event_id.encode()


def command_key(id: str) -> bytes:
    """Key of what is gathered about a command."""
    return COMMAND + id.encode()


def mute_key(scope: str) -> bytes:
    """Key of the mutes of a model (``TYPE:TENANT``) or of a type."""
    return MUTE + scope.encode()


def closed_key(id: str) -> bytes:
    """Key of an alert that is over."""
    return CLOSED + id.encode()


def expiry_key(day: int, id: str) -> bytes:
    """Key of the mark that an alert ended on a day (since 1970)."""
    return EXPIRY + day.to_bytes(4, "big") + id.encode()


def split_expiry(key: bytes) -> tuple[int, str]:
    """(day, alert id) of it."""
    return int.from_bytes(key[1:5], "big"), key[5:].decode()


def encode_mutes(mutes: tuple[Mute, ...]) -> bytes:
    """Stored mutes of a model or of a type."""
    return _mutes.encode(MuteList(mutes))


def decode_mutes(value: bytes, key: bytes = b"") -> tuple[Mute, ...]:
    """Inverse of :func:`encode_mutes`."""
    return _mutes.decode(value, key).mutes
