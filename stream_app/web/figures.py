"""What the web process tells Prometheus, at ``/metrics``: whoever asks needs a token as for everything else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from stream_app.web.auth import User
from stream_app.web.guard import RequestTraffic
from stream_app.web.live import Hub
from stream_app.web.site import Site, viewer
from stream_app.worker.metrics import CONTENT_TYPE, MetricFamilies

router = APIRouter()


def put(site: Site, hub: Hub, traffic: RequestTraffic, page: MetricFamilies) -> None:
    """Figures of the process."""
    for status, count in sorted(traffic.answers.items()):
        page.put("web_answers_total", "counter", "Answers to requests.", count, status=str(status))
    page.put("web_requests_in_work", "gauge", "Requests in work.", traffic.in_work)
    page.put("web_live_clients", "gauge", "Clients of the live feed.", len(hub.clients))
    page.put("web_commands_total", "counter", "Commands that Kafka took.", site.commands)
    page.put("web_degraded", "gauge", "1 while what is shown is not whole or not new.", int(hub.status.degraded))
    if site.commanded_at:
        page.put("web_last_command_timestamp_seconds", "gauge", "When Kafka took a command last.", site.commanded_at)
    if hub.known_ms is not None:
        page.put("web_read_model_timestamp_seconds", "gauge", "Last sign of life of the read model.",
                 hub.known_ms / 1000)  # fmt: skip


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, user: Annotated[User, Depends(viewer)]) -> Response:
    """Prometheus exposition."""
    return Response(request.app.state.page.body(), headers={"content-type": CONTENT_TYPE})
