"""What is waited for is real: a test that freezes the time freezes no wait, no limit and no deadline."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import smscode
from smscode import AsyncClient, Client, OtpTimeoutError, RateLimits, RequestTimeoutError
from smscode._clock import RealTime
from smscode.sandbox import Sandbox
from smscode.sandbox.clock import running_clock

from .concurrency import RawServer, raw_server

FROZEN = ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")
EVENT_LOOPS = ("asyncio", "trio", "anyio", "threading", "queue", "selectors")


class DateType(type):
    """As in freezegun, a real date counts as one of the frozen kind."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, datetime)


class Date(datetime, metaclass=DateType):
    """The frozen date, in place of the real one."""

    frozen = datetime(2026, 6, 14, 4, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> Date:
        return cls.fromtimestamp(cls.frozen.timestamp(), tz)


def loop_time(loop: asyncio.BaseEventLoop) -> float:
    return RealTime.monotonic()


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> type[Date]:
    """Freeze the time as freezegun does: the module's functions and every module's own references to them.

    Only event loops keep theirs, which freezegun's ``real_asyncio=True`` and ``ignore=["trio"]`` are for.
    """
    real = {id(getattr(time, name)): getattr(time, name) for name in FROZEN}
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] in EVENT_LOOPS:
            continue
        for attribute, value in tuple(vars(module).items()):
            if id(value) in real:
                monkeypatch.setattr(module, attribute, lambda shown=value(): shown)
            elif value is datetime and name.startswith("smscode"):
                monkeypatch.setattr(module, attribute, Date)
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", loop_time)
    assert time.monotonic() == time.monotonic()
    return Date


@pytest.fixture
def silent() -> Iterator[RawServer]:
    """Serve requests that are never answered."""
    with raw_server(lambda connection, request: (b"", False)) as server:
        yield server


def options(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {"token": sandbox.token, "transport": sandbox.transport(), "poll_interval": 0.05, **more}


@pytest.mark.usefixtures("frozen")
def test_the_waits_of_threads_go_on(tmp_path: Path) -> None:
    sandbox = Sandbox(otp_after=0.1)
    with Client(**options(sandbox, journal=tmp_path / "journal.db")) as client:
        for order in client.orders.create_many(2, catalog_product_id=87).orders:
            assert client.orders.wait_for_otp(order.id, timeout=20).code
            client.orders.finish(order.id)
        sandbox.set_otp_after(None)
        with pytest.raises(OtpTimeoutError):
            client.orders.wait_for_otp(client.orders.create(catalog_product_id=87).orders[0].id, timeout=0.2)


# A poll that is left in the middle leaves httpx's generators behind, of which trio warns as they go.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.anyio
@pytest.mark.usefixtures("frozen")
async def test_the_waits_of_tasks_go_on(tmp_path: Path) -> None:
    sandbox = Sandbox(otp_after=0.1)
    async with AsyncClient(**options(sandbox, journal=tmp_path / "journal.db")) as client:
        for order in (await client.orders.create_many(2, catalog_product_id=87)).orders:
            assert (await client.orders.wait_for_otp(order.id, timeout=20)).code
            await client.orders.finish(order.id)
        sandbox.set_otp_after(None)
        order = (await client.orders.create(catalog_product_id=87)).orders[0]
        with pytest.raises(OtpTimeoutError):
            await client.orders.wait_for_otp(order.id, timeout=0.2)


@pytest.mark.anyio
@pytest.mark.usefixtures("frozen")
async def test_limits_let_requests_through_again() -> None:
    sandbox = Sandbox()
    limits = RateLimits(window=0.2, balance=1)
    with Client(**options(sandbox, rate_limits=limits)) as client:
        assert [client.balance().fx for _ in range(3)]
    async with AsyncClient(**options(sandbox, rate_limits=limits)) as tasks:
        assert [(await tasks.balance()).fx for _ in range(3)]


@pytest.mark.anyio
@pytest.mark.usefixtures("frozen")
async def test_deadlines_are_kept(silent: RawServer) -> None:
    with Client("token", base_url=silent.url) as client, pytest.raises(RequestTimeoutError):
        client.balance(timeout=0.2)
    async with AsyncClient("token", base_url=silent.url) as tasks:
        with pytest.raises(RequestTimeoutError):
            await tasks.balance(timeout=0.2)


def test_a_sandbox_begins_at_the_frozen_time_and_goes_on(
    frozen: type[Date], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, seconds = frozen.now(UTC), 1000.0
    monkeypatch.setattr(RealTime, "monotonic", lambda: seconds)
    clock = running_clock()
    assert clock() == began
    seconds += 60
    assert clock() == began + timedelta(seconds=60)
    monkeypatch.setattr(frozen, "frozen", frozen.frozen + timedelta(hours=1))  # moved by hand
    assert clock() == began + timedelta(hours=1)


def test_one_module_alone_reads_the_clock() -> None:
    package = Path(smscode.__file__).parent
    reads = re.compile(r"\b(?:time\.|import )\(?(?:monotonic|perf_counter)")
    found = [path.name for path in package.rglob("*.py") if reads.search(path.read_text("utf-8"))]
    assert found == ["_clock.py"]
