"""Topic names, partition counts and configurations: one place for all of them (CONTRACT sections 7 and 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas import bounds
from stream_app.core.kit.days import DAY_MS

if TYPE_CHECKING:
    from stream_app.settings import Whereabouts

#: The broker stamps what this pipeline and its partners write: Kafka refuses records that a process whose clock is an
#: hour fast stamps itself (``message.timestamp.after.max.ms``), and it is by these stamps that time deletes.
STAMP: Final = "message.timestamp.type"
#: Largest batch that a topic takes, as it is written.
MOST: Final = "max.message.bytes"
#: Ticks of a partition at a time.
_SMALL: Final = 16 << 10
_STAMPED: Final = {STAMP: "LogAppendTime"}
#: Event times live in the payload, and a backfill writes old ones: time must not delete what a replay needs.
_INPUT: Final = {"cleanup.policy": "delete", "retention.ms": "-1"}
_KEEP: Final = {**_INPUT, **_STAMPED}
_COMPACT: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", **_STAMPED}
#: Internal logs can be rebuilt from the inputs; two weeks let a stage that was down catch up.
_LOG: Final = {"cleanup.policy": "delete", "retention.ms": str(14 * DAY_MS), **_STAMPED}
_QUARTER: Final = {"retention.ms": str(90 * DAY_MS), **_STAMPED}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be. ``largest``: bytes of the largest batch that is written to it here, 0 if none is."""

    name: str
    partitions: int
    config: dict[str, str]
    largest: int = bounds.BATCH


class Topics:
    """Names under the two prefixes. N partitions for inputs and their clock, M for everything keyed by model.

    What the stages say to each other stands under the application's own name, as its changelogs do: nothing foreign can
    be read there, whoever else writes under the same output prefix.
    """

    def __init__(
        self, input_prefix: str, output_prefix: str, input_partitions: int, model_partitions: int, app_id: str = ""
    ) -> None:
        #: the application; it is the output prefix' own where nobody names one
        self.app_id = app_id = app_id or f"{output_prefix}app"
        self.input_prefix = input_prefix
        self.output_prefix = output_prefix
        self.input_partitions = input_partitions
        self.model_partitions = model_partitions
        self.predictions = f"{input_prefix}predictions"
        self.outcomes = f"{input_prefix}outcomes"
        self.clock = f"{input_prefix}clock"
        self.model_clock = f"{input_prefix}model-clock"
        self.operator_commands = f"{input_prefix}operator-commands"
        self.training_results = f"{input_prefix}training-results"
        self.progress = f"{input_prefix}progress"
        self.owner = f"{output_prefix}owner"
        self.model_deltas = f"{app_id}-model-deltas"
        self.model_log = f"{app_id}-model-log"
        self.drift_log = f"{app_id}-drift-log"
        self.decision_log = f"{app_id}-decision-log"
        self.metric_snapshots = f"{output_prefix}metric-snapshots"
        self.model_lifecycle = f"{output_prefix}model-lifecycle"
        self.settings = f"{output_prefix}settings"
        self.drift_events = f"{output_prefix}drift-events"
        self.hourly_evidence = f"{output_prefix}hourly-evidence"
        self.training_commands = f"{output_prefix}training-commands"
        self.command_outcomes = f"{output_prefix}command-outcomes"
        self.training_jobs = f"{output_prefix}training-jobs"
        self.audit = f"{output_prefix}audit"
        self.alerts = f"{output_prefix}alerts"
        self.dead_letters = f"{output_prefix}dead-letters"

    def as_settings(self) -> dict[str, object]:
        """Settings that lead another process to these topics."""
        return {
            "input_prefix": self.input_prefix, "output_prefix": self.output_prefix,
            "input_partitions": self.input_partitions, "model_partitions": self.model_partitions,
        }  # fmt: skip

    def message_limits(self) -> dict[str, int]:
        """``max.message.bytes`` of the topics that are made with another than the broker's own."""
        return {spec.name: int(spec.config[MOST]) for spec in (*self.specs(), *self.tools()) if MOST in spec.config}

    @property
    def last_log(self) -> str:
        """The log that the last stage reads: what it has carried, every stage before has done."""
        return self.decision_log

    @property
    def clocks(self) -> tuple[str, str]:
        """The ticks' topics: from the broker's stamp on a tick a worker learns the broker's time."""
        return self.clock, self.model_clock

    def n_family(self) -> list[str]:
        """Topics that must have the same number of partitions as the predictions."""
        return [self.predictions, self.outcomes, self.clock]

    def specs(self) -> list[TopicSpec]:
        """Every topic under the two prefixes, as ``plumbline topics create`` makes it."""
        n, m = self.input_partitions, self.model_partitions
        return [
            TopicSpec(self.predictions, n, _INPUT, 0),
            TopicSpec(self.outcomes, n, _INPUT, 0),
            TopicSpec(self.clock, n, _KEEP, _SMALL),
            TopicSpec(self.model_clock, m, _KEEP, _SMALL),
            TopicSpec(self.operator_commands, m, _KEEP, bounds.COMMAND + bounds.ADDED),
            TopicSpec(self.training_results, m, _KEEP, bounds.COMMAND + bounds.ADDED),
            TopicSpec(self.owner, 1, _COMPACT, _SMALL),
            TopicSpec(self.metric_snapshots, m, _COMPACT),
            TopicSpec(self.model_lifecycle, m, _COMPACT),
            TopicSpec(self.settings, m, _COMPACT),
            TopicSpec(self.drift_events, m, {"cleanup.policy": "delete", **_QUARTER}),
            TopicSpec(self.hourly_evidence, m, {"cleanup.policy": "delete", **_QUARTER}),
            TopicSpec(self.training_commands, m, _KEEP),
            TopicSpec(self.training_jobs, m, _COMPACT),
            TopicSpec(self.command_outcomes, m, _COMPACT),
            TopicSpec(self.audit, m, _KEEP),
            TopicSpec(self.alerts, m, {"cleanup.policy": "compact,delete", **_QUARTER}),
            TopicSpec(
                self.dead_letters,
                m,
                {
                    "cleanup.policy": "delete",
                    **_QUARTER,
                    # a record that was just small enough for an input topic must fit with the headers added to it
                    MOST: str(bounds.DEAD_LETTER),
                },
                bounds.DEAD_LETTER,
            ),
        ]

    def tools(self) -> list[TopicSpec]:
        """What commands note for themselves; no worker needs it, and whoever does makes it."""
        return [TopicSpec(self.progress, 1, {**_COMPACT, MOST: str(bounds.DEAD_LETTER)}, bounds.DEAD_LETTER)]

    def logs(self) -> list[TopicSpec]:
        """The application's internal logs."""
        names = (self.model_deltas, self.model_log, self.drift_log, self.decision_log)
        return [TopicSpec(name, self.model_partitions, _LOG) for name in names]

    def changelog(self, stage: str) -> str:
        """A stage's changelog, named as Faust names it."""
        return f"{self.app_id}-{stage}-changelog"

    def own(self, horizon_days: int) -> list[TopicSpec]:
        """Topics of the application alone, which its worker creates: internal logs, changelogs, Faust's leader.

        Tombstones must outlive any store that is still trusted (``delete.retention.ms``, twice a store's largest
        age); what the labels stage forgets by day is deleted by time, two days later.
        """
        tombstones = {"delete.retention.ms": str(7 * DAY_MS), "min.cleanable.dirty.ratio": "0.3", **_STAMPED}
        kept = {"cleanup.policy": "compact,delete", "retention.ms": str((horizon_days + 2) * DAY_MS), **tombstones}
        stages = ("metrics", "drift", "retrain", "alerts")
        return [
            *self.logs(),
            TopicSpec(self.changelog("labels"), self.input_partitions, kept),
            *(
                TopicSpec(self.changelog(stage), self.model_partitions, {"cleanup.policy": "compact", **tombstones})
                for stage in stages
            ),
            # Faust elects its leader, who writes live ticks, by the owner of this partition.
            TopicSpec(f"{self.app_id}-__assignor-__leader", 1, {}, 0),
        ]


def topics_of(settings: Whereabouts) -> Topics:
    """Topic names and counts by the settings."""
    return Topics(
        settings.input_prefix,
        settings.output_prefix,
        settings.input_partitions,
        settings.model_partitions,
        settings.app_id,
    )
