"""Checks of the caller's arguments, made before anything is sent.

Every check gives back the value to send or raises `InvalidArgumentError`, which names the argument,
what was expected and what kind of thing was given.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from ..errors import InvalidArgumentError
from .parameters import INT32, KEY_PATTERN

_LARGEST_ID = INT32[1]  # ids are 32-bit integers in the service's own schema
_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_LONGEST_HOST = 253
_PAIR = re.compile(r"[A-Za-z]{2,10}/[A-Za-z]{2,10}")
URL_LENGTH = 2048
SECRET_LENGTH = 256

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def wrong(name: str, expected: str, value: object) -> InvalidArgumentError:
    """Make the error for an argument of the wrong type, or an int out of range."""
    found = type(value).__name__
    if type(value) is int:
        found = str(value) if abs(value) < 2**64 else "a huge int"
    return InvalidArgumentError(f"{name}: expected {expected}, got {found}.")


def integer(name: str, value: object, low: int, high: int) -> int:
    """Check an int of ``low..high``; bools, floats and strings of digits are not ints."""
    if type(value) is not int or not low <= value <= high:
        raise wrong(name, f"an int of {low}..{high}", value)
    return value


def identity(name: str, value: object) -> int:
    """Check an id: a positive 32-bit int."""
    if type(value) is not int or not 1 <= value <= _LARGEST_ID:
        raise wrong(name, f"a positive int of at most {_LARGEST_ID}", value)
    return value


def text(name: str, value: object, longest: int) -> str:
    """Check a non-empty string that is printable and can be written as UTF-8."""
    if type(value) is not str:
        raise wrong(name, "a string", value)
    if not value.strip() or len(value) > longest or not value.isprintable():
        raise InvalidArgumentError(f"{name}: expected 1..{longest} printable characters.")
    return value


def instance(name: str, value: object, type_: type[T]) -> T:
    """Check an object of a class."""
    if not isinstance(value, type_):
        raise wrong(name, f"a {type_.__module__.partition('.')[0]}.{type_.__name__}", value)
    return value


def member(name: str, value: object, choices: type[E]) -> E:
    """Check a member of an enumeration, given as itself or as its text in any case."""
    found = next((c for c in choices if isinstance(value, str) and c.casefold() == value.casefold()), None)
    if found is None:
        raise InvalidArgumentError(f"{name}: expected one of {', '.join(choices)}.")
    return found


def currency_pair(name: str, value: object) -> str:
    """Check a currency pair such as "USD/IDR"."""
    if type(value) is not str or not _PAIR.fullmatch(value):
        raise InvalidArgumentError(f"{name}: expected a currency pair such as 'USD/IDR'.")
    return value.upper()


def idempotency_key(value: object) -> str:
    """Check an idempotency key by the documentation's rule."""
    if type(value) is not str or not KEY_PATTERN.fullmatch(value):
        raise InvalidArgumentError(
            "idempotency_key: expected 1..128 characters of A-Z, a-z, 0-9, '-' and '_'."
        )
    return value


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host is this machine: only ``localhost`` or a canonical address literal."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(host: str) -> bool:
    """Return True if a resolver can be asked for a host: IPv6, or ASCII labels of 1..63 characters."""
    return ":" in host or (len(host) <= _LONGEST_HOST and bool(_HOST.fullmatch(host)))


def web_address(name: str, value: object, *, allow_http: bool | None = None) -> str:
    """Check an absolute URL that is https, or http to this machine, and hides nothing.

    User names, fragments, control characters and hosts that merely look like this machine
    (``127.1``, ``localhost.example.com``) are refused; with ``allow_http`` plain http may go to any host. It
    is None where the caller has no such choice.
    """
    if type(value) is not str:
        raise wrong(name, "a URL", value)
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise InvalidArgumentError(f"{name}: expected a URL of visible ASCII characters.")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidArgumentError(f"{name}: its host or port is not valid.") from None
    if not host or parts.scheme not in ("https", "http"):
        raise InvalidArgumentError(f"{name}: expected a URL such as https://host/path.")
    if not is_host(host):
        raise InvalidArgumentError(f"{name}: its host or port is not valid.")
    if parts.username is not None or parts.password is not None or "#" in value:
        raise InvalidArgumentError(f"{name}: expected no user name, password or fragment.")
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        hint = "" if allow_http is None else ", or allow_http=True for a sandbox elsewhere"
        raise InvalidArgumentError(f"{name}: expected https (http is only for this machine itself){hint}.")
    return value


def webhook_url(name: str, value: object) -> str:
    """Check where webhooks go; an empty string clears it."""
    if value == "" and type(value) is str:
        return ""
    url = web_address(name, value)
    if len(url) > URL_LENGTH:
        raise InvalidArgumentError(f"{name}: expected at most {URL_LENGTH} characters.")
    return url


def webhook_secret(name: str, value: object) -> str:
    """Check a webhook secret; an empty string clears it. The message never shows it."""
    if type(value) is not str:
        raise InvalidArgumentError(f"{name}: expected a string, got {type(value).__name__}.")
    return "" if value == "" else text(name, value, SECRET_LENGTH)
