"""Which scenarios there are, in full and in short."""

from __future__ import annotations

import functools

from tests.purchases.pool import Context, Job
from tests.purchases.walks import Walk, Walker


def walk_job(walk: Walk) -> Job:
    """Return the job of a walk."""
    return Job(walk.name, functools.partial(_walk, walk))


def _walk(walk: Walk, context: Context) -> None:
    server = context.server
    Walker(walk, server.base_url, context.diary, context.seed, server.forget).run(context.first)


def catalogue(*, short: bool) -> list[Job]:
    """Return all scenarios."""
    walks = [
        Walk(manner, operation, flavour)
        for flavour, manners in (("asyncio", ("task", "timeout", "scope")), ("trio", ("scope",)))
        for manner in manners
        for operation in ("create", "submit", "create_many", "reactivate", "recover", "rent")
    ]
    walks += [Walk("kill", operation, "asyncio") for operation in ("create", "create_many", "recover")]
    walks += [Walk("line", operation, "threads") for operation in ("create", "recover")]
    return [walk_job(walk) for walk in walks]
