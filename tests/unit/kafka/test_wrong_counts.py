"""What is said of topics that have other partitions than the settings count."""

from __future__ import annotations

import re

import pytest

from stream_app.errors import Incompatible
from stream_app.kafka.admin import refuse_other_counts
from stream_app.kafka.topics import Topics

#: configured for the inputs and for the topics keyed by model; one of either is a count like any other
CONFIGURED = [(4, 12), (1, 12), (4, 1), (1, 1)]


@pytest.mark.parametrize(("inputs", "models"), CONFIGURED)
def test_every_topic_with_another_count_is_refused_with_the_setting_to_change_and_none_of_data_to_be_deleted(
    inputs: int, models: int
) -> None:
    topics = Topics("ml.", "ml.", inputs, models, "mine")
    specs = [*topics.specs(), *topics.tools()]
    right = {spec.name: spec.partitions for spec in specs}
    refuse_other_counts(right, topics, specs)
    refuse_other_counts({}, topics, specs)  # what is missing is made
    for spec in specs:
        with pytest.raises(Incompatible) as refused:
            refuse_other_counts({**right, spec.name: 7}, topics, specs)
        said = str(refused.value)
        assert said.startswith(f"{spec.name} has 7 partitions")
        assert ("delete it" in said) == (spec.name in (topics.owner, topics.progress))
        setting = re.search(r"set PLUMBLINE_(\w+)=7", said)
        if spec.name not in (topics.owner, topics.progress):
            assert setting is not None
            assert setting[1] == ("INPUT_PARTITIONS" if spec.name in topics.n_family() else "MODEL_PARTITIONS")
