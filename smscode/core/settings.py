"""A client's token, address and API version, checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NoReturn, SupportsIndex
from urllib.parse import urlsplit

from attrs import field, frozen

from .. import _exact
from .._value import Value
from ..errors import ConfigurationError, InvalidArgumentError
from .api import arguments
from .versions import VERSIONS, ApiVersion, check_version

DEFAULT_BASE_URL = "https://api.smscode.gg"
_LONGEST_TOKEN = 4096
_LONGEST_ACCOUNT = 64
_PORTS = {"https": 443, "http": 80}
_SCHEME = b"Bearer "
_VERSION = re.compile(r"/v[0-9]+\Z", re.IGNORECASE)
_NOT_VISIBLE = re.compile(r"[^\x21-\x7e]")


class SecretBytes(bytes):
    """Bytes whose repr and str hide them, also in a traceback that prints local variables."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


class SecretText(str):
    """A string whose repr hides it, also in a traceback that prints local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


class Token:
    """The account's token. It can be used as a header and is never shown."""

    __slots__ = ("_header",)

    def __init__(self, given: object, name: str = "token") -> None:
        """Check a token; ``name`` is its argument or environment variable. No message shows the value."""
        value = _exact.text(given)
        if value is None:
            raise InvalidArgumentError(f"{name}: expected a string, got {type(given).__name__}.")
        if not value:
            raise InvalidArgumentError(f"{name}: expected a token, got an empty string.")
        if value.lower().startswith("bearer "):
            raise InvalidArgumentError(f"{name}: expected the token only, without the word Bearer.")
        if arguments.is_quoted(value):
            raise InvalidArgumentError(f"{name}: expected the token only, without quotation marks around it.")
        bad = _NOT_VISIBLE.search(value)
        if bad:
            raise InvalidArgumentError(
                f"{name}: expected visible ASCII characters only, found another one (or a space or line "
                f"end) at position {bad.start()} of {len(value)}."
            )
        if len(value) > _LONGEST_TOKEN:
            raise InvalidArgumentError(f"{name}: expected at most {_LONGEST_TOKEN} characters.")
        self._header = SecretBytes(_SCHEME + value.encode("ascii"))

    @property
    def header(self) -> SecretBytes:
        """The value of the ``Authorization`` header."""
        return self._header

    @property
    def secret(self) -> SecretBytes:
        """The token alone, to search texts for it."""
        return SecretBytes(self._header[len(_SCHEME) :])

    def __repr__(self) -> str:
        return "Token(<secret>)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a token cannot be pickled or copied")


@frozen(eq=False, repr=False)
class Settings(Value):
    """A client's checked settings; ``base_url`` ends without a slash."""

    token: Token
    base_url: str
    version: ApiVersion = field()
    name: str | None = None

    @property
    def account(self) -> str:
        """A name for the account at this address, under which a journal stores its purchases.

        It is the caller's name, or a one-way hash of address and token.
        """
        if self.name is not None:
            return f"{self._address}:{self.name}"
        return _hash(_canonical(self.base_url).encode() + b"\n" + self.token.secret)

    @property
    def credential(self) -> str:
        """Hashes of the address and of the token, to recognize purchases that another token made."""
        return f"{self._address}:{_hash(self.token.secret)}"

    @property
    def _address(self) -> str:
        return _hash(_canonical(self.base_url).encode())

    @classmethod
    def resolve(
        cls,
        token: str | None,
        base_url: str | None,
        api_version: str,
        environ: Mapping[str, str],
        account: str | None = None,
        *,
        allow_http: bool = False,
    ) -> Settings:
        """Return the settings from a client's arguments, else from SMSCODE_TOKEN and SMSCODE_BASE_URL.

        ``allow_http`` permits http to hosts other than this machine.

        Raises `ConfigurationError` if there is no token, `InvalidArgumentError` for a wrong value.
        """
        if type(allow_http) is not bool:
            raise arguments.wrong("allow_http", "True or False", allow_http)
        version = check_version("api_version", api_version)
        if token is not None:
            found = Token(token)
        elif environ.get("SMSCODE_TOKEN"):
            found = Token(environ["SMSCODE_TOKEN"], "SMSCODE_TOKEN")
        else:
            empty = ", where it is empty" if "SMSCODE_TOKEN" in environ else ""
            raise ConfigurationError(
                f"No token: give token=, or set SMSCODE_TOKEN in the environment{empty}; only the command"
                " line reads what `smscode login` stored. Without an account, try smscode.sandbox."
            )
        if base_url is not None:
            address = _base_url("base_url", base_url, allow_http)
        elif environ.get("SMSCODE_BASE_URL"):
            address = _base_url("SMSCODE_BASE_URL", environ["SMSCODE_BASE_URL"], allow_http)
        else:
            address = DEFAULT_BASE_URL
        name = None if account is None else arguments.text("account", account, _LONGEST_ACCOUNT)
        return cls(found, address, version, name)


def _hash(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


def _base_url(name: str, value: str, allow_http: bool) -> str:
    """Check an address; return it with scheme and host in lower case and without a slash at the end."""
    url = arguments.web_address(name, value, allow_http=allow_http)
    if "?" in url:
        raise InvalidArgumentError(f"{name}: expected no query.")
    parts = urlsplit(url.rstrip("/"))
    version = _VERSION.search(parts.path)
    if version:
        raise InvalidArgumentError(
            f"{name}: expected no {version[0]} at the end: api_version adds it "
            f"({' or '.join(f'api_version={known!r}' for known in VERSIONS)})."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


def _canonical(url: str) -> str:
    """Return an address in its canonical form, so that all spellings mean the same account."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"
