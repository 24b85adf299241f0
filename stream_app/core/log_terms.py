"""What the logs say of jobs and of mutes (:mod:`stream_app.core.model_log`)."""

from __future__ import annotations

import msgspec


class MuteTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a mute, or the end of one, is about; times in epoch ms."""

    #: of a command for ``*``: only models of this type
    model_type: str | None
    #: none: all
    kinds: tuple[str, ...]
    #: ``None``: from the tick on
    from_ms: int | None
    until_ms: int


class JobEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="job"):
    """A model's job changed as readers see it; what people have to be told of it."""

    model: str
    state: str
    #: active version, or the one the job began with
    version: str
    job_id: str | None = None
    #: what waits for a person: to train, or to activate
    asked: str | None = None
    #: why there is a job, and the version that came out of it
    reason: str = ""
    candidate: str | None = None
    #: tick from which on the request lapses (epoch ms)
    lapses_ms: int | None = None
    #: command that came to nothing, its id, the tick that gave it up, and why
    failed: str | None = None
    failed_id: str | None = None
    failed_at_ms: int = 0
    failure: str | None = None
    circuit_open: bool = False
    #: trainings that failed or were rolled back in a row, and episodes there were
    failures: int = 0
    episode: int = 0
