"""The deadline of a call over aiohttp while it connects, on a loop whose time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from benchmarks.virtual import VirtualLoop
from smscode._http import messages

aiohttp = pytest.importorskip("aiohttp")
aiohttp_connection = pytest.importorskip("smscode._http.aiohttp_connection")


class Transport:
    """A transport that is open until it is aborted."""

    aborted = False

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> Any:
        return None


class Connection:
    """A connection of aiohttp, with bytes that nothing asked for if it is ``spoiled``."""

    def __init__(self, *, spoiled: bool) -> None:
        self.should_close = spoiled
        self.closed = False
        self.transport = Transport()

    @property
    def protocol(self) -> Connection:
        return self

    def close(self) -> None:
        self.closed = True


class Told:
    """What a call reported."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        self.events.append(event)


Connect = Callable[[], Coroutine[Any, Any, Connection]]


def no_readiness(connected: object) -> None:
    """Make nothing that asks the system for unread bytes: there is no socket."""


def connect(
    monkeypatch: pytest.MonkeyPatch,
    make: Connect,
    seconds: float | None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = VirtualLoop,
) -> tuple[object, Told, float]:
    """Connect with so many seconds for the call; return the result, what was told, and how long it took.

    Then connect once more in the same call, as aiohttp does if a GET failed: that is refused.
    """
    told = Told()

    async def main() -> tuple[object, float]:
        async def made(*arguments: object, **options: object) -> Connection:
            return await make()

        monkeypatch.setattr(aiohttp.TCPConnector, "connect", made)
        monkeypatch.setattr(aiohttp_connection, "readiness", no_readiness)
        loop, connector = asyncio.get_running_loop(), aiohttp_connection._Connector()
        connector.peer = {}
        began = loop.time()
        connector.begin(told, seconds)
        try:
            result: object = await connector.connect()
        except TimeoutError as error:
            result = error
        took = loop.time() - began
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await connector.connect()
        connector.end()
        await connector.close()
        return result, took

    with asyncio.Runner(loop_factory=new_loop) as runner:
        result, took = runner.run(main())
    return result, told, took


@pytest.mark.parametrize("seconds", [None, 5.0])
def test_a_connection_with_unread_bytes_is_replaced(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    made = [Connection(spoiled=spoiled) for spoiled in (True, True, False)]
    left = iter(made)

    async def make() -> Connection:
        return next(left)

    result, told, _ = connect(monkeypatch, make, seconds)
    assert result is made[2]
    assert [one.closed for one in made] == [one.transport.aborted for one in made] == [True, True, False]
    assert told.events == [messages.CONNECTING] * 3 + [messages.FIRST_BYTE]


def test_replacing_it_ends_with_the_time_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long each of the connections may take."""

    async def make() -> Connection:
        await asyncio.sleep(2.0)
        return Connection(spoiled=True)

    result, told, took = connect(monkeypatch, make, 5.0)
    assert isinstance(result, TimeoutError)
    assert took == pytest.approx(5.0)
    assert told.events == [messages.CONNECTING] * 3


def test_a_connection_that_is_made_too_late_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Connection(spoiled=False)

    async def make() -> Connection:
        await asyncio.sleep(5.0)
        return made

    result, told, _ = connect(monkeypatch, make, 4.0)
    assert isinstance(result, TimeoutError)
    assert (made.closed, told.events) == (True, [messages.CONNECTING])


def test_time_that_is_over_at_once_is_a_time_out_on_uvloop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a timer of less than half a millisecond is of another kind."""
    uvloop = pytest.importorskip("uvloop")

    async def make() -> Connection:
        await asyncio.sleep(0.001)
        return Connection(spoiled=True)

    result, told, _ = connect(monkeypatch, make, 0.0004, uvloop.new_event_loop)
    assert isinstance(result, TimeoutError)
    assert messages.FIRST_BYTE not in told.events
