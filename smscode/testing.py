"""Fixtures for pytest: a new sandbox and clients of it for each test.

pytest finds them by itself where the package is installed; ``pytest_plugins = ["smscode.testing"]`` in a
``conftest.py`` does no harm. Time stands still except where a client waits: it then passes at once, so a late
SMS makes no test slower.

pytest imports this module in every project, so it imports no other of the package before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from . import AsyncClient, Client
    from .sandbox import Delivery, Sandbox
    from .sandbox.transports.virtual import VirtualTime

MARKER: Final = "smscode_sandbox"
_SHOWN: Final = 100
_SANDBOX: Final = pytest.StashKey["Sandbox"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker with pytest."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**options): arguments of the Sandbox of this test, and api_version of its clients",
    )


@pytest.hookimpl(hookwrapper=True)  # the newer `wrapper` would break projects with an older pluggy
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Add the history of the sandbox to the report of a failed test."""
    report: pytest.TestReport = (yield).get_result()
    sandbox = item.stash.get(_SANDBOX, None)
    if report.failed and sandbox is not None:
        history = sandbox.history[-_SHOWN:]
        report.sections.append(("smscode sandbox", "\n".join(map(str, history)) or "nothing happened"))


def _accept(_: Delivery) -> int:
    return 204


@pytest.fixture
def smscode_sandbox_options() -> Mapping[str, Any]:
    """Return the arguments of `Sandbox`, and ``api_version``; override it to set them for many tests."""
    return {}


@pytest.fixture
def smscode_client_options() -> Mapping[str, Any]:
    """Return further arguments of `Client` and `AsyncClient`; override it to set them."""
    return {}


@pytest.fixture
def _smscode_options(
    request: pytest.FixtureRequest, smscode_sandbox_options: Mapping[str, Any]
) -> dict[str, Any]:
    found = dict(smscode_sandbox_options)
    _check_names("smscode_sandbox_options", found)
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(f"{MARKER}: expected arguments with names, as otp_after=30.")
        _check_names(MARKER, marker.kwargs)
        found |= marker.kwargs
    return found


def _check_names(where: str, options: Mapping[str, Any]) -> None:
    """Raise `pytest.UsageError` for an option that neither the sandbox nor its clients have."""
    if not options:
        return
    from difflib import get_close_matches
    from inspect import signature

    from .sandbox import Sandbox

    known = [*signature(Sandbox).parameters, "api_version"]
    for name in options:
        if name not in known:
            closest = get_close_matches(str(name), known, 1, 0.0)[0]
            raise pytest.UsageError(f"{where}: there is no argument {name!r}; the closest is {closest!r}.")


@pytest.fixture
def smscode_api_version(_smscode_options: Mapping[str, Any]) -> str:
    """Return the API version of the clients; override it with ``params=["v1", "v2"]`` to test both."""
    return str(_smscode_options.get("api_version", "v2"))


@pytest.fixture
def smscode_sandbox(request: pytest.FixtureRequest, _smscode_options: Mapping[str, Any]) -> Iterator[Sandbox]:
    """Yield a sandbox whose time passes only when the test or a client of it waits or advances it.

    Its webhooks only go to `Sandbox.deliveries`, unless ``deliver`` is given. In a test that uses
    `smscode_env` its time is the real one, and SMS arrive at once unless ``otp_after`` is given.
    """
    from .sandbox import Sandbox

    began = datetime.now(UTC).replace(microsecond=0)
    served = "smscode_env" in request.fixturenames
    usual: dict[str, Any] = {"otp_after": 0} if served else {"clock": lambda: began}
    options: dict[str, Any] = {"deliver": _accept, **usual, **_smscode_options}
    options.pop("api_version", None)
    with Sandbox(**options) as sandbox:
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox


@pytest.fixture
def smscode_env(smscode_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Yield the test's sandbox, for programs that make their own clients.

    It is served on a port of this machine, and SMSCODE_BASE_URL and SMSCODE_TOKEN are set for the test, also
    for processes that it starts. Needs the ``sandbox`` extra. The clients wait in real time.
    """
    with smscode_sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        monkeypatch.setenv("SMSCODE_TOKEN", smscode_sandbox.token)
        yield smscode_sandbox


@pytest.fixture
def _smscode_time(smscode_sandbox: Sandbox) -> VirtualTime:
    from .sandbox.transports.virtual import VirtualTime

    return VirtualTime(smscode_sandbox)


@pytest.fixture
def _smscode_client_arguments(
    smscode_api_version: str, smscode_client_options: Mapping[str, Any]
) -> Mapping[str, Any]:
    return {"api_version": smscode_api_version, **smscode_client_options}


@pytest.fixture
def smscode_client(
    smscode_sandbox: Sandbox,
    _smscode_client_arguments: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> Iterator[Client]:
    """Yield a `Client` of the sandbox."""
    from .sandbox.transports.virtual import VirtualClient

    with VirtualClient(smscode_sandbox, _smscode_time, **_smscode_client_arguments) as client:
        yield client


@pytest.fixture
def smscode_async_client(
    smscode_sandbox: Sandbox,
    _smscode_client_arguments: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> Iterator[AsyncClient]:
    """Yield an `AsyncClient` of the sandbox, for any plugin that runs the test's event loop.

    It belongs to the loop that uses it first, and is closed without one.
    """
    from .sandbox.transports.virtual import AsyncVirtualClient

    client = AsyncVirtualClient(smscode_sandbox, _smscode_time, **_smscode_client_arguments)
    yield client
    client.leave()


@pytest.fixture
def smscode_client_class(
    smscode_sandbox: Sandbox,
    _smscode_client_arguments: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> type[Client]:
    """Return a class to put in place of the `Client` that a program makes.

    It takes the same arguments. Its clients use the sandbox and its time, whatever token, address and way to
    connect the program gives.
    """
    from .sandbox.transports.virtual import client_class

    return client_class(smscode_sandbox, _smscode_time, _smscode_client_arguments)


@pytest.fixture
def smscode_async_client_class(
    smscode_sandbox: Sandbox,
    _smscode_client_arguments: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> type[AsyncClient]:
    """Return a class to put in place of the `AsyncClient` that a program makes, as `smscode_client_class`."""
    from .sandbox.transports.virtual import async_client_class

    return async_client_class(smscode_sandbox, _smscode_time, _smscode_client_arguments)
