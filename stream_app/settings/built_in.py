"""What is built in of the rules, apart from what checks them: commands that only look need no more."""

from __future__ import annotations

from typing import Any, Final

#: Metrics that decide performance drift of a type that says no others; the first is the one it is shown by.
PERFORMANCE_METRICS: Final = ("accuracy", "precision")

#: What is known of the model types that the contract names. The file's [types.NAME] goes over it.
BUILT_IN: Final[dict[str, dict[str, Any]]] = {
    "conflict": {
        "scope": "global",
        "performance_metrics": ("accuracy", "precision"),
        "rollback_metrics": ("accuracy",),
        "primary_metric": "accuracy",
        "validation_floors": {"accuracy": 0.70, "precision": 0.60},
    },
    "fraud": {
        "scope": "tenant",
        "performance_metrics": ("precision", "recall", "pr_auc"),
        "rollback_metrics": ("pr_auc", "recall"),
        "primary_metric": "pr_auc",
        "validation_floors": {"pr_auc": 0.70, "precision_at_80_recall": 0.50},
    },
}
