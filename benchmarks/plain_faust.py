"""The same join as a plain Faust agent with RocksDB tables: the peer that the engine is measured against.

Arguments: bootstrap, name of the job, number of events, data folder. At least once, without ticks, horizons or
corrections: it does less than the labels stage and is still what one would write first.
"""

from __future__ import annotations

import json
import os
import sys
import time

import faust


def main() -> None:
    """Run until the number of events is reached."""
    bootstrap, name, events, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    os.makedirs(folder, exist_ok=True)
    app = faust.App(
        f"plain-{name}", broker=f"kafka://{bootstrap}", store="rocksdb://", rocksdb_driver="rocksdict", datadir=folder,
        topic_partitions=4, table_standby_replicas=0, topic_disable_leader=True, web_enabled=False,
        value_serializer="raw", key_serializer="raw", consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    predictions = app.topic(f"{name}.predictions", value_serializer="json", key_serializer="raw")
    outcomes = app.topic(f"{name}.outcomes", value_serializer="json", key_serializer="raw")
    pending = app.Table("pending", partitions=4, key_type=bytes, value_type=bytes)
    early = app.Table("early", partitions=4, key_type=bytes, value_type=bytes)
    cells = app.Table("cells", partitions=4, default=int, key_type=str, value_type=int)
    seen = {"events": 0, "cpu": 0.0}

    def count() -> None:
        if not seen["events"]:
            seen["cpu"] = time.process_time()
        seen["events"] += 1
        if seen["events"] == events:
            cost = (time.process_time() - seen["cpu"]) / events * 1e6
            sys.__stdout__.write(json.dumps({"events": events, "cpu_us_per_event": cost}) + "\n")
            sys.__stdout__.flush()
            os._exit(0)

    def join(row: dict, actual: bool) -> None:
        cells[
            f"{row['model_type']}|{row['tenant_id']}|{row['predicted_at'] // 86_400_000}|{row['predicted']}|{actual}"
        ] += 1

    @app.agent(predictions)
    async def on_prediction(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            known = early.pop(event.key, None)
            if known is None:
                pending[event.key] = json.dumps(event.value).encode()
            else:
                join(event.value, known == b"1")
            count()

    @app.agent(outcomes)
    async def on_outcome(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            row = pending.pop(event.key, None)
            if row is None:
                early[event.key] = b"1" if event.value["actual"] else b"0"
            else:
                join(json.loads(row), event.value["actual"])
            count()

    sys.argv = ["plain", "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
