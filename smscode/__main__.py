"""``python -m smscode``: the demonstration, the sandbox and its OpenAPI document."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from .errors import SmscodeError

_MOST_NUMBERS = 1000

_stop = threading.Event()  # never set: an interrupt ends the wait for it


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Run a command and give its exit code; 2 stands for a wrong command line."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, TextIO], int] = options.command
    try:
        return command(options, out)
    except SmscodeError as error:
        sys.stderr.write(f"smscode: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m smscode", description="Try the SMSCode client.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="rent numbers on a sandbox and watch their codes arrive")
    demo.add_argument("--count", type=_whole(1, _MOST_NUMBERS), default=50, help="how many numbers (50)")
    demo.add_argument("--sync", action="store_true", help="use threads and Client instead of asyncio")
    demo.add_argument("--api-version", choices=["v1", "v2"], default="v2", help="v1: rupiah, v2: dollars")
    demo.set_defaults(command=_demo)

    sandbox = commands.add_parser("sandbox", help="serve a sandbox on this machine until interrupted")
    sandbox.add_argument("--port", type=_whole(0, 65535), default=0, help="0 takes any free one (0)")
    sandbox.add_argument("--otp-after", type=float, default=2.0, metavar="SECONDS", help="how soon (2)")
    sandbox.add_argument("--generation", choices=["documented", "current"], default="current")
    sandbox.add_argument("--balance", type=_whole(0, 10**15), default=1_000_000, metavar="IDR")
    sandbox.set_defaults(command=_sandbox)

    openapi = commands.add_parser("openapi", help="print the OpenAPI document of what the sandbox serves")
    openapi.add_argument("--generation", choices=["documented", "current"], default="current")
    openapi.add_argument("--api-version", choices=["v1", "v2", "both"], default="both")
    openapi.set_defaults(command=_openapi)
    return parser


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number of {low}..{high}")
        return int(text)

    return parse


def _demo(options: argparse.Namespace, out: TextIO) -> int:
    from .demo.command import run

    return run(options.count, options.api_version, options.sync, out)


def _sandbox(options: argparse.Namespace, out: TextIO) -> int:
    from .sandbox import Sandbox

    sandbox = Sandbox(otp_after=options.otp_after, generation=options.generation, balance=options.balance)
    with sandbox.serve(options.port) as server:
        out.write(f"listening on {server.url} token {sandbox.token}\n")
        out.flush()
        _stop.wait()
    return 0


def _openapi(options: argparse.Namespace, out: TextIO) -> int:
    from .sandbox.openapi import text

    out.write(text(options.generation, options.api_version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
