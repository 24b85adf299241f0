"""Retraining: safeguards, a coordinator for each line that explains itself, and the stage that runs them."""

from stream_app.core.retrain.config import Flags, LineConfig, RetrainConfig, RetrainRules
from stream_app.core.retrain.machine import step
from stream_app.core.retrain.stage import RetrainStage

__all__ = ["Flags", "LineConfig", "RetrainConfig", "RetrainRules", "RetrainStage", "step"]
