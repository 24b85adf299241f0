"""Learners that tests name: one that takes its time, so that it can be killed at work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from stream_app.reference.learners import Labels, Matrix, logistic

#: exists while a slow training may not end; made and removed by the test
GATE = Path("gate")


def gated(matrix: Matrix, labels: Labels) -> Any:
    """Logistic regression once the gate is gone; says that it waits by a file beside it."""
    Path("waiting").touch()
    while GATE.exists():
        time.sleep(0.05)
    return logistic(matrix, labels)
