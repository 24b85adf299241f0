"""``plumbline web``."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import ipaddress
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click

from stream_app import settings as settings_module
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka.topics import topics_of
from stream_app.services.ports import is_free


@click.command()
@click.option("--host", help="Address to listen on; default: the setting dashboard_host.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Default: the setting dashboard_port.")
def web(host: str | None, port: int | None) -> None:
    """Serve the dashboard, its API and the live feed until told to stop.

    Tokens come from PLUMBLINE_WEB_TOKENS, NAME:viewer:TOKEN or NAME:operator:TOKEN with commas between. Without any,
    and only on this machine's own address, one is made for this run and stands in the address that is printed.

    \b
    Example: plumbline web
    """
    import uvicorn

    from stream_app.http import bounds
    from stream_app.http.protocol import BoundedProtocol
    from stream_app.web import app, auth

    settings = settings_module.load()
    host, port = host or settings.dashboard_host, port or settings.dashboard_port
    tokens = auth.Tokens(settings.web_tokens.get_secret_value())
    token = ""
    if not tokens:
        if not _loopback(host):
            raise Incompatible(
                f"{host} can be reached from elsewhere and web_tokens is empty: set PLUMBLINE_WEB_TOKENS to "
                "NAME:viewer:TOKEN or NAME:operator:TOKEN"
            )
        tokens, token = auth.one_time(_who())
    application = app.create(settings, topics_of(settings), tokens, host)
    if _loopback(host) and not is_free(port):
        raise Unavailable(f"port {port} is taken by another program: take another with --port, or stop that program")
    click.echo(f"Plumbline is at {address(host, port, token)}")
    if not _loopback(host):
        click.echo("plain HTTP beyond this machine: put a proxy with TLS in front, or tokens can be read on the way")
    bounds.raise_descriptors()
    BoundedProtocol.most = bounds.connections()
    config = uvicorn.Config(
        application, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        date_header=False, proxy_headers=False, ws_max_size=16_384, timeout_graceful_shutdown=3,
        http=BoundedProtocol, loop="asyncio", backlog=bounds.ACCEPTS, timeout_keep_alive=int(bounds.IDLE_S),
        h11_max_incomplete_event_size=bounds.HEAD_BYTES,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # its own way of handling signals ends the process by the signal once it has shut down; asked to stop is no failure
    server.capture_signals = lambda: _asked_to_stop(server)  # type: ignore[method-assign]
    server.run()
    if not server.started:
        sys.exit(1)


@contextlib.contextmanager
def _asked_to_stop(server: Any) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    yield


def address(host: str, port: int, token: str) -> str:
    """Where people go; with a token the address signs in, and the page takes it out of sight."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"#token={token}" if token else "")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"
