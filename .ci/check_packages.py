"""Installs the distributions with each extra into empty environments, and checks what the extras are for.

    python .ci/check_packages.py FOLDER WHEEL SDIST                   three environments for all extras
    python .ci/check_packages.py FOLDER WHEEL SDIST smscode==1.2.0    each extra, from the wheel and the sdist

The second also installs that version of the vendor's SDK beside the package, and runs tests that are in the
sdist. The environments are made in FOLDER by virtualenv, for the Python that runs this; it needs
smscode-async[sandbox], which serves a sandbox to the checks. At the end it prints how long each step took.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from check_release import ROOT

from smscode.sandbox import Sandbox

CHECK = str(ROOT / ".ci" / "check_extras.py")
OWN_TESTS = ("tests/core", "tests/test_package.py")
EXTRAS = sorted(
    tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
)

Work = Callable[[Path], None]


def wanted(distribution: Path, *extras: str) -> str:
    """Return the requirement for a distribution with extras."""
    named = f"[{','.join(extras)}]" if extras else ""
    return f"smscode-async{named} @ {distribution.as_uri()}"


def environment(folder: Path, requirements: tuple[str, ...]) -> str:
    """Make an empty environment, install the requirements one after the other, and return its Python."""
    make = ("virtualenv", "--quiet", "--no-periodic-update", "--python", sys.executable, str(folder))
    subprocess.run([sys.executable, "-m", *make], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    for requirement in requirements:
        pip = ("pip", "install", "--quiet", "--disable-pip-version-check", requirement)
        subprocess.run([python, "-m", *pip], check=True)
    return python


def use(requirements: tuple[str, ...], *checks: str) -> Work:
    """Return the step that installs the requirements and runs checks of `check_extras.py`."""

    def work(folder: Path) -> None:
        python = environment(folder / "environment", requirements)
        subprocess.run([python, CHECK, *checks], check=True, cwd=folder)

    return work


def run_own_tests(sdist: Path, folder: Path) -> None:
    """Unpack the sdist, install what was unpacked, and run some of its tests there."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    tree = next(folder.glob("*/pyproject.toml")).parent
    python = environment(folder / "environment", (f"{tree}[test]",))
    tests = ("pytest", "-q", "-p", "no:cacheprovider", *OWN_TESTS)
    subprocess.run([python, "-m", *tests], check=True, cwd=tree)


def short(wheel: Path, sdist: Path) -> Iterator[tuple[str, Work]]:
    """Yield the steps of a quick look: no extra, the command line, and all the others together."""
    others = [name for name in EXTRAS if name not in ("cli", "test")]
    yield "wheel: none", use((wanted(wheel),), "none")
    yield "sdist: cli", use((wanted(sdist, "cli"),), "cli")
    yield "wheel: the others", use((wanted(wheel, *others),), *others)


def whole(wheel: Path, sdist: Path, vendor_sdk: str) -> Iterator[tuple[str, Work]]:
    """Yield all steps for this Python."""
    for kind, distribution in (("wheel", wheel), ("sdist", sdist)):
        yield f"{kind}: none", use((wanted(distribution),), "none")
        for name in EXTRAS:
            yield f"{kind}: {name}", use((wanted(distribution, name),), name)
    yield "vendor's SDK, then wheel", use((vendor_sdk, wanted(wheel, "cli")), "vendor-first")
    yield "wheel, then vendor's SDK", use((wanted(wheel, "cli"), vendor_sdk), "vendor-last")
    yield "sdist: own tests", partial(run_own_tests, sdist)


def main(folder: Path, steps: Iterator[tuple[str, Work]]) -> int:
    """Do all steps, each in an empty folder, and print their table. Return how many failed."""
    table: list[str] = []
    failed = 0
    sandbox = Sandbox(otp_after=0.5)
    with sandbox.serve() as server:
        os.environ |= {"SMSCODE_BASE_URL": server.url, "SMSCODE_TOKEN": sandbox.token}
        for name, work in steps:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            began = time.monotonic()
            try:
                work(folder)
                outcome = "ok"
            except subprocess.CalledProcessError as error:
                outcome, failed = f"failed: {error}", failed + 1
            table.append(f"{name:26} {time.monotonic() - began:5.1f} s  {outcome}")
            print(table[-1], flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"== Python {sys.version.split()[0]}", *table, sep="\n")
    return failed


if __name__ == "__main__":
    place, wheel, sdist = (Path(argument).resolve() for argument in sys.argv[1:4])
    steps = whole(wheel, sdist, sys.argv[4]) if sys.argv[4:] else short(wheel, sdist)
    sys.exit(main(place, steps) > 0)
