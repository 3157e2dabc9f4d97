"""The commands that need no account: the demonstration, the sandbox and its OpenAPI document."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal, TextIO

from ..sandbox.openapi import Versions, text
from ..sandbox.render import Generation

MOST_NUMBERS = 1000
MOST_FUNDS = 10**15
LAST_PORT = 65535

_stop = threading.Event()  # never set: an interrupt ends the wait for it


def demo(count: int, version: Literal["v1", "v2"], sync: bool, out: TextIO) -> int:
    """Rent numbers on a sandbox and show their codes; give the exit code."""
    from ..demo.command import run

    return run(count, version, sync, out)


def sandbox(
    port: int,
    otp_after: float,
    generation: Generation,
    balance: int,
    scenarios: Sequence[str],
    out: TextIO,
) -> int:
    """Serve a sandbox until interrupted; its first line says where, and with which token."""
    from ..sandbox import Sandbox

    served = Sandbox(otp_after=otp_after, generation=generation, balance=balance)
    if scenarios:
        served.play(*scenarios)
    with served.serve(port) as server:
        out.write(f"listening on {server.url} token {served.token}\n")
        out.flush()
        _stop.wait()
    return 0


def openapi(generation: Generation, version: Versions, out: TextIO) -> int:
    """Print the OpenAPI document of what the sandbox serves."""
    out.write(text(generation, version))
    return 0
