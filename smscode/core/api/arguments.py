"""Checks of the caller's arguments, made before anything is sent.

Every check returns the value to send, of exactly its type (see `_exact`), or raises `InvalidArgumentError`
with the argument's name, what was expected and the type of what was given.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlsplit

from ... import _exact
from ...errors import InvalidArgumentError

INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)
KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""The form of an idempotency key."""

# The service's schema says 32 bits for ids, but an id that it sent must be accepted even if it is larger.
LARGEST_ID: Final = INT64[1]
_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_LONGEST_HOST = 253
_PAIR = re.compile(r"[A-Za-z]{2,10}/[A-Za-z]{2,10}")
URL_LENGTH = 2048
SECRET_LENGTH = 256

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def wrong(name: str, expected: str, value: object) -> InvalidArgumentError:
    """Return the error for an argument of the wrong type, or an int out of range."""
    found, whole = type(value).__name__, _exact.whole(value)
    if whole is not None:
        found = str(whole) if abs(whole) < 2**64 else "a huge int"
    return InvalidArgumentError(f"{name}: expected {expected}, got {found}.")


def unnamed(method: str, example: str = "catalog_product_id=87 or service='whatsapp'") -> TypeError:
    """Return the error for arguments without a name, where each has to have one.

    A number alone does not say whether it is a product, a tier or a quantity.
    """
    return TypeError(
        f"{method}: expected arguments with their names, such as {example}, not positional arguments."
    )


def integer(name: str, value: object, low: int, high: int) -> int:
    """Check an int of ``low..high``; bools, floats and strings of digits are not ints."""
    whole = _exact.whole(value)
    if whole is None or not low <= whole <= high:
        raise wrong(name, f"an int of {low}..{high}", value)
    return whole


def identity(name: str, value: object) -> int:
    """Check an id: a positive int of at most 64 bits."""
    whole = _exact.whole(value)
    if whole is None or not 1 <= whole <= LARGEST_ID:
        raise wrong(name, f"a positive int of at most {LARGEST_ID}", value)
    return whole


def text(name: str, value: object, longest: int) -> str:
    """Check a non-empty string that is printable and can be written as UTF-8."""
    given = _exact.text(value)
    if given is None:
        raise wrong(name, "a string", value)
    if not given.strip() or len(given) > longest or not given.isprintable():
        raise InvalidArgumentError(f"{name}: expected 1..{longest} printable characters.")
    return given


def instance(name: str, value: object, type_: type[T]) -> T:
    """Check an object of a class."""
    if not isinstance(value, type_):
        raise wrong(name, f"a {type_.__module__.partition('.')[0]}.{type_.__name__}", value)
    return value


def member(name: str, value: object, choices: type[E]) -> E:
    """Check a member of an enumeration, given as itself or as its text in any case."""
    given = _exact.text(value)
    found = next((c for c in choices if given is not None and c.casefold() == given.casefold()), None)
    if found is None:
        raise InvalidArgumentError(f"{name}: expected one of {', '.join(choices)}.")
    return found


def currency_pair(name: str, value: object) -> str:
    """Check a currency pair such as "USD/IDR"."""
    given = _exact.text(value)
    if given is None or not _PAIR.fullmatch(given):
        raise InvalidArgumentError(f"{name}: expected a currency pair such as 'USD/IDR'.")
    return given.upper()


def idempotency_key(value: object) -> str:
    """Check an idempotency key by the documentation's rule."""
    key = _exact.text(value)
    if key is None or not KEY_PATTERN.fullmatch(key):
        odd = [letter for letter in key or "" if not KEY_PATTERN.fullmatch(letter)]
        raise InvalidArgumentError(
            "idempotency_key: expected 1..128 characters of A-Z, a-z, 0-9, '-' and '_'"
            + (f", found {odd[0]!r}." if odd else ".")
        )
    return key


def is_loopback(host: str) -> bool:
    """Return True if a URL's host is this machine: only ``localhost`` or a canonical address literal."""
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
    """Check an absolute URL that is https, or http to this machine.

    User names, fragments, control characters and hosts that only look like this machine (``127.1``,
    ``localhost.example.com``) are refused. With ``allow_http``, http is accepted for any host; None means
    that the caller has no such option.
    """
    url = _exact.text(value)
    if url is None:
        raise wrong(name, "a URL", value)
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidArgumentError(f"{name}: expected a URL of visible ASCII characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidArgumentError(f"{name}: its host or port is not valid.") from None
    if not host or parts.scheme not in ("https", "http"):
        raise InvalidArgumentError(f"{name}: expected a URL such as https://host/path.")
    if not is_host(host) or port == 0:
        raise InvalidArgumentError(f"{name}: its host or port is not valid.")
    if parts.username is not None or "#" in url:  # with a password, there is a user name too, an empty one
        raise InvalidArgumentError(f"{name}: expected no user name, password or fragment.")
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        hint = "" if allow_http is None else ", or allow_http=True for a sandbox elsewhere"
        raise InvalidArgumentError(f"{name}: expected https (http is only for this machine itself){hint}.")
    return url


def webhook_url(name: str, value: object) -> str:
    """Check a webhook URL; an empty string clears it."""
    if _exact.text(value) == "":
        return ""
    url = web_address(name, value)
    if len(url) > URL_LENGTH:
        raise InvalidArgumentError(f"{name}: expected at most {URL_LENGTH} characters.")
    return url


def is_quoted(text: str) -> bool:
    """Return True for a text with quotation marks around it, as it may stand in a file of variables."""
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def sound_secret(name: str, secret: str) -> str:
    """Check that a webhook secret was not copied with a line end, spaces or quotation marks around it.

    With these, every webhook would be refused as wrongly signed. The message never shows the secret.
    """
    hidden = next((place for place, letter in enumerate(secret) if not letter.isprintable()), None)
    if hidden is not None:
        found = f"a line end or another character that cannot be seen at position {hidden} of {len(secret)}"
    elif secret != secret.strip():
        found = "a space at its beginning or end"
    elif is_quoted(secret):
        found = "quotation marks around it"
    else:
        return secret
    raise InvalidArgumentError(
        f"{name}: expected the webhook secret alone, found {found}. If it is read from a file, strip it."
    )


def webhook_secret(name: str, value: object) -> str:
    """Check a webhook secret; an empty string clears it. The message never shows it."""
    secret = _exact.text(value)
    if secret is None:
        raise InvalidArgumentError(f"{name}: expected a string, got {type(value).__name__}.")
    return "" if secret == "" else text(name, sound_secret(name, secret), SECRET_LENGTH)
