"""A cancelled call ends for those who watch it, too. By hand: threads have no cancellation."""

from __future__ import annotations

import anyio
import httpx
import pytest

from smscode import AsyncClient
from smscode.events import CallEnded, CallStarted, ClientEvent, RequestSent, Waited

pytestmark = pytest.mark.anyio


class Stuck(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_cancelled_call_is_told_as_such() -> None:
    told: list[ClientEvent] = []
    async with AsyncClient("token", transport=Stuck(), on_event=told.append) as client:
        with anyio.move_on_after(0.01):
            await client.balance()
    told = [event for event in told if not isinstance(event, Waited)]  # a busy machine takes its time
    assert [type(event) for event in told] == [CallStarted, RequestSent, CallEnded]
    last = told[-1]
    assert isinstance(last, CallEnded)
    assert (last.result, last.attempt, last.status_code, last.code) == ("cancelled", 1, None, None)


async def test_a_deadline_of_the_call_itself_is_an_error() -> None:
    told: list[ClientEvent] = []
    async with AsyncClient("token", transport=Stuck(), on_event=told.append) as client:
        with pytest.raises(TimeoutError):
            await client.balance(timeout=0.5)
    assert isinstance(told[-1], CallEnded)
    assert told[-1].result == "unknown"
