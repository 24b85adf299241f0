"""The composition root: the one place where concrete parts meet. Importing any other module opens nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from agents.alerts import alerts
from agents.clock import lead_clock
from agents.drift import drift
from agents.labels import labels
from agents.metrics import metrics
from agents.projection import projection
from agents.retrain_coordinator import retrain_coordinator
from stream_app.commands.announce import announce
from stream_app.engine.engine import Engine
from stream_app.engine.live_clock import LiveClock
from stream_app.engine.protocol import EngineConfig
from stream_app.engine.scheduler import ChunkScheduler
from stream_app.engine.store import StoreMemory
from stream_app.engine.transport import EngineApp
from stream_app.engine.vitals import LaneWatch, Limits, Vitals
from stream_app.kafka import admin
from stream_app.kafka.topics import Topics, topics_of
from stream_app.pipeline import stages
from stream_app.projection.projector import Projector
from stream_app.settings import Settings
from stream_app.stage_configs import configs
from stream_app.worker import monitor, ownership, views
from stream_app.worker.exposition import describe

log = logging.getLogger(__name__)

#: Faust commits on its own terms; these values keep it from ever doing so. The lanes commit.
_NEVER = 1e9


@dataclass(slots=True)
class Worker:
    """Everything one worker process is made of."""

    settings: Settings
    topics: Topics
    app: EngineApp
    engine: Engine
    vitals: Vitals


def prepare(settings: Settings, *, take_over: bool = False) -> str:
    """Check broker and topics, create the app's own, claim the output prefix; returns the cluster's id.

    Raises ``Unavailable`` or ``Incompatible`` (:mod:`stream_app.errors`) before anything is changed.
    """
    topics = topics_of(settings)

    async def ready() -> str:
        cluster = await admin.prepare_worker(
            settings.kafka_bootstrap,
            settings.kafka_client_options(),
            topics,
            topics.own(settings.max_horizon_days),
            settings.replication_factor,
            settings.app_id,
        )
        await ownership.claim(settings, topics, take_over=take_over)
        return cluster

    return asyncio.run(ready())


def build(settings: Settings, cluster: str, *, trust_broker_time: bool = False) -> Worker:
    """Wire one worker; nothing runs until the Faust application is started."""
    clock: LiveClock | None = None
    topics = topics_of(settings)
    data_dir = Path(settings.data_dir) / settings.app_id
    app = faust_app(settings)
    engine = Engine(
        app,
        EngineConfig(
            group=settings.app_id,
            bootstrap=settings.kafka_bootstrap,
            cluster=cluster,
            data_dir=data_dir,
            kafka_options=settings.kafka_client_options(),
            transaction_timeout_s=settings.transaction_timeout_s,
            session_timeout_s=settings.session_timeout_s,
            checkpoint_interval_s=settings.checkpoint_interval_ms / 1000,
            max_checkpoint_events=settings.max_checkpoint_events,
            lane_buffer_bytes=settings.lane_buffer_bytes,
            static={key: str(value) for key, value in settings.static_view().items()},
            owner_topic=topics.owner,
            at_start=settings.at_start_view(),
            identity_interval_s=settings.identity_interval_s,
            owner_interval_s=settings.owner_interval_s,
            describe=describe,
            message_limits=topics.message_limits(),
        ),
        StoreMemory(settings.block_cache_mb << 20, settings.write_buffer_mb << 20),
    )
    declared = stages(topics, configs(settings, topics))
    for agent in (labels, metrics, drift, retrain_coordinator, alerts):
        agent(app, engine, declared)
    if settings.clock == "live":
        clock = LiveClock(
            engine.config, topics, lambda: announce(settings, topics), trust_broker_time=trust_broker_time
        )
        lead_clock(app, clock)
    if settings.redis_url:
        projection(app, Projector(settings, topics, cluster))
    limits = Limits.of(settings.livez_after_s)
    vitals = Vitals(engine.loops, LaneWatch(engine.lanes, engine.broker_answered, limits), limits)
    views.attach(app, engine, topics, vitals, clock)
    return Worker(settings, topics, app, engine, vitals)


def faust_app(settings: Settings) -> EngineApp:
    """The Faust application without any stage; its folder exists from here on."""
    folder = Path(settings.data_dir) / settings.app_id / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    app = EngineApp(
        settings.app_id,
        broker=[f"kafka://{host}" for host in settings.kafka_bootstrap.split(",")],
        store="memory://",
        datadir=str(folder),
        topic_partitions=settings.input_partitions,
        topic_disable_leader=False,
        topic_allow_declare=False,
        topic_replication_factor=settings.replication_factor,
        table_standby_replicas=0,
        key_serializer="raw",
        value_serializer="raw",
        ConsumerScheduler=ChunkScheduler,
        Monitor=monitor.LaneMonitor,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=max(0.5, settings.session_timeout_s / 6),
        broker_max_poll_records=settings.max_poll_records,
        broker_commit_interval=_NEVER,
        broker_commit_every=10**12,
        broker_commit_livelock_soft_timeout=_NEVER,
        consumer_max_fetch_size=2 << 20,
        producer_request_timeout=30.0,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        recovery_consistency_check=False,
        web_enabled=settings.web_port > 0,
        web_bind=settings.web_host,
        web_host=settings.web_host,
        web_port=settings.web_port or 6066,
        canonical_url=settings.web_url or f"http://{settings.web_host}:{settings.web_port or 6066}",
        web_router_enabled=False,
        web_tables_enabled=False,
        web_graph_enabled=False,
        web_stats_enabled=False,
        web_metrics_enabled=False,
        web_in_thread=True,
    )
    app.kafka_security = settings.kafka_client_options()
    app.allowed_hosts = settings.web_allowed_hosts
    return app
