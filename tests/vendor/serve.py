"""Serves a sandbox and runs a script of the vendor's SDK against it, in that SDK's environment.

python tests/vendor/serve.py PYTHON SCRIPT VERSION
"""

from __future__ import annotations

import subprocess
import sys

from smscode.sandbox import Sandbox


def main(python: str, script: str, version: str) -> int:
    """Run the script with the sandbox's address; its exit code is this one's."""
    sandbox = Sandbox(otp_after=0.3, resend_cooldown=0.0, allow_local_webhooks=True)
    with sandbox.serve() as server:
        command = [python, "-I", script, server.url, sandbox.token, version]
        code = subprocess.run(command, check=False, timeout=120).returncode
    spent = sum(movement.amount for movement in sandbox.ledger)
    print(f"the sandbox saw {sum(sandbox.requests.values())} requests; balance {sandbox.balance} = {spent}")
    return code or int(spent != sandbox.balance)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
