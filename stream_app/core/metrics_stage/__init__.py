"""Folds deltas into cells, closes days, keeps each model's active version; writes the model log."""

from stream_app.core.metrics_stage.config import MetricsConfig
from stream_app.core.metrics_stage.stage import MetricsStage

__all__ = ["MetricsConfig", "MetricsStage"]
