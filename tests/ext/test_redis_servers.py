"""Limits are shared through Redis however it is reached, by URL or as another client reaches it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")

import trustme

from smscode import ConfigurationError
from smscode._ratelimit.redis_servers import opener
from smscode.core.ratelimit.limiter import Lease
from smscode.core.ratelimit.slots import RequestEnding

from .redis_process import Process, impatient, processes, redis, until
from .redis_server import HOST, SERVICE, RedisServer, redis_cluster, redis_sentinel, redis_server

aio: Any = importlib.import_module("redis.asyncio")

LIMIT = 4


@pytest.fixture(autouse=True)
def own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    impatient(monkeypatch)
    with processes():
        yield


def shares(where: object, *, also: object = None) -> None:
    """Check that two processes have one limit, through whatever it is."""
    one, other = Process(where, LIMIT), Process(also or where, LIMIT)
    held = [(process, process.get()) for process in (one, one, other, other)]
    assert not one.budget._unreachable
    assert not other.budget._unreachable
    late = one.ask()
    assert isinstance(late, Lease)
    until(lambda: one.bucket._shared._next_at > 0)  # type: ignore[attr-defined]  # a leased one has it
    assert not late.granted
    for process, lease in (*held, (one, late)):
        process.end(lease, RequestEnding.UNSENT)
    one.leave(late)
    until(lambda: not (one.budget._working or other.budget._working))


def test_a_server_on_a_unix_socket_shares_the_limits(tmp_path: Path) -> None:
    with redis_server("--unixsocket", f"{tmp_path}/redis") as server:
        shares(f"unix://{tmp_path}/redis", also=server.url)
        shares(
            redis.Redis(unix_socket_path=f"{tmp_path}/redis"), also=aio.from_url(f"unix://{tmp_path}/redis")
        )


@contextmanager
def tls_server(folder: Path) -> Generator[tuple[RedisServer, str, str]]:
    """Run a server that also speaks TLS; yield its address there and the file of the authority."""
    authority = trustme.CA()
    key = authority.issue_cert(HOST)
    key.private_key_pem.write_to_path(folder / "key")
    key.cert_chain_pems[0].write_to_path(folder / "cert")
    authority.cert_pem.write_to_path(folder / "ca")
    files = (
        "--tls-cert-file",
        f"{folder}/cert",
        "--tls-key-file",
        f"{folder}/key",
        "--tls-auth-clients",
        "no",
    )
    port = RedisServer(str(folder)).port
    with redis_server("--tls-port", str(port), *files, "--tls-auth-clients", "no") as server:
        yield server, f"{HOST}:{port}", f"{folder}/ca"


def test_a_server_behind_tls_and_a_password_shares_the_limits(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (server, address, authority):
        server.command("ACL", "SETUSER", "limits", "on", "~*", "+@all", ">p@ss:/?%25")
        login = "limits:p%40ss%3A%2F%3F%2525"
        url = f"rediss://{login}@{address}/0?ssl_ca_certs={authority}"
        shares(url, also=redis.Redis.from_url(url))
        shares(aio.from_url(url, decode_responses=True), also=url)


def test_sentinels_share_the_limits() -> None:
    with redis_sentinel() as (_, _, sentinel):
        shares(sentinel.url, also=f"redis+sentinel://{HOST}:1,{HOST}:{sentinel.port}/{SERVICE}")
        address = [(HOST, sentinel.port)]
        blocking = importlib.import_module("redis.sentinel").Sentinel(address).master_for(SERVICE, db=3)
        loop = importlib.import_module("redis.asyncio.sentinel").Sentinel(address).master_for(SERVICE, db=3)
        shares(blocking, also=loop)


def test_a_cluster_shares_the_limits() -> None:
    with redis_cluster() as servers:
        ports = [server.port for server in servers]
        shares(f"redis+cluster://{HOST}:1,{HOST}:{ports[1]}")
        shares(f"redis+cluster://{HOST}:{ports[0]}/0?decode_responses=true")
        own = importlib.import_module("redis.cluster").RedisCluster(HOST, ports[2])
        shares(own, also=aio.RedisCluster(HOST, ports[0]))
        own.close()


def test_a_user_who_may_not_ask_who_the_server_is_shares_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Without that a takeover would not be noticed."""
    with redis_server() as server:
        server.command("ACL", "SETUSER", "limits", "on", "nopass", "~*", "+@all", "-info")
        process = Process(server.url.replace("redis://", "redis://limits:any@"), LIMIT)
        process.get()
        until(lambda: "Redis cannot be reached (ResponseError)" in caplog.text)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://:s3cret@host:port", "Redis' client does not accept this"),
        ("redis://:s3cret@host?db=x", "Redis' client does not accept this"),
        ("redis://:s3cret@host?unknown=x", "Redis' client does not accept this"),
        ("redis+sentinel://:s3cret@host:26379", "expected the name of the service after the Sentinels"),
        ("redis+sentinel://:s3cret@/limits", "expected HOST:PORT, or several with commas"),
        ("redis+sentinel://:s3cret@one:1,/limits", "expected HOST:PORT, or several with commas"),
        ("redis+sentinel://:s3cret@one:1,two:x/limits", "expected HOST:PORT, or several with commas"),
        ("redis+sentinel://:s3cret@one:1/limits/x", "expected no more than the number of a database"),
        (
            "redis+sentinel://:s3cret@one:1/limits/1/2",
            "expected no more than the number of a database",
        ),
        ("redis+sentinel://:s3cret@one:1/limits?unknown=x", "Redis' client does not accept this"),
        ("redis+cluster://:s3cret@one:99999", "expected HOST:PORT, or several with commas"),
        ("redis+cluster://:s3cret@one/1", "a Redis Cluster has database 0 only"),
        ("rediss+cluster://:s3cret@one?unknown=x", "Redis' client does not accept this"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secret(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^rate_limits.redis: {problem}") as caught:
        Process(url, LIMIT)
    assert "s3cret" not in str(caught.value)


class Elsewhere(redis.Connection):  # type: ignore[misc]  # redis-py is not typed here
    """A connection of a test double, say, which leads nowhere."""


class Imitation:
    """Has the method of a client, and nothing else."""

    def execute_command(self, *args: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (
            lambda: redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Elsewhere)),
            "of the class Elsewhere",
        ),
        (Imitation, "expected a client of redis-py"),
    ],
)
def test_a_client_that_cannot_be_followed_is_refused(client: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Process(client(), LIMIT)


@pytest.mark.parametrize(
    ("url", "tls", "port"),
    [
        ("redis+sentinel://[::1]/limits/2?sentinel_password=own&client_name=a%26b", False, 26379),
        (
            "rediss+sentinel://me:mine@[::1]:5/limits/2?sentinel_password=own&client_name=a%26b&ssl_ca_certs=f",
            True,
            5,
        ),
    ],
)
def test_the_url_of_sentinels_says_all_that_a_connection_needs(url: str, tls: bool, port: int) -> None:
    client: Any = opener(url)()
    pool = client.connection_pool
    (sentinel,) = pool.sentinel_manager.sentinels
    asked, used = sentinel.connection_pool.connection_kwargs, pool.connection_kwargs
    assert (asked["host"], asked["port"], asked["password"], asked.get("username")) == (
        "::1",
        port,
        "own",
        None,
    )
    assert (used["db"], used["client_name"], pool.service_name) == (2, "a&b", "limits")
    assert (used.get("username"), used.get("password")) == (("me", "mine") if tls else (None, None))
    kinds = (pool.connection_class, sentinel.connection_pool.connection_class)
    assert all(issubclass(kind, redis.SSLConnection) is tls for kind in kinds)
    assert asked.get("ssl_ca_certs") == used.get("ssl_ca_certs") == ("f" if tls else None)
    assert asked["socket_timeout"] == used["socket_timeout"] == 0.5
