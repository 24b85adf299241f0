"""What happened, in words: one sentence for each step of the loop, as its record comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiokafka import TopicPartition

from schemas.common import parse_ms
from stream_app.core.kit.days import DAY_MS
from stream_app.demo import data
from stream_app.kafka import clients
from stream_app.kafka.passed_by import readable
from stream_app.kafka.topics import Topics

INJECTION = (
    f"from day {data.INJECTED + 1} on an upstream system sends ages in months instead of years (injected by the demo)"
)


class Story:
    """Follows alerts, audit, commands and snapshots as any consumer would. Use as an async context manager."""

    def __init__(self, bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
        self._consumer = clients.consumer(bootstrap, options, auto_offset_reset="earliest")
        self._topics = topics
        names = (topics.alerts, topics.audit, topics.training_commands, topics.metric_snapshots)
        self._tps = [TopicPartition(name, p) for name in names for p in range(topics.model_partitions)]
        #: newest snapshot by model
        self.latest: dict[str, dict[str, Any]] = {}
        self.closed = 0
        self.alerts = self.trainings = self.activations = self.rollbacks = 0
        #: (version, date) → (right, labelled) of the retrained model
        self._days: dict[tuple[str, str], tuple[int, int]] = {}

    async def __aenter__(self) -> Story:
        await self._consumer.start()
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def poll(self) -> list[str]:
        """Take what has come; returns its sentences in the order of their ticks."""
        told: list[tuple[str, str]] = []
        while True:
            found = await self._consumer.getmany(timeout_ms=1)
            if not found:
                break
            for tp, records in found.items():
                for record in readable(records):
                    row = json.loads(record.value)
                    told += [(row["at"], text) for text in self._tell(tp.topic, row)]
        return [f"{at[:16].replace('T', ' ')}  {text}" for at, text in sorted(told, key=lambda item: item[0])]

    def _tell(self, topic: str, row: dict[str, Any]) -> Iterator[str]:
        if topic == self._topics.metric_snapshots:
            self._snapshot(row)
        elif topic == self._topics.training_commands:
            self.trainings += row["command"] == "train" and row["attempt"] == 1
        elif topic == self._topics.alerts:
            yield from self._alert(row)
        else:
            yield from self._decision(row)

    def _snapshot(self, row: dict[str, Any]) -> None:
        known = self.latest.get(row["model"])
        if known is None or (row["date"], row["revision"]) >= (known["date"], known["revision"]):
            self.latest[row["model"]] = row
        if row["state"] == "closed":
            self.closed += 1
            if row["model"] == data.MODEL:
                right = row["true_positives"] + row["true_negatives"]
                self._days[row["model_version"], row["date"]] = (right, row["outcomes"])

    def _alert(self, row: dict[str, Any]) -> Iterator[str]:
        if row.get("notify") == "opened":
            self.alerts += 1
            yield f"alert, {row['severity']}, {row['model']}: {row['summary']}"
        elif row.get("notify") == "resolved":
            yield f"the alert of {row['model']} ends: {row['resolution']}"

    def _decision(self, row: dict[str, Any]) -> Iterator[str]:
        step = (row["action"], row["decision"])
        model, why = row["model"], row["reason"]
        if step == ("train", "ordered"):
            yield f"a retraining of {model} is commanded: {len(row['safeguards'])} safeguards were evaluated, {why}"
        elif step == ("validate", "passed"):
            yield f"the candidate holds on rows it has not seen: {why}"
        elif step == ("validate", "rejected"):
            yield f"the candidate is rejected: {why}"
        elif step == ("activate", "activated"):
            self.activations += 1
            yield f"deployed: {why}"
        elif row["action"] == "probation" and row["decision"] != "began":
            yield f"probation of the new version: {row['decision'].replace('_', ' ')}, {why}"
        elif step == ("rollback", "rolled_back"):
            self.rollbacks += 1
            yield f"taken back: {why}"

    def accuracies(self) -> tuple[float | None, float | None, float | None]:
        """Of the retrained model: before the injection, after it by the frozen version, and by those that came
        after."""
        sums = {name: [0, 0] for name in ("before", "drifted", "after")}
        injected = data.START_MS + data.INJECTED * DAY_MS
        for (version, date), (right, labelled) in self._days.items():
            late = parse_ms(f"{date}T00:00:00Z") >= injected
            name = "after" if version != data.FIRST_VERSION else "drifted" if late else "before"
            sums[name][0] += right
            sums[name][1] += labelled
        before, drifted, after = (right / labelled if labelled else None for right, labelled in sums.values())
        return before, drifted, after
