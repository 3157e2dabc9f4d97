"""The commands that need no account: the demo, the sandbox and its OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from .._platform import wait
from ..core.settings import Token
from ..errors import ConfigurationError, InvalidArgumentError
from .exits import Exit

# The same as in `smscode.sandbox`, which is not imported here, because that takes long.
Generation: TypeAlias = Literal["documented", "current"]
Versions: TypeAlias = Literal["v1", "v2", "both"]

MOST_NUMBERS = 1000
MOST_FUNDS = 10**15  # rupiah
FUNDS = "1000usd"  # enough for every sample of the documentation
MOST_PAST_ORDERS = 1_000_000
LAST_PORT = 65535
LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 18
_RATE = 16_250  # rupiah for a dollar, as in a new sandbox
_AMOUNT = re.compile(r"(\$|usd|rp|idr)? ?([0-9]{1,16}(?:\.[0-9]{1,2})?) ?(usd|idr)?", re.IGNORECASE)

_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGBREAK"))
"""What other programs end this one by; on Windows that is SIGBREAK."""

_stop = threading.Event()  # never set: an interrupt ends the wait for it


def demo(count: int, version: Literal["v1", "v2"], sync: bool, as_json: bool, out: TextIO) -> int:
    """Rent ``count`` numbers on a sandbox and show their codes; return the exit code."""
    from ..demo.command import run

    return run(count, version, sync, out, as_json=as_json)


def funds(text: str) -> int:
    """Return an amount such as "1000usd", "$1000" or "16250000" (rupiah) in whole rupiah.

    Raises `InvalidArgumentError` for anything else, and for more than `MOST_FUNDS`.
    """
    match = _AMOUNT.fullmatch(text.strip().replace(",", ""))
    before, number, after = match.groups("") if match else ("", "", "")
    units = {unit.lower() for unit in (before, after) if unit}
    dollars = units in ({"$"}, {"usd"}, {"$", "usd"})
    rupiah = units in (set(), {"rp"}, {"idr"}, {"rp", "idr"}) and "." not in number
    found = int(Decimal(number) * (_RATE if dollars else 1)) if number and (dollars or rupiah) else -1
    if not 0 <= found <= MOST_FUNDS:
        raise InvalidArgumentError(
            f"balance: expected dollars such as 10usd, or whole rupiah such as 162500 (0..{MOST_FUNDS})."
        )
    return found


def sandbox(
    port: int,
    otp_after: float,
    generation: Generation,
    balance: str | None,
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

    For the arguments see `smscode.sandbox.Sandbox`, for ``balance`` see `funds`; None means `FUNDS`, or what
    a file says. How other commands find the sandbox is printed on the standard error. Raises
    `ConfigurationError` if the port cannot be used.
    """
    from ..sandbox import Sandbox

    # A file has its token and balance.
    resumed = (
        state is not None and os.path.isfile(path := os.path.expanduser(state)) and os.path.getsize(path)
    )
    options: dict[str, Any] = {}
    if balance is not None or not resumed:
        options["balance"] = funds(FUNDS if balance is None else balance)
    if token is not None:
        options["token"] = Token(token, "--token").secret.decode("ascii")
    elif not resumed:
        # With a well-known token any program of this machine could control the sandbox. One with a dash first
        # could not be given to another command.
        options["token"] = f"sandbox-{secrets.token_urlsafe(_TOKEN_BYTES)}"
    made = Sandbox(
        otp_after=otp_after,
        generation=generation,
        state=state,
        allow_local_webhooks=local_webhooks,
        past_orders=past_orders,
        **options,
    )
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
        if not as_json:
            sys.stderr.write(f"For other commands and programs: {_variables(server.url, served.token)}\n")
        try:
            wait(_stop)
        except KeyboardInterrupt:  # the usual end: nothing is printed
            return Exit.INTERRUPTED
    return Exit.OK


def _variables(url: str, token: str) -> str:
    """Return the line for a shell by which other programs find a sandbox."""
    if os.name == "nt":
        return f"$env:SMSCODE_BASE_URL = '{url}'; $env:SMSCODE_TOKEN = '{token}'"
    return f"export SMSCODE_BASE_URL={shlex.quote(url)} SMSCODE_TOKEN={shlex.quote(token)}"


def openapi(generation: Generation, version: Versions, out: TextIO) -> int:
    """Print the OpenAPI document of what the sandbox serves."""
    from ..sandbox.openapi import text

    out.write(text(generation, version))
    return 0
