"""The ``Host`` values that a served sandbox answers to, so that no website can control it by DNS rebinding.

A website can let its own name resolve to this machine, and the browser then sends the site's requests to the
sandbox. Their ``Host`` is still the site's name, which is how they are recognized.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .addresses import parse_address

LOOPBACK: Final = "127.0.0.1"


class Hosts:
    """The host names of a sandbox that listens on the first of ``hosts``.

    These are the names of loopback, and all ``hosts``. A sandbox that listens on every interface
    (``0.0.0.0``, ``::``) also answers to any IP address, and to names without a dot, which containers have
    and no website has.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._names = {_normalized(host) for host in hosts}
        self._anywhere = any(_unspecified(name) for name in self._names)

    def admit(self, host: str | None) -> bool:
        """Return True if a request with this ``Host`` header is for the sandbox."""
        name = _normalized(_without_port(host or ""))
        address = parse_address(name)
        if address is None:
            local = name == "localhost" or name.endswith(".localhost")
            return bool(name) and (local or name in self._names or (self._anywhere and "." not in name))
        return address.is_loopback or name in self._names or self._anywhere


def url_of(host: str, port: int) -> str:
    """Return the URL of a sandbox that listens on a host; for every interface it is that of loopback."""
    name = _normalized(host)
    if _unspecified(name):
        name = LOOPBACK
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _normalized(host: str) -> str:
    """Return a host in lower case, without brackets and the dot of the root."""
    name = host.lower().removesuffix(".")
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    return str(parse_address(bare) or name)


def _without_port(host: str) -> str:
    head, colon, port = host.rpartition(":")
    return head if colon and port.isdecimal() and not (":" in head and not head.endswith("]")) else host


def _unspecified(name: str) -> bool:
    address = parse_address(name)
    return address is not None and address.is_unspecified
