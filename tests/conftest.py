"""What all tests share: both event loops, both API versions, and an environment without settings."""

from __future__ import annotations

import os
import signal
from importlib.metadata import version as installed
from typing import Literal

import pytest

from smscode._http.stacks import STACKS
from smscode._ratelimit import registry

from . import stacks

# A shell without job control starts what runs in its background with SIGINT ignored, and every program that
# a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--http", choices=STACKS, default=None, help="the HTTP stack that clients connect by")


def pytest_configure(config: pytest.Config) -> None:
    if name := config.getoption("--http"):
        os.environ[stacks.VARIABLE] = str(name)
    if tuple(int(part) for part in installed("anyio").split(".")[:2]) < (4, 16):
        # The socket of a cancelled connect stays open until it is collected, which may be in a later test.
        config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def chosen_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.use_everywhere(monkeypatch)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> Literal["v1", "v2"]:
    return "v1" if request.param == "v1" else "v2"


@pytest.fixture(params=["documented", "current"])
def generation(request: pytest.FixtureRequest) -> Literal["documented", "current"]:
    return "current" if request.param == "current" else "documented"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMSCODE_TOKEN", "SMSCODE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def fresh_budgets() -> None:
    """Keep tests from waiting for the rate limits that another one used up."""
    registry.forget_account_limits()
