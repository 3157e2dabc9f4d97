"""The documentation's examples for web frameworks receive a webhook, beside the application's own pages."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from smscode import AsyncClient, Client, webhooks
from smscode.sandbox import Sandbox

from ..programs import ROOT, modules_of, programs_of
from .redis_server import redis_server

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


def example(word: str, section: str = "") -> dict[str, Any]:
    """Run the example that imports a framework, the first after a heading, and return its names."""
    begin = PAGE.read_text("utf-8").partition(f"\n{section}\n")[0].count("\n")
    program = next(
        one for one in programs_of(PAGE) if f"from {word}" in one.source and one.line > begin * bool(section)
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(program.source, program.name, "exec"), names)
    return names


def call(application: Any, path: str, method: str = "GET", body: bytes = b"") -> tuple[str, bytes]:
    """Send one request to a WSGI application."""
    with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://shop") as browser:
        answer = browser.request(method, path, content=body, headers=SIGNED if body else {})
    return f"{answer.status_code}", answer.content


def receives(client: Client, order_id: int, application: Any) -> None:
    assert call(application, "/smscode-webhook", "POST", BODY) == ("204", b"")
    assert client.orders.wait_for_otp(order_id, timeout=0).code == "482913"
    client.close()


def test_flask(sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask")
    names = example("flask")
    order = names["client"].orders.create(catalog_product_id=87).orders[0]
    status, body = call(names["app"].wsgi_app, f"/orders/{order.id}")
    assert (status, json.loads(body)["phone_number"]) == ("200", order.phone_number)
    status, body = call(names["app"].wsgi_app, "/orders/99")
    assert (status, json.loads(body)["error"]) == ("404", "NotFoundError")
    receives(names["client"], order.id, names["app"].wsgi_app)
    assert caplog.records == []
    monkeypatch.setenv("SMSCODE_TOKEN", "another")
    names = example("flask")
    assert call(names["app"].wsgi_app, "/orders/99") == ("500", b'{"detail":"Internal Server Error"}\n')
    assert "A request was answered with 500" in caplog.text
    names["client"].close()


SITE = """
from django.urls import path
from mysite import orders

SECRET_KEY = "none"
ALLOWED_HOSTS = ["shop"]
ROOT_URLCONF = __name__
MIDDLEWARE = ["mysite.orders.SmscodeErrors"]
urlpatterns = [path("orders/<int:order_id>", orders.order), path("broken", lambda request: 1 / 0)]
"""

VISIT = """
import json, os, sys, threading, warnings
import httpx
from mysite.smscode_client import client
from mysite.wsgi import application

body, signature = sys.argv[1].encode(), json.loads(sys.argv[2])
with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://shop") as browser:
    order = client().orders.create(catalog_product_id=87).orders[0]
    assert browser.get(f"/orders/{order.id}").json()["phone_number"] == order.phone_number
    missing = browser.get("/orders/99")
    assert (missing.status_code, missing.json()["error"]) == (404, "NotFoundError"), missing.text
    broken = browser.get("/broken")
    assert (broken.status_code, broken.headers["content-type"][:9]) == (500, "text/html"), "Django's own"
    assert browser.post("/smscode-webhook", content=body, headers=signature).status_code == 204
    assert client().orders.wait_for_otp(order.id, timeout=60).code == "482913"

clients = set()
threads = [threading.Thread(target=lambda: clients.add(client())) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert clients == {client()}, "all threads share one"
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, which servers do as well
child = os.fork()
if not child:
    os._exit(client() in clients or client().orders.get(order.id).id != order.id)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
client().close()
"""

VISIT_WITH_A_WRONG_TOKEN = """
import httpx
from mysite.wsgi import application

with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://shop") as browser:
    answer = browser.get("/orders/99")
assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
"""


def test_django(sandbox: Sandbox, tmp_path: Path) -> None:
    """In processes of its own, because there is one Django site in each."""
    pytest.importorskip("django")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    del environ["SMSCODE_TOKEN"]

    def run(*arguments: str, **more: str) -> str:
        command = [sys.executable, "-W", "error", *arguments]
        done = subprocess.run(
            command, env={**environ, **more}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    with modules_of(PAGE, tmp_path):
        (tmp_path / "mysite" / "settings.py").write_text(SITE, encoding="utf-8")
        run("-m", "django", "check")
        run("-c", VISIT, BODY.decode(), json.dumps(SIGNED), SMSCODE_TOKEN=sandbox.token)
        logged = run("-c", VISIT_WITH_A_WRONG_TOKEN, SMSCODE_TOKEN="another")
    assert "A request was answered with 500" in logged


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


@pytest.mark.asyncio
async def test_fastapi_with_several_workers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox has no SMS, so only the webhook that the other worker receives can end the wait."""
    pytest.importorskip("fastapi")
    pytest.importorskip("redis")
    with redis_server() as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        here, there = (example("fastapi", "### Several workers")["app"] for _ in range(2))
        async with (
            here.router.lifespan_context(here),
            there.router.lifespan_context(there),
            httpx.AsyncClient(transport=httpx.ASGITransport(here), base_url="http://shop") as waiting,
            httpx.AsyncClient(transport=httpx.ASGITransport(there), base_url="http://shop") as service,
        ):
            client: AsyncClient = here.state.smscode
            assert client is not there.state.smscode
            order = (await client.orders.create(catalog_product_id=87)).orders[0]
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                code = tasks.create_task(waiting.get(f"/numbers/{order.id}/code"))
                while not sandbox.requests["GET /orders/active"]:
                    await asyncio.sleep(0.001)
                assert (await service.post("/smscode-webhook", content=BODY)).status_code == 401
                answer = await service.post("/smscode-webhook", content=BODY, headers=SIGNED)
                assert answer.status_code == 204
            assert code.result().json() == "482913"
