"""The faults of the past, as patches that put them back: the proof must fail for each, at the right law.

``python -m tests.purchases.run --mutants`` runs each with the scenarios that show it. A patch changes the
package in the process of its scenario alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tests.purchases import catalogue, patches
from tests.purchases.judge import Invariant
from tests.purchases.pool import Job
from tests.purchases.walks import Walk


@dataclass(frozen=True)
class Mutant:
    """A fault: how it is put back, the laws it breaks, and the scenarios of which each must show it."""

    name: str
    patch: Callable[[], None]
    laws: tuple[Invariant, ...]
    jobs: tuple[Job, ...]


def jobs_of(mutant: Mutant) -> list[Job]:
    """Return the scenarios of a mutant, with its patch."""
    return [replace(job, name=f"{mutant.name}: {job.name}", patch=mutant.patch) for job in mutant.jobs]


def _walks(*walks: Walk) -> tuple[Job, ...]:
    return tuple(catalogue.walk_job(walk) for walk in walks)


def _named(name: str, jobs: Iterable[Job]) -> Job:
    return next(job for job in jobs if job.name == name)


def _doubt(name: str) -> Job:
    return _named(name, catalogue.doubt_jobs())


_CANCELLED = catalogue.CANCELLING[:2]
_LATE = "late150--NO_OFFER_AVAILABLE"

MUTANTS = (
    Mutant(
        "a withdrawal is not written",
        patches.withdrawal_not_written,
        ("I3",),
        _walks(*(Walk(how, "create", flavour, disk="busy1") for how, flavour in _CANCELLED)),
    ),
    Mutant(
        "an abandoned write goes on",
        patches.write_goes_on,
        ("I3",),
        _walks(*(Walk(how, "submit", flavour, disk="busy0") for how, flavour in _CANCELLED)),
    ),
    Mutant(
        "a purchase that was not sent stays open",
        patches.not_sent_stays_open,
        ("I3",),
        (_doubt("unsent/asyncio"), _doubt("unsent/trio")),
    ),
    Mutant(
        "a purchase that is left is noted as refused",
        patches.refused_when_left,
        ("I2",),
        _walks(Walk("task", "recover", "asyncio"), Walk("line", "create", "threads", sample=150)),
    ),
    Mutant(
        "bought is settled at once",
        patches.settled_at_once,
        ("I2",),
        _walks(
            Walk("task", "recover", "asyncio"),
            Walk("task", "create_many", "asyncio"),
            Walk("kill", "create_many", "threads"),
        ),
    ),
    Mutant(
        "a purchase that is left is forgotten",
        patches.forgotten_when_left,
        ("I2", "I3"),
        _walks(Walk("task", "create", "asyncio"), Walk("line", "create", "threads", sample=150)),
    ),
    Mutant(
        "no offer ends doubt",
        patches.no_offer_ends_doubt,
        ("I3",),
        _walks(Walk("none", "create", "asyncio", _LATE), Walk("none", "create", "threads", _LATE)),
    ),
    Mutant(
        "refusals end doubt",
        patches.refusals_end_doubt,
        ("I3",),
        _walks(Walk("none", "create", "asyncio", "lost--UNAUTHORIZED"))
        + _walks(Walk("none", "create", "trio", "lost--VALIDATION_ERROR")),
    ),
    Mutant(
        "conflict is a refusal",
        patches.conflict_is_a_refusal,
        ("I3",),
        _walks(Walk("none", "create", "asyncio", "lost--CONFLICT")),
    ),
    Mutant(
        "errors speak of the request",
        patches.errors_speak_of_the_request,
        ("I3",),
        (_doubt("again/asyncio"), _doubt("again/threads")),
    ),
    Mutant(
        "the future is recent",
        patches.future_is_recent,
        ("I1",),
        _walks(*(Walk("none", "recover", "asyncio", clock=clock) for clock in ("ahead", "back"))),
    ),
    Mutant(
        "the past is recent",
        patches.past_is_recent,
        ("I1",),
        _walks(Walk("none", "recover", "threads", clock="forward")),
    ),
    Mutant(
        "recovering takes all accounts",
        patches.claim_takes_all,
        ("I2",),
        (_doubt("accounts/asyncio"), _doubt("accounts/threads")),
    ),
    Mutant(
        "other tokens are not mentioned",
        patches.other_tokens_unseen,
        ("I2",),
        (_doubt("rotation/asyncio"),),
    ),
    Mutant(
        "a living owner is ignored",
        patches.living_owner_ignored,
        ("I2", "I3", "broken"),
        (_doubt("living/asyncio"), _doubt("unsent/asyncio")),
    ),
    Mutant(
        "the loop writes",
        patches.written_on_the_loop,
        ("I4",),
        _walks(Walk("none", "create", "asyncio", disk="busy0"), Walk("none", "create", "trio", disk="busy0")),
    ),
    Mutant(
        "changes hold the loop",
        patches.changes_hold_the_loop,
        ("I4",),
        _walks(Walk("none", "create", "asyncio", disk="busy1"), Walk("none", "create", "trio", disk="busy1")),
    ),
    Mutant(
        "the disk has no deadline",
        patches.disk_without_deadline,
        ("I5",),
        _walks(Walk("none", "create", "asyncio", disk="locked0")),
    ),
    Mutant(
        "sent before it is written",
        patches.sent_before_written,
        ("I2",),
        _walks(Walk("kill", "create", "asyncio", disk="busy0")),
    ),
    Mutant(
        "said before it is written",
        patches.said_before_written,
        ("I3",),
        _walks(Walk("kill", "create", "asyncio", "NO_OFFER_AVAILABLE", disk="slow")),
    ),
    Mutant(
        "an interrupt leaves a lock held",
        patches.lock_held_on_interrupt,
        ("I6",),
        _walks(Walk("line", "create", "threads", sample=25)),
    ),
    Mutant(
        "the end of an interrupted call is not noticed",
        patches.calls_end_unnoticed,
        ("I6", "I2"),
        _walks(Walk("twice", "create", "threads", sample=500)),
    ),
    Mutant(
        "an interrupt waits for all calls",
        patches.interrupt_waits_for_all,
        ("I5",),
        (_named("ctrl_c_waiting", catalogue.counts_jobs(1)),),
    ),
)
