"""What a FastAPI application gets: a client for its life, answers to errors, and a webhook endpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI

import smscode
from smscode import (
    AsyncClient,
    Client,
    ConfigurationError,
    InvalidArgumentError,
    SmscodeError,
    errors,
    webhooks,
)
from smscode.ext.fastapi import (
    ERROR_STATUSES,
    ClientDep,
    add_error_handlers,
    get_client,
    lifespan,
    webhook_router,
)
from smscode.sandbox import Sandbox

ROOT = Path(__file__).parent.parent.parent
SECRET = "a secret"
ALL_ERRORS = [
    found
    for name in sorted(vars(errors))
    if isinstance(found := getattr(errors, name), type) and issubclass(found, SmscodeError)
]


def client_of(sandbox: Sandbox) -> Callable[[], AsyncClient]:
    return lambda: AsyncClient(sandbox.token, transport=sandbox.transport())


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """Run an application's lifespan around requests to it, as a server does."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://shop"
        ) as browser,
    ):
        yield browser


async def balance(client: ClientDep) -> str:
    return str((await client.balance()).balance)


@pytest.mark.asyncio
async def test_every_endpoint_has_the_one_client_which_is_closed_at_the_end() -> None:
    sandbox = Sandbox(balance=16_250_000)
    app = FastAPI(lifespan=lifespan(client_of(sandbox)))
    app.get("/balance")(balance)
    seen: set[int] = set()

    async def same(client: ClientDep) -> int:
        seen.add(id(client))
        return len(seen)

    app.get("/same")(same)
    async with running(app) as browser:
        assert (await browser.get("/balance")).json() == "$1,000.00"
        assert [(await browser.get("/same")).json() for _ in range(2)] == [1, 1]
        client: AsyncClient = app.state.smscode
    with pytest.raises(smscode.ClientStateError, match="closed"):
        await client.balance()


@pytest.mark.asyncio
async def test_a_lifespan_of_ones_own_opens_it_and_a_mounted_application_has_it_by_the_state() -> None:
    sandbox = Sandbox()
    inner = FastAPI()
    inner.get("/balance")(balance)

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncGenerator[Any]:
        async with lifespan(client_of(sandbox))(app) as state:
            yield state

    app = FastAPI(lifespan=own)
    app.mount("/inner", inner)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)  # as a server does

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as browser:
            assert (await browser.get("/inner/balance")).json() == str(
                (await app.state.smscode.balance()).balance
            )


@pytest.mark.asyncio
async def test_a_test_puts_another_client_in_its_place() -> None:
    sandbox = Sandbox(balance=16_250)
    app = FastAPI()
    app.get("/balance")(balance)
    async with client_of(sandbox)() as client:
        app.dependency_overrides[get_client] = lambda: client
        async with running(app) as browser:
            assert (await browser.get("/balance")).json() == "$1.00"


@pytest.mark.asyncio
async def test_an_application_without_the_lifespan_says_what_to_write() -> None:
    app = FastAPI()
    app.get("/balance")(balance)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as browser:
        with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=smscode\.ext"):
            await browser.get("/balance")


@pytest.mark.asyncio
async def test_what_is_made_has_to_be_an_asynchronous_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMSCODE_TOKEN", raising=False)
    wrong: Any = lambda: Client("token")  # noqa: E731
    for make, error in ((wrong, InvalidArgumentError), (AsyncClient, ConfigurationError)):
        app = FastAPI()
        with pytest.raises(error):
            async with lifespan(make)(app):
                pass


@pytest.mark.asyncio
async def test_parentheses_that_were_forgotten_are_named_when_the_application_starts() -> None:
    app = FastAPI(lifespan=cast(Any, lifespan))
    with pytest.raises(InvalidArgumentError, match=r"write FastAPI\(lifespan=lifespan\(\)\)"):
        async with app.router.lifespan_context(app):
            pass


@pytest.mark.asyncio
async def test_a_client_in_place_of_a_function_that_makes_one_is_refused_at_once() -> None:
    async with AsyncClient("token") as client:
        with pytest.raises(InvalidArgumentError, match=r"lifespan\(lambda: AsyncClient\(.*got AsyncClient"):
            lifespan(cast(Any, client))


@pytest.mark.asyncio
@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: error.__name__)
async def test_every_error_is_answered_by_the_table(
    error: type[SmscodeError], caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    add_error_handlers(app)

    async def fail() -> None:
        raise error("In words.", retry_after=1.2, idempotency_key="sale-17", outcome="rejected")

    app.get("/")(fail)
    caplog.set_level(logging.ERROR)
    async with running(app) as browser:
        answer = await browser.get("/")
    status = next(ERROR_STATUSES[base] for base in error.__mro__ if base in ERROR_STATUSES)
    assert answer.status_code == status
    logged = [record for record in caplog.records if record.name == "smscode.fastapi"]
    assert len(logged) == (status >= 500)
    if status == 500:
        assert answer.json() == {"detail": "Internal Server Error"}
        return
    assert answer.headers["retry-after"] == "2"
    assert answer.json() == {
        "detail": "In words.",
        "error": error.__name__,
        "outcome": "rejected",
        "retry_after": 1.2,
        "idempotency_key": "sale-17",
    }


@pytest.mark.asyncio
async def test_an_error_whose_time_is_not_known_names_none_and_a_handler_of_ones_own_comes_first() -> None:
    app = FastAPI()
    add_error_handlers(app)

    async def fail(kind: str) -> None:
        raise errors.NotFoundError("Gone.") if kind == "order" else errors.ConflictError("Busy.")

    async def own(request: Any, error: Exception) -> Any:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("mine", 418)

    app.get("/{kind}")(fail)
    app.add_exception_handler(errors.ConflictError, own)
    async with running(app) as browser:
        answer = await browser.get("/order")
        assert (answer.status_code, answer.json()["retry_after"]) == (404, None)
        assert "retry-after" not in answer.headers
        assert (await browser.get("/other")).status_code == 418


def test_the_table_of_the_documentation_is_that_of_the_package() -> None:
    page = (ROOT / "docs" / "pages" / "how-to" / "frameworks.md").read_text("utf-8")
    written: dict[str, int] = {}
    for status, names in re.findall(r"^\| (\d{3}) [^|]*\| ([^|]*) \|", page, re.MULTILINE):
        written |= dict.fromkeys(re.findall(r"`(\w+)`", names), int(status))
    assert written == {error.__name__: int(status) for error, status in ERROR_STATUSES.items()}


BODY = (
    b'{"event":"order.otp_received","timestamp":"2026-06-14T04:15:00+00:00",'
    b'"data":{"order_id":1001,"otp_code":"482913","otp_message":"482913"}}'
)
SIGNED = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, SECRET)}


async def notify(event: webhooks.Event) -> None: ...


@pytest.mark.asyncio
@pytest.mark.parametrize("prefix", ["", "/inner"], ids=["by itself", "mounted"])
async def test_a_webhook_router_without_a_client_ends_the_waits_of_the_lifespans(prefix: str) -> None:
    sandbox = Sandbox(otp_after=None)
    inner = FastAPI()
    inner.include_router(webhook_router(secret=SECRET))
    app = FastAPI(lifespan=lifespan(client_of(sandbox)))
    app.mount("/inner", inner)
    app.include_router(webhook_router(secret=SECRET))
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)  # as a server does

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as browser:
            client: AsyncClient = app.state.smscode
            order = (await client.orders.create(catalog_product_id=87)).orders[0]
            path = f"{prefix}/smscode-webhook"
            assert (await browser.post(path, content=BODY)).status_code == 401
            assert (await browser.get(path)).status_code == 405
            for _ in range(2):  # the second time it is a delivery that was seen before
                assert (await browser.post(path, content=BODY, headers=SIGNED)).status_code == 204
            assert (await client.orders.wait_for_otp(order.id, timeout=0)).code == "482913"
            assert path not in (await browser.get(f"{prefix}/openapi.json")).json()["paths"]


@pytest.mark.asyncio
async def test_a_delivery_for_the_lifespans_client_without_one_is_a_500_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(webhook_router(secret=SECRET))
    async with running(app) as browser:
        answer = await browser.post("/smscode-webhook", content=BODY, headers=SIGNED)
    assert answer.status_code == 500
    assert "has no client: create it with FastAPI(lifespan=" in caplog.text


@pytest.mark.parametrize("path", ["smscode-webhook", "", cast(Any, None)])
@pytest.mark.parametrize("to", [(), (notify,)], ids=["the client", "a function"])
def test_a_path_that_does_not_begin_with_a_slash_is_refused_in_words(path: str, to: tuple[Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="path: expected one that begins with '/'"):
        webhook_router(*to, secret=SECRET, path=path)


@pytest.mark.parametrize("to", [(), (notify,)], ids=["the client", "a function"])
def test_a_webhook_router_needs_a_secret(to: tuple[Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="secret"):
        webhook_router(*to, secret="")
