"""One worker process with the labels stage alone; prints a JSON line when it has handled every event.

Arguments: bootstrap, name of the job, number of events, data folder. CPU time counts from the moment the first lane
is open: starting Python and joining the group are not the per-event path.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import psutil

from stream_app.app import faust_app
from stream_app.engine.collector import look_rarely
from stream_app.engine.engine import Engine
from stream_app.engine.protocol import EngineConfig
from stream_app.engine.stages import attach
from stream_app.engine.store import StoreMemory
from stream_app.kafka.topics import Topics
from stream_app.pipeline import labels
from stream_app.settings import Settings
from stream_app.stage_configs import labels_config


def main() -> None:
    """Run to the end of the job."""
    bootstrap, name, events, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    look_rarely()
    settings = Settings(
        kafka_bootstrap=bootstrap, app_id=name, input_prefix=f"{name}.", output_prefix=f"{name}.", data_dir=folder,
        input_partitions=4, model_partitions=4, clock="follow", web_port=0,
    )  # fmt: skip
    topics = Topics(f"{name}.", f"{name}.", 4, 4, name)
    app = faust_app(settings)
    config = EngineConfig(group=name, bootstrap=bootstrap, cluster="bench", data_dir=folder)
    engine = Engine(app, config, StoreMemory(settings.block_cache_mb << 20, settings.write_buffer_mb << 20))
    attach(app, engine, labels(topics, labels_config(settings)))

    async def watch() -> None:
        began = cpu = restored_at = None
        while True:
            await asyncio.sleep(0.05)
            lanes = list(engine.lanes.values())
            handled = sum(lane.events for lane in lanes)
            if cpu is None and any(lane.running for lane in lanes):
                began, cpu = time.monotonic(), time.process_time()
            if len(lanes) == 4 and all(lane.running for lane in lanes) and restored_at is None:
                restored_at = time.monotonic()
            restored = sum(lane.restored_records for lane in lanes)
            done = handled >= events or (restored > 0 and restored_at is not None)
            if done and began is not None and cpu is not None:
                slowest = max(lane.restore_seconds for lane in lanes)
                result = {
                    "events": handled,
                    "cpu_us_per_event": (time.process_time() - cpu) / max(1, handled) * 1e6,
                    "events_per_second": handled / (time.monotonic() - began),
                    "restored": restored,
                    "restore_records_per_s": restored / slowest if slowest else 0,
                    "checkpoints": sum(lane.figures.count for lane in lanes),
                    "rss_mb": _rss_mb(),
                    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
                sys.__stdout__.write(json.dumps(result) + "\n")
                sys.__stdout__.flush()
                os._exit(0)

    app.task(watch)
    app.Worker(loglevel="WARNING", override_logging=True, quiet=True, blocking_timeout=0).execute_from_commandline()


def _rss_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    main()
