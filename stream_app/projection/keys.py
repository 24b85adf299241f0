"""Names of everything in Redis, in one place for the writer and the readers."""

from __future__ import annotations

from typing import Final

from stream_app.projection import fold, points

#: What stands in Redis, as one word: another word there means another release, and everything is built anew.
LAYOUT: Final = f"3.{fold.FORMAT}.{points.FORMAT}"
#: Days a model's snapshots, points and drift events are kept, counted back from its newest day.
KEPT_DAYS: Final = 90
#: Newest audit records that are kept, of all models and of each.
AUDIT_TAIL, MODEL_AUDIT_TAIL = 10_000, 500
#: Newest jobs, commands and versions of a model that are kept.
MODEL_TAIL: Final = 200
#: Newest hours of evidence that are kept of a model, of both kinds together: six weeks of one long episode.
EVIDENCE_TAIL: Final = 2_000
#: Seconds for which a forgotten model is remembered as such: the stages behind metrics publish what they did about it,
#: and topics are read side by side. Minutes would do; a day also covers a filling.
GONE_S: Final = 86_400
#: Seconds for which one can ask what became of a command, after the read model heard of it.
OUTCOME_S: Final = 30 * 86_400
#: Newest changes that a reader who was away can catch up on.
CHANGES: Final = 10_000


class Keys:
    """Keys of one installation; two that differ in their output prefix can share a Redis."""

    def __init__(self, output_prefix: str) -> None:
        self.root = f"plumbline:{output_prefix}"
        #: fields: generation, cluster, layout, seq, beat, filling; tick and ticked: the last tick of the models' clock
        #: and when it was written; unreadable: what a reader met that it cannot read
        self.meta = self._key("meta")
        #: topic:partition → offset after the last record taken
        self.positions = self._key("positions")
        #: model → what the fleet page shows of it (see fold.py)
        self.fleet = self._key("fleet")
        #: models by the number of the batch that changed them last
        self.touched = self._key("touched")
        #: alert id → newest revision; ids by opening time
        self.alert = self._key("alert")
        self.alerts = self._key("alerts")
        #: alert id → what people found it to be, and what raised it (see precision.py)
        self.verdicts = self._key("verdicts")
        #: event id → event with verdict drift; ids by close
        self.event = self._key("event")
        self.events = self._key("events")
        #: audit records by time
        self.audit = self._key("audit")
        #: model|key → newest setting
        self.settings = self._key("settings")
        #: model or type|partition → when a command last changed its mutes, and what they are since
        self.mutes = self._key("mutes")
        #: stream of changes, for live views
        self.changes = self._key("changes")

    def _key(self, name: str) -> str:
        return f"{self.root}:{name}"

    def model(self, model: str) -> str:
        """Newest event of each check and the newest job: ``event:kind[:check]``, ``job``."""
        return self._key(f"model:{model}")

    def days(self, model: str) -> str:
        """``date|version`` → closed snapshot."""
        return self._key(f"days:{model}")

    def open(self, model: str) -> str:
        """``date|version`` → snapshot of a day that is not closed."""
        return self._key(f"open:{model}")

    @staticmethod
    def in_order(snapshots: str) -> str:
        """Fields of :meth:`days` or :meth:`open` in order, all with the same score: a model may have more versions
        than can be read at once."""
        return f"{snapshots}:in-order"

    def points(self, model: str) -> str:
        """``kind|close`` → numbers of a statistical or performance event (see points.py)."""
        return self._key(f"points:{model}")

    def model_events(self, model: str) -> str:
        """Ids of a model's drift events by close."""
        return self._key(f"events:{model}")

    def evidence(self, model: str) -> str:
        """A model's hourly evidence by hour."""
        return self._key(f"evidence:{model}")

    def model_alerts(self, model: str) -> str:
        """Ids of a model's alerts by opening time."""
        return self._key(f"alerts:{model}")

    def revisions(self, alert: str) -> str:
        """Revision → record of one alert."""
        return self._key(f"revisions:{alert}")

    def model_audit(self, model: str) -> str:
        """A model's audit records by time."""
        return self._key(f"audit:{model}")

    def jobs(self, model: str) -> str:
        """A model's job records by time."""
        return self._key(f"jobs:{model}")

    def commands(self, model: str) -> str:
        """A model's training commands by time."""
        return self._key(f"commands:{model}")

    def versions(self, model: str) -> str:
        """A model's lifecycle records by time."""
        return self._key(f"versions:{model}")

    def gone(self, model: str) -> str:
        """A model that was forgotten; lives for :data:`GONE_S`, and what still comes about it is passed over."""
        return self._key(f"gone:{model}")

    def of_model(self, model: str) -> list[str]:
        """Every key that belongs to one model alone."""
        snapshots = (self.days(model), self.open(model))
        return [
            self.model(model), *snapshots, *map(self.in_order, snapshots), self.points(model), self.model_events(model),
            self.model_alerts(model), self.model_audit(model), self.jobs(model), self.commands(model),
            self.versions(model), self.evidence(model),
        ]  # fmt: skip

    def outcome(self, id: str) -> str:
        """Partition → what became of a command there; lives for :data:`OUTCOME_S`."""
        return self._key(f"outcome:{id}")

    def written(self, id: str) -> str:
        """A command that the web wrote; outlives a refilling, and is no part of the read model."""
        return f"plumbline-written:{self.root}:{id}"

    def command_answer(self, id: str) -> str:
        """What a command with an idempotency key said; outlives a refilling, and is no part of the read model."""
        return f"plumbline-orders:{self.root}:{id}"
