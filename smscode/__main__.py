"""``smscode`` and ``python -m smscode``: the command line, with fewer commands without the ``cli`` extra."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from ._vendor import overwritten
from .cli import stdio
from .cli.exits import Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, one of `smscode.cli.exits.Exit`."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    stdio.replace_closed()
    stdio.escape_unencodable()
    broken = overwritten(sys.modules["smscode"])
    if broken is not None:
        sys.stderr.write(f"smscode: {broken}\n")
        return Exit.SETUP
    try:
        code = _run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return Exit.INTERRUPTED
    except OSError as error:
        return stdio.report_lost_output(error, Exit.FAILED)
    return code


def _run(given: list[str]) -> int:
    if all(importlib.util.find_spec(name) for name in ("typer", "rich")):
        from .cli.app import run

        return run(given)
    from .cli.fallback import main as plain

    return plain(given, sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
