"""Checks webhook URLs: they must be https URLs of the public internet."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

PRIVATE: Final = "must not be a private, reserved or internal address"

Resolve: TypeAlias = Callable[[str], Iterable[str]]
"""Returns the addresses of a host name, none for an unknown one."""


def resolve_by_system(host: str) -> list[str]:
    """Return the addresses of a host name as the system resolves it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def resolve_nothing(_: str) -> tuple[str, ...]:
    """Return no addresses for any host name."""
    return ()


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, None for any other text; an IPv4 address mapped into IPv6 as what it is."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _local(host: str) -> tuple[bool, bool]:
    """Return whether a host is loopback, and whether it is outside the public internet."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True, True
    address = parse_address(name)
    if address is None:
        return False, False
    return address.is_loopback, not address.is_global or address.is_multicast


def url_problem(url: str, *, allow_local: bool) -> str | None:
    """Return the problem of a webhook URL that can be seen without resolving its host, or None."""
    if any(character <= " " or character == "\x7f" for character in url):
        return "must be a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "must be a URL"
    loopback, private = _local(host or "")
    if host and loopback and allow_local and parts.scheme in ("http", "https"):
        return None
    if parts.scheme != "https" or not host:
        return "must be an https:// URL"
    return PRIVATE if private else None


def name_to_resolve(url: str) -> str | None:
    """Return the host name of a valid URL, None if the host is an address."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return None if _local(host)[0] or parse_address(host) is not None else host


def resolved_problem(addresses: Iterable[str], *, allow_local: bool) -> str | None:
    """Return the problem of the addresses that a host name resolves to, or None.

    No addresses are no problem: sending to an unknown name fails later.
    """
    for address in addresses:
        loopback, private = _local(address)
        if private and not (loopback and allow_local):
            return PRIVATE
    return None
