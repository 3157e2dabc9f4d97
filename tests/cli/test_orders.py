"""``smscode orders``, ``order``, ``cancel``, ``finish`` and ``resend``."""

from __future__ import annotations

import json
import threading

import pytest

pytest.importorskip("typer")

from smscode import Client
from smscode.sandbox import Sandbox

from .harness import Shell


@pytest.fixture
def client(shell: Shell) -> Client:
    """Return a client of the account that the commands use; SMS come only when they are delivered."""
    sandbox = shell.use(Sandbox(otp_after=None))
    return Client(sandbox.token, transport=sandbox.transport())


@pytest.fixture
def order_id(client: Client) -> int:
    return client.orders.create(catalog_product_id=87).orders[0].id


def test_the_list_masks_the_numbers(shell: Shell, order_id: int) -> None:
    number = shell.run("order", order_id, "--json").data["phone_number"]
    (row,) = shell.run("orders").rows
    assert row[:2] == ["1001", "ACTIVE"]
    assert row[2] == f"{number[:4]}{'*' * (len(number) - 6)}{number[-2:]}"
    assert shell.run("orders", "--json").data[0]["phone_number"] == number


def test_the_list_can_be_narrowed(shell: Shell, order_id: int) -> None:
    assert shell.run("orders", "--status", "completed").out == ""
    assert len(shell.run("orders", "--status", "active", "--limit", 1).rows) == 1


def test_an_order_shows_its_number_and_code(shell: Shell, order_id: int) -> None:
    shell.sandbox.deliver_sms(order_id, text="the code is 123456", code="123456")
    shown = dict(row for row in shell.run("order", order_id).rows)
    assert shown["status"] == "OTP_RECEIVED"
    assert shown["number"].startswith("+62")
    assert shown["code"] == "123456"
    assert shown["message"] == "the code is 123456"
    assert shown["price"] == "0.9231"


def test_an_order_of_nobody_is_an_error_with_a_hint_to_the_sandbox(shell: Shell) -> None:
    done = shell.run("order", 4711)
    assert done.code == 1
    assert done.out == ""
    first, hint = done.err.splitlines()
    assert first == "error: Order not found [NOT_FOUND, request sandbox-000001]"
    assert hint.startswith("This command has a sandbox of its own, ")


def test_an_order_can_be_waited_for(shell: Shell, order_id: int) -> None:
    timer = threading.Timer(0.05, shell.sandbox.deliver_sms, (order_id,), {"code": "123456"})
    timer.start()
    assert shell.type("order", order_id, "--wait").out == "code  123456\n"
    timer.join()


def test_a_wait_that_is_over_is_no_code(shell: Shell, order_id: int) -> None:
    done = shell.run("order", order_id, "--wait", "--timeout", 0)
    assert done.code == 4
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1


def test_a_cancel_says_what_comes_back(shell: Shell, order_id: int) -> None:
    shell.sandbox.advance(120)
    assert dict(row for row in shell.run("cancel", order_id).rows) == {
        "order": "1001",
        "status": "CANCELED",
        "refunded": "0.9231",
        "balance": "61.54",
    }


def test_a_cancel_that_comes_too_early_says_what_to_do(shell: Shell, order_id: int) -> None:
    done = shell.run("cancel", order_id)
    assert done.code == 1
    assert done.err.splitlines()[1].startswith(
        "Nothing was bought or changed. Give --wait to cancel it as soon as that is allowed."
    )


def test_a_cancel_whose_end_is_not_known_says_how_to_find_out(shell: Shell, order_id: int) -> None:
    shell.sandbox.advance(120)
    shell.sandbox.fail_next("orders.cancel", "NO_IDEA", status=409)
    done = shell.run("cancel", order_id)
    assert done.code == 3
    assert done.err.splitlines()[1] == "It may have been carried out. `smscode order 1001` shows its state."


def test_a_finished_order_is_completed(shell: Shell, order_id: int) -> None:
    shell.sandbox.deliver_sms(order_id)
    assert shell.run("finish", order_id).out == "order\t1001\nstatus\tCOMPLETED\n"
    assert shell.run("finish", order_id).code == 1


def test_a_resend_says_whether_it_was_sent(shell: Shell, order_id: int) -> None:
    shell.sandbox.deliver_sms(order_id, code="111111")
    assert dict(row for row in shell.run("resend", order_id).rows)["resent"] == "yes"


def test_a_resend_can_wait_for_the_newer_code(shell: Shell, order_id: int) -> None:
    shell.sandbox.deliver_sms(order_id, code="111111")
    shell.sandbox.set_otp_after(0)
    found = shell.run("resend", order_id, "--wait", "--json").data
    assert found["revision"] == 2
    assert found["code"] != "111111"


def test_a_supplier_that_cannot_send_again_is_a_failure(shell: Shell, client: Client) -> None:
    created = client.orders.create(catalog_product_id=87, prefer_provider="gamma", min_price="1.00")
    shell.sandbox.deliver_sms(created.orders[0].id)
    done = shell.run("resend", created.orders[0].id, "--wait")
    assert done.code == 1
    assert done.rows[2] == ["resent", "no: its supplier cannot send again"]


def test_errors_are_a_line_of_json_where_json_is_wanted(shell: Shell) -> None:
    done = shell.run("order", 4711, "--json")
    assert done.out == ""
    said = json.loads(done.err)
    assert said.pop("advice").startswith("This command has a sandbox of its own, ")
    assert said == {
        "error": "NotFoundError",
        "message": "Order not found",
        "code": "NOT_FOUND",
        "status_code": 404,
        "details": None,
        "request_id": "sandbox-000001",
        "retry_after": None,
        "idempotency_key": None,
        "outcome": "rejected",
        "exit_code": 1,
    }


def test_the_embedded_sandbox_has_orders_to_try_everything_on(capsys: pytest.CaptureFixture[str]) -> None:
    from smscode.__main__ import main

    assert main(["orders", "--sandbox"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows] == [["1003", "ACTIVE"], ["1002", "OTP_RECEIVED"], ["1001", "COMPLETED"]]
    assert [main([*command, "--sandbox"]) for command in (["cancel", "1003"], ["finish", "1002"])] == [0, 0]
