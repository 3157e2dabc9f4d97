"""Everything that is checked, by name: ``nox -l`` lists it.

``nox -s generate`` writes the synchronous twins; ``nox -s generate -- --check`` only compares.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
PARALLEL = ["-n", "auto", "--dist", "worksteal"]
VENDOR_SDK = "smscode==1.2.0"
PYPROJECT: dict[str, Any] = nox.project.load_toml("pyproject.toml")
SHORT = ["tests/core", *(f"tests/test_{name}.py" for name in ("journal", "journal_owners", "package"))]
PORTABLE = ["tests/core", "tests/_async", "tests/_sync", "tests/test_journal.py"]
CONNECTING = [
    "tests/_http",
    "tests/test_cancellation.py",
    "tests/_async/test_connection_pool.py",
    "tests/faults",
]
BEHAVIOUR = ["tests/_async", "tests/_sync", "tests/_http", "tests/faults"]
CANCELLATIONS = [
    f"tests/test_{name}cancellation.py" for name in ("", "purchase_", "rental_", "events_", "finding_")
]
FOR_EXTRAS = ("smscode-async", "opentelemetry-sdk", "pydantic")  # what the tests of the extras need


def install(session: nox.Session, extras: str = "", *groups: str) -> None:
    """Install this checkout with extras, and dependency groups beside it, with any version of pip."""
    needed = nox.project.dependency_groups(PYPROJECT, *groups) if groups else ()
    session.install("-e", f".[{extras}]" if extras else ".", *needed)


@nox.session(python=False)
def generate(session: nox.Session) -> None:
    """Write the synchronous twins of smscode/_async and tests/_async; with --check, compare them."""
    session.run("python", ".ci/generate_sync.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on all cores with branch coverage; it must be complete for what is written by hand.

    What follows ``--`` goes to pytest; with it, coverage need not be complete.
    """
    install(session, "test", "examples")
    some = ["--cov-fail-under=0", *session.posargs] if session.posargs else []
    session.run("pytest", *PARALLEL, "--cov", *some)


@nox.session(python=PYTHONS)
def tests_short(session: nox.Session) -> None:
    """Run the demo, and the tests that depend most on the Python: core, threads, forks, packaging."""
    install(session, "test")
    session.run("python", "-W", "error", "-m", "smscode", "demo")
    session.run("pytest", *PARALLEL, *SHORT, *session.posargs)


@nox.session(python=PYTHONS)
def tests_portable(session: nox.Session) -> None:
    """Run the demo and the tests that need nothing of POSIX, for Windows and macOS."""
    install(session, "test")
    session.run("python", "-W", "error", "-m", "smscode", "demo")
    session.run("pytest", *PARALLEL, *PORTABLE, *session.posargs)


@nox.session
def stacks(session: nox.Session) -> None:
    """Run the tests of what clients do over httpx2, then over aiohttp; --short for those of connections."""
    install(session, "test")
    folders = CONNECTING if "--short" in session.posargs else [*BEHAVIOUR, *CANCELLATIONS]
    others = [argument for argument in session.posargs if argument != "--short"]
    for name in ("httpx2", "aiohttp"):
        session.run("pytest", *PARALLEL, "--http", name, *folders, *others)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and that the generated files are as generated."""
    install(session, "", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", ".ci/generate_sync.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict, and that the public surface is typed whole."""
    install(session, "test", "types")
    session.run("mypy")
    session.run("mypy", "--platform", "win32", "smscode")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "smscode")


@nox.session(python=False)
def check(session: nox.Session) -> None:
    """Do what lint and types do, all at once, with what is installed here; mypy keeps its cache."""
    generated = "python .ci/generate_sync.py --check"
    commands = ("ruff check .", "ruff format --check .", generated, "mypy", "pyright")
    running = [subprocess.Popen(shlex.split(command)) for command in commands]
    failed = sum(process.wait() != 0 for process in running)
    if failed:
        session.error(f"{failed} of {len(commands)} failed")


def distributions(session: nox.Session) -> tuple[str, str]:
    """Return the wheel and the sdist: those in the folder after --dist, else built from this checkout."""
    if "--dist" in session.posargs:
        dist = Path(session.posargs[session.posargs.index("--dist") + 1]).resolve()
    else:
        dist = Path(session.create_tmp()).resolve() / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        session.install("build")
        session.run("python", "-m", "build", "--outdir", str(dist), ".")
    (built,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    return str(built), str(sdist)


def use(session: nox.Session, built: str, *others: str) -> None:
    """Install the distributions in environments of their own, and use them there."""
    session.install("virtualenv", f"smscode-async[sandbox] @ {Path(built).as_uri()}")
    folder = str(Path(session.create_tmp()).resolve() / "environments")
    session.run("python", ".ci/check_packages.py", folder, built, *others)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions, check them, and use each outside the tree; --keep FOLDER keeps them.

    The wheel is installed without extras and with all but that of the command line, the sdist with that.
    """
    files = distributions(session)
    session.install("twine")
    session.run("twine", "check", "--strict", *files)
    session.run("python", ".ci/check_release.py", "contents", *files)
    use(session, *files)
    if "--keep" in session.posargs:
        target = Path(session.posargs[session.posargs.index("--keep") + 1])
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, target)


@nox.session(python=PYTHONS)
def packages(session: nox.Session) -> None:
    """Use the wheel and the sdist with each extra, and beside the vendor's SDK, in six minutes.

    --dist FOLDER takes those in a folder instead of building them.
    """
    use(session, *distributions(session), VENDOR_SDK)


@nox.session
def tests_min(session: nox.Session) -> None:
    """Run the tests on the oldest dependencies allowed, and without the extras."""
    tests: list[str] = PYPROJECT["project"]["optional-dependencies"]["test"]
    bare = [needed for needed in tests if re.split(r"[\[<>=]", needed)[0] not in FOR_EXTRAS]
    session.install("-e", ".", *bare)
    session.install("httpx==0.28.0", "attrs==23.2.0", "cattrs==24.1.0", "anyio==4.5.0")
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the clients against a server that fails in every way; --short for less of it."""
    install(session, "test")
    session.run("python", "-m", "tests.faults.run", *session.posargs)


@nox.session
def obtain(session: nox.Session) -> None:
    """Obtain codes in spite of faults, interruptions and kills; --short for less of it."""
    install(session, "test")
    session.run("python", "-m", "tests.obtain.run", *session.posargs)


@nox.session
def purchases(session: nox.Session) -> None:
    """Prove that no purchase is made twice, lost or denied; --short, --mutants, --seed N, --only NAME."""
    install(session, "test")
    session.run("python", "-m", "tests.purchases.run", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the core in one place at a time and count what its tests notice.

    The sample is of 700 changes, for at most 30 minutes; --seed N repeats one, --count N, --only PART of a
    path, --minutes N and --verbose may follow. No tool that is maintained does this: mutmut 3 leaves all
    code outside of functions alone, so also the retry table, and cosmic-ray takes no sample.
    """
    install(session, "test")
    session.run("python", "-m", "tests.mutants.run", *session.posargs)


@nox.session
def invariants(session: nox.Session) -> None:
    """Do everything with the sandbox and the core in any order, 25 times as often; a number may follow."""
    install(session, "test")
    times = int(session.posargs[0]) if session.posargs else 25
    runs = {"SMSCODE_SANDBOX_RUNS": str(200 * times), "SMSCODE_CORE_RUNS": str(times)}
    machines = ("test_invariants.py", "test_scenario_invariants.py", "test_state.py")
    session.run("pytest", *PARALLEL, "tests/core", *(f"tests/sandbox/{name}" for name in machines), env=runs)


def vendor_python(session: nox.Session) -> str:
    """Install the vendor's own SDK and return its Python.

    Its import name is the same as this package's, so it lives in an environment of its own.
    """
    other = Path(session.create_tmp()) / "vendor"
    session.run("python", "-m", "venv", "--clear", str(other))
    python = str(other / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", VENDOR_SDK, external=True)
    return python


@nox.session
def bench(session: nox.Session) -> None:
    """Measure this package beside others; names of benchmarks, --quick and --json FILE may follow."""
    install(session, "test", "bench")
    session.run("python", "-m", "benchmarks", "--vendor", vendor_python(session), *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Check the sandbox against its own OpenAPI document with Schemathesis; --long for ten times as much."""
    install(session, "sandbox", "contract")
    session.run("python", "-m", "tests.contract.run", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs/site; a warning is an error."""
    install(session, "cli", "docs", "lint")  # ruff breaks the signatures into lines
    session.run("python", "docs/generate.py", "build/docs")
    session.run("zensical", "build", "--clean", "--strict", "--config-file", "build/docs/zensical.toml")
    if shutil.which("node") is None:
        session.warn("Node.js is not installed: the search of the built site is not checked.")
    else:
        session.run("node", "docs/search.mjs", "build/docs/site", external=True)


@nox.session
def vendor(session: nox.Session) -> None:
    """Run the vendor's own SDK against the served sandbox; only the sandbox's process has this package."""
    install(session, "sandbox")
    python = vendor_python(session)
    for version in ("v1", "v2"):
        session.run("python", "tests/vendor/serve.py", python, "tests/vendor/use_sdk.py", version)
