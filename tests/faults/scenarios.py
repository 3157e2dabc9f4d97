"""The rows of the table that are plans of calls under a script: random faults, cuts, races, crowds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import get_args

from tests.faults.flavours import Flavour, Job, Plan, Told, perform, purchases
from tests.faults.harness import Server
from tests.faults.judge import Report, Verdict, judge
from tests.faults.ledger import WITH_SMS
from tests.faults.script import Script


@dataclass(frozen=True)
class Row:
    """A line of the table; ``failures`` say what else did not hold, ``note`` what was measured."""

    scenario: str
    flavour: str
    count: int
    seconds: float
    verdict: Verdict = Verdict()
    failures: tuple[str, ...] = ()
    note: str = ""
    seed: int = 0

    @property
    def right(self) -> bool:
        """Return True if everything held."""
        return self.verdict.right and not self.failures


_LONGEST = 640  # bytes; more than any answer to a purchase here has


def _intents(jobs: tuple[Job, ...]) -> list[str]:
    return [job.intent for job in jobs if job.call == "buy"]


def told_errors(reports: list[Report], most: int = 2) -> str:
    """Sum up the errors among reports."""
    counts = Counter(f"{report.outcome} {report.error[:90]}" for report in reports if report.outcome)
    return "; ".join(f"{count}x {error}" for error, count in counts.most_common(most))


def random_faults(server: Server, flavour: Flavour, count: int, seed: int, rate: float = 0.2) -> Row:
    """Buy under random faults; at the end every intent has its one order, and everybody knows it."""
    server.reset(seed, Script("random", rate=rate))
    jobs = purchases(count)
    told = perform(flavour, server.base_url, Plan(jobs, rounds=10))
    book = server.settled()
    verdict = judge(book, _intents(jobs), told.reports, told.held)
    left = sum(report.outcome is not None for report in told.at_first)
    note = f"{len(book.faults)} faults, {book.requests} requests, {left} settled by submit"
    return Row(f"random faults {rate:.0%}", flavour, count, told.seconds, verdict, (), note, seed)


def transitions(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Cancel, finish and resend under random faults: refunds are right, and no SMS is asked for twice."""
    server.reset(seed, Script())
    half = tuple(Job("buy", f"s-{number:06}", product=WITH_SMS) for number in range(count // 2))
    bought = perform(flavour, server.base_url, Plan(purchases(count // 2) + half))
    orders = {report.intent: report.orders[0] for report in bought.reports}
    jobs: list[Job] = []
    for intent, order in orders.items():
        jobs += (
            [Job("cancel", target=order)]
            if intent.startswith("i-")
            else [Job("resend", target=order), Job("finish", target=order)]
        )
    server.use(Script("random", rate=0.2))
    told = Told()
    for calls in (("cancel", "resend"), ("finish",)):
        plan = Plan([job for job in jobs if job.call in calls])
        part = perform(flavour, server.base_url, plan)
        told.reports += part.reports
        told.seconds += part.seconds
    book = server.settled()
    verdict = judge(book, orders, bought.reports + told.reports)
    failures = _untrue(told.reports, {order.id: order.status for order in book.orders})
    unknown = Counter(report.call for report in told.reports if report.outcome == "unknown")
    note = f"unknown: {dict(unknown)}"
    return Row("cancel/finish/resend", flavour, count, told.seconds, verdict, failures, note, seed)


def _untrue(reports: list[Report], status: dict[int, str]) -> tuple[str, ...]:
    """Find the answers about cancelling and finishing that the books deny."""
    target = {"cancel": "CANCELED", "finish": "COMPLETED"}
    wrong: Counter[str] = Counter()
    for report in reports:
        if report.call not in target:
            continue
        reached = status[report.target] == target[report.call]
        if report.outcome is None and not reached:
            wrong[f"{report.call} returned but was not done"] += 1
        elif report.outcome in ("rejected", "not_sent", "failed") and reached:
            wrong[f"{report.call} {report.outcome} ({report.error[:60]}) but was done"] += 1
    return tuple(f"{count}x {what}" for what, count in wrong.items())


def cut_answers(server: Server, flavour: Flavour, step: int, seed: int) -> Row:
    """Cut the answer to a purchase after every ``step``-th byte, in every framing, in three manners."""
    verdict, count, seconds, failures = Verdict(), 0, 0.0, list[str]()
    for framing in ("length", "chunked", "gzip", "close"):
        for how in ("fin", "rst", "stall"):
            server.reset(seed, Script("cut", framing=framing, how=how, stall=0.5))
            jobs = tuple(Job("buy", f"i-{byte:06}") for byte in range(0, _LONGEST, step))
            plan = Plan(jobs, attempts=1, read=0.25, rounds=12, workers=200, connections=200)
            told = perform(flavour, server.base_url, plan)
            part = judge(server.settled(), _intents(jobs), told.reports, told.held)
            sure = [report for report in told.at_first if report.outcome not in (None, "unknown")]
            if not part.right or sure:
                failures.append(f"{framing} {how}: {part} {told_errors(sure or told.reports)}")
                verdict = part
            if framing == "length" and how == "fin" and not any(r.orders for r in told.at_first):
                failures.append(f"answers are longer than {_LONGEST} bytes: the last ones were not cut")
            count += len(jobs)
            seconds += told.seconds
    return Row("cut after every byte", flavour, count, seconds, verdict, tuple(failures), "", seed)


def keepalive_race(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Read and buy while the server closes every connection within 2 ms after an answer."""
    server.reset(seed, Script("race"))
    bought = purchases(count // 2)
    jobs = tuple(job for pair in zip(bought, [Job("balance")] * len(bought), strict=True) for job in pair)
    told = perform(flavour, server.base_url, Plan(jobs, workers=10, connections=10))
    book = server.settled()
    errors = [report for report in told.reports if report.outcome is not None]
    failures = (f"{len(errors)} errors: {told_errors(errors)}",) if errors else ()
    verdict = judge(book, _intents(jobs), told.reports, told.held)
    note = f"{book.opened} connections, {sum(book.paths.values())} requests served"
    return Row("keep-alive race", flavour, len(jobs), told.seconds, verdict, failures, note, seed)


def crowd(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Buy with every task at once, on 100 connections and a server that takes 50 ms."""
    server.reset(seed, Script(latency=0.05))
    jobs = purchases(count)
    told = perform(flavour, server.base_url, Plan(jobs, workers=count, read=30.0))
    book = server.settled()
    errors = [report for report in told.reports if report.outcome is not None]
    failures = [f"{len(errors)} errors: {told_errors(errors)}"] if errors else []
    places = [abs(place - int(intent[2:])) for place, intent in enumerate(book.arrivals, 1)]
    overtaken = max(places, default=0)
    if flavour != "threads" and overtaken > 200:  # two rounds of the 100 lanes; threads start as they like
        failures.append(f"order of arrival off by {overtaken}")
    if book.peak > 100:
        failures.append(f"{book.peak} requests at once")
    verdict = judge(book, _intents(jobs), told.reports, told.held)
    note = f"order of arrival off by {overtaken} at most, {book.peak} at once"
    return Row("crowd", flavour, count, told.seconds, verdict, tuple(failures), note, seed)


def foreign_answers(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Buy while every fifth answer is followed by bytes of no request."""
    server.reset(seed, Script("random", rate=0.2, mix=(("after", "extra"),)))
    jobs = purchases(count)
    told = perform(flavour, server.base_url, Plan(jobs, workers=20, connections=20, rounds=5))
    verdict = judge(server.settled(), _intents(jobs), told.reports, told.held)
    return Row("bytes after the body", flavour, count, told.seconds, verdict, (), "", seed)


assert set(get_args(Flavour)) == {"asyncio", "trio", "threads"}
