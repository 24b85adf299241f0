"""One relay process over the records of a loaded job; prints a JSON line when it has relayed all of them.

Arguments: bootstrap, name of the job, number of events, folder. The map names every field, as one for somebody else's
records does; with a folder named ``re-key`` the shipped map of that name runs instead. CPU time is that of the whole
relay: fetching, mapping, producing and committing, exactly once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from stream_app.ingest.relay.maps import load_map
from stream_app.ingest.relay.run import run_relay
from stream_app.ingest.relay.session import RelayPlan
from stream_app.kafka import admin
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

_MAP = """
[[emit]]
to = "predictions"
when = { "value.score" = { present = true } }
[emit.fields]
prediction_id = "value.prediction_id"
model_type = "value.model_type"
model_version = "value.model_version"
tenant_id = "value.tenant_id"
predicted_at = "value.predicted_at"
score = "value.score"
predicted = "value.score | threshold(0.5)"
ci_lower = "value.ci_lower"
ci_upper = "value.ci_upper"

[[emit]]
to = "outcomes"
when = { "value.actual" = { present = true } }
[emit.fields]
prediction_id = "value.prediction_id"
actual = "value.actual"
observed_at = "value.observed_at"
"""


def _map(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fields.toml"
    path.write_text(_MAP)
    return "re-key" if folder.name == "re-key" else str(path)


async def main() -> None:
    """Relay the job to topics of its own."""
    bootstrap, name, events, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    prefix = f"{name}.relayed-{folder.name}."
    topics = Topics(prefix, prefix, 4, 4)
    async with admin.admin(bootstrap, {}) as client:
        await admin.create(client, topics.specs(), 1)
    settings = Settings(
        kafka_bootstrap=bootstrap, app_id=prefix, input_prefix=prefix, output_prefix=prefix, data_dir=folder,
        input_partitions=4, model_partitions=4,
    )  # fmt: skip
    sources = (f"{name}.predictions", f"{name}.outcomes")
    plan = RelayPlan(sources, load_map(_map(folder)), "bench", until_end=True)
    began, cpu = time.monotonic(), time.process_time()
    done = await run_relay(settings, topics, plan, asyncio.Event(), lambda progress: None)
    if done.counts.records != events or done.counts.predictions + done.counts.outcomes != events:
        raise SystemExit(f"{events} events, relayed {done.counts}")
    result = {
        "events": events,
        "cpu_us_per_event": (time.process_time() - cpu) / events * 1e6,
        "events_per_second": events / (time.monotonic() - began),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
