"""Where a process runs and within which limits: addresses, names, secrets, sizes. No decision depends on these."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from stream_app.errors import Incompatible
from stream_app.http import hosts
from stream_app.settings.fields import setting
from stream_app.settings.names import BROKER, TOPIC_PART


class Installation(BaseModel):
    """Addresses, names, secrets and limits of one process."""

    model_config = ConfigDict(defer_build=True)

    environment: Literal["development", "staging", "production"] = setting(
        "production", "Profile whose defaults apply; production is the careful one and never retrains by itself."
    )

    # -- the world around
    kafka_bootstrap: str = setting("127.0.0.1:19092", "Kafka brokers, host:port with commas between.", min_length=1)
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "How to speak to the brokers. Without SSL everything, passwords too, can be read on the way."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "SASL mechanism; PLAIN shows the password to whoever answers, so use it with SSL only."
    )
    kafka_sasl_username: str = setting("", "SASL user name.")
    kafka_sasl_password: SecretStr = setting(SecretStr(""), "SASL password; from the environment only.")
    kafka_ssl_cafile: str = setting(
        "", "File with the authorities that signed the brokers' certificates; else the system's."
    )
    kafka_ssl_certfile: str = setting("", "Client certificate file, for mutual TLS.")
    kafka_ssl_keyfile: str = setting("", "Client key file, for mutual TLS; absent: it is in kafka_ssl_certfile.")
    kafka_ssl_key_password: SecretStr = setting(SecretStr(""), "Password of the key file; from the environment only.")
    redis_url: str = setting(
        "redis://127.0.0.1:16379/0",
        "Redis that holds the read model, redis:// or rediss:// for TLS; never a source of truth. Empty: none.",
        pattern=r"^((redis|rediss|unix)://.*)?$",
        repr=False,  # it may hold a password
    )
    redis_password: SecretStr = setting(SecretStr(""), "Redis password; from the environment only.")
    redis_ssl_cafile: str = setting("", "File with the authorities that signed Redis' certificate.")
    data_dir: Path = setting(Path(".plumbline/data"), "Folder of a worker's RocksDB state; each worker needs its own.")

    # -- names
    input_prefix: str = setting("ml.", "Prefix of predictions, outcomes, clocks, commands and results.")
    output_prefix: str = setting(
        "ml.", "Prefix of everything published; another one for a replay that writes elsewhere."
    )
    app_id: str = setting("plumbline", "Consumer group, transactional ids and changelogs; a new one starts afresh.")
    clock: Literal["live", "follow"] = setting(
        "live", "Whether this app's leader writes live ticks, or only follows recorded ones (replays, tests)."
    )

    registry_trust: bool = setting(
        False,
        "Whether the reference trainer, deployer and predictor load models that others put into the registry, of whose "
        "artefacts no digest is known. Loading a model runs its code.",
    )

    # -- engine
    replication_factor: int = setting(
        1, "Replicas of topics made by `topics create` and by workers; 3 survives the loss of a broker.", ge=1, le=7
    )
    identity_interval_s: float = setting(
        15.0, "Seconds between two looks at the ids and partition counts of the topics.", ge=0.5, le=600
    )
    owner_interval_s: float = setting(30.0, "Seconds between two looks at who owns the output prefix.", ge=0.5, le=600)
    session_timeout_s: float = setting(
        6.0,
        "Seconds without heartbeat until a worker's partitions move. Shorter: pauses look like deaths.",
        ge=1,
        le=300,
    )
    transaction_timeout_s: float = setting(
        10.0,
        "Seconds until the broker aborts an open transaction; that long a dead worker holds back what others wrote.",
        ge=1, le=300,
    )  # fmt: skip
    checkpoint_interval_ms: int = setting(
        100,
        "Shortest milliseconds between a lane's checkpoints; longer is cheaper, shorter shows results sooner.",
        ge=1,
        le=10_000,
    )
    max_checkpoint_events: int = setting(
        12_000, "Events after which a lane checkpoints at once; bounds memory and what is redone.", ge=1, le=100_000
    )
    cells_per_checkpoint: int = setting(
        400, "Cells folded or closed before the metrics lane checkpoints; never changes a result.", ge=1, le=100_000
    )
    max_poll_records: int = setting(12_000, "Records of one poll; affects chunks, never results.", ge=1, le=100_000)
    lane_buffer_bytes: int = setting(
        4 << 20, "Fetched bytes a lane holds per input partition before it pauses it.", ge=1 << 16, le=1 << 30
    )
    block_cache_mb: int = setting(64, "RocksDB block cache of the process, MiB.", ge=1, le=65_536)
    write_buffer_mb: int = setting(64, "RocksDB memtables of the process, MiB.", ge=4, le=65_536)
    web_host: str = setting(
        "127.0.0.1", "Address of the worker's own views; nothing is open to the world by default.", min_length=1
    )
    dashboard_host: str = setting(
        "127.0.0.1", "Address that `plumbline web` listens on; nothing is open to the world by default.", min_length=1
    )
    dashboard_port: int = setting(8080, "Port that `plumbline web` listens on.", ge=1, le=65_535)
    web_tokens: SecretStr = setting(
        SecretStr(""),
        "Who may use the dashboard and the API: NAME:viewer:TOKEN or NAME:operator:TOKEN, several with commas between; "
        "from the environment only.",
    )
    dashboard_url: str = setting(
        "http://127.0.0.1:8080",
        "Where people reach the dashboard; links in alerts begin with it.",
        pattern=r"^https?://[^\s?#]{1,500}$",
    )
    web_allowed_hosts: str = setting(
        "",
        "Names under which people and programs ask for the dashboard, workers' views and metrics, beside IP addresses, "
        "localhost and the hosts of dashboard_url and web_url: NAME or *.NAME, with commas between. Others get 421.",
        max_length=4_000,
    )
    bridge_alertmanager_url: str = setting(
        "", "Address of Alertmanager that the bridge delivers to, http://HOST:9093; empty: none.",
        pattern=r"^(https?://[^\s]{1,500})?$", repr=False,
    )  # fmt: skip
    bridge_webhook_url: str = setting(
        "", "Address that the bridge posts alerts to; empty: none. It may hold a token, so it is never shown.",
        pattern=r"^(https?://[^\s]{1,2000})?$", repr=False,
    )  # fmt: skip
    bridge_webhook_secret: SecretStr = setting(
        SecretStr(""), "Secret that the webhook's requests are signed with; from the environment only."
    )
    web_url: str = setting(
        "",
        "Address at which other workers reach these views, http://HOST:PORT, to ask for models that this one owns; "
        "empty: web_host and web_port, which is right on one machine.",
        pattern=r"^(https?://[^\s/?#]{1,300})?$",
    )
    livez_after_s: float = setting(
        60.0,
        "Seconds without a sign of life of the event loop or the fetching thread after which the worker's /livez "
        "answers 503; an open lane that has work and a broker that answers may stand still for ten times as long.",
        ge=1,
        le=3_600,
    )
    web_port: int = setting(6066, "Port of the worker's own views; 0 turns them off.", ge=0, le=65_535)

    metrics_host: str = setting(
        "127.0.0.1", "Address at which relay, bridge, trainer and deployer answer Prometheus.", min_length=1
    )
    metrics_port: int = setting(
        0, "Port at which relay, bridge, trainer and deployer answer Prometheus; 0: none.", ge=0, le=65_535
    )

    @field_validator("web_allowed_hosts")
    @classmethod
    def _names_of_hosts(cls, value: str) -> str:
        hosts.split(value)
        return value

    @field_validator("input_prefix", "output_prefix", "app_id")
    @classmethod
    def _part_of_a_topic_name(cls, value: str) -> str:
        if not TOPIC_PART.fullmatch(value):
            raise ValueError("at most 64 letters, digits and . _ - can stand here")
        return value

    @field_validator("app_id", "data_dir", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("it is empty")
        return value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers(cls, value: str) -> str:
        for broker in value.split(","):
            if not BROKER.fullmatch(broker):
                raise ValueError("write it as host:port, several with commas and no spaces between")
        return value

    @model_validator(mode="after")
    def _check_security(self) -> Any:
        protocol = self.kafka_security_protocol
        if protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password.get_secret_value()
        ):
            raise ValueError(
                f"kafka_security_protocol is {protocol}: kafka_sasl_username and kafka_sasl_password are needed"
            )
        if "SSL" not in protocol.split("_"):
            for name in ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"):
                if getattr(self, name):
                    raise ValueError(f"{name} is set and kafka_security_protocol is {protocol}, which does not use it")
        return self

    def kafka_client_options(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka clients for TLS and SASL. ``Incompatible`` if a named file cannot be used."""
        protocol = self.kafka_security_protocol
        if protocol == "PLAINTEXT":
            return {}
        options: dict[str, Any] = {"security_protocol": protocol}
        if protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return options

    def redis_client_options(self) -> dict[str, Any]:
        """Keyword arguments of Redis' clients for password and TLS. ``Incompatible`` if the file cannot be used."""
        options: dict[str, Any] = {}
        password = self.redis_password.get_secret_value()
        if password:
            options["password"] = password
        if self.redis_ssl_cafile:
            options["ssl_ca_certs"] = _usable(self.redis_ssl_cafile, self.redis_url)
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile or None)
        except (OSError, ValueError) as error:
            raise Incompatible(
                f"kafka_ssl_cafile names {self.kafka_ssl_cafile}, which cannot be used: {error}"
            ) from error
        if self.kafka_ssl_certfile:
            # A password is always given: without one, OpenSSL would ask at the terminal and the worker would hang.
            password = self.kafka_ssl_key_password.get_secret_value()
            try:
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile or None, password)
            except (OSError, ValueError) as error:
                raise Incompatible(
                    f"kafka_ssl_certfile and kafka_ssl_keyfile name {self.kafka_ssl_certfile} and "
                    f"{self.kafka_ssl_keyfile or 'nothing'}, which cannot be used: {error}"
                ) from error
        return context


def _usable(cafile: str, url: str) -> str:
    """The file, if TLS will read it and can. It is opened now: at the first call Redis would seem to be away."""
    if not url.startswith("rediss://"):
        raise Incompatible(
            "redis_ssl_cafile is set and redis_url does not begin with rediss://, so nothing is encrypted: correct "
            "PLUMBLINE_REDIS_URL, or leave PLUMBLINE_REDIS_SSL_CAFILE out"
        )
    try:
        ssl.create_default_context(cafile=cafile)
    except (OSError, ValueError) as error:
        raise Incompatible(f"redis_ssl_cafile names {cafile}, which cannot be used: {error}") from error
    return cafile


def has_password(url: str) -> bool:
    """Whether an address carries a password, in front of the host or among its parameters."""
    parts = urlsplit(url)
    return bool(parts.password) or "password=" in parts.query


def without_password(url: str) -> str:
    """The address with stars for a password."""
    if not has_password(url):
        return url
    return re.sub(r"password=[^&]*", "password=**********", re.sub(r"(://[^/@:]*:)[^/]*@", r"\1**********@", url))


def host_of(url: str) -> str:
    """Scheme and host of an address; its path may hold a token."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}" if url else ""
