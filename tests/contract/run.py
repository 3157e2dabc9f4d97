"""Check the served sandbox against its own OpenAPI document with Schemathesis.

Positive and negative data, and chains of calls along the document's links. Nothing may be answered
with a 5xx, or with anything that is not in the document. ``--long`` tries ten times as much.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from smscode.sandbox import Sandbox
from smscode.sandbox.http.render import Generation
from smscode.sandbox.openapi import text

_CONFIG = Path(__file__).resolve().with_name("schemathesis.toml")
_EXAMPLES = 10


@frozen
class Run:
    """A sandbox to try: where codes come at once, orders can be finished, elsewhere cancelled."""

    generation: Generation
    otp_after: float | None

    def sandbox(self) -> Sandbox:
        """Make it: rich, and with webhooks that go nowhere."""
        return Sandbox(
            generation=self.generation,
            balance=10**12,
            otp_after=self.otp_after,
            cancel_after=0,
            resend_cooldown=0,
            deliver=lambda _: 204,
            rate_limits=False,
            abuse_guard=None,
        )


RUNS = (Run("current", otp_after=0), Run("documented", otp_after=None))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every generation; return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="try ten times as much")
    options = parser.parse_args(arguments)
    examples = _EXAMPLES * (10 if options.long else 1)
    return max([_try(run, examples) for run in RUNS])


def _try(run: Run, examples: int) -> int:
    sandbox = run.sandbox()
    with tempfile.TemporaryDirectory() as folder, sandbox.serve() as server:
        described = Path(folder) / "openapi.json"
        described.write_text(text(run.generation), encoding="utf-8")
        command: list[Any] = ["schemathesis", "--config-file", _CONFIG, "run", described]
        done = subprocess.run(
            [*command, "--url", server.url, "--max-examples", str(examples)], check=False, cwd=folder
        )
    bought = sum(movement.order_id is not None for movement in sandbox.ledger)
    print(f"{run.generation}: {sum(sandbox.requests.values())} requests, {bought} movements of money")
    if not bought:
        print("nothing was bought, so orders were not tried")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
