"""The README's programs run as they stand, against a sandbox."""

from __future__ import annotations

import re
import runpy
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
TRANSLATIONS = [ROOT / f"README.{language}.md" for language in ("zh", "id")]
COMMANDS = re.findall(r"^```shell\n(.*?)\n", README, re.MULTILINE)


@pytest.mark.parametrize(
    "program",
    [
        program
        for path in (ROOT / "README.md", *TRANSLATIONS)
        for program in programs_of(path)
        if "FastAPI" not in program.source
    ],
    ids=lambda p: p.name,
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
    lifespan: Callable[[object], AbstractAsyncContextManager[None]] = names["app"].router.lifespan_context
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
def test_every_method_that_the_readme_names_is_there(client: type[Any]) -> None:
    _, _, section = README.partition("\n## Methods\n")
    table = re.findall(r"^\| [a-z].*\|$", section.partition("\n## ")[0], re.MULTILINE)
    named = [name for row in table for name in re.findall(r"`([\w.]+)`", row)]
    assert len(named) > 25
    for name in named:
        resource, _, method = name.rpartition(".")
        owner = resources(client)[resource] if resource else client
        assert callable(getattr(owner, method)), name


def test_every_page_that_is_named_is_there() -> None:
    pages = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(pages) >= 15
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= 250


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_a_translation_has_the_programs_commands_and_links_of_the_readme(path: Path) -> None:
    text = path.read_text("utf-8")

    def without_comments(source: str) -> str:
        return re.sub(r"#.*", "#", source)

    translated = [without_comments(one.source) for one in programs_of(path)]
    assert translated == [without_comments(one.source) for one in PROGRAMS]
    assert re.findall(r"^```shell\n(.*?)\n", text, re.MULTILINE) == COMMANDS
    rows = re.compile(r"^\| (`.*?`) \| ", re.MULTILINE)
    assert rows.findall(text) == rows.findall(README.partition("## Speed")[0]), "the same commands"
    links = re.compile(r"\]\(([\w./-]+)\)")
    readmes = {"README.md", "README.zh.md", "README.id.md"}
    assert {*links.findall(text)} - readmes == {*links.findall(README)} - readmes


@pytest.mark.parametrize("name", ["demo", "rent"])
def test_the_pictures_show_what_the_commands_print(name: str) -> None:
    pytest.importorskip("typer")
    pictures: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    command = pictures["PICTURES"][name]
    picture = (ROOT / "docs" / "pages" / "pictures" / f"{name}.svg").read_text("utf-8")
    drawn = pictures["drawn"](command, pictures["transcript"](command))
    assert pictures["text_of"](drawn) == pictures["text_of"](picture), (
        "python docs/pictures.py draws it again"
    )
    assert "@font-face" not in picture, "nothing is fetched from elsewhere"
    assert f"docs/pages/pictures/{name}.svg" in README
