"""What the alerts stage remembers of a model and alert type. One format byte, then MessagePack.

==============================  ====================================================================================
key                             value and growth
==============================  ====================================================================================
``A`` + model, 0, type           history: the latest findings, the open alert; 2 a model ever seen, 2 to 10 kB as a rule
                                at most some 200 kB (100 ids, 22 findings of 16 windows, 32 safeguards)
``O`` + model, 0, type           empty mark of an open alert; gone with it
``E`` + offset (u8)             fact (:mod:`~stream_app.core.alerts.facts`) of the epoch in hand; gone with its tick
``D`` + event id                decision of the epoch in hand; gone with its tick
``C`` + command id              empty mark of a person's command of the epoch in hand; gone with its tick
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

DRIFT: Final = "ML_DRIFT_DETECTED"
INCOMPLETE: Final = "ML_OUTCOMES_INCOMPLETE"

#: Ids of events that an alert names, the newest.
EVENTS: Final = 100
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
    #: retrained, deployed or rolled_back
    how: str
    #: id of the command it came from
    command_id: str | None


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
