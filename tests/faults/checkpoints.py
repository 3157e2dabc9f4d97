"""The row that cancels at every await: the nth suspension of a call, for every n there is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import anyio

from smscode import AsyncClient, SmscodeError
from tests.faults.flavours import Flavour, Job, Plan, Session, Told, perform, work_through
from tests.faults.harness import Server
from tests.faults.judge import Report, judge
from tests.faults.ledger import WITH_SMS
from tests.faults.scenarios import Row
from tests.faults.script import Script
from tests.faults.stepping import Awaits, Stepped

_MOST = 150
_PROMPT = 0.5
_SCRIPT = Script("first", mix=(("commit", "fin"),), only=("/create", "/cancel", "/finish"), latency=0.002)
"""The first attempt is carried out and its answer lost, so that waiting and trying again are cut into."""


@dataclass
class Walk:
    """What all the cancellations of one call came to."""

    told: Told = field(default_factory=Told)
    cancelled: int = 0
    latest: float = 0.0
    longest: int = 0
    failures: list[str] = field(default_factory=list[str])


def cancel_at_every_await(server: Server, flavour: Flavour, most: int, seed: int) -> Row:
    """Cancel a purchase, a cancellation and a finish at each await, on a cold and on a warm connection."""
    if flavour == "threads":
        return Row(
            "cancel at every await", flavour, 0, 0.0, note="not applicable: threads cannot be cancelled"
        )
    server.reset(seed, Script())
    began, most = time.monotonic(), min(most, _MOST)
    setup = tuple(Job("buy", f"c-{number:06}") for number in range(4 * most))
    setup += tuple(Job("buy", f"f-{number:06}", product=WITH_SMS) for number in range(4 * most))
    bought = perform(flavour, server.base_url, Plan(setup))
    stock = {report.intent: report.orders[0] for report in bought.reports}
    server.use(_SCRIPT)
    walk = Walk()
    anyio.run(_walk_all, server, flavour, most, stock, walk, backend=flavour)
    book = server.settled()
    reports = bought.reports + walk.told.reports
    verdict = judge(
        book, [report.intent for report in reports if report.call == "buy"], reports, settled=False
    )
    note = f"up to {walk.longest} awaits, latest end {walk.latest * 1000:.0f} ms after the cancellation"
    seconds = time.monotonic() - began
    failures = tuple(walk.failures)
    return Row("cancel at every await", flavour, walk.cancelled, seconds, verdict, failures, note, seed)


async def _walk_all(server: Server, flavour: Flavour, most: int, stock: dict[str, int], walk: Walk) -> None:
    manners = ("task", "scope") if flavour == "asyncio" else ("scope",)
    for place, (manner, warm) in enumerate((manner, warm) for manner in manners for warm in (False, True)):
        for call in ("buy", "cancel", "finish"):
            for at in range(1, most + 1):
                number = place * most + at - 1
                job = Job("buy", f"k-{number:06}")
                if call == "cancel":
                    job = Job("cancel", target=stock[f"c-{number:06}"])
                elif call == "finish":
                    job = Job("finish", target=stock[f"f-{number:06}"])
                if not await _one(server, job, at, manner, warm, walk):
                    break
            else:
                walk.failures.append(f"{call} has more than {most} awaits")


async def _one(server: Server, job: Job, at: int, manner: str, warm: bool, walk: Walk) -> bool:
    """Cancel one call at one await, and settle what is unresolved; False when it has no such await."""
    plan = Plan((), connections=2, base=0.01)
    async with AsyncClient(**plan.options(server.base_url)) as client:
        session = Session(client, walk.told)
        if warm:
            await client.balance()
        told = len(walk.told.reports)
        awaits, error = await _stepped(session, job, at, manner)
        over = time.monotonic()
        walk.longest = max(walk.longest, awaits.reached)
        if error is not None:
            session.raised(job, error)
            walk.failures.append(f"{job.call} at await {at}: {type(error).__name__} instead of cancellation")
        if not awaits.cancelled_at:
            return False
        walk.cancelled += 1
        late = over - awaits.cancelled_at
        walk.latest = max(walk.latest, late)
        if late > _PROMPT:
            walk.failures.append(f"{job.call} at await {at}: cancellation took {late:.2f} s")
        if job.call == "buy" and len(walk.told.reports) == told:
            walk.told.reports.append(Report("buy", job.intent, outcome="unknown", error="cancelled"))
            await work_through(session, iter(session.unresolved()), 1)
            if session.unresolved():
                walk.failures.append(f"buy at await {at}: still unresolved after submit")
        return True


async def _stepped(session: Session, job: Job, at: int, manner: str) -> tuple[Awaits, SmscodeError | None]:
    """Make a call that is cancelled at an await, by its task or by a scope around it."""
    errors: list[SmscodeError] = []

    async def call() -> None:
        try:
            session.returned(job, await session.start(job))
        except SmscodeError as error:
            errors.append(error)

    if manner == "scope":
        scope = anyio.CancelScope()
        awaits = Awaits(at, scope.cancel)
        with scope:
            await Stepped(call(), awaits)
    else:
        awaits = Awaits(at, lambda: task.cancel())

        async def run() -> None:
            await Stepped(call(), awaits)

        task = asyncio.ensure_future(run())
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
    return awaits, errors[0] if errors else None
