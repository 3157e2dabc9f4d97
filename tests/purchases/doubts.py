"""Purchases that were made, the answer lost: no later error may say that they were not."""

from __future__ import annotations

import functools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from smscode import SmscodeError
from tests.purchases.disk import Disk
from tests.purchases.lives import FOLDER, Act, Flavour, Life, Program
from tests.purchases.pool import Context

CODES = (
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "CONFLICT",
    "INSUFFICIENT_BALANCE",
    "CANCEL_TOO_EARLY",
    "REQUEST_IN_PROGRESS",
    "VALIDATION_ERROR",
    "PROVIDER_ERROR",
    "NO_OFFER_AVAILABLE",
    "IDEMPOTENCY_KEY_REUSED",
    "RATE_LIMIT_EXCEEDED",
    "TEMP_BANNED_ABUSE_GUARD",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
    "FX_RATE_UNAVAILABLE",
    "PAYLOAD_TOO_LARGE",
    "SOMETHING_NEW",
)
"""Refusals by an envelope, the documented ones and one that nobody knows."""

BEFORE = ("", "lost--", "late150--", "hang--", "page--")
"""What happened to the attempt before."""


@contextmanager
def _program(context: Context, name: str, **settings: Any) -> Generator[Program]:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        disk = Disk(settings.get("disk_name", "none"), Path(folder))
        context.diary.begin(name, journal=disk.journal, durable=disk.durable)
        yield Program(name, context.server.base_url, Path(folder), context.diary, **settings)


async def _recover(life: Life) -> None:
    await life.recover()


def answers(context: Context, flavour: Flavour, disk: str) -> None:
    """Answer with each refusal after each kind of lost answer, and raise; then recover."""
    plans = [f"{before}{code}" for before in BEFORE for code in CODES]
    for number, plan in enumerate(plans, 1):
        if number < context.first:
            continue
        name = f"answers/{flavour}/{disk}/{plan}/{number}"
        with _program(context, name, flavour=flavour, plan=plan, disk_name=disk) as program:

            async def buy(life: Life) -> None:
                await life.buy()
                life.list_up(life.program.key())

            program.live(buy)
            if program.disk.journal:
                program.live(_recover)
    context.diary.write("count", made=len(plans))


async def _close(life: Life) -> None:
    intent = life.orders.unresolved()[0]
    close = getattr(life.client, "close" if life.program.flavour == "threads" else "aclose")
    await close()
    await _again(life, lambda: life.orders.submit(intent))


async def _other_bytes(life: Life) -> None:
    await _again(life, lambda: _create(life, catalog_product_id=413))


async def _argument(life: Life) -> None:
    await _again(life, lambda: _create(life, catalog_product_id=-1))
    await _again(life, lambda: _create(life, catalog_product_id=412, max_price="nothing"))


async def _busy(life: Life) -> None:
    intent = life.orders.unresolved()[0]
    life.program.disk = Disk("locked0", life.program.path)
    life.program.disk.begin()
    await _again(life, lambda: life.orders.submit(intent, timeout=0.3))


async def _no_time(life: Life) -> None:
    await _again(life, lambda: _create(life, catalog_product_id=412, timeout=0.000_01))


async def _too_old(life: Life) -> None:
    intent = life.orders.unresolved()[0]
    await _again(life, lambda: life.orders.submit(intent, max_age=1e-9))


async def _wrong_option(life: Life) -> None:
    intent = life.orders.unresolved()[0]
    key = life.program.key()
    await _again(life, lambda: life.orders.submit(intent, max_age=0.0))
    await _again(life, lambda: life.orders.submit(intent, timeout=-1))
    await _again(life, lambda: _create(life, catalog_product_id=412, timeout=-1))

    async def rent() -> Any:
        async with life.orders.rent(catalog_product_id=412, idempotency_key=key, release_timeout=-1):
            pass

    await _again(life, rent)


def _create(life: Life, **options: Any) -> Any:
    return life.orders.create(idempotency_key=life.program.key(), **options)


async def _again(life: Life, start: Callable[[], Any]) -> None:
    """Try once more in a way that cannot succeed, and write down what the caller is told."""
    key = life.program.key()
    try:
        life.returned(await start())
    except SmscodeError as error:
        life.failed(key, error)
    except Exception as error:
        life.diary.write("broken", text=f"{type(error).__name__}: {error}")


AGAIN: dict[str, Act] = {
    "closed": _close,
    "other_bytes": _other_bytes,
    "argument": _argument,
    "busy": _busy,
    "no_time": _no_time,
    "too_old": _too_old,
    "wrong_option": _wrong_option,
}


def again(context: Context, flavour: Flavour) -> None:
    """Try a purchase in doubt once more, in every way that cannot succeed; here and in the next process."""
    numbered = list(enumerate([(name, where) for name in AGAIN for where in ("here", "next")], 1))
    for number, (name, where) in numbered[context.first - 1 :]:
        label = f"again/{flavour}/{name}/{where}/{number}"
        with _program(context, label, flavour=flavour, plan="lost") as program:
            program.live(functools.partial(_leave, AGAIN[name] if where == "here" else None), attempts=1)
            if where == "next" and name in ("other_bytes", "argument", "no_time"):
                program.live(AGAIN[name])
            program.disk = Disk("none", program.path)
            program.live(_recover)
    context.diary.write("count", made=len(numbered))


async def _leave(then: Act | None, life: Life) -> None:
    await life.buy()
    if then is not None:
        await then(life)
    key = life.program.key()
    if not any(intent.idempotency_key == key for intent in life.orders.unresolved()):
        life.diary.write("broken", text=f"{key} is in doubt, and not in unresolved()")


def accounts(context: Context, flavour: Flavour) -> None:
    """Kill a process with two accounts in one journal; each recovers its own."""
    for number in range(context.first, 5):
        with _program(context, f"accounts/{flavour}/{number}", flavour=flavour, plan="lost") as first:
            second = replace(first, name=f"{first.name}/other")
            second.path = first.path
            context.diary.begin(second.name, journal=True, durable=True)
            owners = [first, second] if number % 2 else [second, first]
            for program in (first, second):
                context.diary.point = program.name
                program.fork(_die_in_doubt, attempts=1)
            # The one that recovers first lives on while the other one recovers.
            reading, writing = os.pipe()
            context.diary.point = owners[0].name
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                try:
                    owners[0].live(functools.partial(_recover_and_stay, owners[0].key(), writing))
                finally:
                    os._exit(0)
            os.read(reading, 1)
            context.diary.point = owners[1].name
            owners[1].live(functools.partial(_recover_only, owners[1].key()))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
            os.close(writing)
    context.diary.write("count", made=4)


async def _die_in_doubt(life: Life) -> None:
    with suppress(SmscodeError):
        await life.orders.create(catalog_product_id=412, idempotency_key=life.program.key())
    os.kill(os.getpid(), signal.SIGKILL)


async def _recover_and_stay(key: str, writing: int, life: Life) -> None:
    await _recover_only(key, life)
    os.write(writing, b".")
    time.sleep(20)  # noqa: ASYNC251  # until it is killed


async def _recover_only(key: str, life: Life) -> None:
    life.program.asks(key)
    rows = await life.orders.recover()
    found = [
        {"key": row.intent.idempotency_key, "state": row.state, "orders": [order.id for order in row.orders]}
        for row in rows
    ]
    life.diary.write("recovered", rows=found)
    strangers = [row["key"] for row in found if row["key"] != key and row["orders"]]
    if strangers:
        life.diary.write("broken", text=f"recover() gave another account's purchases: {strangers}")


def living(context: Context, flavour: Flavour) -> None:
    """Recover while the process that has a purchase under way lives: it stays that one's."""
    for number in range(context.first, 4):
        name = f"living/{flavour}/{number}"
        with _program(context, name, flavour=flavour, plan="slow200", read=2.0) as program:
            begun, over = os.pipe(), os.pipe()
            program.asks(program.key())
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                try:
                    program.live(functools.partial(_buy_and_stay, begun[1], over[0]))
                finally:
                    os._exit(0)
            os.read(begun[0], 1)
            program.live(functools.partial(_recover_nothing, program.key()))
            os.write(over[1], b".")
            os.waitpid(child, 0)
            for descriptor in (*begun, *over):
                os.close(descriptor)
            program.live(_recover)
    context.diary.write("count", made=3)


async def _buy_and_stay(begun: int, over: int, life: Life) -> None:
    """Buy, say so while the purchase is under way, and live on until that is allowed to end."""
    timer = threading.Timer(0.1, os.write, [begun, b"."])
    timer.start()
    await life.buy()
    timer.join()
    os.read(over, 1)


async def _recover_nothing(key: str, life: Life) -> None:
    rows = await life.orders.recover()
    if any(row.intent.idempotency_key == key for row in rows):
        life.diary.write("broken", text="recover() took over the purchase of a process that lives")


def rotation(context: Context, flavour: Flavour) -> None:
    """Leave a purchase in doubt, and replace the account's token: the next process is told of it."""
    with _program(context, f"rotation/{flavour}/1", flavour=flavour, plan="lost") as program:
        program.fork(_die_in_doubt, attempts=1)
        program.asks(program.key())
        program.token += "-new"
        program.live(_recover)
    context.diary.write("count", made=1)


def unsent(context: Context, flavour: Flavour) -> None:
    """Hold a purchase behind another one until its time is over, or it is cancelled.

    It is written down and not sent. Meanwhile another process recovers in every second case.
    """
    cases = [(ended, watched) for ended in ("timeout", "cancelled") for watched in (False, True)]
    for number, (ended, watched) in list(enumerate(cases, 1))[context.first - 1 :]:
        name = f"unsent/{flavour}/{ended}/{'watched' if watched else 'alone'}/{number}"
        with _program(context, name, flavour=flavour, connections=1, read=1.0) as program:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                try:
                    program.live(functools.partial(_wait_in_line, ended, writing))
                finally:
                    os._exit(0)
            context.diary.life += 1
            os.read(reading, 1)
            os.close(reading)
            os.close(writing)
            if watched:
                program.live(_recover)
            os.waitpid(child, 0)
            program.live(_recover)
    context.diary.write("count", made=len(cases))


async def _wait_in_line(ended: str, writing: int, life: Life) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.buy, "a", "slow900")
        await anyio.sleep(0.1)
        if ended == "timeout":
            tasks.start_soon(functools.partial(life.buy, "b", timeout=0.5))
        else:
            tasks.start_soon(_buy_until_cancelled, life)
        await anyio.sleep(0.1)
        os.write(writing, b".")
    life.list_up(life.program.key("a", "slow900"), life.program.key("b"))


async def _buy_until_cancelled(life: Life) -> None:
    with anyio.move_on_after(0.5):
        await life.buy("b")
