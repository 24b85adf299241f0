"""What `plumbline alerts ID` says of each revision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.alerts import _REVISIONS

OPENED = json.loads((Path(__file__).parents[1] / "golden" / "alert.opened.json").read_bytes())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"notify": "opened"}, OPENED["summary"]),
        ({"notify": "severity", "summary": "worse"}, "worse"),
        ({"notify": "severity", "summary": "worse", "acknowledged_by": "ada"}, "worse; seen by ada"),
        ({"notify": "reminder"}, ""),
        ({"notify": None, "acknowledged_by": "ada"}, "seen by ada"),
        ({"notify": None, "replaced_by": {"version": "v2", "how": "observed"}}, "now v2"),
        ({"notify": "resolved", "resolution": "retrained: v2"}, "retrained: v2"),
    ],
)
def test_a_revision_says_what_is_new_in_it(change: dict[str, Any], says: str) -> None:
    (column,) = (column for column in _REVISIONS if column.name == "what")
    row = {name: value for name, value in {**OPENED, **change}.items() if value is not None}
    assert column.of(row) == says
