"""Rules that hold for a model: set for all, for a model type, or for one model (CONTRACT sections 1 to 5).

Numbers that stand in stored state, in ids or in names are no settings: the sketch's 4,096 values and bins, ten
calibration bins, 50 histogram bins, the recall of ``precision_at_80_recall``, the UTC hours of the closes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stream_app.settings.built_in import PERFORMANCE_METRICS
from stream_app.settings.fields import AT_START, EVERYWHERE, STATIC, setting
from stream_app.settings.groups import GROUPS, contradiction
from stream_app.settings.hourly import HourlyFields
from stream_app.settings.repair import RepairFields
from stream_app.settings.retraining import RetrainingFields

Metric = Literal["accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall"]
Policy = Literal["drift", "floor", "labels", "schedule"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Floor = Annotated[float, Field(ge=0, le=1)]


class RuleFields(RetrainingFields, RepairFields, HourlyFields):
    """The fields that :class:`TypeSettings` and the global settings share, each by itself."""

    # -- models and labels (sections 1 and 2)
    scope: Literal["global", "tenant", "auto"] = setting(
        "auto",
        "Who owns a model: everybody, a tenant each, or per tenant if one is given. Fixed once a type was seen, "
        "because its counts stand under its models.",
        STATIC,
    )
    observed_min_predictions: int = setting(
        30,
        "Predictions in each of two full hours before another version can take over by being seen, and of closed days "
        "before older days are added. Lower: a few stray ones change the active version. Higher: a deployment shows "
        "at the 02:00 close instead of after two hours.",
        ge=1,
        le=1_000_000,
    )
    observed_share: float = setting(
        2 / 3,
        "Share of the predictions, 0 to 1, that another version must exceed to be taken as active. At a half, canaries "
        "with half the traffic changed it some 100 times a month.",
        ge=0.5,
        lt=1,
    )
    observed_daily_predictions: int = setting(
        10,
        "Predictions of the last closed days, seven at most, before another version can take over at a 02:00 close. "
        "Fewer change nothing, and the views say when the active version was last seen.",
        ge=1,
        le=1_000_000,
    )
    observed_days: int = setting(
        7, "Closed days that such a look goes back at most. Less than a week: weekly jobs are never followed.",
        ge=1, le=30,
    )  # fmt: skip
    observed_pause_h: float = setting(
        72.0, "Hours after a change by observation in which hours cause no other: versions that share the traffic "
        "would take turns.", ge=0, le=720,
    )  # fmt: skip
    label_delay_days: int = setting(
        1,
        "Days until outcomes can be expected; performance windows end that long before the close. Too short: days are "
        "judged on half their labels. Longer: drift shows that much later.",
        ge=0,
        le=60,
    )
    pending_horizon_days: int = setting(
        60,
        "Whole days a prediction waits for its outcome, then it is unmatched; joined ones are kept as long, for "
        "duplicates and corrections. Doubling it doubles the labels' state.",
        STATIC,
        ge=1,
        le=365,
    )
    unlabelled_as: Literal["unknown", "negative"] = setting(
        "unknown",
        "What a prediction without an outcome means: nothing, or a negative after unlabelled_after_days, for shops "
        "that only ever hear of the positives.",
    )
    unlabelled_after_days: int = setting(
        30,
        "Days after which `unlabelled_as = negative` counts. Too short: late positives are first counted as negatives.",
        ge=1,
        le=90,
    )
    performance_metrics: tuple[Metric, ...] = setting(
        PERFORMANCE_METRICS,
        "Metrics that decide performance drift; the first gives performance_delta. Fraud has its own: missing all "
        "fraud still scores 99 % accuracy.",
        min_length=1,
        max_length=6,
    )
    rollback_metrics: tuple[Metric, ...] = setting(
        ("accuracy",), "Metrics of which one, clearly down, ends a probation with a rollback.", max_length=6
    )
    min_coverage: float = setting(
        0.5,
        "Share of labelled predictions, 0 to 1, that a day needs at label_delay_days to be judged. Lower: days are "
        "judged by the outcomes that happened to be quick. Higher: more days are not judged at all.",
        ge=0,
        le=1,
    )
    narrow_interval_below: float = setting(
        0.2,
        "Width of a confidence interval, 0 to 1, below which it is narrow. Counted as predictions arrive: a change "
        "shows in new days only, and it holds for all models alike.",
        EVERYWHERE,
        AT_START,
        gt=0,
        le=1,
    )
    selective_points: float = setting(
        10.0,
        "Points by which the difference between the coverage of predicted positives and of predicted negatives may "
        "move against the baseline; beyond it outcomes come by class, and performance is not judged.",
        gt=0,
        le=100,
    )
    degraded_points: float = setting(
        10.0, "Drop of the first performance metric, in points, above which is_degraded is true.", ge=0, le=100
    )

    # -- windows (sections 2 and 3)
    recent_days: int = setting(
        7, "Days of the recent window; a week sees every kind of day. Longer: drift shows later.", ge=1, le=30
    )
    recent_min_judged_days: int = setting(
        4,
        "Days of the recent window that must be judged for a performance verdict; below it data is insufficient.",
        ge=1,
        le=30,
    )
    baseline_start_days: int = setting(30, "Days before the close at which the baseline window ends.", ge=1, le=364)
    baseline_end_days: int = setting(
        60,
        "Days before the close at which the baseline window begins; at most cell_retention_days.",
        ge=2,
        le=365,
    )
    initial_baseline_days: int = setting(
        7,
        "Closed days of a version that make its baseline until the window holds as many. Fewer: compared earlier, with "
        "a baseline that has not seen every weekday.",
        ge=1,
        le=30,
    )

    weekend: tuple[Weekday, ...] = setting(
        ("saturday", "sunday"),
        "UTC days of the week that are unlike the others. The last day alone is compared with the baseline's days of "
        "its own kind.",
    )
    like_days_scores: int = setting(
        2, "Baseline days of its own kind that the last day's scores are compared with; fewer: with all.", ge=1, le=90
    )
    like_days_labels: int = setting(
        5, "The same for the last day's outcomes; they tell the day-to-day spread too.", ge=2, le=90
    )

    # -- acquittal by labels (section 3)
    acquittal_closes: int = setting(
        2,
        "Performance closes in a row that must find nothing lost in the days of a score shift to acquit it.",
        ge=1,
        le=90,
    )
    acquittal_unclear_closes: int = setting(
        3, "Closes in a row without evidence about the days of a score shift that end its acquittal.", ge=1, le=90
    )
    acquittal_reach: float = setting(
        0.10,
        "KS distance, 0 to 1, by which scores may move beyond the days that outcomes have judged before an acquittal "
        "ends.",
        ge=0,
        le=1,
    )

    # -- estimated performance (section 3)
    estimate_points: float = setting(
        5.0,
        "Points by which a day's outcomes must differ from what was estimated for it, besides chance, to lie outside.",
        gt=0,
        le=100,
    )
    estimate_outside_days: int = setting(
        2, "Days outside among the last seven mature ones above which estimates are muted.", ge=0, le=6
    )
    estimate_quiet_days: int = setting(
        7, "Mature days in a row without a reason to mute after which estimates are shown again.", ge=1, le=90
    )

    # -- statistical drift (section 3)
    ks_min_samples: int = setting(
        30, "Scores a side needs for the two-sample KS test; below it data is insufficient.", ge=2, le=10**9
    )
    ks_p_value: float = setting(
        0.01,
        "Significance of the KS test, 0 to 1. Alone it fires on 34 to 90 % of days, hence ks_min_distance beside it.",
        gt=0,
        lt=1,
    )
    ks_min_distance: float = setting(0.05, "KS distance, 0 to 1, from which a difference matters: MEDIUM.", ge=0, le=1)
    ks_high_bound: float = setting(
        0.10, "Lower bound of the KS distance, 0 to 1, from which drift is HIGH.", ge=0, le=1
    )
    ks_critical_bound: float = setting(
        0.20, "Lower bound of the KS distance, 0 to 1, from which drift is CRITICAL.", ge=0, le=1
    )
    ks_one_day_bound: float = setting(
        0.30,
        "Lower bound, 0 to 1, from which the last day alone is drift. Lower: weekday patterns alert, up to 10 times "
        "per 100 model-days.",
        ge=0,
        le=1,
    )
    ks_band: float = setting(
        1.3581,
        "Factor of the two-sample Kolmogorov band, √(−ln(0.05 / 2) / 2): 95 %. Lower: bounds that fail more often.",
        gt=0,
        le=10,
    )

    # -- performance drift (section 3)
    drop_min_denominator: int = setting(
        30, "Rows in a metric's denominator that either side needs; below it data is insufficient.", ge=1, le=10**9
    )
    drop_points: float = setting(5.0, "Drop in points from which performance drift is MEDIUM.", gt=0, le=100)
    drop_high_points: float = setting(10.0, "Drop in points above which it is HIGH.", gt=0, le=100)
    drop_critical_points: float = setting(20.0, "Drop in points above which it is CRITICAL.", gt=0, le=100)
    drop_clear_points: float = setting(
        10.0, "Points that the drop's upper bound must stay below to say no_drift.", gt=0, le=100
    )
    bound_z: float = setting(
        2.326348, "Normal quantile of the one-sided bounds: 99 %. Lower: more alarms by chance.", gt=0, le=10
    )
    dispersion_min_days: int = setting(7, "Baseline days from which day-to-day spread can be estimated.", ge=2, le=90)

    # -- quality (section 3)
    quality_volume_pct: float = setting(
        50.0, "Change of the daily number of predictions, in percent, that is reported.", gt=0, le=1_000
    )
    quality_positive_rate_points: float = setting(
        5.0, "Change of the rate of actual positives, in points, that is reported.", gt=0, le=100
    )
    quality_calibration_drop: float = setting(
        0.05, "Drop of the calibration score, 0 to 1, that is reported.", gt=0, le=1
    )
    quality_interval_width_pct: float = setting(
        25.0, "Change of the mean interval width, in percent, that is reported.", gt=0, le=1_000
    )
    quality_narrow_points: float = setting(
        20.0, "Change of the share of narrow intervals, in points, that is reported.", gt=0, le=100
    )

    # -- alerts (section 4)
    alert_gap_h: float = setting(
        24.0, "Hours between the openings of two alerts of one model and type, by nominal close times. Longer: fewer "
        "alerts about what comes and goes.", ge=0, le=8_760,
    )  # fmt: skip
    alert_reminder_h: float = setting(24.0, "Hours between reminders of an alert nobody acknowledged.", gt=0, le=8_760)
    alert_escalate_critical_h: float = setting(4.0, "Hours until an untaken CRITICAL alert escalates.", gt=0, le=8_760)
    alert_escalate_high_h: float = setting(24.0, "Hours until an unacknowledged HIGH alert escalates.", gt=0, le=8_760)
    alert_resolve_closes: int = setting(
        2, "Closes in a row without drift that resolve an alert. One would let it flicker.", ge=1, le=90
    )
    alert_no_evidence_closes: int = setting(14, "Closes in a row without evidence that end an alert.", ge=1, le=365)
    owner: str = setting("", "Who owns the model, a team or a person; it stands on its alerts.", max_length=256)
    runbook_url: str = setting(
        "",
        "Address of what to do when the model alerts; it stands there.",
        max_length=1_000,
        pattern=r"^(https?://\S+)?$",
    )

    # -- retraining (section 5)
    require_manual_approval: bool = setting(False, "Whether a person must approve each retraining that drift asks for.")
    retrain_cooldown_days: float = setting(
        7.0,
        "Days between two train commands of a model, whatever became of the first: a full week, so that a new model is "
        "judged on every kind of day.",
        ge=0,
        le=365,
    )
    retrain_backoff_h: float = setting(
        1.0,
        "Hours until a model that failed to train may be tried again, twice as long after each further failure, a day "
        "at most. Shorter than the cooldown as a rule; it counts where that was shortened.",
        gt=0,
        le=24,
    )
    retrain_policies: tuple[Policy, ...] = setting(
        ("drift",),
        "What asks for a training: drift; floor, once a metric is surely below its value in validation_floors; labels, "
        "once retrain_every_labels have come; or a schedule. Each is refused by the same safeguards. Without drift in "
        "it, drift is alerted and nothing is trained because of it.",
        max_length=4,
    )
    retrain_every_days: int = setting(
        20,
        "Days between two trainings by the policy schedule, counted from the last train command. Shorter than "
        "retrain_cooldown_days it has no effect.",
        ge=1,
        le=365,
    )
    retrain_every_labels: int = setting(
        0, "Labelled rows since the last train command from which the policy labels asks for a training; 0: never.",
        ge=0, le=10**9,
    )  # fmt: skip
    retrain_at_once: int = setting(
        4, "Trainings that policies beside drift asked for, on their way in a model partition at once; others "
        "wait, the oldest first. More: a trainer that takes them one by one may not finish them in command_finish_h.",
        ge=1, le=10_000,
    )  # fmt: skip
    retrain_refit: bool = setting(
        True,
        "Whether the reference trainer fits the candidate once more, on training range and hold-out together, after it "
        "was judged. Off: what serves is what was judged, and has not seen the newest rows.",
    )
    retrain_min_samples: int = setting(
        100, "Labelled rows the training range needs. Fewer: models of noise.", ge=1, le=10**9
    )
    retrain_range_days: int = setting(
        30, "Days back that a manual retraining learns from; otherwise since the drift began.", ge=1, le=365
    )
    holdout_share: float = setting(
        0.2, "Newest share of the labelled rows, 0 to 1, kept back to judge the candidate by.", gt=0, lt=1
    )
    approval_lapses_h: float = setting(72.0, "Hours until an unanswered approval lapses.", gt=0, le=8_760)
    circuit_failures: int = setting(2, "Failed or rolled-back trainings in a row that open the circuit.", ge=1, le=100)
    command_accept_min: float = setting(10.0, "Minutes until a training command must be accepted.", gt=0, le=1_440)
    command_finish_h: float = setting(6.0, "Hours until it must be finished.", gt=0, le=720)
    command_attempts: int = setting(3, "Times an unaccepted command is sent before it has failed.", ge=1, le=100)
    validation_floors: dict[Metric, Floor] = setting(
        dict,
        "Least value of each metric, 0 to 1, on a hold-out. A type without any is never activated automatically: its "
        "candidate waits for a person.",
    )
    primary_metric: Metric | Literal["first"] = setting(
        "first",
        "Metric that decides between a candidate and the active version on the same rows; `first`: the first of "
        "performance_metrics. The others do not: a version that hardly ever says yes has the better precision.",
    )
    validation_min_gain_points: float = setting(
        0.0,
        "Points of primary_metric that a candidate must be better than the active version on the same rows; below 0: "
        "that it may be worse. Higher: fewer versions change, and small gains are given away.",
        ge=-100,
        le=100,
    )
    probation_first_look_h: float = setting(
        24.0, "Hours after a change of version until it is first judged.", gt=0, le=720
    )
    probation_days: int = setting(14, "Days until a new version is kept without evidence against it.", ge=1, le=90)
    probation_drop_points: float = setting(
        5.0, "Drop of a rollback metric, in points, above which probation fails.", gt=0, le=100
    )
    probation_min_labelled: int = setting(100, "Labelled rows either version needs to be judged.", ge=1, le=10**9)
    probation_min_denominator: int = setting(
        30, "Rows in a rollback metric's denominator that either version needs.", ge=1, le=10**9
    )
    probation_dispersion_days: int = setting(
        14,
        "Last judged days of the previous version that say how far a good version wobbles from day to day. Without "
        "it a tenth to a third of equally good versions were rolled back.",
        ge=1,
        le=90,
    )
    probation_previous_days: int = setting(
        7, "Last closed days of the previous version that the new one is compared with.", ge=1, le=90
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name
        if isinstance(value, bool) and name is not None and cls.model_fields[name].annotation in (int, float):
            raise ValueError("a number is needed, not true or false")
        return value


class Rules(RuleFields):
    """The same, and none contradicts another."""

    @model_validator(mode="after")
    def _together(self) -> Any:
        for group in GROUPS:
            fault = contradiction(group, self.__dict__)
            if fault is not None:
                raise ValueError(fault)
        return self


class TypeSettings(Rules):
    """Rules of a model type or of one model: what is set for it, over what is set for all."""
