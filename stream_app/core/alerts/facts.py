"""What an epoch brought, kept in the table until its tick comes. One format byte, then MessagePack.

A coordinator's decision may stand before or after its event, so nothing is done before the epoch is complete.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream_app.core.alerts.state import Decision, Replacement
from stream_app.core.comparisons.finding import Finding
from stream_app.core.kit.codec import Codec
from stream_app.core.log_terms import JobEntry

FORMAT: Final = 3


class EventPublished(msgspec.Struct, frozen=True, tag="event"):
    """A drift event; the decision joins it at the tick."""

    finding: Finding
    decision: Decision | None = None


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """The coordinator's answer to an event."""

    event_id: str
    decision: Decision


class Acknowledged(msgspec.Struct, frozen=True, tag="acknowledged"):
    """Somebody took one alert of a model, or all of them, or gave back what was taken. ``model`` may be ``*``."""

    model: str
    actor: str
    command_id: str
    reason: str
    alert_id: str | None = None
    #: what is wrong with the command; then nobody took anything
    unusable: str | None = None
    #: the acknowledgement is taken back
    back: bool = False


class Muted(msgspec.Struct, frozen=True, tag="muted"):
    """Somebody mutes a model or a type, or lifts that (``until_ms`` 0). ``model`` is ``*`` for a type."""

    model: str
    model_type: str | None
    kinds: tuple[str, ...]
    from_ms: int | None
    until_ms: int
    actor: str
    command_id: str
    reason: str
    #: mute or unmute
    command: str
    unusable: str | None = None

    @property
    def scope(self) -> str:
        """The model, or the type."""
        return self.model_type or self.model


class Remarked(msgspec.Struct, frozen=True, tag="remarked"):
    """Somebody judged an alert, or wrote on it; open or over."""

    model: str
    actor: str
    command_id: str
    reason: str
    alert_id: str | None
    #: verdict or note
    command: str
    verdict: str | None
    note: str | None
    unusable: str | None = None


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """An operator took the present as normal. ``model`` may be ``*``."""

    model: str
    actor: str
    command_id: str
    reason: str


class VersionReplaced(msgspec.Struct, frozen=True, tag="replaced"):
    """Another version is active since ``by.since_ms``."""

    model: str
    by: Replacement


class VersionKept(msgspec.Struct, frozen=True, tag="kept"):
    """Probation kept a version that became active at ``since_ms``."""

    model: str
    since_ms: int


class EpisodeEnded(msgspec.Struct, frozen=True, tag="quiet"):
    """What an hourly alarm of a kind was about is over, or acquitted."""

    model: str
    kind: str


class ModelForgotten(msgspec.Struct, frozen=True, tag="forgotten"):
    """A model made no predictions for so long that nothing of it is kept."""

    model: str


class JobChanged(msgspec.Struct, frozen=True, tag="job"):
    """A model's job changed as readers see it."""

    model: str
    job: JobEntry


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Settings change. ``model`` may be ``*``."""

    model: str
    values: dict[str, Any]


class TimePassed(msgspec.Struct, frozen=True, tag="tick"):
    """Time went on; never stored."""


Fact = (
    EventPublished
    | Decided
    | Acknowledged
    | Muted
    | Remarked
    | Accepted
    | VersionReplaced
    | VersionKept
    | EpisodeEnded
    | ModelForgotten
    | Changed
    | JobChanged
)

_codec: Final = Codec[Fact](Fact, FORMAT, "stored fact about alerts")
encode, decode = _codec.encode, _codec.decode
