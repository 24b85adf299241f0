"""Names of the metrics: those that a page holds, and those that the documents list."""

from __future__ import annotations

import re
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"


def exposed(page: str) -> set[str]:
    """Metrics with samples on a page in Prometheus' format."""
    return set(re.findall(r"^(plumbline_\w+)\{", page, re.MULTILINE))


def documented() -> set[str]:
    """Metrics with a row of their own."""
    text = (OPERATIONS / "metrics.md").read_text()
    return set(re.findall(r"^\| `(plumbline_\w+)`", text, re.MULTILINE))
