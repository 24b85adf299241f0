"""Rules of retraining: when labels have spoken (CONTRACT section 5)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from stream_app.settings.fields import setting


class RetrainingFields(BaseModel):
    """Fields of :class:`~stream_app.settings.rules.RuleFields`, each by itself."""

    # of these models some are bases alone, and no command uses all: each is built at its first use
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    maturity_checks: int = setting(
        3,
        "Performance checks in a row without a verdict after which drift of scores stands for itself. Until then it "
        "waits for labels, where labels come: at once, a calm day's scores cost a training.",
        ge=1,
        le=10,
    )
