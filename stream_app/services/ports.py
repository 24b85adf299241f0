"""TCP ports of this machine."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from stream_app.errors import Unavailable


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now and that the system hands to no client.

    They lie below the range of ports for outgoing connections: a client that knocks at the port of a stopped node would
    sooner or later be given that very port, connect to itself and keep the node from coming back.
    """
    found: list[int] = []
    candidates = list(range(20_000, max(_first_outgoing(), 22_000)))
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise Unavailable(f"of the ports {min(candidates)} to {max(candidates)} fewer than {count} are free")


def is_free(port: int) -> bool:
    """Whether a server can listen on the port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections that are only waiting out their time do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def refuse_busy(port: int, what: str, option: str) -> None:
    """Raise :class:`Unavailable` if the port is taken; ``option`` is the one that chooses another."""
    if not is_free(port):
        raise Unavailable(
            f"port {port} for {what} is taken by another program. Choose another port with {option} (0 finds free "
            "ones), or stop that program."
        )


def _first_outgoing() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
