"""The stages as they are declared: what each is called, and what hands records to what."""

from __future__ import annotations

import itertools

import pytest

from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import topics_of
from stream_app.pipeline import Stages, stages
from stream_app.settings import Settings
from stream_app.stage_configs import configs

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
