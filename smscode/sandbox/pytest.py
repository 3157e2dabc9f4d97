"""Fixtures for pytest: a new sandbox and clients of it for each test.

Enable them with ``pytest_plugins = ["smscode.sandbox.pytest"]`` in a ``conftest.py``. Time stands still
except where a client waits: it then passes at once, so a late SMS makes no test slower.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from .. import AsyncClient, Client
from .sandbox import Sandbox
from .service.webhooks import Delivery
from .transports.virtual import AsyncVirtualClient, VirtualClient, VirtualTime

MARKER: Final = "smscode_sandbox"
_SHOWN: Final = 100
_SANDBOX: Final = pytest.StashKey[Sandbox]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker with pytest."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**options): arguments of the Sandbox of this test, and api_version of its clients",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the history of the sandbox to the report of a failed test."""
    report = yield
    sandbox = item.stash.get(_SANDBOX, None)
    if report.failed and sandbox is not None:
        history = sandbox.history[-_SHOWN:]
        report.sections.append(("smscode sandbox", "\n".join(map(str, history)) or "nothing happened"))
    return report


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
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(f"{MARKER}: expected arguments with names, as otp_after=30.")
        found |= marker.kwargs
    return found


@pytest.fixture
def smscode_api_version(_smscode_options: Mapping[str, Any]) -> str:
    """Return the API version of the clients; override it with ``params=["v1", "v2"]`` to test both."""
    return str(_smscode_options.get("api_version", "v2"))


@pytest.fixture
def smscode_sandbox(request: pytest.FixtureRequest, _smscode_options: Mapping[str, Any]) -> Iterator[Sandbox]:
    """Yield a sandbox whose time passes only when the test or a client of it waits or advances it.

    Its webhooks only go to `Sandbox.deliveries`, unless ``deliver`` is given.
    """
    began = datetime.now(UTC).replace(microsecond=0)
    options: dict[str, Any] = {"clock": lambda: began, "deliver": _accept, **_smscode_options}
    options.pop("api_version", None)
    with Sandbox(**options) as sandbox:
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox


@pytest.fixture
def _smscode_time(smscode_sandbox: Sandbox) -> VirtualTime:
    return VirtualTime(smscode_sandbox)


@pytest.fixture
def smscode_client(
    smscode_sandbox: Sandbox,
    smscode_api_version: str,
    smscode_client_options: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> Iterator[Client]:
    """Yield a `Client` of the sandbox."""
    options = {"api_version": smscode_api_version, **smscode_client_options}
    with VirtualClient(smscode_sandbox, _smscode_time, **options) as client:
        yield client


@pytest.fixture
def smscode_async_client(
    smscode_sandbox: Sandbox,
    smscode_api_version: str,
    smscode_client_options: Mapping[str, Any],
    _smscode_time: VirtualTime,
) -> Iterator[AsyncClient]:
    """Yield an `AsyncClient` of the sandbox, for any plugin that runs the test's event loop.

    It belongs to the loop that uses it first, and is closed without one.
    """
    options = {"api_version": smscode_api_version, **smscode_client_options}
    client = AsyncVirtualClient(smscode_sandbox, _smscode_time, **options)
    yield client
    client.leave()
