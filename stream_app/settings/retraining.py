"""Rules of retraining: when labels have spoken, and which rows a candidate learns from and is judged on (CONTRACT
section 5)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stream_app.settings.fields import setting

RangeName = Annotated[str, Field(pattern=r"^(onset|all|[1-9][0-9]{0,2}d)$")]


class RetrainingFields(BaseModel):
    """Fields of :class:`~stream_app.settings.rules.RuleFields`, each by itself."""

    # of these models some are bases alone, and no command uses all: each is built at its first use
    # of these models some are bases alone, and no command uses all: each is built at its first use
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    maturity_checks: int = setting(
        3,
        "Performance checks in a row without a verdict after which drift of scores stands for itself. Until then it "
        "waits for labels, where labels come: at once, a calm day's scores cost a training.",
        ge=1,
        le=10,
    )
    retrain_floor_checks: int = setting(
        3,
        "Daily performance checks in a row at which the upper bound of a metric over seven days must lie below its "
        "value in validation_floors before the policy floor asks for a training.",
        ge=1,
        le=10,
    )
    retrain_floor_wait_days: int = setting(
        7,
        "Days after a train command before the policy floor asks again, twice as long after each candidate of it that "
        "is rejected, until a version is activated. Shorter than retrain_cooldown_days it has no effect.",
        ge=1,
        le=365,
    )
    retrain_floor_wait_most_days: int = setting(
        112, "Days that this wait comes to at most: what no model can reach is tried three times a year.", ge=1, le=365
    )
    retrain_ranges: tuple[RangeName, ...] = setting(
        ("onset", "30d", "all"),
        "Ranges of rows that a candidate may learn from, each up to the hold-out: `onset`, since the drift began; so "
        "many days, `30d`; `all`, retrain_all_days. The trainer fits one model a range and takes the longest that is "
        "as good as the best. One range: a choice less, and a third of the time.",
        min_length=1,
        max_length=8,
    )
    retrain_all_days: int = setting(
        180,
        "Days back at most that the range `all` reaches. Longer than the input topics keep their records it has no "
        "effect.",
        ge=1,
        le=180,
    )
    retrain_max_rows: int = setting(
        200_000,
        "Rows of a range that the reference trainer learns from at most, chosen by a hash of their ids. More: more "
        "memory and time. Rows of the hold-out are never left out.",
        ge=1_000,
        le=10**8,
    )
    holdout_min_rows: int = setting(
        100,
        "Labelled rows the hold-out needs at least; it reaches further back for them. Fewer: differences between two "
        "versions that nobody can tell from chance.",
        ge=1,
        le=10**6,
    )
    holdout_min_class: int = setting(30, "Labelled rows of each class the hold-out needs at least.", ge=0, le=10**6)
    holdout_max_days: int = setting(
        30, "Days that the hold-out reaches back at most. Longer: it says what a version was worth last season.",
        ge=1, le=180,
    )  # fmt: skip
