"""Opens clients of Redis: plain, TLS, Unix socket, Sentinel or Cluster; from a URL or like another client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError
    from redis.retry import Retry
except ImportError as _missing:
    raise ConfigurationError('redis is missing: pip install "smscode-async[redis]"') from _missing

__all__ = ["Connection", "NoScriptError", "Opener", "opener"]

PATIENCE = 0.5  # seconds for Redis to answer, which usually takes less than 0.001
_PORT, _SENTINEL_PORT = 6379, 26379

_redis = cast(Any, redis)  # the types of redis-py are incomplete
# The blocking class for each connection class of redis-py. A class of another package may not connect to
# where its settings say, so a client with one is refused.
_CLASSES: dict[type, Any] = {
    getattr(kind, name): getattr(_redis, name)
    for kind in (_redis, _redis.asyncio)
    for name in ("Connection", "SSLConnection", "UnixDomainSocketConnection")
}
# The settings with the address and the login. All others concern time limits, the decoding of answers, or the
# event loop of the client.
_ADDRESS = {
    "host",
    "port",
    "path",
    "db",
    "username",
    "password",
    "credential_provider",
    "client_name",
    "protocol",
}

Hosts: TypeAlias = Sequence[tuple[str, int]]


class Connection(Protocol):
    """The used part of a client of redis-py, of any kind."""

    def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: str | float) -> object: ...
    def eval(self, script: str, numkeys: int, /, *keys_and_args: str | float) -> object: ...
    def close(self) -> None: ...


Opener: TypeAlias = Callable[[], Connection]
"""Opens a new client. For a cluster it asks for the nodes, so it may wait and fail like a command."""


class _AddressError(ValueError):
    """An error whose text says what is wrong with an address, without showing it."""


def opener(where: object) -> Opener:
    """Return a function that opens a client for a URL, or for the servers of another client.

    Raises `ConfigurationError` for an address that cannot be used. It does not show the address, which may
    hold a password.
    """
    try:
        return _of_url(where) if isinstance(where, str) else _of_client(cast(Any, where))
    except (ValueError, TypeError) as error:
        problem = str(error) if isinstance(error, _AddressError) else "Redis' client does not accept this."
        raise ConfigurationError(f"rate_limits.redis: {problem}") from None


def _of_url(url: str) -> Opener:
    """Return the opener for a URL, whose scheme `RateLimits` has checked."""
    scheme, _, rest = url.partition("://")
    base, _, kind = scheme.partition("+")
    if not kind:
        return _plain(_redis.connection.parse_url(url))
    parts = urlsplit(f"//{rest}")
    login, at, servers = parts.netloc.rpartition("@")
    names = [unquote(name) for name in parts.path.split("/") if name]
    service = names.pop(0) if kind == "sentinel" and names else ""
    if len(names) > 1 or not all(name.isdecimal() for name in names):
        raise _AddressError(
            "expected no more than the number of a database after the servers and the service."
        )
    database = "/".join(["", *names])
    # redis-py parses everything but the servers, as a URL of its own.
    settings = _redis.connection.parse_url(f"{base}://{login}{at}host{database}?{parts.query}")
    del settings["host"]
    tls = {"ssl": True} if settings.pop("connection_class", None) else {}
    if kind == "cluster":
        if settings.pop("db", 0):
            raise _AddressError("a Redis Cluster has database 0 only.")
        return _cluster(_hosts(servers, _PORT), settings | tls)
    if not service:
        raise _AddressError(
            "expected the name of the service after the Sentinels: redis+sentinel://HOST:PORT/SERVICE."
        )
    own = {name: settings.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    own |= {name: value for name, value in settings.items() if name.startswith("ssl_")}
    return _sentinel(_hosts(servers, _SENTINEL_PORT), service, settings | tls, own | tls)


def _hosts(servers: str, port: int) -> Hosts:
    try:
        # `urlsplit` knows IPv6 addresses in brackets, and checks the ports.
        parts = [urlsplit(f"//{server}") for server in servers.split(",")]
        hosts = [(part.hostname or "", part.port or port) for part in parts]
    except ValueError:
        hosts = [("", 0)]
    if not all(host for host, _ in hosts):
        raise _AddressError("expected HOST:PORT, or several with commas between them, after ://.")
    return hosts


def _of_client(client: Any) -> Opener:
    nodes = getattr(client, "nodes_manager", None)
    if nodes is not None:
        settings: Mapping[str, Any] = getattr(client, "connection_kwargs", None) or nodes.connection_kwargs
        hosts = [(node.host, int(node.port)) for node in nodes.startup_nodes.values()]
        tls = settings.get("ssl", False) or _is_tls(settings.get("connection_class", object))
        return _cluster(hosts, _address(settings, "host", "port", "path", "db") | {"ssl": tls})
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        raise _AddressError("expected a client of redis-py.")
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        found = [one.connection_pool.connection_kwargs for one in manager.sentinels]
        hosts = [(one["host"], int(one["port"])) for one in found]
        settings = _address(pool.connection_kwargs, "host", "port", "path") | {
            "ssl": _is_tls(pool.connection_class)
        }
        return _sentinel(hosts, pool.service_name, settings, _address(manager.sentinel_kwargs))
    kind = _CLASSES.get(pool.connection_class)
    if kind is None:
        raise _AddressError(
            f"connections of the class {pool.connection_class.__name__} are not redis-py's own; use a URL."
        )
    return _plain({**_address(pool.connection_kwargs), "connection_class": kind})


def _is_tls(kind: type) -> bool:
    return issubclass(kind, (_redis.SSLConnection, _redis.asyncio.SSLConnection))


def _address(settings: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if (name in _ADDRESS or name.startswith("ssl")) and name not in without and value is not None
    }


def _waits() -> dict[str, Any]:
    """Return the settings for a client with short time limits and no retries."""
    return {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}


def _plain(settings: Mapping[str, Any]) -> Opener:
    def open_client() -> Connection:
        return cast(Connection, _redis.Redis.from_pool(_redis.ConnectionPool(**{**_waits(), **settings})))

    # This connects nothing, but checks the settings.
    _redis.ConnectionPool(**{**_waits(), **settings}).make_connection()
    return open_client


def _sentinel(hosts: Hosts, service: str, settings: Mapping[str, Any], own: Mapping[str, Any]) -> Opener:
    """Return the opener for the master of a service; ``own`` are the settings for the Sentinels."""
    sentinels = _redis.sentinel.Sentinel(hosts, sentinel_kwargs={**_waits(), **own})

    def open_client() -> Connection:
        return cast(Connection, sentinels.master_for(service, **{**_waits(), **settings}))

    open_client().connection_pool.make_connection()  # type: ignore[attr-defined]  # as above
    return open_client


def _cluster(hosts: Hosts, settings: Mapping[str, Any]) -> Opener:
    waits = _waits()
    retry = waits.pop("retry")

    def open_client() -> Connection:
        nodes = [_redis.cluster.ClusterNode(host, port) for host, port in hosts]
        # One node is enough, as all limits of an account are on one.
        options = {"require_full_coverage": False, "retry": retry, **waits, **settings}
        return cast(Connection, _redis.cluster.RedisCluster(startup_nodes=nodes, **options))

    _redis.Redis(**{**waits, **settings}).connection_pool.make_connection()
    return open_client
