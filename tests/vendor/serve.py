"""Serves a sandbox and runs a script of the vendor's SDK against it, in that SDK's environment.

python tests/vendor/serve.py PYTHON SCRIPT VERSION

The script may ask for a situation: it prints a line "please: NAME" and gets a line back when it is so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

from smscode.sandbox import AbuseGuard, Behaviour, Sandbox

ASKING = "please: "
SITUATIONS: Mapping[str, Callable[[Sandbox], None]] = {
    "two minutes later": lambda sandbox: sandbox.advance(120),
    "an hour later": lambda sandbox: sandbox.advance(3600),
    "no codes": lambda sandbox: sandbox.set_behaviour(Behaviour(messages=())),
    "slow suppliers": lambda sandbox: sandbox.set_behaviour(Behaviour(takes=30)),
    "refusing suppliers": lambda sandbox: sandbox.set_behaviour(Behaviour(outcome="no_numbers")),
    "few numbers": lambda sandbox: sandbox.set_behaviour(Behaviour(at_most=1)),
    "usual suppliers": lambda sandbox: sandbox.set_behaviour(Behaviour()),
    "no rate": lambda sandbox: sandbox.set_rate(None),
    "a rate": lambda sandbox: sandbox.set_rate(16_250),
    "closed": lambda sandbox: sandbox.set_maintenance(True, retry_after=60),
    "open": lambda sandbox: sandbox.set_maintenance(False),
    "suspended": lambda sandbox: sandbox.set_suspended(True),
    "admitted": lambda sandbox: sandbox.set_suspended(False),
    "a defect": lambda sandbox: sandbox.fail_next("balance.get", "INTERNAL_ERROR"),
}


def main(python: str, script: str, version: str) -> int:
    """Run the script with the sandbox's address; its exit code is this one's."""
    sandbox = Sandbox(
        otp_after=0.3,
        resend_cooldown=0.0,
        allow_local_webhooks=True,
        generation="current",
        abuse_guard=AbuseGuard(orders=8, percent=50),
    )
    with sandbox.serve() as server:
        command = [python, "-I", script, server.url, sandbox.token, version]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, text=True, bufsize=1, stdin=pipe, stdout=pipe) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for line in process.stdout:
                if not line.startswith(ASKING):
                    print(line, end="")
                    continue
                SITUATIONS[line.removeprefix(ASKING).strip()](sandbox)
                process.stdin.write("so it is\n")
        sandbox.wait_for_deliveries()
    spent = sum(movement.amount for movement in sandbox.ledger)
    print(f"the sandbox saw {sum(sandbox.requests.values())} requests; balance {sandbox.balance} = {spent}")
    return process.returncode or int(spent != sandbox.balance)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
