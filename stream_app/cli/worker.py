"""``plumbline worker``."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import click

from stream_app import settings as settings_module
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings

#: Ports after web_port that are tried where nobody said which.
_PORTS: Final = 100
#: Seconds from the signal until a worker that still runs ends itself: below the thirty that supervisors give.
GRACE_S: Final = 25


@click.command()
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_default=True
)
@click.option("--take-over", is_flag=True, help="Take the output prefix from another application, whose lanes stop.")
@click.option(
    "--trust-broker-time",
    is_flag=True,
    help="Write live ticks although the broker's time is more than 5 minutes from this machine's.",
)
def worker(log_level: str, take_over: bool, trust_broker_time: bool) -> None:
    """Run a worker in the foreground until SIGTERM or Ctrl-C.

    Start as many as you like with the same PLUMBLINE_APP_ID, each with its own PLUMBLINE_DATA_DIR; partitions are
    shared among them. Its views: http://127.0.0.1:6066/readyz, /metrics, /models/TYPE:TENANT

    \b
    Example: plumbline worker --log-level warning
    """
    settings = _with_free_port(settings_module.load())
    from stream_app import app as composition
    from stream_app.engine.collector import look_rarely

    look_rarely()
    cluster = composition.prepare(settings, take_over=take_over)
    # only now: a broker that does not answer is told in one sentence, not by its client's log too
    logging.getLogger("aiokafka").setLevel(logging.ERROR if log_level != "debug" else logging.DEBUG)
    built = composition.build(settings, cluster, trust_broker_time=trust_broker_time)
    for line in _first_lines(settings):
        click.echo(line)
    faust_worker = built.app.Worker(loglevel=log_level.upper(), override_logging=True, quiet=True, blocking_timeout=0)
    _end_in_time(faust_worker)
    built.vitals.start()
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


def _with_free_port(settings: Settings) -> Settings:
    """Settings whose port for the views is free: a second worker on a machine takes the next one, unless it was told
    which."""
    port = settings.web_port
    if port == 0 or "web_port" in settings.model_fields_set:
        return settings
    while port < settings.web_port + _PORTS and not _free(settings.web_host, port):
        port += 1
    return settings.model_copy(update={"web_port": port})


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return False
    return True


def _first_lines(settings: Settings) -> list[str]:
    """What people want to know of a worker that starts."""
    topics = topics_of(settings)
    address = f"http://{settings.web_host}:{settings.web_port}"
    views = f"{address}/readyz says what it waits for; {address}/metrics" if settings.web_port else "none (web_port 0)"
    if settings.clock == "live":
        clock = f"live: whichever worker of {settings.app_id} leads writes the ticks"
    else:
        clock = f"follows recorded ticks: nothing happens until a replay or backfill writes to {topics.clock}"
    return [
        f"worker of {settings.app_id} ({settings.environment}), Kafka {settings.kafka_bootstrap}",
        f"  reads   {topics.predictions} and {topics.outcomes}, {topics.input_partitions} partitions, shared by all "
        "workers",
        f"  data    {Path(settings.data_dir) / settings.app_id}",
        f"  views   {views}",
        f"  clock   {clock}",
    ]


def _end_in_time(faust_worker: Any) -> None:
    """Told to stop, a worker that is stuck ends with 1 and says where it hangs, instead of waiting to be killed.

    A thread of the interpreter's own does it, so whatever keeps the event loop or swallows cancellations cannot.
    """
    schedule = faust_worker._schedule_shutdown

    def shutdown(number: signal.Signals) -> None:
        faulthandler.dump_traceback_later(GRACE_S, exit=True, file=sys.__stderr__ or 2)
        schedule(number)

    faust_worker._schedule_shutdown = shutdown
