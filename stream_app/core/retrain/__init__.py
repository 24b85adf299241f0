"""Retraining: safeguards, a coordinator for each model that explains itself, and the stage that runs them."""

from stream_app.core.retrain.config import Flags, ModelConfig, RetrainConfig, RetrainRules
from stream_app.core.retrain.machine import step
from stream_app.core.retrain.stage import RetrainStage

__all__ = ["Flags", "ModelConfig", "RetrainConfig", "RetrainRules", "RetrainStage", "step"]
