"""Rules of repairs: what happens before a training (CONTRACT section 5)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from stream_app.settings.fields import setting


class RepairFields(BaseModel):
    """Fields of :class:`~stream_app.settings.rules.RuleFields`, each by itself."""

    # of these models some are bases alone, and no command uses all: each is built at its first use
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    repair_first: bool = setting(
        True,
        "Whether a version whose scores kept their order is recalibrated before anything is trained: two numbers and a "
        "threshold, where they win back most of what was lost. Off: every drift that passes its safeguards trains.",
    )
