"""Names under which a server may be asked for.

A page of somebody else's can make a browser on this machine ask 127.0.0.1 under the page's own name (DNS rebinding).
The browser then sends that name as ``Host``: whoever answers only to IP addresses, ``localhost`` and the names it was
told cannot be reached that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_ZONE = r"(?:%[A-Za-z0-9._-]{1,34})?"
_AUTHORITY = re.compile(rf"(?:\[([0-9A-Fa-f:.]{{2,45}}{_ZONE})\]|([^:\[\]@/?#\s]{{1,254}}))(?::([0-9]{{0,5}}))?")

#: Paths that answer under every name: probes come with whatever name the platform gives them.
PROBES = frozenset({"/livez", "/readyz"})


class Hosts:
    """Which values of ``Host`` are ours: IP literals, ``localhost``, and the given names (``*.NAME``: below it)."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: set[str] = {"localhost"}
        self._below: list[str] = []
        for name in names:
            if name.startswith("*."):
                self._below.append(name[1:].lower())
            elif name:
                self._names.add(name.lower().removesuffix("."))

    def allow(self, authority: str | None) -> bool:
        """Whether ``HOST`` or ``HOST:PORT`` is ours; nothing at all is not."""
        match = _AUTHORITY.fullmatch(authority) if authority else None
        if match is None or int(match[3] or 0) > 65_535:
            return False
        if match[1] is not None:
            return _is_address(match[1], IPv6Address)
        name = match[2].lower().removesuffix(".")
        return name in self._names or _is_address(name, IPv4Address) or any(map(name.endswith, self._below))


def allowed(configured: str, *addresses: str) -> Hosts:
    """Hosts from the setting ``web_allowed_hosts`` and from addresses (``http://HOST:PORT`` or ``HOST``) of ours."""
    names = split(configured)
    for address in addresses:
        host = urlsplit(address if "://" in address else f"//{address}").hostname if address else None
        if host:
            names.append(host)
    return Hosts(names)


def split(configured: str) -> list[str]:
    """Names of the setting; ``ValueError`` names one that is none."""
    names = [part.strip().lower().removesuffix(".") for part in configured.split(",") if part.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no host name: write NAME or *.NAME, without port, several with commas between"
            )
    return names


def absolute(target: str) -> tuple[str, str] | None:
    """(authority, rest) of a target in absolute form, ``http://HOST/PATH``; ``None`` for the usual form."""
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        return None
    authority, slash, path = rest.partition("/")
    return authority, slash + path or "/"


def _is_address(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> bool:
    try:
        kind(text.replace("%25", "%"))
    except ValueError:
        return False
    return True
