"""The stages as they are declared: what each is called, and what hands records to what."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any, get_args

import pytest

from schemas import operators
from schemas.clock import TickView
from schemas.partitioning import partition_for
from stream_app.core.model_log import KeptEntry, encode
from stream_app.engine.protocol import StageSpec
from stream_app.errors import Broken
from stream_app.kafka.topics import topics_of
from stream_app.pipeline import Stages, stages
from stream_app.settings import Settings
from stream_app.stage_configs import configs
from tests.unit.tables import Rec

SETTINGS = Settings(environment="development", app_id="app", input_partitions=3, model_partitions=2)
TOPICS = topics_of(SETTINGS)
DECLARED = stages(TOPICS, configs(SETTINGS, TOPICS))


def test_a_stage_stands_under_its_name() -> None:
    assert tuple(spec.name for spec in DECLARED) == Stages._fields


def test_every_stage_keeps_the_changelog_that_the_application_makes() -> None:
    made = {spec.name: spec.partitions for spec in TOPICS.own(60) if spec.name.endswith("-changelog")}
    assert {spec.changelog: spec.partitions for spec in DECLARED} == made


def test_each_log_goes_from_one_stage_to_the_next() -> None:
    for before, after in itertools.pairwise(DECLARED):
        handed = {topic for topic, _ in before.outputs.values()} & set(after.inputs().values())
        assert len(handed) == 1
        assert handed <= {spec.name for spec in TOPICS.logs()}


@pytest.mark.parametrize("spec", DECLARED, ids=Stages._fields)
def test_what_a_stage_reads_and_writes_is_made_with_as_many_partitions(spec: StageSpec) -> None:
    known = {topic.name: topic.partitions for topic in (*TOPICS.specs(), *TOPICS.logs())}
    assert {known[topic] for topic in spec.inputs().values()} == {spec.partitions}
    assert {topic: known[topic] for topic, _ in spec.outputs.values()} == dict(spec.outputs.values())


def test_no_topic_feeds_two_stages() -> None:
    read = [topic for spec in DECLARED for topic in spec.inputs().values()]
    assert len(read) == len(set(read))


def _of(partition: int) -> str:
    """A model whose records belong to a partition."""
    count = SETTINGS.model_partitions
    return next(f"m:{n}" for n in range(99) if partition_for(f"m:{n}".encode(), count) == partition)


def _row(topic: str, offset: int, row: dict[str, Any]) -> Rec:
    return Rec(topic, 1, offset, 0, b"any", json.dumps(row).encode())


def test_what_strangers_send_about_a_model_to_a_foreign_partition_is_dead_lettered() -> None:
    """Every command and result that names a model; one about all models belongs to each partition."""
    stage = DECLARED.metrics.make(1)
    rest = {"actor": "ada", "reason": "because", "arguments": {"model_version": "v2"}}
    rows = [
        _row(TOPICS.operator_commands, offset, {"id": f"c{offset}", "model": model, "command": command, **rest})
        for offset, (command, model) in enumerate(itertools.product(get_args(operators.Command), (_of(0), _of(1), "*")))
    ]
    tick = TickView(1, True, None, {}, 0)
    stage.accept("operator-commands", rows, tick)
    answers = [
        _row(TOPICS.training_results, offset, {"model": model, "command_id": "c", "attempt": 1, "status": "accepted"})
        for offset, model in enumerate((_of(0), _of(1)))
    ]
    stage.accept("training-results", answers, tick)
    dead = [dict(headers) for *_, headers in stage.drain().emits]
    assert Counter(headers["plumbline.reason"] for headers in dead) == {
        b"foreign_partition": len(get_args(operators.Command)) + 1
    }
    foreign = [row for row in (*rows, *answers) if json.loads(row.value or b"")["model"] == _of(0)]
    assert [(h["__connect.errors.topic"], h["__connect.errors.offset"]) for h in dead] == [
        (row.topic.encode(), str(row.offset).encode()) for row in foreign
    ]


def test_an_entry_about_a_model_of_another_partition_stops_the_alerts_lane() -> None:
    """No stage before it lets one through, so it is our own fault: two lanes would keep alerts of one model."""
    for partition in range(SETTINGS.model_partitions):
        stage = DECLARED.alerts.make(partition)
        entries = {
            model: encode(KeptEntry(model=model, version="v2", since_ms=1, at_ms=1)) for model in (_of(0), _of(1))
        }
        for model, value in entries.items():
            record = Rec("log", partition, 0, 0, None, value)
            if model == _of(partition):
                assert stage.accept("log", [record], None) == 1
            else:
                with pytest.raises(Broken, match=f"partition {partition} of 2"):
                    stage.accept("log", [record], None)
