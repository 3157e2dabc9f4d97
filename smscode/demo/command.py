"""The demo: rents numbers, waits for their codes and finishes the orders, on a sandbox over TCP.

``python -m smscode demo`` runs it. How it uses the clients is in ``smscode/demo/_async/rentals.py``.
"""

from __future__ import annotations

import io
import json
from typing import Literal, TextIO

import anyio

from .._async.client import AsyncClient
from .._clock import RealTime
from .._sync.client import Client
from ..sandbox import Sandbox
from ._async.rentals import rent_all as rent_all_async
from ._sync.rentals import rent_all
from .report import DemoProgress, Rentals, Report

_OTP_AFTER = 2.0
_POLL_INTERVAL = 0.5
_FUNDS_PER_NUMBER = 50_000


def run(count: int, version: Literal["v1", "v2"], sync: bool, out: TextIO, *, as_json: bool = False) -> int:
    """Rent ``count`` numbers at once, print what happened, and return the exit code.

    It is 0 only if every number got its code, every order was finished, and the balance decreased by exactly
    the price of the orders. ``sync`` uses threads and `Client` instead of tasks and `AsyncClient`;
    ``as_json`` prints one JSON object at the end instead of text.
    """
    sandbox = Sandbox(otp_after=_OTP_AFTER, balance=count * _FUNDS_PER_NUMBER)
    progress = DemoProgress(count, io.StringIO() if as_json else out)
    began = RealTime.monotonic()
    with sandbox.serve() as server:
        how = "threads" if sync else "asyncio"
        if not as_json:
            out.write(f"sandbox   {server.url}, {count} numbers, {version}, {how}\n\n")
        if sync:
            rentals = _with_threads(sandbox.token, server.url, version, progress)
        else:
            rentals = anyio.run(_with_tasks, sandbox.token, server.url, version, progress)
    progress.clear()
    requests = sum(sandbox.requests.values())
    report = Report(count, rentals, requests, RealTime.monotonic() - began)
    out.write((json.dumps(report.record()) if as_json else "\n".join(report.lines())) + "\n")
    return 0 if report.adds_up else 1


async def _with_tasks(token: str, url: str, version: Literal["v1", "v2"], progress: DemoProgress) -> Rentals:
    async with AsyncClient(token, base_url=url, api_version=version, poll_interval=_POLL_INTERVAL) as client:
        return await rent_all_async(client, progress)


def _with_threads(token: str, url: str, version: Literal["v1", "v2"], progress: DemoProgress) -> Rentals:
    with Client(token, base_url=url, api_version=version, poll_interval=_POLL_INTERVAL) as client:
        return rent_all(client, progress)
