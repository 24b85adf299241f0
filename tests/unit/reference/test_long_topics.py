"""What the trainer holds of topics ten times as long is what it holds of the shorter ones."""

from __future__ import annotations

import pytest

from benchmarks import trainer_memory


def test_what_is_kept_of_a_range_and_of_old_rows_does_not_grow_with_the_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_memory, "MAX_ROWS", 1_000)
    short, long = (trainer_memory.read(records) for records in (20_000, 200_000))
    assert short["rows"] == {"30d": 1_000, "all": 1_000} == long["rows"]
    # the hold-out is never thinned
    assert (short["holdout"], long["holdout"]) == (333, 3_333)
    assert long["mb_most"] < short["mb_most"] + 60, "some MB of a hold-out of 3,333 rows, and no more"


@pytest.mark.long
def test_of_ten_million_records_no_more_than_the_rows_is_held() -> None:
    found = trainer_memory.read(10_000_000)
    print(found)
    assert found["rows"] == {"30d": trainer_memory.MAX_ROWS, "all": trainer_memory.MAX_ROWS}
    kept = sum(found["rows"].values()) + found["holdout"]
    # some 2 kB a row as an object with its features
    assert found["mb_most"] - found["mb_before"] < 3 * kept / 1_000
