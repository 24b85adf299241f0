"""Turns comparisons into verdicts: one drift event per model, check and close. Policy only; the counts are metrics'."""

from stream_app.core.drift.stage import DriftConfig, DriftStage

__all__ = ["DriftConfig", "DriftStage"]
