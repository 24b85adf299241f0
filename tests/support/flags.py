"""What the flags of the coordinator say of a model."""

from __future__ import annotations

from stream_app.settings import Settings
from stream_app.stage_configs import retrain_config


def may_retrain(settings: Settings, model: str) -> bool:
    """Whether the flags allow retraining without a person; the other safeguards come after them."""
    flags = retrain_config(settings, "ml.training-results").rules(model).flags
    return flags.monitoring and flags.auto_retrain and flags.model_type and flags.tenant
