"""What a replay's command line makes of files, without a broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_app.cli.replay import plan_of, replay
from stream_app.errors import Incompatible
from stream_app.ingest.faults import Faults
from stream_app.ingest.inputs import Admission, Survey, records
from stream_app.replay.run import look_through

#: what the files of these tests need to be predictions
CHURN = ("--set", "model_type=churn", "--set", "model_version=v1")
#: the same where ids stand in the column id and times in the column time
NAMED = (*CHURN, "--map", "prediction_id=id", "--map", "predicted_at=time")


@dataclass
class TableRead:
    """``refused``: what was said instead of reading; else the records that would be sent."""

    refused: str | None
    predictions: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    survey: Survey | None

    @property
    def faults(self) -> list[str]:
        """What was said of rows."""
        return [] if self.survey is None else self.survey.faults.lines()


def read(files: Path | Sequence[Path], *options: str) -> TableRead:
    """Both passes of a replay of the files."""
    paths = [files] if isinstance(files, Path) else files
    context = replay.make_context("replay", [*map(str, paths), *options])
    given = dict(context.params)
    plan = plan_of(given.pop("files"), given.pop("outcomes"), given)
    try:
        known = look_through(plan, Admission())
        if given["strict"]:
            known.refuse_any()
    except Incompatible as error:
        return TableRead(str(error), [], [], None)
    found = TableRead(None, [], [], known)
    for made in records(plan.inputs(Admission()), known, Faults()):
        for row in made:
            into = found.predictions if row.kind == "predictions" else found.outcomes
            into.append(json.loads(row.value))
    return found
