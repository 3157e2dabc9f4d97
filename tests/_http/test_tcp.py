"""Connecting: one time for the lookup of a name and for all of its addresses, also through a proxy."""

from __future__ import annotations

import contextlib
import gc
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from smscode import AsyncClient, Client, NetworkError, RequestTimeoutError, RetryPolicy, Timeouts
from smscode._clock import RealTime
from smscode._http import tcp
from smscode._http.connection import HttpConnection
from smscode._http.environment import ssl_context
from smscode._http.families import family
from smscode._http.messages import HttpRequest, Origin
from smscode._http.stack_errors import ConnectError, ConnectTimeout
from smscode.cli import tls

from ..concurrency import RawServer, raw_server, talking

BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
NAME = "api.example"
REAL = socket.getaddrinfo


def options(url: str, **more: Any) -> dict[str, Any]:
    retry = RetryPolicy(max_attempts=1)
    return {"token": "token", "base_url": url, "api_version": "v1", "retry": retry, **more}


class Names:
    """What the resolver of the system answers for `NAME`."""

    def __init__(self) -> None:
        self.addresses: list[tuple[socket.AddressFamily, str, int]] = []
        self.asked = 0
        self.hangs: threading.Event | None = None
        self.error: Exception | None = None

    def answer(self, host: Any, port: Any, *more: Any, **named: Any) -> list[Any]:
        flags = named.get("flags", more[3] if len(more) > 3 else 0)
        if host not in (NAME, NAME.encode()) or flags & socket.AI_NUMERICHOST:
            return REAL(host, port, *more, **named)
        self.asked += 1
        if self.hangs is not None:
            self.hangs.wait()
        if self.error is not None:
            raise self.error
        return [(family, socket.SOCK_STREAM, 6, "", (ip, at)) for family, ip, at in self.addresses]

    def lead_to(self, *ports: int) -> None:
        self.addresses = [(socket.AF_INET, "127.0.0.1", port) for port in ports]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.answer)
    yield made
    if made.hangs is not None:
        made.hangs.set()
    for lookup in tuple(tcp._under_way):
        lookup.thread.join()


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server(lambda connection, request: (GOOD, False)) as made:
        yield made


@contextlib.contextmanager
def silent() -> Generator[int]:
    """Return a port that answers no one: its queue of connections is full."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


@pytest.fixture
def dead() -> Iterator[int]:
    with silent() as port:
        yield port


@pytest.fixture
def closed() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def port_of(server: RawServer) -> int:
    return int(server.url.rpartition(":")[2])


def looks(*seconds: float) -> Callable[[], float]:
    """Return the seconds that are left at each look; after the last look there are none."""
    left = list(seconds)

    def look() -> float:
        if not left:
            raise ConnectTimeout("over")
        return left.pop(0)

    return look


def plenty() -> float:
    return 30.0


@pytest.fixture(params=["", "http://", "https://"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, dead: int) -> str:
    """Return an address that leads to a dead port of `NAME`, directly or through a proxy there."""
    if request.param:
        monkeypatch.setenv("HTTPS_PROXY", f"{request.param}{NAME}:{dead}")
        return "https://service.example"
    return f"https://{NAME}:{dead}"


def test_a_resolver_that_hangs_holds_no_thread_beyond_its_deadline(names: Names, url: str) -> None:
    names.hangs = threading.Event()
    with Client(**options(url)) as client, pytest.raises(RequestTimeoutError) as late:
        client.balance(timeout=0.3)
    assert late.value.outcome == "not_sent"


@pytest.mark.anyio
async def test_a_resolver_that_hangs_holds_no_task_beyond_its_deadline(names: Names, url: str) -> None:
    names.hangs = threading.Event()
    async with AsyncClient(**options(url)) as client:
        with pytest.raises(RequestTimeoutError) as late:
            await client.balance(timeout=0.3)
    assert late.value.outcome == "not_sent"
    names.hangs.set()  # asyncio waits for its resolver's thread at the end


def test_addresses_that_do_not_answer_hold_no_thread_beyond_its_deadline(
    names: Names, dead: int, url: str
) -> None:
    names.lead_to(*[dead] * 40)  # one after the other would take minutes
    with Client(**options(url)) as client, pytest.raises(RequestTimeoutError) as late:
        client.balance(timeout=0.3)
    assert late.value.outcome == "not_sent"


@pytest.mark.anyio
async def test_addresses_that_do_not_answer_hold_no_task_beyond_its_deadline(
    names: Names, dead: int, url: str
) -> None:
    names.lead_to(*[dead] * 40)
    async with AsyncClient(**options(url)) as client:
        with pytest.raises(RequestTimeoutError) as late:
            await client.balance(timeout=0.3)
    assert late.value.outcome == "not_sent"


def test_an_address_that_does_not_answer_leaves_time_for_the_others(
    names: Names, dead: int, server: RawServer
) -> None:
    names.lead_to(dead, dead, port_of(server))
    assert connected(plenty) == port_of(server)
    assert connected(looks(1.0, 0.03, 0.02, 10.0)) == port_of(server)


def connected(left: Callable[[], float]) -> int:
    with tcp.connect(NAME, 80, left, ()) as found:
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        port: int = found.getpeername()[1]
        return port


def test_the_connect_time_is_for_all_addresses_together(names: Names, dead: int) -> None:
    names.lead_to(dead, dead, dead)
    with pytest.raises(ConnectTimeout):
        connected(looks(1.0, 0.03, 0.02, 0.01, 0.01))  # one look at it before the lookup


def test_a_countdown_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(RealTime, "monotonic", lambda: now)
    left = tcp.countdown(3.0)
    now += 2
    assert left() == 1.0
    now += 1
    with pytest.raises(ConnectTimeout):
        left()


def test_the_look_at_the_tls_of_a_service_ends_in_time(
    names: Names, dead: int, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_PATIENCE", 0.3)
    names.lead_to(closed)
    with pytest.raises(OSError, match="Connection refused"):
        tls.inspect(f"https://{NAME}")
    names.lead_to(dead)
    with pytest.raises(OSError, match="in time"):
        tls.inspect(f"https://{NAME}")


def test_connecting_has_a_limit_of_its_own(names: Names, dead: int) -> None:
    names.lead_to(dead, dead)
    limits = Timeouts(connect=0.2)
    with Client(**options(f"https://{NAME}", timeout=limits)) as client:
        with pytest.raises(RequestTimeoutError) as late:
            client.balance(timeout=600)
    assert late.value.outcome == "not_sent"


def test_an_address_that_refuses_is_followed_by_the_next_at_once(
    names: Names, closed: int, server: RawServer
) -> None:
    names.lead_to(closed, closed, port_of(server))
    assert connected(plenty) == port_of(server)


def test_a_host_that_refuses_at_all_its_addresses_says_so(names: Names, closed: int) -> None:
    names.lead_to(closed, closed)
    names.addresses.append((socket.AF_APPLETALK, "127.0.0.1", 1))
    with Client(**options(f"https://{NAME}")) as client, pytest.raises(NetworkError) as refused:
        client.balance()
    assert "Connection refused, Address family not supported" in refused.value.message
    assert refused.value.outcome == "not_sent"


def test_an_address_that_cannot_be_tried_is_left_out(names: Names, server: RawServer) -> None:
    names.lead_to(port_of(server))
    names.addresses.insert(0, (socket.AF_INET, "255.255.255.255", 80))
    assert connected(plenty) == port_of(server)


def test_a_host_without_an_address_cannot_be_reached(names: Names) -> None:
    with pytest.raises(ConnectError):
        connected(plenty)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), ConnectError),
        (UnicodeEncodeError("idna", "", 0, 1, "label too long"), UnicodeEncodeError),
    ],
)
def test_a_name_that_cannot_be_looked_up_fails_at_once(
    names: Names, error: Exception, kind: type[Exception]
) -> None:
    names.error = error
    with pytest.raises(kind):
        connected(plenty)
    with Client(**options(f"https://{NAME}")) as client, pytest.raises(NetworkError) as failed:
        client.balance()
    assert failed.value.outcome == "not_sent"


def test_the_other_family_comes_second() -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    found: list[Any] = [(six, 1), (six, 2), (four, 3), (four, 4)]
    assert [address[1] for address in tcp._in_turn(found)] == [1, 3, 2, 4]
    assert [address[1] for address in tcp._in_turn(found[:2])] == [1, 2]
    assert not tcp._in_turn([])


def test_who_looks_the_same_name_up_at_the_same_time_shares_the_lookup(names: Names) -> None:
    names.hangs = threading.Event()
    assert tcp._lookup(NAME, 80) is tcp._lookup(NAME, 80)
    assert tcp._lookup(NAME, 80) is not tcp._lookup(NAME, 81)
    assert names.asked == 2


def test_lookups_that_hang_for_long_are_not_relied_on_but_are_bounded_in_number(names: Names) -> None:
    names.hangs = threading.Event()
    for _ in range(50):
        tcp._lookup(NAME, 80).began -= tcp._STALE
    assert len(tcp._under_way) == names.asked == tcp._MOST


def test_a_lookup_that_a_fork_cut_off_is_not_waited_for(names: Names) -> None:
    cut_off = tcp._Lookup(NAME, 80)  # its thread does not run
    tcp._under_way.append(cut_off)
    try:
        found = tcp._lookup(NAME, 80)
        assert found is not cut_off
        found.thread.join()
    finally:
        tcp._under_way.remove(cut_off)


def test_where_no_thread_can_be_started_the_caller_looks_the_name_up(
    names: Names, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    names.lead_to(port_of(server))
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", refuse)
        lookup = tcp._lookup(NAME, 80)
    assert lookup.done.is_set()
    assert [where for *_, where in lookup.found] == [("127.0.0.1", port_of(server))]
    assert not tcp._under_way


@pytest.mark.parametrize("where", ["setsockopt", "register", "select"])
def test_an_interrupt_leaves_no_socket_open(
    names: Names, dead: int, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made: list[socket.socket] = []

    class Watched(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    names.lead_to(dead, dead)
    monkeypatch.setattr(socket, "socket", Watched)
    owner: Any = Watched if where == "setsockopt" else selectors.DefaultSelector
    monkeypatch.setattr(owner, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        connected(plenty)
    assert made
    assert all(one.fileno() == -1 for one in made)


def lane_to(scheme: str, now: Callable[[], float]) -> HttpConnection:
    return HttpConnection(family("httpx"), get(scheme).origin, ssl_context("http:"), now)


def get(scheme: str) -> HttpRequest:
    origin = Origin(scheme.encode(), NAME.encode(), {"http": 80, "https": 443}[scheme])
    return HttpRequest(origin, "GET", b"/", [], b"", {})


def test_a_lookup_for_a_call_that_is_broken_off_is_no_longer_waited_for(names: Names) -> None:
    names.hangs = threading.Event()
    lane = lane_to("http", RealTime.monotonic)
    ended: list[Exception] = []

    def send() -> None:
        with pytest.raises(ConnectTimeout, match="deadline of the call has passed") as broken:
            lane.handle_request(get("http"))
        ended.append(broken.value)

    thread = threading.Thread(target=send)
    thread.start()
    lane.break_off()
    thread.join()
    assert len(ended) == 1


RECORD = b"\x16\x03\x03\x40\x00" + bytes(1000)  # the beginning of a TLS record that takes its time
STEPS = {
    # scheme of the proxy, whether it speaks TLS, what it answers to CONNECT, and what comes so slowly
    "TLS": ("", False, b"", RECORD),
    "a proxy's answer": ("http", False, b"", b"HTTP/1.1 200 OK\r\nx: " + bytes(1000)),
    "TLS behind a proxy": ("http", False, b"HTTP/1.1 200 OK\r\n\r\n", RECORD),
    "TLS with a proxy": ("https", False, b"", RECORD),
    "the answer of a proxy with TLS": ("https", True, b"", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 1000),
    "TLS within TLS": ("https", True, b"HTTP/1.1 200 OK\r\n\r\n", RECORD),
    "SOCKS": ("socks5", False, b"", b""),
}


@pytest.fixture(params=[pytest.param(step, id=name) for name, step in STEPS.items()])
def slow_step(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """Return the address of a service whose connection never comes about, a byte at a time."""
    scheme, secure, answer, slowly = request.param
    if scheme.startswith("socks"):
        pytest.importorskip("socksio")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = authority.issue_cert("localhost")
    certificate.configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        if answer:
            connection.sendall(answer)
            connection.recv(65536)
        for number in range(len(slowly)):
            connection.sendall(slowly[number : number + 1])
            if over.wait(0.02):
                break
        while connection.recv(65536):  # for ever, unless the client closes the connection
            pass

    with talking(talk, context if secure else None) as port:
        if scheme:
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://localhost:{port}")
            yield "https://service.example"
        else:
            yield f"https://localhost:{port}"
        over.set()  # and leaving the block waits for the server's thread
    gc.collect()  # a socket that was left open is complained of here, and not in a later test


def test_no_slow_step_of_a_connection_holds_a_thread_beyond_its_deadline(slow_step: str) -> None:
    with Client(**options(slow_step)) as client, pytest.raises(RequestTimeoutError) as late:
        client.balance(timeout=0.4)
    assert late.value.outcome == "not_sent"


@pytest.mark.anyio
async def test_no_slow_step_of_a_connection_holds_a_task_beyond_its_deadline(slow_step: str) -> None:
    async with AsyncClient(**options(slow_step)) as client:
        with pytest.raises(RequestTimeoutError) as late:
            await client.balance(timeout=0.4)
    assert late.value.outcome == "not_sent"


def test_a_connection_whose_time_is_over_before_tls_begins_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5.0
    made, other = socket.socketpair()

    def connect(*_: object) -> socket.socket:
        nonlocal now
        now = 15.0
        return made

    monkeypatch.setattr(tcp, "connect", connect)
    lane = lane_to("https", lambda: now)
    lane.until(10.0)
    with other:
        with pytest.raises(ConnectTimeout):
            lane.handle_request(get("https"))
        lane.close()
        assert made.fileno() == -1
