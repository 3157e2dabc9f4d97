"""Reading single orders holds up nothing, and ends with the wait: tasks on asyncio and trio, and threads."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import httpx
import pytest

from smscode import AsyncClient, Client, OrderTerminalError, OtpTimeoutError
from smscode._concurrency import AsyncHelpers, Helpers
from smscode._concurrency.crew import Crew
from smscode.webhooks import OtpReceived

TOKEN = "a-token-of-tests"


def row(order_id: int, code: str | None) -> dict[str, object]:
    ends = dict.fromkeys(("otp_received_at", "expires_at", "failed_reason"))
    return {"id": order_id, "status": "ACTIVE", "otp_code": code, "otp_message": None, **ends}


def otp(order_id: int) -> OtpReceived:
    return OtpReceived(timestamp=datetime(2026, 6, 14, tzinfo=UTC), order_id=order_id, otp_code=str(order_id))


class Service:
    """Lists the orders that have not ``left`` and their codes; reading any order by its id hangs."""

    def __init__(self) -> None:
        self.listed: dict[int, str | None] = {}
        self.polls = 0
        self.reading: list[int] = []
        self.ended = 0

    def active(self) -> bytes:
        self.polls += 1
        return json.dumps({"success": True, "data": [row(*one) for one in self.listed.items()]}).encode()


class Hanging(httpx.AsyncBaseTransport):
    """Leads to a service; counts the reads that were ended."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/active"):
            return httpx.Response(200, content=self._service.active())
        self._service.reading.append(int(request.url.path.rsplit("/", 1)[-1]))
        try:
            await anyio.sleep_forever()
        finally:
            self._service.ended += 1
        raise AssertionError("never")


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


@pytest.mark.anyio
async def test_codes_come_by_poll_and_webhook_while_a_read_hangs() -> None:
    service = Service()
    service.listed = {2: None, 3: None}
    codes: list[int] = []
    async with AsyncClient(TOKEN, transport=Hanging(service), poll_interval=0.01) as client:

        async def collect() -> None:
            async for outcome in client.orders.otps([1, 2, 3]):
                assert outcome.sms is not None
                codes.append(outcome.order_id)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect)
                await until(lambda: service.reading)
                service.listed[2] = "222"
                await until(lambda: codes == [2])
                client.notify(otp(3))
                await until(lambda: codes == [2, 3])
                client.notify(otp(1))
    assert codes == [2, 3, 1]
    assert service.ended == len(service.reading)


@pytest.mark.anyio
async def test_changes_come_by_poll_and_webhook_while_a_read_hangs() -> None:
    service = Service()
    service.listed = {1: None, 2: None, 3: None}
    seen: list[tuple[int, str | None]] = []
    async with AsyncClient(TOKEN, transport=Hanging(service), poll_interval=0.01) as client:

        async def collect() -> None:
            async with aclosing(client.orders.changes()) as changes:
                async for change in changes:
                    seen.append((change.order_id, change.order.otp_code))
                    if len(seen) == 6:
                        break

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect)
                await until(lambda: len(seen) == 3)
                del service.listed[1]
                await until(lambda: service.reading)
                service.listed[2] = "222"
                await until(lambda: len(seen) == 4)
                client.notify(otp(3))
                await until(lambda: len(seen) == 5)
                client.notify(otp(1))
    assert seen == [(1, None), (2, None), (3, None), (2, "222"), (3, "3"), (1, "1")]
    assert set(service.reading) == {1}
    assert service.ended == len(service.reading)


@pytest.mark.anyio
async def test_the_lead_is_not_with_one_that_reads() -> None:
    service = Service()
    service.listed = {2: None, 3: None}
    found: list[str | None] = []
    async with AsyncClient(TOKEN, transport=Hanging(service), poll_interval=0.01) as client:

        async def wait(order_id: int) -> None:
            found.append((await client.orders.wait_for_otp(order_id, timeout=60)).code)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for order_id in (1, 2, 3):
                    tasks.start_soon(wait, order_id)
                await until(lambda: service.reading)
                for order_id in (2, 3):
                    service.listed[order_id] = str(order_id)
                    await until(lambda: str(order_id) in found)  # noqa: B023
                client.notify(otp(1))
    assert found == ["2", "3", "1"]
    assert service.ended == len(service.reading) > 0


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["scope", "timeout", "leave"])
async def test_reads_end_with_the_wait_however_it_ends(how: str) -> None:
    service = Service()
    async with AsyncClient(TOKEN, transport=Hanging(service), poll_interval=0.01) as client:
        with anyio.fail_after(10):
            if how == "timeout":
                seconds = 0.05
                while not service.reading:  # a slow machine needs longer until the first read
                    with pytest.raises(OtpTimeoutError):
                        await client.orders.wait_for_otp(1, timeout=seconds)
                    seconds *= 2
            elif how == "leave":
                async with anyio.create_task_group() as tasks:

                    async def tell() -> None:
                        await until(lambda: service.reading)
                        client.notify(otp(2))

                    tasks.start_soon(tell)
                    outcomes = client.orders.otps([1, 2])
                    assert (await anext(outcomes)).order_id == 2
                    assert service.ended == len(service.reading)
                    await outcomes.aclose()
            else:
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(client.orders.wait_for_otp, 1)
                        await until(lambda: service.reading)
                        scope.cancel()
                assert scope.cancelled_caught
        assert service.reading
        assert service.ended == len(service.reading)
        board = client.orders._waits._shared_poll
        assert (len(board._participants), len(board._reading), board._leader) == (0, 0, None)


def test_reads_end_with_a_wait_whose_task_is_cancelled_natively() -> None:
    async def main() -> None:
        service = Service()
        async with AsyncClient(TOKEN, transport=Hanging(service), poll_interval=0.01) as client:
            task = asyncio.ensure_future(client.orders.wait_for_otp(1))
            await until(lambda: service.reading)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert service.ended == len(service.reading) == 1
            assert len(client.orders._waits._shared_poll._participants) == 0

    asyncio.run(main())


@pytest.mark.anyio
async def test_a_defect_in_a_helper_is_raised_by_the_wait() -> None:
    async with AsyncHelpers() as helpers:

        async def broken() -> None:
            raise ValueError("a defect")

        await helpers.start(broken)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="a defect"):
            helpers.check()


# -- threads ---------------------------------------------------------------------------------------


@contextmanager
def served(service: Service) -> Generator[str]:
    """Serve over loopback TCP."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.search(r"/orders/(\d+)$", self.path)
            if found is not None:
                service.reading.append(int(found[1]))
                stop.wait(10)
                return
            body = service.active()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
            """Return nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def helpers_alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smscode-helper"]


def wait_until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.001)


def test_threads_have_their_codes_while_a_read_hangs_and_leave_no_thread() -> None:
    service = Service()
    service.listed = {2: None, 3: None}
    found: list[str | None] = []
    with served(service) as url, Client(TOKEN, base_url=url, poll_interval=0.01) as client:

        def wait(order_id: int) -> None:
            found.append(client.orders.wait_for_otp(order_id, timeout=60).code)

        threads = [threading.Thread(target=wait, args=(order_id,)) for order_id in (1, 2, 3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: service.reading)
        for number in (2, 3):
            service.listed[number] = str(number)
            wait_until(lambda: str(number) in found)  # noqa: B023
        client.notify(otp(1))
        for thread in threads:
            thread.join(10)
        assert found == ["2", "3", "1"]
        wait_until(lambda: not helpers_alive())


def test_a_look_in_a_thread_waits_for_its_read() -> None:
    gone = {"id": 1, "status": "EXPIRED", "product_id": 1, "amount": 1, "phone_number": None}
    gone |= dict.fromkeys(
        ("created_at", "otp_code", "otp_received_at", "expires_at", "canceled_at", "failed_reason")
    )

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json={"success": True, "data": [] if request.url.path.endswith("/active") else gone}
        )

    with Client(TOKEN, transport=httpx.MockTransport(answer), api_version="v1") as client:
        with pytest.raises(OrderTerminalError):
            client.orders.wait_for_otp(1, timeout=0)
    assert not helpers_alive()


def test_where_no_thread_can_be_started_the_work_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []
    monkeypatch.setattr(Crew, "start", refuse)
    with Helpers() as helpers:
        helpers.start(lambda: done.append(1))
        helpers.start(lambda: done.append(2))
        helpers.check()
    assert done == [1, 2]


def test_a_defect_in_a_thread_is_raised_by_the_wait() -> None:
    def broken() -> None:
        raise ValueError("a defect")

    with Helpers() as helpers:
        helpers.start(broken)
        wait_until(lambda: not helpers_alive())
        with pytest.raises(ValueError, match="a defect"):
            helpers.check()
