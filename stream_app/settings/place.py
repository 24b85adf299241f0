"""Where things stand: what a command needs that only looks at topics and the read model.

All settings, checked, cost such a command more CPU than its work: half of its start. So where whatever is said is one
of a few plain values, and plainly right, they are taken as they stand. Anything else, a file, a secret, an unknown name
or a value that may be wrong, is left to the whole model, which refuses by name as ever.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from stream_app.settings.names import BROKER, NOT_SETTINGS, PREFIX, TOPIC_PART


class Whereabouts(Protocol):
    """What both the whole settings and the plain ones say."""

    @property
    def kafka_bootstrap(self) -> str:
        """Brokers, host:port with commas between."""

    @property
    def input_prefix(self) -> str:
        """Prefix of what goes in."""

    @property
    def output_prefix(self) -> str:
        """Prefix of what is published."""

    @property
    def app_id(self) -> str:
        """The application."""

    @property
    def input_partitions(self) -> int:
        """Partitions of the inputs."""

    @property
    def model_partitions(self) -> int:
        """Partitions of what is keyed by model."""

    @property
    def redis_url(self) -> str:
        """The read model; empty: none."""

    def kafka_client_options(self) -> dict[str, Any]:
        """TLS and SASL of Kafka's clients."""

    def redis_client_options(self) -> dict[str, Any]:
        """Password and TLS of Redis' clients."""


@dataclass(frozen=True, slots=True)
class PlainWhereabouts:
    """No secrets, no TLS. The defaults are those of the settings."""

    kafka_bootstrap: str = "127.0.0.1:19092"
    input_prefix: str = "ml."
    output_prefix: str = "ml."
    app_id: str = "plumbline"
    input_partitions: int = 12
    model_partitions: int = 4
    redis_url: str = "redis://127.0.0.1:16379/0"

    def kafka_client_options(self) -> dict[str, Any]:
        """None: plain text."""
        return {}

    def redis_client_options(self) -> dict[str, Any]:
        """None, likewise."""
        return {}


#: What may be said beside, of which nothing is asked here: its form is what makes it plainly right.
_BESIDE: Final = {
    "environment": re.compile("development|staging|production"),
    "clock": re.compile("live|follow"),
    "data_dir": re.compile(".+"),
    "web_port": re.compile("[0-9]{1,4}"),
    "dashboard_port": re.compile("[1-9][0-9]{0,3}"),
}
_COUNT: Final = re.compile("[1-9][0-9]{0,2}")
_FORMS: Final = {
    "kafka_bootstrap": re.compile(f"{BROKER.pattern}(,{BROKER.pattern})*"),
    "input_prefix": TOPIC_PART,
    "output_prefix": TOPIC_PART,
    "app_id": re.compile("[A-Za-z0-9._-]{1,64}"),
    "input_partitions": _COUNT,
    "model_partitions": _COUNT,
    "redis_url": re.compile(r"(redis://[^@?\s]*)?"),
}


def plain() -> PlainWhereabouts | None:
    """Where things stand, if it is plainly said; ``None`` where the whole settings have to say it."""
    if PREFIX + "CONFIG" in os.environ or Path("plumbline.toml").exists():
        return None
    said: dict[str, Any] = {}
    for variable, value in os.environ.items():
        if not variable.upper().startswith(PREFIX):
            continue
        if variable.removeprefix(PREFIX) in NOT_SETTINGS:
            continue
        name = variable.removeprefix(PREFIX).lower()
        form = _FORMS.get(name) or _BESIDE.get(name)
        if form is None or variable != variable.upper() or not form.fullmatch(value):
            return None
        if name in _FORMS:
            said[name] = int(value) if form is _COUNT else value
    return PlainWhereabouts(**said)


def find() -> Whereabouts:
    """Where things stand, by the plain way or by the whole settings. ``Incompatible`` names what cannot be used."""
    found = plain()
    if found is not None:
        return found
    from stream_app.settings.sources import load

    return load()
