"""Settings of the hourly alarms of a model (CONTRACT section 3a)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from stream_app.settings.fields import setting


class HourlyFields(BaseModel):
    """Whether there are alarms at full hours, and how many may be false."""

    hourly_alerts: Literal["on", "shadow", "off"] = setting(
        "on",
        "What alarms at full hours do: `on` alerts; `shadow` only publishes drift events, so that they can be watched "
        "before anybody is woken; `off` looks at no hours, and the evidence begins anew when it is switched on again.",
    )
    false_alert_budget: float = setting(
        1.0,
        "False hourly alerts that are accepted in 1,000 model-months, half of them about outcomes and half about "
        "scores. Ten times as many: a drop is found some hours earlier.",
        gt=0,
        le=1_000,
    )
