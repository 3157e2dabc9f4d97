"""The README's programs run as they stand, against a sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from smscode import AsyncClient, Client, webhooks
from smscode.sandbox import Sandbox

from .programs import ROOT, Program, programs_of, run
from .public_surface import resources

README = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = programs_of(ROOT / "README.md")
COMMANDS = re.findall(r"^```shell\n(.*?)\n", README, re.MULTILINE)


@pytest.mark.parametrize(
    "program", [program for program in PROGRAMS if "FastAPI" not in program.source], ids=lambda p: p.name
)
def test_every_program_of_the_readme_runs_as_it_stands(program: Program, tmp_path: Path) -> None:
    run(program, tmp_path)


def test_the_first_program_shows_a_number_and_its_code(tmp_path: Path) -> None:
    assert re.fullmatch(r"number \+62\d+\ncode \d{6}\n", run(PROGRAMS[0], tmp_path))


@pytest.mark.asyncio
async def test_the_fastapi_application_rents_and_checks_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in ("fastapi", "uvicorn"):
        pytest.importorskip(extra)
    sandbox = Sandbox()
    monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    names: dict[str, Any] = {}
    exec(next(program.source for program in PROGRAMS if "FastAPI" in program.source), names)
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
    found = resources(client)
    methods = {name for name in vars(client) if not name.startswith("_")} - found.keys()
    methods |= {
        f"{resource}.{name}" for resource, class_ in found.items() for name in dir(class_) if name[0] != "_"
    }
    listed = set(re.findall(r"^\| `([\w.]+)\(", README, re.MULTILINE))
    assert methods - {"close", "aclose"} == listed


def test_every_page_that_is_named_is_there() -> None:
    pages = re.findall(r"\]\((docs/[^)#]+)\)", README)
    assert len(pages) >= 3
    assert [page for page in pages if not (ROOT / page).is_file()] == []
