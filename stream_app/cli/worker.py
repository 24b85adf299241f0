"""``plumbline worker``."""

from __future__ import annotations

import logging
import os
import sys

import click

from stream_app import settings as settings_module


@click.command()
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_default=True
)
def worker(log_level: str) -> None:
    """Run a worker in the foreground until SIGTERM or Ctrl-C.

    \b
    Start as many as you like with the same PLUMBLINE_APP_ID, each with its own PLUMBLINE_DATA_DIR;
    partitions are shared among them. Its views: http://127.0.0.1:6066/readyz, /metrics, /lines/TYPE:TENANT
    """
    settings = settings_module.load()
    from stream_app import app as composition

    logging.getLogger("aiokafka").setLevel(logging.ERROR if log_level != "debug" else logging.DEBUG)
    cluster = composition.prepare(settings)
    built = composition.build(settings, cluster)
    faust_worker = built.app.Worker(loglevel=log_level.upper(), override_logging=True, quiet=True, blocking_timeout=0)
    code = 0
    try:
        faust_worker.execute_from_commandline()
    except SystemExit as stop:
        code = int(stop.code or 0)
    if built.engine.error is not None:
        click.echo(f"plumbline: {built.engine.error}", err=True)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
