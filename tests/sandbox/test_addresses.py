"""Where webhooks may go: to the public internet, by what a host name resolves to as well."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from smscode.sandbox import Sandbox
from smscode.sandbox.transports.addresses import resolve_by_system, resolve_nothing

from .harness import START, URL, Api, wrong_fields

PRIVATE = [
    ["10.1.2.3"],
    ["127.0.0.1"],
    ["169.254.169.254"],
    ["192.168.0.1"],
    ["100.64.0.1"],
    ["0.0.0.0"],
    ["224.0.0.1"],
    ["::1"],
    ["fe80::1%eth0"],
    ["fd00::1"],
    ["::ffff:10.0.0.1"],
    ["93.184.216.34", "10.0.0.1"],
]


@pytest.mark.parametrize("addresses", PRIVATE)
def test_a_name_of_a_private_address_is_refused(version: str, addresses: list[str]) -> None:
    api = Api(version, resolve={"hooks.example.net": addresses}.__getitem__)
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_url=URL)) == {"webhook_url"}
    assert api.get("/webhook")["webhook_url"] is None


def test_every_address_of_a_name_has_to_be_public(version: str) -> None:
    api = Api(version, resolve={"hooks.example.net": ["93.184.216.34", "2606:2800:220:1::1"]}.__getitem__)
    assert api.patch("/webhook", webhook_url=URL)["webhook_url"] == URL


def test_an_unknown_name_is_left_to_fail_when_something_is_sent(version: str) -> None:
    api = Api(version, resolve=resolve_nothing)
    assert api.patch("/webhook", webhook_url=URL)["webhook_url"] == URL


def test_only_names_are_looked_up() -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return []

    api = Api(resolve=resolve, allow_local_webhooks=True)
    for url in ("https://8.8.8.8/", "https://[2606:2800:220:1::1]/", "http://localhost/", ""):
        api.patch("/webhook", webhook_url=url)
    api.patch("/webhook", webhook_secret="s")
    assert asked == []
    api.patch("/webhook", webhook_url="https://Hooks.Example.NET.:8443/a?b")
    assert asked == ["hooks.example.net"]


def test_a_name_of_this_machine_can_be_allowed_but_of_no_other_private_one() -> None:
    names = {"me.example.net": ["127.0.0.1", "::1"], "other.example.net": ["10.0.0.1"]}
    api = Api(resolve=names.__getitem__, allow_local_webhooks=True)
    assert api.patch("/webhook", webhook_url="https://me.example.net/")
    answer = api.refused("PATCH", "/webhook", webhook_url="https://other.example.net/")
    assert wrong_fields(answer) == {"webhook_url"}


@pytest.mark.parametrize(
    "host", ["localhost.", "LOCALHOST", "a.localhost", "127.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_this_machine_by_any_name_is_private(host: str) -> None:
    assert wrong_fields(Api().refused("PATCH", "/webhook", webhook_url=f"https://{host}/")) == {"webhook_url"}


def test_the_system_is_asked_where_webhooks_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(host: str, *_: Any, **__: Any) -> list[Any]:
        if host != "hooks.example.net":
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert resolve_by_system("nowhere.example.net") == []
    api = Api(deliver=None)
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_url=URL)) == {"webhook_url"}
    assert Api().patch("/webhook", webhook_url=URL)  # nothing goes out


@pytest.mark.anyio
async def test_a_lookup_does_not_hold_the_service_up() -> None:
    def resolve(_: str) -> list[str]:
        assert sandbox.balance == 1_000_000  # the service answers meanwhile
        return ["93.184.216.34"]

    sandbox = Sandbox(clock=lambda: START, resolve=resolve)
    headers = {"authorization": f"Bearer {sandbox.token}"}
    async with httpx.AsyncClient(
        transport=sandbox.transport(), base_url="http://sandbox", headers=headers
    ) as http:
        answer = await http.patch("/v1/webhook", json={"webhook_url": URL})
    assert answer.json()["data"]["webhook_url"] == URL
    assert answer.headers["x-request-id"] == "sandbox-000001"
