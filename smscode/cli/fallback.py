"""The command line without the ``cli`` extra: the commands that need no account."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ..errors import SmscodeError
from . import offline
from .error_report import ErrorReport
from .exits import Exit

NEEDS_EXTRA = 'This command needs an extra: pip install "smscode-async[cli]"'
EXTRA_COMMANDS = (
    *("balance", "cancel", "countries", "doctor", "exchange-rate", "finish", "login", "obtain", "operators"),
    *(
        "order",
        "orders",
        "products",
        "reactivate",
        "reactivate-options",
        "recover",
        "rent",
        "resend",
        "services",
    ),
    *("stats", "watch", "webhook"),
)

_GENERATION = "fields of the documentation, or of the current service (current)"


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Run a command and return its exit code."""
    if arguments and arguments[0] in EXTRA_COMMANDS:
        sys.stderr.write(f"smscode: {NEEDS_EXTRA}\n")
        return Exit.SETUP
    parser = _parser()
    if not arguments:
        parser.print_help(out)
        return Exit.USAGE
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace, TextIO], int] = options.command
    try:
        return command(options, out)
    except SmscodeError as error:
        sys.stderr.write(f"smscode: {error}\n")
        return ErrorReport(error, "").exit
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Nothing was changed.\n")
        return Exit.INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m smscode",
        description="Try the SMSCode client.",
        epilog=f"With the cli extra also: {', '.join(EXTRA_COMMANDS)}.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="rent numbers on a sandbox and watch their codes arrive")
    demo.add_argument(
        "--count", type=_whole(1, offline.MOST_NUMBERS), default=50, help="how many numbers (50)"
    )
    demo.add_argument("--sync", action="store_true", help="use threads and Client instead of asyncio")
    demo.add_argument("--api-version", choices=["v1", "v2"], default="v2", help="v1: rupiah, v2: dollars")
    demo.set_defaults(command=_demo)

    sandbox = commands.add_parser("sandbox", help="serve a sandbox on this machine until interrupted")
    sandbox.add_argument(
        "--port", type=_whole(0, offline.LAST_PORT), default=0, help="0 for any free port (0)"
    )
    sandbox.add_argument(
        "--otp-after", type=float, default=2.0, metavar="SECONDS", help="seconds until an SMS arrives (2)"
    )
    sandbox.add_argument(
        "--generation", choices=["documented", "current"], default="current", help=_GENERATION
    )
    sandbox.add_argument(
        "--balance",
        metavar="AMOUNT",
        help=f"balance: dollars such as 10usd, or whole rupiah such as 162500 ({offline.FUNDS})",
    )
    sandbox.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME",
        help="a scenario to play, such as 'ban(60)'; repeat for several",
    )
    sandbox.add_argument(
        "--state", type=Path, metavar="FILE", help="store the state in this file, to continue later"
    )
    sandbox.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="address to listen on and host name to accept; repeat for more names",
    )
    sandbox.add_argument("--token", metavar="TOKEN", help="the token to accept (a random one)")
    sandbox.add_argument("--local-webhooks", action="store_true", help="send webhooks to this machine, too")
    sandbox.add_argument(
        "--past-orders",
        type=_whole(0, offline.MOST_PAST_ORDERS),
        default=0,
        metavar="N",
        help="how many past orders the account has (0)",
    )
    sandbox.set_defaults(command=_sandbox)

    openapi = commands.add_parser("openapi", help="print the OpenAPI document of what the sandbox serves")
    openapi.add_argument(
        "--generation", choices=["documented", "current"], default="current", help=_GENERATION
    )
    openapi.add_argument(
        "--api-version", choices=["v1", "v2", "both"], default="both", help="the API version (both)"
    )
    openapi.set_defaults(command=_openapi)
    for command in (demo, sandbox, openapi):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--sandbox", action="store_true", help=argparse.SUPPRESS)  # they always use one
    return parser


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number of {low}..{high}")
        return int(text)

    return parse


def _demo(options: argparse.Namespace, out: TextIO) -> int:
    return offline.demo(options.count, options.api_version, options.sync, options.json, out)


def _sandbox(options: argparse.Namespace, out: TextIO) -> int:
    return offline.sandbox(
        options.port,
        options.otp_after,
        options.generation,
        options.balance,
        options.scenario,
        options.state,
        options.host,
        options.token,
        options.local_webhooks,
        options.past_orders,
        options.json,
        out,
    )


def _openapi(options: argparse.Namespace, out: TextIO) -> int:
    return offline.openapi(options.generation, options.api_version, out)
