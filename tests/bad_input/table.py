"""How a row of the bad-input catalogue is written down, and how it is run through both flavours."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import anyio.lowlevel
import httpx
import pytest
from attrs import evolve, field, frozen

from smscode import AsyncClient, Client, InvalidArgumentError, RetryPolicy, SmscodeError
from smscode._concurrency import AsyncEvent, AsyncRuntime, Event, Runtime
from smscode.sandbox import Sandbox

from ..concurrency import raw_server

CANARY = "canary-7Qx9"
TOKEN = f"{CANARY}-token"
START = datetime(2026, 6, 14, 4, 0, 0, tzinfo=UTC)
ONCE = RetryPolicy(max_attempts=1)

Flavour: TypeAlias = Literal["sync", "async"]
FLAVOURS: Sequence[Flavour] = ("sync", "async")

ORDER: dict[str, object] = {
    "id": 1001,
    "status": "ACTIVE",
    "created_at": "2026-06-14T04:00:00+00:00",
    "product_id": 142,
    "phone_number": "+6281234567890",
    "amount": 15000,
    "otp_code": None,
    "otp_received_at": None,
    "expires_at": "2026-06-14T04:20:00+00:00",
    "canceled_at": None,
    "failed_reason": None,
}
ACTIVE = {
    name: ORDER[name]
    for name in ("id", "status", "otp_code", "otp_received_at", "expires_at", "failed_reason")
} | {"otp_message": None}


def brief(value: object) -> str:
    """Show a value in the name of a test."""
    if type(value) in (bool, int, float, str, bytes, type(None), list, tuple):
        return ascii(value)[:40] if type(value) is not int or abs(value) < 10**20 else "a huge int"
    return type(value).__name__


@frozen
class Reply:
    """An answer of the scripted service."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __str__(self) -> str:
        shown = [ascii(value)[1:40] for _, value in self.headers[:2]]
        return " ".join([str(self.status), ascii(self.body)[1:60], *shown])

    def response(self) -> httpx.Response:
        # As a stream, like a response from a socket: with content httpx would unpack it here.
        return httpx.Response(self.status, headers=list(self.headers), stream=httpx.ByteStream(self.body))


Header: TypeAlias = tuple[str, str]


def reply(body: object, status: int = 200, *headers: Header) -> Reply:
    """Make an answer; a body that is no bytes is written as JSON."""

    content = body if isinstance(body, bytes) else json.dumps(body).encode("ascii")
    return Reply(content, status, tuple((name.encode(), value.encode()) for name, value in headers))


def success(data: object, *headers: Header, **meta: object) -> Reply:
    """Make the answer of a service that did what it was asked."""
    return reply({"success": True, "data": data, **({"meta": meta} if meta else {})}, 200, *headers)


def refusal(status: int, code: object, *headers: Header, **error: object) -> Reply:
    """Make the error envelope."""
    return reply(
        {"success": False, "error": {"code": code, "message": "Scripted", **error}}, status, *headers
    )


class Script(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers with what it was given, one after the other, and then as a sandbox does.

    ``before`` is called ahead of every answer.
    """

    def __init__(
        self, replies: Sequence[Reply | Exception] = (), before: Callable[[], object] = lambda: None
    ) -> None:
        self._replies = deque(replies)
        self._before = before
        self.requests: list[httpx.Request] = []
        self.sandbox = Sandbox(token=TOKEN, clock=lambda: START, otp_after=None)

    def _next(self, request: httpx.Request) -> httpx.Response | None:
        self.requests.append(request)
        self._before()
        if not self._replies:
            return None
        answer = self._replies.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer.response()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        scripted = self._next(request)
        return self.sandbox.transport().handle_request(request) if scripted is None else scripted

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        scripted = self._next(request)
        if scripted is None:
            return await self.sandbox.transport().handle_async_request(request)
        return scripted


class _Still:
    """Time that passes only while something waits for it."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.clock = self.now
        self._now = 1000.0

    def random(self) -> float:
        return 0.5

    def now(self) -> float:
        return self._now

    def wall_clock(self) -> datetime:
        return START

    def pass_by(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds


# What other tasks and threads are at has its turn before any time passes.
_TURNS = 200
_A_TURN = 0.05  # seconds for threads, which are done before that


class StillRuntime(_Still, Runtime):
    def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        if seconds == math.inf:
            return super().wait(event, seconds)
        if not event.wait(_A_TURN):
            self.pass_by(seconds)
        return event.is_set()


class AsyncStillRuntime(_Still, AsyncRuntime):
    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        if seconds == math.inf:
            return await super().wait(event, seconds)
        for _ in range(_TURNS):
            if event.is_set():
                return True
            await anyio.lowlevel.checkpoint()
        self.pass_by(seconds)
        return event.is_set()


class StillClient(Client):
    def _runtime(self) -> Runtime:
        self.still = StillRuntime()
        return self.still


class AsyncStillClient(AsyncClient):
    def _runtime(self) -> AsyncRuntime:
        self.still = AsyncStillRuntime()
        return self.still


@frozen
class Found:
    """What running a case came to."""

    result: Any = None
    error: Exception | None = None
    requests: Sequence[httpx.Request] = ()
    sent: int = 0
    slept: Sequence[float] = ()


Check: TypeAlias = Callable[[Found], None]


@frozen
class Step:
    """A client set up with ``options``, and a method of it that is called."""

    call: str = "balance"
    positional: tuple[object, ...] = ()
    arguments: Mapping[str, Any] = field(factory=dict[str, Any])
    options: Mapping[str, Any] = field(factory=dict[str, Any])

    def on(self, **options: Any) -> Step:
        """Call it on a client with these options."""
        return evolve(self, options={**self.options, **options})

    def __str__(self) -> str:
        given = {**self.options, **self.arguments}
        shown = [brief(value) for value in self.positional]
        return ", ".join([self.call, *shown, *(f"{name}={brief(value)}" for name, value in given.items())])


def opening(**options: Any) -> Step:
    """Set a client up and use it."""
    return Step(options=options)


def calling(call: str, *positional: object, **arguments: Any) -> Step:
    """Call a method of a client."""
    return Step(call, positional, arguments)


def buying(**arguments: Any) -> Step:
    """Rent a number."""
    return Step("orders.create", (), {"catalog_product_id": 87, **arguments})


@frozen
class Case:
    """One input of a row, and what has to come of it.

    A case is served by ``replies`` and then by a sandbox; or, if there is ``wire``, by a server that
    sends these bytes as they are (and closes the connection then, if ``closes``).
    """

    row: str
    step: Step
    check: Check
    replies: tuple[Reply | Exception, ...] = ()
    wire: bytes | None = field(default=None, repr=False)
    closes: bool = False

    def __str__(self) -> str:
        served = ascii(self.wire)[1:80] if self.wire is not None else "; ".join(map(str, self.replies))
        return f"{self.row}: {self.step} <- {served[:90]}" if served else f"{self.row}: {self.step}"


def cases(row: str, check: Check, *steps: Step) -> list[Case]:
    """Make cases that differ in what is asked."""
    return [Case(row, step, check) for step in steps]


def answers(row: str, check: Check, step: Step, *replies: Reply) -> list[Case]:
    """Make cases that differ in how one question is answered."""
    return [Case(row, step, check, (answer,)) for answer in replies]


def talk(row: str, check: Check, step: Step, *replies: Reply | Exception) -> Case:
    """Make one case of several answers after each other."""
    return Case(row, step, check, replies)


# -- what is expected ------------------------------------------------------------------------------


def refused(message: str, class_: type[SmscodeError] = InvalidArgumentError) -> Check:
    """Expect an error before anything is sent, which does not show the token."""
    return fails(class_, message, "not_sent", sent=0, attempts=0)


def misused(message: str) -> Check:
    """Expect Python itself to refuse the call."""

    def check(found: Found) -> None:
        assert type(found.error) is TypeError
        assert message in str(found.error)
        assert found.sent == 0

    return check


def fails(
    class_: type[SmscodeError],
    message: str,
    outcome: str,
    *,
    sent: int = 1,
    slept: Sequence[float] = (),
    **facts: object,
) -> Check:
    """Expect an error whose message holds a text, and what it says about the request.

    ``sent`` is how many requests were made for it, ``slept`` the pauses between them, and ``facts`` are
    attributes of the error.
    """

    def check(found: Found) -> None:
        error = found.error
        assert type(error) is class_, f"{error!r}, {found.result!r}"
        assert isinstance(error, SmscodeError)
        assert message in error.message, error.message
        assert len(error.message) <= 1000
        assert error.outcome == outcome
        assert {name: getattr(error, name) for name in facts} == facts
        assert found.sent == sent
        assert list(found.slept) == pytest.approx(list(slept))
        report = "".join(traceback.format_exception(error))
        assert CANARY not in f"{error} {error!r} {error.args} {vars(error)} {report}"

    return check


def gives(
    value: object, part: str | Callable[[Any], object] = "", *, sent: int = 1, slept: Sequence[float] = ()
) -> Check:
    """Expect a result, or a part of it, of the same type; the part is a path or a function."""
    read = attrgetter(part) if isinstance(part, str) and part else part

    def check(found: Found) -> None:
        assert found.error is None, repr(found.error)
        result = read(found.result) if callable(read) else found.result
        assert (type(result), result, str(result)) == (type(value), value, str(value))
        assert found.sent == sent
        assert list(found.slept) == pytest.approx(list(slept))

    return check


def sends(
    url: str | None = None,
    *,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float | None = -1,
) -> Check:
    """Expect the argument to be accepted, and the last request to hold it.

    ``body`` and ``headers`` are parts of the request; ``seconds`` is what the request may take in all.
    """

    def check(found: Found) -> None:
        assert found.error is None or found.sent, repr(found.error)
        request = found.requests[-1]
        if url is not None:
            assert str(request.url) == url
        if body is not None:
            written = json.loads(request.content)
            assert {name: written.get(name) for name in body} == body
        if headers is not None:
            assert {name: request.headers.get(name) for name in headers} == headers
        if seconds != -1:
            assert request.extensions["timeout"]["pool"] == seconds

    return check


# -- running ---------------------------------------------------------------------------------------


def run(case: Case, flavour: Flavour) -> Found:
    """Run a case through one of the clients."""
    if case.wire is None:
        script = Script(case.replies)
        options = {"token": TOKEN, "retry": ONCE, "transport": script, **case.step.options}
        found = _run(case.step, flavour, options, still=True)
        slept = [seconds for seconds in found.slept if seconds]  # 0 only lets others have their turn
        return evolve(found, requests=script.requests, sent=len(script.requests), slept=slept)
    wire = case.wire
    with raw_server(lambda connection, request: (wire, case.closes)) as server:
        options = {"token": TOKEN, "retry": ONCE, "base_url": server.url, "timeout": 5, **case.step.options}
        return evolve(_run(case.step, flavour, options, still=False), sent=server.requests)


def _run(step: Step, flavour: Flavour, options: Mapping[str, Any], *, still: bool) -> Found:
    slept: list[float] = []
    try:
        if flavour == "sync":
            with (StillClient if still else Client)(**options) as client:
                if isinstance(client, StillClient):
                    slept = client.still.slept
                result = attrgetter(step.call)(client)(*step.positional, **step.arguments)
                result = list(result) if inspect.isgenerator(result) else result
        else:
            result = asyncio.run(_run_async(step, options, slept, still=still))
    except Exception as error:
        return Found(error=error, slept=slept)
    return Found(result=result, slept=slept)


async def _run_async(step: Step, options: Mapping[str, Any], slept: list[float], *, still: bool) -> Any:
    async with (AsyncStillClient if still else AsyncClient)(**options) as client:
        if isinstance(client, AsyncStillClient):
            client.still.slept = slept
        result = attrgetter(step.call)(client)(*step.positional, **step.arguments)
        if inspect.isasyncgen(result):
            return [item async for item in result]
        return await result if inspect.isawaitable(result) else result
