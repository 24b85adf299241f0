"""Options that several commands have."""

from __future__ import annotations

import click

metrics_port = click.option(
    "--metrics-port", "port", type=click.IntRange(0, 65_535), metavar="PORT",
    help="Answer Prometheus there, at /metrics; 0: nowhere. Default: the setting metrics_port. On the address "
    "metrics_host.",
)  # fmt: skip
