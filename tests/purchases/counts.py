"""Thousands of random interruptions: cancellations, kills, and real Ctrl-C."""

from __future__ import annotations

import functools
import gc
import os
import queue
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import anyio

from smscode import SmscodeError
from smscode.core.ratelimit.slots import SlotWindow
from tests.faults import storms
from tests.purchases import operations
from tests.purchases.lives import FOLDER, Flavour, Life, Program
from tests.purchases.operations import OPERATIONS, in_doubt_first
from tests.purchases.pool import Context
from tests.purchases.pulse import pulse

_CANCELLERS: dict[str, tuple[Flavour, storms.Canceller]] = {
    "task": ("asyncio", storms.by_task),
    "timeout": ("asyncio", storms.by_asyncio_timeout),
    "scope": ("asyncio", storms.by_fail_after),
    "trio": ("trio", storms.by_trio_scope),
}
_PER_PROGRAM = 5
_AT_ONCE = 50
_LONGEST = 0.05
_HELD, _FREE = 0.03, 0.004
_MANY = 1500
_BUYING = 0.35
_PROMPT = 5.0
_AT_ONCE_OVER = 1.0  # seconds within which an interrupted call is over

Manner = Literal["task", "timeout", "scope", "trio"]


@contextmanager
def _program(context: Context, name: str, **settings: object) -> Generator[Program]:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        context.diary.begin(name, journal=True, durable=True)
        yield Program(name, context.server.base_url, Path(folder), context.diary, **settings)  # type: ignore[arg-type]  # passed on


async def _recover(life: Life) -> None:
    await life.recover()


def recovers_cancelled(context: Context, manner: Manner, times: int) -> None:
    """Cancel `recover` at random moments, some processes in a row; the last one is left alone."""
    flavour, canceller = _CANCELLERS[manner]
    dice = random.Random(f"{context.seed}:{manner}")
    made = 0
    for number in range(context.first, -(-times // _PER_PROGRAM) + 1):
        disk = ("none", "slow", "busy0")[number % 3]
        with _program(context, f"recovers_cancelled/{manner}/{number}", flavour=flavour) as program:
            in_doubt_first(program)
            for _ in range(_PER_PROGRAM):
                program.disk = type(program.disk)(disk, program.path)

                async def cancel(life: Life) -> None:
                    nonlocal made
                    life.program.disk.begin()
                    late = await canceller(life.recover, dice.random() * _LONGEST)
                    made += late is not None

                program.live(cancel)
            program.disk = type(program.disk)("none", program.path)
            program.live(_recover)
    context.diary.write("count", made=made)


def busy_creates(context: Context, manner: Manner, times: int) -> None:
    """Cancel `create` while another connection has the journal again and again."""
    flavour, canceller = _CANCELLERS[manner]
    dice = random.Random(f"{context.seed}:{manner}")
    made = 0
    for number in range(context.first, -(-times // _AT_ONCE) + 1):
        with _program(
            context, f"busy_creates/{manner}/{number}", flavour=flavour, connections=_AT_ONCE
        ) as program:

            async def buy(life: Life) -> None:
                nonlocal made
                keys = [life.program.key(f"b{place}") for place in range(_AT_ONCE)]

                async def one(place: int) -> None:
                    nonlocal made
                    late = await canceller(lambda: life.buy(f"b{place}"), dice.random() * _LONGEST)
                    made += late is not None

                await life.client.balance()
                with _kept_busy(life.program.path):
                    async with anyio.create_task_group() as tasks:
                        for place in range(_AT_ONCE):
                            tasks.start_soon(one, place)
                life.list_up(*keys)

            program.live(buy)
            program.live(_recover)
    context.diary.write("count", made=made)


@contextmanager
def _kept_busy(path: Path) -> Generator[None]:
    """Hold a journal's file most of the time, as other processes that write it do."""
    over = threading.Event()

    def hold() -> None:
        other = sqlite3.connect(path, isolation_level=None, timeout=10)
        while not over.is_set():
            other.execute("BEGIN IMMEDIATE")
            over.wait(_HELD)
            other.execute("ROLLBACK")
            over.wait(_FREE)
        other.close()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    time.sleep(_FREE)
    try:
        yield
    finally:
        over.set()
        thread.join()


def many_killed(context: Context, flavour: Flavour, how: Literal["SIGKILL", "SIGINT"], times: int) -> None:
    """End a process in the middle of `create_many` of 1,500 numbers, by a kill or by Ctrl-C."""
    operations.restore()
    dice = random.Random(f"{context.seed}:{flavour}:{how}")
    made = 0
    for number in range(context.first, times + 1):
        name = f"many_killed/{flavour}/{how}/{number}"
        with _program(context, name, flavour=flavour, plan="slow30", connections=10) as program:

            async def buy(life: Life) -> None:
                key = life.program.key("m")
                result = await life.orders.create_many(
                    _MANY, catalog_product_id=412, idempotency_key=key, timeout=10
                )
                life.returned(result)

            program.asks(*(f"{program.key('m')}-{call}" for call in range(1, _MANY // 100 + 1)))
            made += _ended(program, buy, getattr(signal, how), dice.random() * _BUYING)
            if program.fork(_recover):
                context.diary.write("broken", text="recover() did not end by itself")
    context.diary.write("count", made=made)


def _ended(
    program: Program, act: Callable[[Life], Awaitable[None]], how: signal.Signals, after: float
) -> bool:
    """Live in a process that gets a signal; False if it came to its end before."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    process = os.fork()
    if process == 0:
        signal.alarm(60)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            program.live(act)
        except KeyboardInterrupt:
            os._exit(2)
        except BaseException as error:
            program.diary.write("broken", text=repr(error))
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    program.diary.life += 1
    time.sleep(after)
    os.kill(process, how)
    began = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if time.monotonic() - began > _PROMPT:
        program.diary.write("late", call=f"a program that got {how.name}", seconds=time.monotonic() - began)
    return code != 0


class CtrlC:
    """Presses Ctrl-C once in each call, at a random moment: a real signal, sent by another thread."""

    def __init__(self, seed: str, measured: int) -> None:
        self._dice = random.Random(seed)
        self._wanted: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._pressed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._inside = False
        self._usual: list[float] = []
        self._measured = measured
        self._raised_at = 0.0
        self.late = 0.0
        self.made = 0
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._press, daemon=True).start()

    def _press(self) -> None:
        while True:
            time.sleep(self._wanted.get())
            os.kill(os.getpid(), signal.SIGINT)
            self._pressed.put(None)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            self._inside = False
            self._raised_at = time.monotonic()
            raise KeyboardInterrupt

    async def during(self, start: Callable[[], Awaitable[None]]) -> None:
        """Make a call, and press Ctrl-C while it is made; the first calls are only measured."""
        began = time.monotonic()
        if len(self._usual) < self._measured:
            await start()
            self._usual.append(time.monotonic() - began)
            return
        self._wanted.put(self._dice.random() * 1.1 * min(self._usual))
        try:
            try:
                self._inside = True
                await start()
            finally:
                self._inside = False
        except KeyboardInterrupt:
            self.made += 1
            late = pulse().excess(self._raised_at, time.monotonic(), _AT_ONCE_OVER)
            self.late = max(self.late, late)
        self._pressed.get()


def ctrl_c(
    context: Context, operation: str, times: int, each: int, *, plan: str = "ok", measured: int = 5
) -> None:
    """Press Ctrl-C in so many calls of a synchronous client, ``each`` in one process and with one client.

    A call that waits for the service is over within a second. The first ``measured`` are not interrupted.
    """
    for number in range(context.first, -(-times // each) + 1):
        name = f"ctrl_c/{operation}/{plan}/{number}"
        settings = {"read": 5.0, "timeout": 4.0} if plan == "hang" else {}
        with _program(context, name, flavour="threads", limited=True, plan=plan, **settings) as program:
            OPERATIONS[operation].first(program)
            press = functools.partial(_press_in_each, operation, each, measured, f"{context.seed}:{name}")
            code = program.fork(press)
            if code or program.fork(_recover):
                context.diary.write("broken", text=f"a process did not end by itself: {code}")


async def _press_in_each(operation: str, each: int, measured: int, seed: str, life: Life) -> None:
    """Make calls until ``each`` of them were interrupted, or for some times as many."""
    keyboard, program = CtrlC(seed, measured), life.program
    ident, act = program.ident, OPERATIONS[operation].act
    for call in range(6 * each):
        program.ident = f"{ident}x{call}"
        operations.memory[program.ident] = operations.memory.get(ident, 0)

        async def start() -> None:
            await act(life)

        await keyboard.during(start)
        life.list_up(*OPERATIONS[operation].keys(program))
        await _settle(life)
        if keyboard.made >= each:
            break
    program.ident = ident
    await _settle(life)
    life.returned(await life.orders.create(catalog_product_id=412, idempotency_key=program.key("z")))
    busy = [len(slots.holders) for slots in gc.get_objects() if isinstance(slots, SlotWindow) and slots.busy]
    if busy:
        life.diary.write("stuck", error=f"slots that are busy with nothing under way: {busy}")
    if keyboard.late:
        life.diary.write("late", call=f"an interrupted {operation}", seconds=keyboard.late)
    life.diary.write("count", made=keyboard.made)


async def _settle(life: Life) -> None:
    """Settle what the client calls unresolved, as its caller would; nothing may be lost meanwhile."""
    try:
        for _ in range(2):  # as many as there are lanes
            await life.client.balance(timeout=2)
        for intent in life.orders.unresolved():
            life.returned(await life.orders.submit(intent, timeout=2))
    except SmscodeError as error:
        life.diary.write("stuck", error=f"after Ctrl-C: {type(error).__name__}: {error}")
