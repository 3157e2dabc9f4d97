"""The commands that need no account: the demo, the sandbox and its OpenAPI document."""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, TextIO, TypeAlias

from .._platform import wait
from ..core.settings import Token
from ..errors import ConfigurationError
from .exits import Exit

# The same as in `smscode.sandbox`, which is not imported here, because that takes long.
Generation: TypeAlias = Literal["documented", "current"]
Versions: TypeAlias = Literal["v1", "v2", "both"]

MOST_NUMBERS = 1000
MOST_FUNDS = 10**15
MOST_PAST_ORDERS = 1_000_000
LAST_PORT = 65535
LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 18

_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGBREAK"))
"""What other programs end this one by; on Windows that is SIGBREAK."""

_stop = threading.Event()  # never set: an interrupt ends the wait for it


def demo(count: int, version: Literal["v1", "v2"], sync: bool, as_json: bool, out: TextIO) -> int:
    """Rent ``count`` numbers on a sandbox and show their codes; return the exit code."""
    from ..demo.command import run

    return run(count, version, sync, out, as_json=as_json)


def sandbox(
    port: int,
    otp_after: float,
    generation: Generation,
    balance: int,
    scenarios: Sequence[str],
    state: Path | None,
    hosts: Sequence[str],
    token: str | None,
    local_webhooks: bool,
    past_orders: int,
    as_json: bool,
    out: TextIO,
) -> int:
    """Serve a sandbox until SIGINT, SIGTERM or SIGBREAK; the first line has its address and token.

    For the arguments see `smscode.sandbox.Sandbox`. Raises `ConfigurationError` if the port cannot be used.
    """
    from ..sandbox import Sandbox

    make = partial(
        Sandbox,
        otp_after=otp_after,
        generation=generation,
        balance=balance,
        state=state,
        allow_local_webhooks=local_webhooks,
        past_orders=past_orders,
    )
    if token is not None:
        made = make(token=Token(token, "--token").secret.decode("ascii"))
    elif state is not None and os.path.isfile(path := os.path.expanduser(state)) and os.path.getsize(path):
        made = make()  # the file has its token
    else:
        # With a well-known token any program of this machine could control the sandbox.
        made = make(token=secrets.token_urlsafe(_TOKEN_BYTES))
    with ExitStack() as serving:
        # By default these end the process at once, and the last second of the state would be lost.
        for number in _SIGNALS:
            before = signal.signal(number, signal.default_int_handler)
            serving.callback(signal.signal, number, before)
        served = serving.enter_context(made)
        if scenarios:
            served.play(*scenarios)
        host, *names = hosts or (LOOPBACK,)
        try:
            server = serving.enter_context(served.serve(port, host=host, names=names))
        except OSError as error:
            raise ConfigurationError(f"Cannot listen on {host}:{port} ({error.strerror}).") from error
        line = f"listening on {server.url} token {served.token}"
        if as_json:
            line = json.dumps({"event": "listening", "url": server.url, "token": served.token})
        out.write(f"{line}\n")
        out.flush()
        try:
            wait(_stop)
        except KeyboardInterrupt:  # the usual end: nothing is printed
            return Exit.INTERRUPTED
    return Exit.OK


def openapi(generation: Generation, version: Versions, out: TextIO) -> int:
    """Print the OpenAPI document of what the sandbox serves."""
    from ..sandbox.openapi import text

    out.write(text(generation, version))
    return 0
