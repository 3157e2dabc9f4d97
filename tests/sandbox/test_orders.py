"""The life of an order: SMS, resend, cancel, finish, expiry, reactivation."""

from __future__ import annotations

import pytest

from .harness import Api, wrong_fields

GAMMA = 144  # the provider that can neither resend nor rent a number again


def test_an_sms_arrives_when_it_is_due(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.advance(1.5)
    assert api.order(order_id)["status"] == "ACTIVE"
    api.sandbox.advance(60)
    order = api.order(order_id)
    assert order["status"] == "OTP_RECEIVED"
    assert order["otp_received_at"] == "2026-06-14T04:00:14+00:00"
    assert order["otp_message"] == f"Your WhatsApp code is {order['otp_code']}"
    assert len(order["otp_code"]) == 6
    assert order["otp_code"].isdigit()
    assert order["sms_revision"] == 1


def test_no_sms_arrives_by_itself_when_told_so() -> None:
    api = Api(otp_after=None)
    (order_id,) = api.rent()
    api.sandbox.advance(1000)
    assert api.order(order_id)["sms_revision"] == 0


def test_an_sms_can_be_delivered_by_hand(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id, code="0042")
    order = api.order(order_id)
    assert (order["otp_code"], order["otp_message"]) == ("0042", "Your WhatsApp code is 0042")
    api.sandbox.deliver_sms(order_id, text="Confirm: https://example.net/c/9")
    order = api.order(order_id)
    assert (order["otp_code"], order["otp_message"]) == ("0042", "Confirm: https://example.net/c/9")
    assert order["sms_revision"] == 2
    api.sandbox.deliver_sms(order_id, text="code 7", code="7")
    assert api.order(order_id)["otp_code"] == "7"


def test_a_first_sms_may_have_no_code(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id, text="Confirm: https://example.net/c/9")
    order = api.order(order_id)
    assert (order["status"], order["otp_code"], order["can_cancel"]) == ("OTP_RECEIVED", None, False)


def test_orders_are_listed_newest_first(api: Api) -> None:
    ids = api.rent(5)
    api.sandbox.deliver_sms(ids[1])
    api.post("/orders/finish", id=ids[1])
    listed = [order["id"] for order in api.get("/orders")]
    assert listed == ids[::-1]
    assert [order["id"] for order in api.get("/orders", limit=2, offset=1)] == [ids[3], ids[2]]
    assert [order["id"] for order in api.get("/orders", status="completed")] == [ids[1]]
    assert [order["id"] for order in api.get("/orders/active")] == [ids[4], ids[3], ids[2], ids[0]]
    assert api.get("/orders", offset=5) == api.get("/orders", offset=2**62) == []


def test_the_limits_of_the_order_list() -> None:
    api = Api(balance=10_000_000)
    api.rent(100)
    api.rent(30)
    assert len(api.get("/orders")) == 20
    assert len(api.get("/orders", limit=1000)) == 100
    assert len(api.get("/orders", limit=0, offset=-3)) == 1
    answer = api.refused("GET", "/orders", status="GONE", limit="x", offset="y")
    assert wrong_fields(answer) == {"status", "limit", "offset"}


def test_cancel_refunds_an_order_without_sms(version: str) -> None:
    api = Api(version, otp_after=None)
    (order_id,) = api.rent()
    api.sandbox.advance(119)
    assert api.refused("POST", "/orders/cancel", id=order_id)[:2] == (409, "CANCEL_TOO_EARLY")
    assert api.order(order_id)["cancel_available_at"] == "2026-06-14T04:02:12+00:00"
    api.sandbox.advance(1)
    assert api.order(order_id)["can_cancel"] is True
    result = api.post("/orders/cancel", id=order_id)
    assert (result["order_id"], result["status"]) == (order_id, "CANCELED")
    if version == "v1":
        assert (result["refund_amount"], result["new_balance"]) == (15_000, 1_000_000)
    else:
        assert (result["refund_amount"]["amount"], result["new_balance"]["amount"]) == ("0.9231", "61.54")
    order = api.order(order_id)
    assert (order["status"], order["canceled_at"]) == ("CANCELED", "2026-06-14T04:02:12+00:00")
    assert api.refused("POST", "/orders/cancel", id=order_id)[:2] == (409, "CONFLICT")
    assert api.get("/orders/active") == []
    assert api.sandbox.balance == 1_000_000


def test_any_sms_closes_cancel_for_good(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.advance(120)
    assert api.refused("POST", "/orders/cancel", id=order_id)[:2] == (409, "CONFLICT")
    api.post("/orders/resend", id=order_id)
    assert api.order(order_id)["status"] == "ACTIVE"
    assert api.refused("POST", "/orders/cancel", id=order_id)[:2] == (409, "CONFLICT")


def test_finish_needs_an_sms(api: Api) -> None:
    (order_id,) = api.rent()
    assert api.refused("POST", "/orders/finish", id=order_id)[:2] == (409, "CONFLICT")
    api.sandbox.advance(2)
    assert api.post("/orders/finish", id=order_id) == {"order_id": order_id, "status": "COMPLETED"}
    assert api.refused("POST", "/orders/finish", id=order_id)[:2] == (409, "CONFLICT")
    assert api.refused("POST", "/orders/resend", id=order_id)[:2] == (409, "CONFLICT")
    assert api.sandbox.balance == 985_000


def test_a_resend_brings_another_code(api: Api) -> None:
    (order_id,) = api.rent()
    assert api.refused("POST", "/orders/resend", id=order_id)[:2] == (409, "CONFLICT")
    api.sandbox.advance(2)
    first = api.order(order_id)
    answer = api.post("/orders/resend", id=order_id)
    assert answer == {"order_id": order_id, "status": "ACTIVE", "resent": True}
    waiting = api.order(order_id)
    assert waiting["status"] == "ACTIVE"
    assert (waiting["otp_code"], waiting["sms_revision"]) == (first["otp_code"], 1)
    assert (waiting["can_resend"], waiting["resend_available_at"]) == (False, "2026-06-14T04:00:44+00:00")
    assert waiting["can_finish"] is True
    api.sandbox.advance(2)
    second = api.order(order_id)
    assert (second["status"], second["sms_revision"]) == ("OTP_RECEIVED", 2)
    assert second["otp_code"] != first["otp_code"]
    assert second["otp_received_at"] == first["otp_received_at"]
    assert api.refused("POST", "/orders/resend", id=order_id)[:2] == (409, "CONFLICT")  # cooling down
    api.sandbox.advance(28)
    assert api.order(order_id)["resend_available_at"] is None
    assert api.post("/orders/resend", id=order_id)["resent"] is True


def test_a_resend_replaces_the_sms_that_was_still_to_come() -> None:
    api = Api(otp_after=10)
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id)
    api.sandbox.advance(5)
    api.post("/orders/resend", id=order_id)
    api.sandbox.advance(9)
    assert api.order(order_id)["sms_revision"] == 1
    api.sandbox.advance(1)
    assert api.order(order_id)["sms_revision"] == 2


def test_a_new_code_always_differs_from_the_last() -> None:
    def second_code(first: str) -> str:
        api = Api(otp_after=None)
        (order_id,) = api.rent()
        api.sandbox.deliver_sms(order_id, code=first)
        api.sandbox.deliver_sms(order_id)
        return str(api.order(order_id)["otp_code"])

    usual = second_code("none")
    assert second_code(usual) != usual


def test_some_suppliers_cannot_resend(api: Api) -> None:
    (order_id,) = api.rent(product_id=GAMMA)
    api.sandbox.advance(2)
    answer = api.post("/orders/resend", id=order_id)
    assert answer == {"order_id": order_id, "status": "OTP_RECEIVED", "resent": False}
    api.sandbox.advance(100)
    assert api.order(order_id)["sms_revision"] == 1


def test_the_documented_service_answers_an_early_resend(version: str) -> None:
    api = Api(version, generation="documented")
    (order_id,) = api.rent()
    answer = api.post("/orders/resend", id=order_id)
    assert answer == {"order_id": order_id, "status": "ACTIVE", "resent": False}
    api.sandbox.advance(2)
    assert api.post("/orders/resend", id=order_id)["resent"] is True
    api.sandbox.advance(30)
    assert api.post("/orders/finish", id=order_id)
    assert api.refused("POST", "/orders/resend", id=order_id)[:2] == (409, "CONFLICT")


def test_an_order_without_sms_expires_and_is_refunded(version: str) -> None:
    api = Api(version, otp_after=None)
    (order_id,) = api.rent()
    api.sandbox.advance(1199)
    assert api.order(order_id)["status"] == "ACTIVE"
    api.sandbox.advance(100)
    order = api.order(order_id)
    assert (order["status"], order["canceled_at"], order["can_cancel"]) == ("EXPIRED", None, False)
    assert api.sandbox.balance == 1_000_000
    assert api.sandbox.ledger[-1].at.isoformat() == "2026-06-14T04:20:12+00:00"
    with pytest.raises(ValueError, match="ended"):
        api.sandbox.deliver_sms(order_id)


def test_an_order_with_an_sms_is_completed_at_its_end(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.advance(10)
    api.post("/orders/resend", id=order_id)
    api.sandbox.advance(1.5)
    assert api.order(order_id)["status"] == "ACTIVE"
    api.sandbox.advance(1200)
    assert api.order(order_id)["status"] == "COMPLETED"
    assert api.sandbox.balance == 985_000


def test_an_sms_due_after_the_end_never_comes() -> None:
    api = Api(otp_after=30, lifetime=20)
    (order_id,) = api.rent()
    api.sandbox.advance(100)
    order = api.order(order_id)
    assert (order["status"], order["sms_revision"]) == ("EXPIRED", 0)


def test_the_stock_comes_back_when_orders_end(version: str) -> None:
    api = Api(version, otp_after=None)

    def stock() -> int:
        return int(api.get("/catalog/products", country_id=6, platform_id=3)[0]["available"])

    before = stock()
    api.rent(4)
    assert stock() == before - 4
    api.sandbox.advance(1200)
    assert stock() == before


def test_capabilities_over_the_life_of_an_order() -> None:
    api = Api(otp_after=None)
    (order_id,) = api.rent()
    names = ("can_finish", "can_resend", "can_cancel", "can_replace", "can_reactivate")

    def now() -> tuple[object, ...]:
        order = api.order(order_id)
        assert order["replace_available_at"] == order["cancel_available_at"]
        return tuple(order[name] for name in names)

    assert now() == (False, False, False, False, False)
    api.sandbox.advance(120)
    assert now() == (False, False, True, True, False)
    api.sandbox.deliver_sms(order_id)
    assert now() == (True, True, False, False, False)
    api.post("/orders/finish", id=order_id)
    assert now() == (False, False, False, False, True)


def completed(api: Api, product_id: int = 142) -> int:
    (order_id,) = api.rent(product_id=product_id)
    api.sandbox.deliver_sms(order_id)
    api.post("/orders/finish", id=order_id)
    return order_id


def test_a_completed_number_can_be_rented_again(version: str) -> None:
    api = Api(version, otp_after=None)
    parent = completed(api)
    cost = api.get(f"/orders/{parent}/reactivate-options")["cost"]
    assert cost == 11_250 if version == "v1" else cost["amount"] == "0.6923"
    (child,) = api.post("/orders/reactivate", id=parent)["orders"]
    assert child["id"] != parent
    assert child["phone_number"] == api.order(parent)["phone_number"]
    assert (child["product_id"], child["catalog_product_id"]) == (142, 87)
    assert api.sandbox.balance == 1_000_000 - 15_000 - 11_250
    # Its number is taken until the child ends.
    assert api.order(parent)["can_reactivate"] is False
    assert api.refused("POST", "/orders/reactivate", id=parent)[:2] == (409, "CONFLICT")
    api.sandbox.advance(120)
    api.post("/orders/cancel", id=child["id"])
    assert api.sandbox.balance == 1_000_000 - 15_000
    assert api.order(parent)["can_reactivate"] is True


def test_a_number_is_held_by_one_order_however_often_it_was_rented_again(api: Api) -> None:
    first = completed(api)
    (second,) = (order["id"] for order in api.post("/orders/reactivate", id=first)["orders"])
    api.sandbox.deliver_sms(second)
    api.post("/orders/finish", id=second)
    for order_id, other in ((first, second), (second, first)):
        (again,) = (order["id"] for order in api.post("/orders/reactivate", id=order_id)["orders"])
        assert api.refused("POST", "/orders/reactivate", id=other)[:2] == (409, "CONFLICT")
        assert api.order(other)["can_reactivate"] is False
        api.sandbox.deliver_sms(again)
        api.post("/orders/finish", id=again)


def test_what_cannot_be_rented_again(version: str) -> None:
    api = Api(version, otp_after=None)
    (active,) = api.rent()
    gamma = completed(api, GAMMA)
    for order_id in (active, gamma):
        assert api.refused("POST", "/orders/reactivate", id=order_id)[:2] == (409, "CONFLICT")
        assert api.refused("GET", f"/orders/{order_id}/reactivate-options")[:2] == (409, "CONFLICT")
    assert api.order(gamma)["can_reactivate"] is False
    assert api.refused("GET", "/orders/7/reactivate-options")[:2] == (404, "NOT_FOUND")


def test_a_reactivation_above_max_price_is_refused(version: str) -> None:
    api = Api(version, rate=10_000)
    parent = completed(api)
    low, high = (11_249, 11_250) if version == "v1" else ("1.1249", "1.125")
    assert wrong_fields(api.refused("POST", "/orders/reactivate", id=parent, max_price=low)) == {"max_price"}
    assert api.post("/orders/reactivate", id=parent, max_price=high)["failed_count"] == 0


def test_a_reactivation_has_to_be_paid_for(version: str) -> None:
    api = Api(version, balance=20_000)
    parent = completed(api)
    assert api.refused("POST", "/orders/reactivate", id=parent)[:2] == (409, "INSUFFICIENT_BALANCE")
    assert api.order(parent)["can_reactivate"] is True


def test_keys_of_create_and_reactivate_do_not_collide(api: Api) -> None:
    (first,) = api.post("/orders/create", "k", product_id=142)["orders"]
    api.sandbox.deliver_sms(first["id"])
    api.post("/orders/finish", id=first["id"])
    child = api.post("/orders/reactivate", "k", id=first["id"])
    assert api.post("/orders/reactivate", "k", id=first["id"]) == child
    assert len(api.get("/orders")) == 2


def test_a_suppliers_refusal_of_a_reactivation_is_recorded(api: Api) -> None:
    parent = completed(api)
    api.sandbox.fail_next("orders.reactivate", "PROVIDER_ERROR")
    for _ in range(2):
        assert api.refused("POST", "/orders/reactivate", "k", id=parent)[:2] == (422, "PROVIDER_ERROR")
    api.sandbox.fail_next("orders.cancel", "PROVIDER_ERROR")
    assert api.refused("POST", "/orders/cancel", id=parent)[:2] == (422, "PROVIDER_ERROR")
    assert api.refused("POST", "/orders/cancel", id=parent)[:2] == (409, "CONFLICT")
