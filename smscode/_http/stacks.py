"""Which HTTP stack is below a client: httpx, httpx2 or aiohttp. This is the only place that decides it.

A stack is imported when a client wants connections of it, and not before.
"""

from __future__ import annotations

import functools
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, Literal, Self, TypeAlias, TypeVar, cast

from .. import _exact
from ..core.api import arguments
from ..errors import ConfigurationError, InvalidArgumentError
from . import environment, families
from .messages import Origin
from .protocols import AsyncStackConnection, StackConnection

StackName: TypeAlias = Literal["httpx", "httpx2", "aiohttp"]
C = TypeVar("C")

STACKS: Final[tuple[StackName, ...]] = ("httpx", "httpx2", "aiohttp")
_LONGEST_USER_AGENT = 200


class _Network(ABC, Generic[C]):
    """How connections are made: by which stack, through which proxy, and which certificates are trusted."""

    def __init__(
        self,
        http: object,
        *,
        proxy: object = None,
        trust_env: object = True,
        ssl_context: object = None,
        user_agent: object = None,
        base_url: str = "https:",
    ) -> None:
        """Check the arguments of a client.

        Raises `InvalidArgumentError` for a wrong one, `ConfigurationError` if the stack is not installed, or
        has no synchronous flavour.
        """
        stack: StackName | None = next((name for name in STACKS if name == http), None)
        if stack is None:
            raise InvalidArgumentError(f"http: expected one of {', '.join(map(repr, STACKS))}.")
        if type(trust_env) is not bool:
            raise arguments.wrong("trust_env", "True or False", trust_env)
        if ssl_context is not None:
            arguments.instance("ssl_context", ssl_context, ssl.SSLContext)
        self.user_agent: str | None = None if user_agent is None else _user_agent(user_agent)
        self._schemes = ("http", "https") if http == "aiohttp" else environment.PROXY_SCHEMES
        self._proxy = proxy
        if proxy is not None:
            environment.given_proxy(proxy, base_url, self._schemes)
        self._trust_env = trust_env
        self._ssl_context = cast("ssl.SSLContext | None", ssl_context)
        self._open = self._opener(stack)

    @classmethod
    def choose(
        cls,
        transport: object,
        http_client: object,
        *,
        http: object,
        proxy: object,
        trust_env: object,
        ssl_context: object,
        user_agent: object,
        base_url: str,
    ) -> Self | None:
        """Return the stack for a client's arguments; None if the caller's own transport or client sends.

        Raises `InvalidArgumentError` if both are given, or one of them and how to make connections, too.
        """
        if transport is None and http_client is None:
            return cls(
                http,
                proxy=proxy,
                trust_env=trust_env,
                ssl_context=ssl_context,
                user_agent=user_agent,
                base_url=base_url,
            )
        if transport is not None and http_client is not None:
            raise InvalidArgumentError("transport, http_client: expected at most one of them.")
        beside = {
            "http": http == "httpx",
            "proxy": proxy is None,
            "trust_env": trust_env is True,
            "ssl_context": ssl_context is None,
            "user_agent": user_agent is None,
        }
        given = ", ".join(name for name, default in beside.items() if not default)
        if given:
            own = "transport" if http_client is None else "http_client"
            raise InvalidArgumentError(f"{given}: not together with {own}, whose own settings count.")
        stack: object = getattr(transport, "stack", None)
        return stack if isinstance(stack, cls) else None

    @abstractmethod
    def _opener(self, http: StackName) -> Callable[..., C]:
        """Return what makes a connection. Raises `ConfigurationError` if the stack cannot be used."""
        ...

    def connector(self, base_url: str, origin: Origin) -> Callable[[Callable[[], float]], C]:
        """Return what makes a connection, by a clock; the environment is read now.

        Raises `ConfigurationError` if a variable of the environment cannot be used.
        """
        # The proxy comes first: once the context is there, no later call looks at the proxy again.
        if self._proxy is not None:
            proxy: str | None = environment.given_proxy(self._proxy, base_url, self._schemes)
        else:
            proxy = environment.environment_proxy(base_url, self._schemes) if self._trust_env else None
        context = self._ssl_context or environment.ssl_context(base_url, trust_env=self._trust_env)
        return functools.partial(self._open, origin, context, proxy)


class AsyncStack(_Network[AsyncStackConnection]):
    """The stack of an asynchronous client."""

    def _opener(self, http: StackName) -> Callable[..., AsyncStackConnection]:
        if http != "aiohttp":
            return functools.partial(_async_connection, _family(http))
        try:
            from .aiohttp_connection import AiohttpConnection
        except ImportError as error:
            raise _missing(http) from error
        return AiohttpConnection


class Stack(_Network[StackConnection]):
    """The stack of a synchronous client."""

    def _opener(self, http: StackName) -> Callable[..., StackConnection]:
        if http == "aiohttp":
            raise ConfigurationError('http="aiohttp" is for AsyncClient on asyncio only: leave it out.')
        return functools.partial(_connection, _family(http))


def _async_connection(
    family: families.Family,
    origin: Origin,
    context: ssl.SSLContext,
    proxy: str | None,
    now: Callable[[], float],
) -> AsyncStackConnection:
    if proxy is None:
        from .connection import AsyncHttpConnection  # with h11, which aiohttp does without

        return AsyncHttpConnection(family, origin, context, now)
    from .proxied_connection import AsyncProxiedConnection

    return AsyncProxiedConnection(family, origin, context, proxy, now)


def _connection(
    family: families.Family,
    origin: Origin,
    context: ssl.SSLContext,
    proxy: str | None,
    now: Callable[[], float],
) -> StackConnection:
    if proxy is None:
        from .connection import HttpConnection

        return HttpConnection(family, origin, context, now)
    from .proxied_connection import ProxiedConnection

    return ProxiedConnection(family, origin, context, proxy, now)


def _family(http: str) -> families.Family:
    try:
        return families.family(http)
    except ImportError as error:
        raise _missing(http) from error


def _missing(http: str) -> ConfigurationError:
    return ConfigurationError(f'{http} is missing: pip install "smscode-async[{http}]"')


def _user_agent(value: object) -> str:
    """Check the text that is put before this package's own in the ``User-Agent`` header."""
    text = _exact.text(value)
    if text is None:
        raise arguments.wrong("user_agent", "a string", value)
    fits = 0 < len(text) <= _LONGEST_USER_AGENT and text.isascii() and text.isprintable()
    if not fits or text != text.strip():
        raise InvalidArgumentError(
            f"user_agent: expected 1..{_LONGEST_USER_AGENT} visible ASCII characters and spaces between."
        )
    return text
