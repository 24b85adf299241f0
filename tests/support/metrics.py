"""Names of the metrics: those that a page holds, and those that the documents list."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"


def exposed(page: str) -> set[str]:
    """Metrics with samples on a page in Prometheus' format."""
    return set(re.findall(r"^(plumbline_\w+)[{ ]", page, re.MULTILINE))


def sample(page: str, name: str, **labels: str) -> float:
    """Sum of a metric's samples that have these labels; ``KeyError`` if there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    if not found:
        raise KeyError(f"{name} {labels}")
    return sum(found)


def documented(section: str = "Workers") -> set[str]:
    """Metrics with a row of their own in a section."""
    text = (OPERATIONS / "metrics.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(plumbline_\w+)`", text, re.MULTILINE))
