"""The same join as a plain Faust agent with RocksDB tables: the peer that the engine is measured against.

Arguments: bootstrap, name of the job, number of events, data folder. It keeps what the labels stage keeps (entries with
both sides, counts by score, interval sums), at least once, without ticks, horizons or corrections.
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
    entries = app.Table("entries", partitions=4, key_type=bytes, value_type=bytes)
    cells = app.Table("cells", partitions=4, default=int, key_type=str, value_type=int)
    intervals = app.Table("intervals", partitions=4, key_type=str, value_type=bytes)
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

    def cell(row: dict) -> str:
        return f"{row['model_type']}|{row['tenant_id']}|{row['model_version']}|{row['predicted_at'] // 86_400_000}"

    def label(row: dict, actual: bool) -> None:
        cells[f"{cell(row)}|{row['predicted']}|{actual}|{row['score']}"] += 1

    @app.agent(predictions)
    async def on_prediction(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            row, old = event.value, entries.get(event.key)
            known = json.loads(old) if old is not None else {}
            if "score" not in known:  # otherwise a duplicate
                entries[event.key] = json.dumps({**known, **row}).encode()
                cells[f"{cell(row)}|{row['predicted']}|{row['score']}"] += 1
                width = row["ci_upper"] - row["ci_lower"]
                n, total, narrow = json.loads(intervals.get(cell(row)) or b"[0, 0, 0]")
                intervals[cell(row)] = json.dumps([n + 1, total + width, narrow + (width < 0.2)]).encode()
                if "actual" in known:
                    label(row, known["actual"])
            count()

    @app.agent(outcomes)
    async def on_outcome(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            old = entries.get(event.key)
            known = json.loads(old) if old is not None else {}
            if "actual" not in known:
                entries[event.key] = json.dumps({**known, **event.value}).encode()
                if "score" in known:
                    label(known, event.value["actual"])
            count()

    sys.argv = ["plain", "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
