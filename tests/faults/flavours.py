"""One plan of calls, carried out by the asynchronous client on asyncio or trio, or by threads."""

from __future__ import annotations

import dataclasses
import pickle
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from traceback import TracebackException
from typing import Any, Literal

import anyio

from smscode import AsyncClient, Client, RetryPolicy, SmscodeError, Timeouts
from tests.faults.harness import TOKEN
from tests.faults.judge import Report

Flavour = Literal["asyncio", "trio", "threads"]
FLAVOURS: tuple[Flavour, ...] = ("asyncio", "trio", "threads")

_MOST_THREADS = 400
_LEAK_CHECKS = 25  # formatting a traceback with all its locals is slow; so many per plan are enough


@dataclass(frozen=True)
class Job:
    """One call: "buy" for an ``intent``, or an operation on the order ``target``, or "balance"."""

    call: Literal["buy", "balance", "get", "cancel", "finish", "resend"]
    intent: str = ""
    target: int = 0
    product: int = 412
    timeout: float | None = None


def purchases(count: int, first: int = 1) -> tuple[Job, ...]:
    """Make jobs that buy one number each, for intents of their own."""
    return tuple(Job("buy", f"i-{number:06}") for number in range(first, first + count))


@dataclass(frozen=True)
class Plan:
    """Jobs, and the client that does them with so many ``workers`` at once.

    ``read`` and ``total`` are seconds; ``attempts`` None are the client's own. When all jobs are done,
    what is unresolved is submitted again, ``rounds`` times at most.
    """

    jobs: Sequence[Job]
    workers: int = 100
    connections: int = 100
    read: float = 0.5
    total: float = 60.0
    attempts: int | None = None
    base: float = 0.05
    cap: float = 1.0
    rounds: int = 0
    version: Literal["v1", "v2"] = "v2"

    def options(self, base_url: str) -> dict[str, Any]:
        """Return the client's arguments."""
        return {
            "token": TOKEN,
            "base_url": base_url,
            "api_version": self.version,
            "max_connections": self.connections,
            "timeout": Timeouts(total=self.total, create=self.total, read=self.read),
            "retry": RetryPolicy(self.attempts, self.base, self.cap),
            "rate_limits": None,
        }


@dataclass
class Told:
    """What the caller was told, in all; ``held`` are the keys still unresolved, ``first`` the reports
    before any further submitting."""

    reports: list[Report] = field(default_factory=list[Report])
    first: int = 0
    held: set[str] = field(default_factory=set[str])
    seconds: float = 0.0

    @property
    def at_first(self) -> list[Report]:
        """Return what was told before anything was submitted again."""
        return self.reports[: self.first]


class Session:
    """A client at work: starts calls and writes down how they end. The same for every flavour."""

    def __init__(self, client: Any, told: Told) -> None:
        self.client = client
        self.told = told
        self._jobs: dict[str, Job] = {}
        self._leak_checks = _LEAK_CHECKS

    def start(self, job: Job, intent: Any = None) -> Any:
        """Begin a call; return its result, or an awaitable of it."""
        orders = self.client.orders
        limit: dict[str, Any] = {} if job.timeout is None else {"timeout": job.timeout}
        match job.call:
            case "buy":
                if intent is None:
                    intent = orders.prepare(catalog_product_id=job.product, prefer_provider=job.intent)
                    self._jobs[intent.idempotency_key] = job
                return orders.submit(intent, **limit)
            case "balance":
                return self.client.balance(**limit)
            case operation:
                return getattr(orders, operation)(job.target, **limit)

    def unresolved(self) -> list[tuple[Job, Any]]:
        """Return what the client calls unresolved, with the jobs it came from."""
        held = self.client.orders.unresolved()
        self.told.held = {intent.idempotency_key for intent in held}
        # Settled without hurry: what a job may take by itself is a part of the fault.
        jobs = (dataclasses.replace(self._jobs[intent.idempotency_key], timeout=None) for intent in held)
        return list(zip(jobs, held, strict=True))

    def returned(self, job: Job, result: Any) -> None:
        """Write down a success."""
        orders: tuple[int, ...] = ()
        key: str | None = None
        garbled = False
        if job.call == "buy":
            orders, key = tuple(order.id for order in result.orders), result.idempotency_key
            garbled = len(orders) != 1 or any(
                order.phone_number != f"+84{order.id:09}" or order.amount is None for order in result.orders
            )
        elif job.call != "balance":
            garbled = (result.id if job.call == "get" else result.order_id) != job.target
        self.told.reports.append(
            Report(job.call, job.intent, orders, key=key, target=job.target, garbled=garbled)
        )

    def raised(self, job: Job, error: Exception, late: float = 0.0) -> None:
        """Write down a failure."""
        known = isinstance(error, SmscodeError)
        self._leak_checks -= 1
        self.told.reports.append(
            Report(
                job.call,
                job.intent,
                outcome=error.outcome if isinstance(error, SmscodeError) else "unknown",
                error=f"{type(error).__name__}: {error}",
                key=error.idempotency_key if isinstance(error, SmscodeError) else None,
                attempts=error.attempts if isinstance(error, SmscodeError) else 0,
                foreign=not known,
                leaked=self._leak_checks >= 0 and leaks(error),
                late=late,
                target=job.target,
            )
        )


def leaks(error: BaseException) -> bool:
    """Return True if an error shows the token: in a traceback with locals, its arguments or its pickle."""
    text = "".join(TracebackException.from_exception(error, capture_locals=True).format())
    shown = f"{text} {error!r} {error.args!r} {vars(error)!r}"
    return TOKEN in shown or TOKEN.encode() in pickle.dumps(error)


def perform(flavour: Flavour, base_url: str, plan: Plan, between: Callable[[], None] | None = None) -> Told:
    """Carry a plan out; ``between`` is called before unresolved purchases are submitted again."""
    began = time.monotonic()
    if flavour == "threads":
        told = _in_threads(base_url, plan, between)
    else:
        told = anyio.run(_in_tasks, base_url, plan, between, backend=flavour)
    told.seconds = time.monotonic() - began
    return told


async def _in_tasks(base_url: str, plan: Plan, between: Callable[[], None] | None) -> Told:
    told = Told()
    async with AsyncClient(**plan.options(base_url)) as client:
        session = Session(client, told)
        await work_through(session, ((job, None) for job in plan.jobs), plan.workers)
        told.first = len(told.reports)
        for number in range(plan.rounds):
            if number == 0 and between is not None:
                between()
            if not (left := session.unresolved()):
                break
            await work_through(session, iter(left), plan.workers)
        session.unresolved()
    return told


async def work_through(session: Session, jobs: Iterator[tuple[Job, Any]], workers: int) -> None:
    """Do the jobs in tasks, so many at once, each taken up in its turn."""

    async def work() -> None:
        for job, intent in jobs:
            began = time.monotonic()
            try:
                result = await session.start(job, intent)
            except Exception as error:
                session.raised(job, error, _late(job, began))
            else:
                session.returned(job, result)

    async with anyio.create_task_group() as tasks:
        for _ in range(workers):
            tasks.start_soon(work)


def _in_threads(base_url: str, plan: Plan, between: Callable[[], None] | None) -> Told:
    told = Told()
    with Client(**plan.options(base_url)) as client:
        session = Session(client, told)
        work_through_sync(session, [(job, None) for job in plan.jobs], plan.workers)
        told.first = len(told.reports)
        for number in range(plan.rounds):
            if number == 0 and between is not None:
                between()
            if not (left := session.unresolved()):
                break
            work_through_sync(session, left, plan.workers)
        session.unresolved()
    return told


def work_through_sync(session: Session, jobs: Iterable[tuple[Job, Any]], workers: int) -> None:
    """Do the jobs in threads, so many at once, each taken up in its turn."""
    waiting: queue.SimpleQueue[tuple[Job, Any]] = queue.SimpleQueue()
    for item in jobs:
        waiting.put(item)

    def work() -> None:
        while True:
            try:
                job, intent = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.monotonic()
            try:
                result = session.start(job, intent)
            except Exception as error:
                session.raised(job, error, _late(job, began))
            else:
                session.returned(job, result)

    workers = min(workers, _MOST_THREADS)
    with ThreadPoolExecutor(workers) as threads:
        for ended in [threads.submit(work) for _ in range(workers)]:
            ended.result()


def _late(job: Job, began: float) -> float:
    return 0.0 if job.timeout is None else max(0.0, time.monotonic() - began - job.timeout)
