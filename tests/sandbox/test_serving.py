"""The sandbox over TCP."""

from __future__ import annotations

import json
import socket
import sys
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn")

from smscode import Client
from smscode.errors import ConfigurationError
from smscode.sandbox import Delivery, Sandbox
from smscode.sandbox.transports.asgi import asgi_app

from .harness import URL

AUTHORIZATION = {"authorization": "Bearer sandbox-token"}


def _gone(port: int) -> bool:
    """Wait until the port is closed."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return True


def test_a_server_that_cannot_start_says_why_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("smscode.sandbox.transports.serving._main", refuse)
    with pytest.raises(OSError, match="Too many open files"), Sandbox().serve():
        raise AssertionError("it is not served")


def test_it_serves_over_tcp_and_sends_webhooks_by_itself() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()

    def deliver(delivery: Delivery) -> int:
        sent.put(delivery)
        return 200

    sandbox = Sandbox(otp_after=0.01, deliver=deliver)
    with sandbox.serve() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, trust_env=False) as http:
            response = http.patch("/v2/webhook", json={"webhook_url": URL})
            assert response.headers["x-request-id"] == "sandbox-000001"
            assert response.headers.get_list("date") == [response.headers["date"]]
            assert "server" not in response.headers
            created = http.post("/v2/orders/create?a=b", json={"catalog_product_id": 87}).json()
            body = json.loads(sent.get(timeout=10).body)
            assert body["event"] == "order.otp_received"
            assert body["data"]["order_id"] == created["data"]["orders"][0]["id"]
            assert http.post("/v2/webhook/test").json()["data"] == {"status_code": 200}
            assert http.post("/v2/orders/finish", content=b" " * 3_000_000).status_code == 413
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_an_answer_does_not_wait_for_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: SimpleQueue[int] = SimpleQueue()
    accept = socket.socket.accept

    def spying(listener: socket.socket) -> tuple[socket.socket, Any]:
        connection, address = accept(listener)
        accepted.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", spying)
    with Sandbox().serve() as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        assert accepted.get(timeout=10) != 0


def test_an_answer_is_lost_before_its_first_byte_and_what_was_asked_for_is_done() -> None:
    sandbox = Sandbox()
    with sandbox.serve() as server:
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, trust_env=False) as http:
            for scenario in ("lost_response", "lost_request"):
                chosen = {"x-sandbox-scenario": scenario}
                with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                    http.post("/v1/orders/create", json={"product_id": 142}, headers=chosen)
            assert http.get("/v1/balance").json()["data"]["balance"] == 985_000
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                headers = {**AUTHORIZATION, "host": "localhost", "x-sandbox-scenario": "lost_response"}
                lines = ["GET /v1/balance HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
                connection.sendall("\r\n".join([*lines, "", ""]).encode())
                assert connection.recv(100) == b""
    assert sandbox.requests == {"POST /orders/create": 2, "GET /balance": 2}


def test_clients_of_the_service_survive_a_lost_answer_over_tcp() -> None:
    sandbox = Sandbox()
    sandbox.play("lost_response", operation="orders.create", times=2)
    with sandbox.serve() as server, Client(sandbox.token, base_url=server.url) as client:
        assert client.orders.create(catalog_product_id=87).orders[0].id == 1001
    assert sandbox.requests["POST /orders/create"] == 3
    assert len(sandbox.ledger) == 2


def test_a_served_sandbox_is_controlled_over_tcp() -> None:
    sandbox = Sandbox(otp_after=None)
    with (
        sandbox.serve() as server,
        httpx.Client(base_url=server.url, headers=AUTHORIZATION, trust_env=False) as http,
    ):
        http.post("/_sandbox/scenarios", json={"scenario": "otp_after(100)", "catalog_product_id": 87})
        created = http.post("/v2/orders/create", json={"catalog_product_id": 87}).json()
        order_id = created["data"]["orders"][0]["id"]
        assert http.post("/_sandbox/advance", json={"seconds": 101}).json()["success"] is True
        order = http.get(f"/v2/orders/{order_id}").json()["data"]
        assert order["status"] == "OTP_RECEIVED"
        kinds = [entry["kind"] for entry in http.get("/_sandbox/history").json()["data"]["entries"]]
        assert kinds == [
            "ScenarioChosen",
            "RequestAnswered",
            "OrderRented",
            "SmsReceived",
            "TimeAdvanced",
            "RequestAnswered",
        ]
        assert http.post("/_sandbox/scenarios", content=b" " * 3_000_000).status_code == 413


@pytest.mark.anyio
async def test_another_server_may_know_no_raw_path_and_offer_what_is_not_http() -> None:
    sandbox = Sandbox()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = sandbox.asgi_app()
    path = "/v1/orders/\u00e9"
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 401
    with pytest.raises(NotImplementedError, match="no lifespan"):
        await app({"type": "lifespan"}, receive, send)


@pytest.mark.anyio
async def test_another_server_can_only_break_the_connection_within_the_answer(anyio_backend: str) -> None:
    sandbox = Sandbox()
    transport = httpx.ASGITransport(app=sandbox.asgi_app())
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sandbox", headers=AUTHORIZATION
    ) as http:
        assert (await http.get("/v1/balance")).status_code == 200
        with pytest.raises(ConnectionResetError, match="loses this answer"):
            await http.get("/v1/balance", headers={"x-sandbox-scenario": "lost_response"})


def test_a_port_can_be_chosen_and_used_again() -> None:
    with Sandbox().serve() as server:
        port = server.port
    with Sandbox().serve(port) as server:
        assert server.port == port
        assert httpx.get(f"{server.url}/v1/balance", trust_env=False).status_code == 401


def test_the_failure_of_a_webhook_function_is_not_lost() -> None:
    def deliver(_: Delivery) -> int:
        raise ZeroDivisionError

    def use() -> None:
        with sandbox.serve() as server, httpx.Client(base_url=server.url, headers=AUTHORIZATION) as http:
            http.patch("/v1/webhook", json={"webhook_url": URL})
            http.post("/v1/orders/create", json={"product_id": 142})
            assert _gone(server.port)

    sandbox = Sandbox(otp_after=0.0, deliver=deliver)
    with pytest.raises(ZeroDivisionError):
        use()


def test_serving_needs_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r"smscode-async\[sandbox\]"), Sandbox().serve():
        pass


@pytest.mark.anyio
async def test_a_request_that_breaks_off_is_not_answered() -> None:
    sandbox = Sandbox()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await asgi_app(sandbox.transport().app)({"type": "http"}, receive, send)
    assert sent == []
    assert not sandbox.requests
