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

from smscode.errors import ConfigurationError
from smscode.sandbox import Delivery, Sandbox
from smscode.sandbox.asgi import asgi_app

from .harness import URL

AUTHORIZATION = {"authorization": "Bearer sandbox-token"}


def _gone(port: int) -> bool:
    """Wait until nobody listens any more."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return True


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
