"""A sandbox over TCP in a process of its own: prints its address, and ends with its standard input."""

from __future__ import annotations

import sys

from smscode.sandbox import Sandbox

if __name__ == "__main__":
    sandbox = Sandbox(
        otp_after=0.1,
        cancel_after=0.4,
        seed=int(sys.argv[1]),
        balance=10**9,
        abuse_guard=None,
        rate_limits=False,
    )
    sandbox.play("dead_numbers(0.5)")
    with sandbox.serve() as server:
        print(server.url, sandbox.token, flush=True)
        sys.stdin.read()
