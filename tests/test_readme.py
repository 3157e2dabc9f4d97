"""The README's programs run as they stand, against a sandbox."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from smscode import AsyncClient, Client, errors, webhooks
from smscode.core.retry import TABLE, Action
from smscode.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```shell\n(.*?)\n", README, re.MULTILINE)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Give the environment of a program that finds this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    return dict(os.environ)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if "FastAPI" not in p], ids=lambda p: p[:30])
def test_every_program_of_the_readme_runs_as_it_stands(
    program: str, environment: dict[str, str], tmp_path: Path
) -> None:
    sandbox = Sandbox(otp_after=0)
    with sandbox.serve() as server:
        environment |= {"SMSCODE_TOKEN": sandbox.token, "SMSCODE_BASE_URL": server.url}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_first_program_shows_a_number_and_its_code(environment: dict[str, str]) -> None:
    sandbox = Sandbox(otp_after=0)
    with sandbox.serve() as server:
        environment |= {"SMSCODE_TOKEN": sandbox.token, "SMSCODE_BASE_URL": server.url}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAMS[0]], env=environment, capture_output=True, text=True, timeout=60
        )
    assert re.fullmatch(r"number \+62\d+\ncode \d{6}\n", done.stdout)


@pytest.mark.asyncio
async def test_the_fastapi_application_rents_and_checks_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    names: dict[str, Any] = {}
    exec(next(p for p in PROGRAMS if "FastAPI" in p), names)
    lifespan: Callable[[object], AbstractAsyncContextManager[None]] = names["lifespan"]
    transport = httpx.ASGITransport(app=names["app"])
    body = b'{"event":"webhook.test","timestamp":"2026-06-14T04:15:00+00:00","data":{"message":"ping"}}'
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        async with (
            lifespan(names["app"]),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as browser,
        ):
            rented = await browser.post("/numbers", params={"catalog_product_id": 87})
            refused = await browser.post("/numbers", params={"catalog_product_id": 99_999})
            signature = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, "a secret")}
            signed = await browser.post("/smscode-webhook", content=body, headers=signature)
            forged = await browser.post("/smscode-webhook", content=body)
    assert rented.json()["phone_number"].startswith("+62")
    assert refused.status_code == 409
    assert signed.status_code == 204
    assert forged.status_code == 401


def test_the_two_commands_come_first_and_install_what_they_need() -> None:
    assert COMMANDS == [
        'python -m pip install ".[sandbox]" && python -m smscode demo',
        'python -m pip install ".[test]" && python -m pytest',
    ]


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_every_method_of_the_clients_is_in_the_table(client: type[Any]) -> None:
    resources: dict[str, type[Any]] = {
        name: getattr(sys.modules["smscode"], kind) for name, kind in client.__annotations__.items()
    }
    methods = {name for name in vars(client) if not name.startswith("_")} - set(resources)
    methods |= {
        f"{resource}.{name}"
        for resource, class_ in resources.items()
        for name in vars(class_)
        if not name.startswith("_")
    }
    listed = set(re.findall(r"^\| `([\w.]+)\(", README, re.MULTILINE))
    assert methods - {"close", "aclose"} == listed


def test_the_table_of_troubles_is_the_one_that_is_followed() -> None:
    words = {
        Action.STOP: "raise",
        Action.RESEND: "send again",
        Action.RECONCILE: "read the order",
        Action.CHECK: "read the order if in doubt",
    }
    stated = [
        row.strip("| ").split(" | ")[1:]
        for row in README.splitlines()
        if re.match(r"\| .* \| `[\w -]+` \| (raise|send|read)", row)
    ]
    followed = [
        [
            f"`{what}`",
            *(words[action] for action in (rule.read, rule.create, rule.transition, rule.resend)),
            f"`{rule.outcome}`",
        ]
        for what, rule in TABLE.items()
    ]
    assert stated == followed
    assert all(rule.config == rule.read for rule in TABLE.values())


def test_every_error_is_in_the_table() -> None:
    classes = {name for name in vars(errors) if name.endswith("Error")}
    rows = README.partition("## Errors")[2]
    assert {name for name in classes if f"`{name}`" not in rows} == set()
