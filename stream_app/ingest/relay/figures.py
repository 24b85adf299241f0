"""What a relay tells Prometheus."""

from __future__ import annotations

from stream_app.ingest.relay.session import RelayProgress
from stream_app.worker.metrics import MetricFamilies


def put(name: str, progress: RelayProgress, page: MetricFamilies) -> None:
    """Figures of one relay; ``name`` is the relay's."""
    counts = progress.counts
    for figure, text, value in (
        ("records", "Source records relayed.", counts.records),
        ("predictions", "Predictions written.", counts.predictions),
        ("outcomes", "Outcomes written.", counts.outcomes),
        ("not_selected", "Source records that no part of the map selects.", counts.passed),
        ("dead_letters", "Source records that the map makes nothing of.", counts.dead_lettered),
        ("deleted_records", "Source records that retention deleted before they were read.", progress.deleted),
        ("faults", "Times it left the group for a fault and joined again.", progress.faults),
    ):
        page.put(f"relay_{figure}_total", "counter", text, value, relay=name)
    page.put("relay_partitions", "gauge", "Source partitions that are here.", progress.partitions, relay=name)
    for topic, lag in sorted(progress.lags.items()):
        page.put("relay_lag_records", "gauge", "Source records that are not relayed yet.", lag, relay=name, topic=topic)
    if progress.committed_at:
        page.put("relay_last_success_timestamp_seconds", "gauge", "When records were relayed last.",
                 progress.committed_at, relay=name)  # fmt: skip
