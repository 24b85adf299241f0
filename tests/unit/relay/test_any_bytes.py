"""Whatever an application writes, a shipped map makes records of it or says why not."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.inputs import OUTCOME_DECODER, PREDICTION_DECODER
from stream_app.errors import Incompatible
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import load_map, shipped, text_of
from stream_app.ingest.relay.samples import Sample, samples
from stream_app.ingest.relay.source import Unmappable
from tests.support.spoil import damaged, spoiled

GOLDEN = Path(__file__).parents[2] / "golden" / "relay"
NEEDED = {"sagemaker-capture": {"model_type": "churn"}, "mlflow-inference-table": {"class": "leave"}}
_DECODE: dict[str, Any] = {"predictions": PREDICTION_DECODER.decode, "outcomes": OUTCOME_DECODER.decode}
_SOURCES = {name: list(samples(GOLDEN / f"{name}.jsonl")) for name in shipped()}
_MAPS = {name: load_map(name, NEEDED.get(name)) for name in shipped()}


@st.composite
def records(draw: st.DrawFn, name: str) -> Sample:
    """A record of the map's source with a spoiled value, and sometimes a spoiled header or none."""
    good = draw(st.sampled_from(_SOURCES[name]))
    headers = list(good.headers)
    if headers and draw(st.booleans()):
        at = draw(st.integers(0, len(headers) - 1))
        headers[at] = (headers[at][0], damaged(draw, headers[at][1]))
    value = None if draw(st.integers(0, 19)) == 0 else draw(spoiled((good.value or b"{}",)))
    return Sample(good.topic, 0, 0, good.timestamp, draw(st.sampled_from((None, b"", b"\xff", b"k"))), value, headers)


@pytest.mark.parametrize("name", shipped())
def test_a_map_makes_good_records_of_anything_or_says_why_not(name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(record=records(name))
    def check(record: Sample) -> None:
        try:
            found = Mapper(_MAPS[name], 1 << 20).map(record)
        except Unmappable:
            return
        for made in found:
            assert _DECODE[made.to](made.value).prediction_id.encode() == made.key

    check()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_map_file_is_compiled_or_refused_by_name(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("map") / "m.toml"
    path.write_bytes(damaged(data.draw, text_of(data.draw(st.sampled_from(shipped()))).encode()))
    with contextlib.suppress(Incompatible):
        load_map(str(path))
