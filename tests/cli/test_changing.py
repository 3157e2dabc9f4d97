"""Several orders at once, all orders, the operators, the rate, and numbers that are rented again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")

from smscode import Client
from smscode.sandbox import Sandbox

from .harness import Shell


@pytest.fixture
def client(shell: Shell) -> Client:
    """Return a client of the account that the commands use; SMS come only when they are delivered."""
    sandbox = shell.use(Sandbox(otp_after=None, cancel_after=0, clock=lambda: datetime.now(UTC)))
    return Client(sandbox.token, transport=sandbox.transport())


@pytest.fixture
def ids(client: Client) -> list[int]:
    return [order.id for order in client.orders.create(catalog_product_id=87, quantity=3)]


# -- several ids ---------------------------------------------------------------------------------


def test_several_are_cancelled_and_one_that_fails_keeps_none_from_it(shell: Shell, ids: list[int]) -> None:
    shell.sandbox.deliver_sms(ids[1])
    done = shell.run("cancel", *ids, ids[0], "--header")
    assert done.code == 1
    header, first, second, third = done.rows
    assert header == ["order", "status", "refunded", "result"]
    assert first == [str(ids[0]), "CANCELED", "0.9231", "canceled"]
    assert second[:3] == [str(ids[1]), "-", "-"]
    assert second[3].startswith(f"Order cannot be canceled: order {ids[1]} is OTP_RECEIVED. [CONFLICT")
    assert third[1] == "CANCELED"
    assert shell.sandbox.balance == 985_000


def test_as_json_each_has_its_result_or_its_error(shell: Shell, ids: list[int]) -> None:
    shell.sandbox.deliver_sms(ids[0])
    finished, failed = shell.run("finish", ids[0], ids[1], "--json").data
    assert finished == {"order_id": ids[0], "status": "COMPLETED"}
    assert (failed["order_id"], failed["error"]["code"]) == (ids[1], "CONFLICT")


def test_several_are_asked_for_another_sms(shell: Shell, client: Client) -> None:
    gamma = (
        client.orders.create(catalog_product_id=87, prefer_provider="gamma", min_price="1.00").orders[0].id
    )
    alpha = client.orders.create(catalog_product_id=87).orders[0].id
    for order_id in (alpha, gamma):
        shell.sandbox.deliver_sms(order_id)
    done = shell.run("resend", alpha, gamma)
    assert done.code == 1
    assert [row[3] for row in done.rows] == ["resent", "no: its supplier cannot send again"]
    refused = shell.run("resend", alpha, gamma, "--wait")
    assert (refused.code, refused.out) == (2, "")
    assert "smscode watch" in refused.err


@pytest.mark.parametrize(
    ("command", "status"), [("cancel", "OTP_RECEIVED"), ("finish", "ACTIVE"), ("resend", "CANCELED")]
)
def test_a_refusal_because_of_its_status_names_it(
    command: str, status: str, shell: Shell, client: Client, ids: list[int]
) -> None:
    order_id = ids[0]
    if command == "cancel":
        shell.sandbox.deliver_sms(order_id)
    elif command == "resend":
        client.orders.cancel(order_id)
    done = shell.run(command, order_id)
    assert done.code == 1
    assert f": order {order_id} is {status}. [CONFLICT" in done.err.splitlines()[0]


def test_a_status_that_is_named_or_cannot_be_read_is_not_added(shell: Shell, ids: list[int]) -> None:
    shell.sandbox.fail_next("orders.finish", "CONFLICT", message="Order is ACTIVE")
    assert shell.run("finish", ids[0]).err.startswith("error: Order is ACTIVE [CONFLICT")
    shell.sandbox.fail_next("orders.finish", "CONFLICT", message="Order is not ready")
    shell.sandbox.fail_next("orders.get", "FORBIDDEN")
    assert shell.run("finish", ids[0]).err.startswith("error: Order is not ready [CONFLICT")


def test_one_in_doubt_is_the_exit_code_of_all(shell: Shell, ids: list[int]) -> None:
    shell.sandbox.fail_next("orders.cancel", "NO_IDEA", status=409)
    done = shell.run("cancel", *ids)
    assert done.code == 3
    assert done.rows[0][3].endswith(
        f"It may have been carried out. `smscode order {ids[0]}` shows its state."
    )
    assert [row[1] for row in done.rows[1:]] == ["CANCELED", "CANCELED"]


def test_an_interrupt_shows_what_was_done_before(
    shell: Shell, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from smscode._sync.orders import Orders

    cancel = Orders.cancel

    def interrupt(self: Orders, order_id: int, **options: Any) -> Any:
        if order_id == ids[1]:
            raise KeyboardInterrupt
        return cancel(self, order_id, **options)

    monkeypatch.setattr(Orders, "cancel", interrupt)
    done = shell.run("cancel", *ids)
    assert done.code == 130
    assert [row[:2] for row in done.rows] == [[str(ids[0]), "CANCELED"]]
    assert done.err.endswith(f"`smscode order {ids[1]}` shows its state.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name the orders by their ids, or give --all."),
        ([1001, "--all"], "Name the orders by their ids, or give --all."),
        ([1001, "--foreign"], "--foreign needs --all."),
    ],
)
def test_which_ones_is_said_in_one_way(shell: Shell, arguments: list[Any], said: str) -> None:
    done = shell.run("cancel", *arguments)
    assert (done.code, done.err) == (2, f"error: {said}\n")


# -- all of them ---------------------------------------------------------------------------------


@pytest.fixture
def account(shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Serve the sandbox, as an account that the environment names, with a journal."""
    with shell.sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_TOKEN", shell.sandbox.token)
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        monkeypatch.setenv("SMSCODE_JOURNAL", str(tmp_path / "orders.db"))
        yield


def buy(journal: bool) -> int:
    """Buy a number in this account, with or without the journal of the commands."""
    import os

    with Client(journal=os.environ["SMSCODE_JOURNAL"] if journal else None) as client:
        return client.orders.create(catalog_product_id=87).orders[0].id


def test_all_are_listed_and_asked_about(shell: Shell, ids: list[int]) -> None:
    shell.sandbox.deliver_sms(ids[0])
    done = shell.type("cancel", "--all", keys="n\n")
    assert done.code == 5
    assert [f"order {order_id}: cancel from now, ends " in done.err for order_id in ids] == [
        False,
        True,
        True,
    ]
    assert "Cancel 2 order(s)?" in done.err
    assert shell.run("cancel", "--all").code == 5, "there is nobody to ask"
    done = shell.run("cancel", "--all", "--yes")
    assert done.code == 0
    assert sorted(row[0] for row in done.rows) == [str(order_id) for order_id in ids[1:]]
    assert shell.sandbox.balance == 985_000


def test_one_that_cannot_be_cancelled_yet_says_when(shell: Shell, client: Client) -> None:
    shell.use(Sandbox(otp_after=None))
    with Client(shell.sandbox.token, transport=shell.sandbox.transport()) as other:
        other.orders.create(catalog_product_id=87)
    done = shell.run("cancel", "--all", "--yes")
    assert done.code == 1
    assert "order 1001: cancel from " in done.err
    assert "cancel from now" not in done.err
    assert "CANCEL_TOO_EARLY" in done.rows[0][3]


def test_nothing_to_cancel_is_no_error(shell: Shell, client: Client) -> None:
    for run in (shell.run, shell.type):
        done = run("cancel", "--all")
        assert (done.code, done.out, done.err) == (0, "", "no open orders\n")
    assert shell.run("cancel", "--all", "--json").data == []
    order = client.orders.create(catalog_product_id=87).orders[0]
    shell.sandbox.deliver_sms(order.id)
    done = shell.run("cancel", "--all")
    assert (done.code, done.out, done.err) == (0, "", "no open order that can be canceled\n")


@pytest.mark.usefixtures("account")
def test_only_those_of_the_journal_unless_the_others_are_meant(shell: Shell) -> None:
    buy(journal=True)
    assert shell.bare("cancel", "--all", "--yes").rows[0][1] == "CANCELED"
    ours, theirs = buy(journal=True), buy(journal=False)
    done = shell.bare("cancel", "--all", "--yes", "--json")
    assert [one["order_id"] for one in done.data] == [ours]
    done = shell.bare("cancel", "--all", "--yes")
    assert done.out == ""
    assert done.err == "1 of other programs are left out; --foreign takes them, too.\n"
    done = shell.bare("cancel", "--all", "--foreign", "--yes")
    assert [row[:2] for row in done.rows] == [[str(theirs), "CANCELED"]]
    assert shell.sandbox.balance == 1_000_000


# -- the rest ------------------------------------------------------------------------------------


def test_the_operators_of_a_service_in_a_country(shell: Shell) -> None:
    done = shell.run("operators", "--service", "whatsapp", "--country", "ID", "--header")
    assert done.rows == [
        ["id", "code", "name"],
        ["-", "any", "Any"],
        ["1", "telkomsel", "Telkomsel"],
        ["2", "indosat", "Indosat"],
    ]
    assert shell.run("operators", "--service", "whatsapp").code == 2
    assert shell.run("operators", "--service", "nothing", "--country", "ID").code == 2


def test_the_exchange_rate(shell: Shell) -> None:
    rows = dict(row for row in shell.run("exchange-rate").rows)
    assert (rows["pair"], rows["rate"]) == ("USD/IDR", "16250")
    assert shell.type("exchange-rate").out.splitlines()[1] == "rate   16,250"
    assert shell.run("exchange-rate", "--json").data["rate"] == 16_250


def test_a_number_is_rented_again_for_what_was_shown(shell: Shell, client: Client, ids: list[int]) -> None:
    shell.sandbox.deliver_sms(ids[0])
    client.orders.finish(ids[0])
    assert shell.run("reactivate-options", ids[0]).rows == [["order", str(ids[0])], ["cost", "0.6923"]]
    refused = shell.run("reactivate", ids[0])
    assert refused.code == 5
    assert refused.err.startswith(f"Rent the number of order {ids[0]} again for at most $0.6923? No terminal")
    done = shell.run("reactivate", ids[0], "--yes")
    rows = dict(row for row in done.rows)
    assert rows["number"] == client.orders.get(ids[0]).phone_number
    assert rows["price"] == "0.6923"
    assert done.offer == f"Renting the number of order {ids[0]} again for at most $0.6923."
    assert done.err.splitlines() == [
        f"`smscode order {rows['order']} --wait` waits for its code.",
    ]
    assert shell.run("reactivate", ids[0], "--yes").code == 1, "its number is rented"
    shell.sandbox.deliver_sms(int(rows["order"]))
    client.orders.finish(int(rows["order"]))
    asked = shell.type("reactivate", ids[0], keys="y\n")
    assert (asked.code, "Renting" in asked.err) == (0, False)
    assert shell.run("reactivate", ids[1], "--yes").code == 1, "it has not ended"


def test_orders_can_be_listed_beyond_a_page_and_from_a_time(shell: Shell) -> None:
    shell.use(Sandbox(past_orders=450, clock=lambda: datetime.now(UTC)))
    assert len(shell.run("orders").rows) == 20
    assert len(shell.run("orders", "--limit", 250, "--header").rows) == 251
    assert shell.run("orders", "--limit", 1000).rows[-1][0] == "1001"
    recent = shell.run("orders", "--limit", 1000, "--since", "10d").rows
    assert 130 < len(recent) < 160
    assert shell.run("orders", "--limit", 1000, "--since", "2020-01-01T00:00:00Z", "--status", "expired").rows
    assert shell.run("orders", "--since", "now").code == 2


def test_products_have_a_lower_limit_too(shell: Shell) -> None:
    rows = shell.run("products", "--service", "whatsapp", "--min-price", "1.5", "--header").rows
    assert rows[0] == ["product", "name", "operator", "price", "in stock"]
    assert min(float(row[3]) for row in rows[1:]) >= 1.5
    assert shell.run("products", "--min-price", "30000", "--api-version", "v1").rows[0][3] == "33000"
    done = shell.run("products", "--min-price", "1.5", "--api-version", "v1")
    assert (done.code, done.err.startswith("error: --min-price: ")) == (2, True)


def test_errors_of_another_sandbox_are_not_hinted_at_without_one(shell: Shell, account: None) -> None:
    assert "sandbox of its own" not in shell.bare("order", 4711).err
    assert "sandbox" not in json.loads(shell.bare("order", 4711, "--json").err)["advice"]
