"""The documentation's examples for web frameworks receive a webhook, beside the application's own pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from smscode import webhooks
from smscode.sandbox import Sandbox

from ..programs import ROOT, programs_of

SECRET = "a secret"
BODY = (
    b'{"event":"order.otp_received","timestamp":"2026-06-14T04:15:00+00:00",'
    b'"data":{"order_id":1001,"otp_code":"482913","otp_message":"482913"}}'
)
SIGNED = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, SECRET)}
PAGE = ROOT / "docs" / "pages" / "how-to" / "frameworks.md"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(otp_after=None, balance=16_250_000)
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", SECRET)
        yield sandbox
    logging.getLogger("smscode").setLevel(logging.NOTSET)


def example(word: str) -> dict[str, Any]:
    """Run the example that imports a framework, and return its names."""
    (program,) = [program for program in programs_of(PAGE) if f"from {word}" in program.source]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(program.source, program.name, "exec"), names)
    return names


def call(application: Any, path: str, method: str = "GET", body: bytes = b"") -> tuple[str, bytes]:
    """Send one request to a WSGI application."""
    with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://shop") as browser:
        answer = browser.request(method, path, content=body, headers=SIGNED if body else {})
    return f"{answer.status_code}", answer.content


def receives(names: dict[str, Any], application: Any) -> None:
    client = names["client"]
    order = client.orders.create(catalog_product_id=87).orders[0]
    assert call(application, "/smscode-webhook", "POST", BODY) == ("204", b"")
    assert client.orders.wait_for_otp(order.id, timeout=0).code == "482913"
    client.close()


def test_flask(sandbox: Sandbox) -> None:
    pytest.importorskip("flask")
    names = example("flask")
    assert call(names["app"].wsgi_app, "/balance") == ("200", b"$1,000.00")
    receives(names, names["app"].wsgi_app)


def test_django(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("django")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.ext.django_settings")
    names = example("django")
    status, page = call(names["application"], "/balance")
    assert (status, b"Not Found" in page) == ("404", True), "the site has no page"
    receives(names, names["application"])


@pytest.mark.asyncio
async def test_aiohttp(sandbox: Sandbox) -> None:
    pytest.importorskip("aiohttp")
    from aiohttp.test_utils import TestClient, TestServer

    names = example("aiohttp")
    async with TestClient(TestServer(names["app"])) as browser:
        client = names["app"][names["CLIENT"]]
        order = (await client.orders.create(catalog_product_id=87)).orders[0]
        answer = await browser.post("/smscode-webhook", data=io.BytesIO(BODY), headers=SIGNED)
        assert answer.status == 204
        assert (await client.orders.wait_for_otp(order.id, timeout=10)).code == "482913"


@pytest.mark.asyncio
async def test_fastapi(sandbox: Sandbox) -> None:
    pytest.importorskip("fastapi")
    app = example("fastapi")["app"]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as browser,
    ):
        assert (await browser.get("/numbers/1001/code")).status_code == 404
        order_id = (await browser.post("/numbers")).json()["id"]
        assert (await browser.post("/smscode-webhook", content=BODY, headers=SIGNED)).status_code == 204
        assert (await browser.get(f"/numbers/{order_id}/code")).json() == "482913"
