"""Which ``Host`` a served sandbox answers to, so that no page in a browser drives it by DNS rebinding.

A page of another site can have its own name lead to this machine, and its requests then come from the browser
as if they were the sandbox's own. What such a request cannot have is another ``Host`` than that name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

LOOPBACK: Final = "127.0.0.1"


class Hosts:
    """The names by which a sandbox may be called that listens on the first of ``hosts``.

    Always those of loopback, and all ``hosts``. One that listens on every interface (``0.0.0.0``, ``::``)
    also answers to any IP address, and to names without a dot, as containers have them: no site has such a
    name.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._names = {_plain(host) for host in hosts}
        self._anywhere = any(_unspecified(name) for name in self._names)

    def admit(self, host: str | None) -> bool:
        """Return True if a request with this ``Host`` header is for the sandbox."""
        name = _plain(_without_port(host or ""))
        if not name:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            local = name == "localhost" or name.endswith(".localhost")
            return local or name in self._names or (self._anywhere and "." not in name)
        return address.is_loopback or name in self._names or self._anywhere


def url_of(host: str, port: int) -> str:
    """Return the URL of a sandbox that listens on a host; for every interface it is that of loopback."""
    name = _plain(host)
    if _unspecified(name):
        name = LOOPBACK
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _plain(host: str) -> str:
    """Return a host without case, brackets and the dot of the root."""
    name = host.lower().removesuffix(".")
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return name


def _without_port(host: str) -> str:
    head, colon, port = host.rpartition(":")
    return head if colon and port.isdecimal() and not (":" in head and not head.endswith("]")) else host


def _unspecified(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
