"""A program that buys, in several lives over one journal file; it writes down everything it is told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio

import smscode
from smscode import AsyncClient, Client, RateLimits, RetryPolicy, SmscodeError, Timeouts
from smscode.journal import SQLiteJournal
from tests.faults.api import TOKEN
from tests.faults.stepping import Awaits, Stepped
from tests.purchases import clocks
from tests.purchases.blocking import Blocking, drive
from tests.purchases.diary import Diary
from tests.purchases.disk import Disk
from tests.purchases.lines import Lines
from tests.purchases.pulse import LoopWatch, pulse

# A client imports much with the call that needs it. Each life is a fork of this process, in which that would
# be done again, and count as a loop that stands still.
for _package in ("core", "_async", "_sync", "_journal", "_http"):
    _path = [str(Path(smscode.__file__).parent / _package)]
    for _module in pkgutil.walk_packages(_path, f"smscode.{_package}."):
        if "msgspec" not in _module.name and "aiohttp" not in _module.name:  # they need extras
            importlib.import_module(_module.name)

Flavour = Literal["asyncio", "trio", "threads"]
Manner = Literal["none", "task", "timeout", "scope"]

TIMEOUT = 1.5
_PROBE = 2.0
_READ = 0.25
_NOTED = 0.05
_CLOSING = 0.5
_LONGEST_LIFE = 60  # seconds of a process that is forked for one life

FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where journals lie: thousands of them are written, and a slow disk is a fault of its own here."""


@dataclass(frozen=True)
class Maker:
    """Makes clients and journals: those of the package, or simulated ones that prove the judge."""

    async_client: Callable[..., Any] = AsyncClient
    client: Callable[..., Any] = Client
    journal: Callable[[Path], Any] = SQLiteJournal


LIMITS = RateLimits(create=10**6, balance=10**6, cancel=10**6, order_actions=10**6, order_queries=10**6)
"""Limits that are kept, and never reached."""

Act = Callable[["Life"], Awaitable[None]]
"""What a program does in one life, with its client open."""


@dataclass
class Program:
    """A program with an account, a journal and a purpose of its own.

    ``name`` decides on its keys and its token; ``plan`` is what the service does with its purchases.
    """

    name: str
    base_url: str
    folder: Path
    diary: Diary
    flavour: Flavour = "asyncio"
    plan: str = "ok"
    disk_name: str = "none"
    limited: bool = False
    connections: int = 2
    read: float = _READ
    timeout: float = TIMEOUT
    maker: Maker = Maker()

    def __post_init__(self) -> None:
        self.ident = hashlib.blake2s(self.name.encode(), digest_size=6).hexdigest()
        self.path = self.folder / f"{self.ident}.db"
        self.disk = Disk(self.disk_name, self.path)
        self.token = f"{TOKEN}-{self.ident}"
        self.timing = True

    def key(self, role: str = "c", plan: str | None = None) -> str:
        """Return the idempotency key of a purchase, which holds what the service is to do with it."""
        return f"{role}{self.ident}--{plan or self.plan}"

    def asks(self, *keys: str, intent: str = "") -> None:
        """Write down that these purchases are about to be asked for."""
        for key in keys:
            self.diary.write("asked", key=key, intent=intent)

    def live(self, act: Act, *, attempts: int | None = None, journal: bool | None = None) -> None:
        """Run the program once: open the journal and the client, act, close them."""
        self.diary.life += 1
        settings: dict[str, Any] = {
            "token": self.token,
            "base_url": self.base_url,
            "timeout": Timeouts(total=self.timeout, create=self.timeout, read=self.read),
            "retry": RetryPolicy(attempts, 0.002, 0.01),
            "rate_limits": LIMITS if self.limited else None,
            "max_connections": self.connections,
            "poll_interval": 0.02,
        }
        opened = None
        if self.disk.journal if journal is None else journal:
            opened = settings["journal"] = self.maker.journal(self.path)
        try:
            if self.flavour == "threads":
                with self.maker.client(**settings) as client:
                    drive(_run(act, Life(self, Blocking(client))))
            else:
                anyio.run(self._in_tasks, act, settings, backend=self.flavour)
        finally:
            self.disk.end()
            if opened is not None:
                opened.close()
        self.diary.write("end")

    def fork(self, act: Act, *, attempts: int | None = None) -> int:
        """Live in a process of its own; return its exit code, negative for a signal."""
        self.diary.life += 1
        process = os.fork()
        if process == 0:
            self.diary.life -= 1
            signal.alarm(_LONGEST_LIFE)
            try:
                self.live(act, attempts=attempts)
            except BaseException:
                self.diary.write("broken", text=traceback.format_exc()[-1500:])
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    async def _in_tasks(self, act: Act, settings: dict[str, Any]) -> None:
        watch = LoopWatch()
        async with self.maker.async_client(**settings) as client, anyio.create_task_group() as tasks:
            await tasks.start(watch.run)
            await act(Life(self, client))
            tasks.cancel_scope.cancel()
        if watch.longest > _NOTED:
            self.diary.write("held", seconds=watch.longest)


async def _run(act: Act, life: Life) -> None:
    await act(life)


class Life:
    """A client that is open; makes calls and writes down how each of them ended."""

    def __init__(self, program: Program, client: Any) -> None:
        self.program = program
        self.diary = program.diary
        self.client = client
        self.orders = client.orders

    async def call(
        self,
        name: str,
        keys: Sequence[str],
        start: Callable[[], Awaitable[Any]],
        timeout: float | None = None,
    ) -> Any:
        """Make a call; None when it raised an error of the package, which is written down for its key."""
        began = time.monotonic()
        try:
            result = await start()
        except SmscodeError as error:
            for key in keys:
                self.failed(key, error)
            result = None
        except BaseException:
            self.diary.write("left", keys=list(keys))
            raise
        self._overdue(name, began, self.program.timeout if timeout is None else timeout)
        return result

    def _overdue(self, name: str, began: float, allowed: float) -> None:
        if self.program.timing:
            late = pulse().excess(began, time.monotonic(), allowed)
            if late > _NOTED:
                self.diary.write("late", call=name, seconds=late)

    def failed(self, key: str, error: SmscodeError) -> None:
        """Write down the error of a purchase."""
        self.diary.write("error", key=key, outcome=error.outcome, error=type(error).__name__)
        if error.idempotency_key != key:
            text = f"{type(error).__name__} has key {error.idempotency_key!r}, not {key!r}: {error}"
            self.diary.write("broken", text=text)

    async def buy(self, role: str = "c", plan: str | None = None, **options: Any) -> Any:
        """Rent a number by `create`."""
        key = self.program.key(role, plan)
        intent = f"{role}{self.program.ident}"
        self.program.asks(key, intent=intent)
        created = await self.call(
            "create",
            [key],
            lambda: self.orders.create(
                catalog_product_id=412, prefer_provider=intent, idempotency_key=key, **options
            ),
        )
        self.returned(created)
        return created

    async def submit(self, role: str = "c", plan: str | None = None, **options: Any) -> Any:
        """Rent a number by `prepare` and `submit`."""
        key = self.program.key(role, plan)
        self.program.asks(key, intent=f"{role}{self.program.ident}")
        intent = self.orders.prepare(
            catalog_product_id=412, prefer_provider=f"{role}{self.program.ident}", idempotency_key=key
        )
        created = await self.call("submit", [key], lambda: self.orders.submit(intent, **options))
        self.returned(created)
        return created

    def returned(self, created: Any) -> None:
        """Write down the orders of a result; None is none."""
        if created is not None:
            self.diary.write("result", orders=[order.id for order in created.orders])

    def list_up(self, *after: str) -> None:
        """Write down what the client says of itself, once the calls with these keys are over."""
        bought = [order.id for row in self.orders.bought() for order in row.orders]
        self.diary.listed([intent.idempotency_key for intent in self.orders.unresolved()], bought, after)

    async def recover(self) -> None:
        """Recover, and write down all of the answer; an error of the journal's disk may take its place."""
        rows = await self.call("recover", [], self.orders.recover, timeout=4 * TIMEOUT)
        if rows is None:
            if self.program.disk.kind in ("none", "slow", "busy"):
                self.diary.write("broken", text="recover() raised")
            return
        told: list[dict[str, Any]] = []
        for row in rows:
            key = row.intent.idempotency_key
            ids = [order.id for order in row.orders]
            told.append({"key": key, "state": row.state, "orders": ids})
            if row.error is not None:
                self.failed(key, row.error)
        self.diary.write("recovered", rows=told)

    async def probe(self) -> None:
        """Check that nothing is lost: a read and, where a purchase can be written, a purchase work."""
        await self._probe("balance", lambda: self.client.balance(timeout=_PROBE))
        if self.program.disk.kind in ("none", "nojournal", "slow"):
            key = self.program.key("p", "ok")
            self.program.asks(key)

            async def buy() -> None:
                self.returned(
                    await self.orders.create(catalog_product_id=412, idempotency_key=key, timeout=_PROBE)
                )

            await self._probe("create", buy)

    async def _probe(self, name: str, start: Callable[[], Awaitable[Any]]) -> None:
        try:
            await start()
        except SmscodeError as error:
            self.diary.write("stuck", error=f"the next {name} failed: {type(error).__name__}: {error}")

    async def cancelled(self, manner: Manner, at: int, start: Callable[[], Awaitable[None]]) -> bool:
        """Do something that is cancelled as it suspends for the ``at``-th time; False if it did not."""
        scope = anyio.CancelScope()
        limit = asyncio.timeout(None) if manner == "timeout" else None
        task: asyncio.Task[None] | None = None

        def cancel() -> None:
            if manner == "scope":
                scope.cancel()
            elif limit is not None:
                limit.reschedule(0.0)
            elif task is not None:
                task.cancel()

        awaits = Awaits(at, cancel)
        stepping.append(awaits)
        try:
            if manner == "scope":
                with scope:
                    await Stepped(start(), awaits)
            elif limit is not None:
                with contextlib.suppress(TimeoutError):
                    async with limit:
                        await Stepped(start(), awaits)
            else:
                task = asyncio.ensure_future(_stepped(start(), awaits))
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()
        finally:
            stepping.clear()
        if not awaits.cancelled_at:
            return False
        self._overdue("a cancelled call", awaits.cancelled_at, 0.0)
        return True

    async def interrupted(self, lines: Lines, start: Callable[[], Awaitable[None]]) -> bool:
        """Do something in which a KeyboardInterrupt is raised; False if it was not."""
        self.program.timing = False
        try:
            with lines:
                await start()
        except KeyboardInterrupt:
            pass
        except TypeError as error:
            # CPython 3.11 now and then calls a freed object as its trace function. It is an interrupt too.
            if str(error) != "'traceback' object is not callable":
                raise
        finally:
            self.program.timing = True
        if lines.raised_at:
            self.diary.write("interrupted", places=lines.places)
            self._overdue("an interrupted call", lines.raised_at, 1.0)
        return bool(lines.raised_at)


async def _stepped(call: Awaitable[None], awaits: Awaits) -> None:
    await Stepped(call, awaits)


stepping: list[Awaits] = []
"""Counts the suspensions of the call under way, also in the tasks that it starts."""


def install() -> None:
    """Prepare this process: commits, clocks and the tasks of `create_many` are watched from now on."""
    from smscode import journal
    from smscode._concurrency import AsyncRuntime
    from tests.purchases import disk

    sys.unraisablehook = lambda unraisable: None  # an interrupt in a finalizer, which CPython only prints
    disk.install()
    clocks.install()
    journal._CLOSING = _CLOSING  # type: ignore[misc]  # a journal on a dead disk need not wait for long here
    for_each = AsyncRuntime.for_each

    async def watched(runtime: Any, function: Callable[[Any], Awaitable[None]], items: Sequence[Any]) -> None:
        async def step(item: Any) -> None:
            if stepping:
                await Stepped(function(item), stepping[0])
            else:
                await function(item)

        await for_each(runtime, step, items)

    AsyncRuntime.for_each = watched  # type: ignore[method-assign,assignment]  # a test's own hook
