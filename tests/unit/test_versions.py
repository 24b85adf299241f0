"""Which versions of a model are said to predict, from its snapshots."""

from __future__ import annotations

from stream_app.projection import fold
from tests.unit.test_fold import snapshot, state


def lifecycle(model: fold.State, active: str) -> None:
    known = {"active_version": active, "previous_version": None, "how": "observed", "since": "2026-01-01T00:00:00.000Z"}
    fold.lifecycle(model, known)


def test_a_model_says_whose_figures_it_shows_when_the_active_version_was_seen_and_who_else_predicts() -> None:
    model = state()
    lifecycle(model, "v1")
    for day in range(1, 21):
        fold.snapshot(model, snapshot(f"2026-01-{day:02d}", version="v1" if day <= 16 else "v2"))
    fold.open_day(model, snapshot("2026-01-21", version="v3"))
    view = fold.fleet_model(model)
    assert view["traffic"] == {
        "figures_of": "v1", "last_seen": "2026-01-16", "from": "2026-01-14", "to": "2026-01-20", "predictions": 360,
        "others": [
            {"version": "v2", "predictions": 480, "last_seen": "2026-01-20"},
            {"version": "v3", "predictions": 0, "last_seen": "2026-01-21"},
        ],
        "more": 0,
        "sentence": "Figures are of the active version v1, last seen on 16 Jan 2026; in the 7 days to 20 Jan 2026 it "
        "made 360 predictions, v2 480 and v3 began on 21 Jan 2026.",
    }  # fmt: skip
    assert view["metric"]["version"] == "v1"


def test_figures_of_all_versions_are_named_as_such() -> None:
    model = state()
    for day in range(1, 9):
        fold.snapshot(model, snapshot(f"2026-01-{day:02d}"))
    lifecycle(model, "v9")
    view = fold.fleet_model(model)
    assert (view["metric"]["version"], view["traffic"]["last_seen"]) == (None, None)
    assert view["traffic"]["sentence"] == (
        "Figures are of all versions, as the active one, v9, not seen predicting yet, has no outcomes of these days; "
        "in the 7 days to 8 Jan 2026 it made 0 predictions and v1 840."
    )


def test_of_many_versions_five_are_named_twenty_remembered_and_the_active_one_is_never_forgotten() -> None:
    model = state()
    lifecycle(model, "old")
    fold.snapshot(model, snapshot("2025-12-01", version="old"))
    for number in range(30):
        fold.snapshot(model, snapshot("2026-01-08", version=f"v{number:02d}", predictions=100 + number))
    traffic = fold.fleet_model(model)["traffic"]
    assert len(model.seen) == 20
    assert traffic["last_seen"] == "2025-12-01"
    assert [other["version"] for other in traffic["others"]] == ["v29", "v28", "v27", "v26", "v25"]
    assert traffic["more"] == 25
    assert traffic["sentence"].endswith("v25 125 and 25 more versions predict.")


def test_a_model_that_only_its_active_version_serves_says_so() -> None:
    model = state()
    assert fold.fleet_model(model)["traffic"]["sentence"] == "No version is active yet; no other version predicts."
    lifecycle(model, "v1")
    fold.snapshot(model, snapshot("2026-01-12", version="v1"))
    expected = "Figures are of the active version v1, last seen on 12 Jan 2026; no other version predicts."
    assert fold.fleet_model(model)["traffic"]["sentence"] == expected
