"""Scenarios: how they are written, what they are chosen for, and which of them plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smscode.core.api.registry import ENDPOINTS
from smscode.errors import InvalidArgumentError
from smscode.sandbox import Behaviour, Message, Sandbox, scenarios
from smscode.sandbox.scenarios import SCENARIOS, described, parse_scenarios

from .harness import Api, refusal, wrong_fields

HEADER = "x-sandbox-scenario"
CREATE = "/orders/create"


def still(**options: Any) -> Api:
    defaults: dict[str, Any] = {"otp_after": None, "cancel_after": 0, "resend_cooldown": 0}
    return Api(**(defaults | options))


def create(api: Api, scenario: str | None = None, **fields: Any) -> Any:
    """Rent a number and return its order's id in a list, or the refusal."""
    headers = {} if scenario is None else {HEADER: scenario}
    response = api.send("POST", CREATE, json=fields or {"product_id": 142}, headers=headers)
    if response.status_code == 200:
        return [order["id"] for order in response.json()["data"]["orders"]]
    return refusal(response)


# -- how they are written ------------------------------------------------------------------------


def test_a_scenario_is_called_as_it_is_made() -> None:
    assert str(scenarios.otp_after(5)) == "otp_after(5)"
    assert str(scenarios.otp_after(seconds=0.5)) == "otp_after(0.5)"
    assert str(scenarios.two_messages(second=9)) == "two_messages(2, 9)"
    assert str(scenarios.never()) == "never"


def test_what_is_written_is_what_is_made() -> None:
    assert parse_scenarios("otp_after(5)") == (scenarios.otp_after(5),)
    assert parse_scenarios(" two_messages( second = 9 ) ,") == (scenarios.two_messages(second=9),)
    assert parse_scenarios("partial(2), partial, never()") == (
        scenarios.partial(2),
        scenarios.partial(),
        scenarios.never(),
    )
    for scenario in described():
        assert [made.name.partition("(")[0] for made in parse_scenarios(scenario.form)] == [
            scenario.form.partition("(")[0]
        ]


def test_every_scenario_plays_somewhere_and_says_what_it_is_about() -> None:
    for name, make in SCENARIOS.items():
        assert all(operation in ENDPOINTS for operation in make().operations), name
    assert all(scenario.about.endswith(".") for scenario in described())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lost_respones", r"no scenario is called 'lost_respones'; the closest are lost_response"),
        ("qqq", r"no scenario is called 'qqq'; the scenarios are bad_gateway, ban, .*, usual"),
        ("", r"expected names as 'otp_after\(5\), lost_response', not ''"),
        ("never never", r"expected names as"),
        ("never(", r"expected names as"),
        ("otp_after(soon)", r"'soon' is not a number: expected otp_after\(seconds=2\)"),
        ("otp_after(1, 2)", r"expected otp_after\(seconds=2\)"),
        ("otp_after(hours=1)", r"expected otp_after\(seconds=2\)"),
    ],
)
def test_what_is_not_a_scenario_is_refused_with_the_closest(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^scenario: {problem}") as caught:
        parse_scenarios(text)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("otp_after(-1)", "seconds"),
        ("otp_after(nan)", "seconds"),
        ("otp_after(1e9)", "seconds"),
        ("two_messages(1, -2)", "second"),
        ("partial(1.5)", "numbers"),
        ("dead_numbers(1.5)", "probability"),
        ("late_code(10, -1)", "probability"),
        ("prices_move(seconds=-1)", "seconds"),
        ("partial(-1)", "numbers"),
        ("rate_limited(2.5)", "retry_after"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(text: str, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name}: expected"):
        parse_scenarios(text)


# -- what they are chosen for --------------------------------------------------------------------


def test_a_product_has_its_own_scenario() -> None:
    api = still()
    api.sandbox.play("otp_after(5)", catalog_product_id=87)
    (served,), (waiting,) = api.rent(catalog_product_id=87), api.rent(catalog_product_id=88)
    api.sandbox.advance(5)
    assert [api.order(order_id)["status"] for order_id in (served, waiting)] == ["OTP_RECEIVED", "ACTIVE"]


def test_a_supplier_has_its_own_scenario_also_where_others_may_fill_the_order() -> None:
    api = still()
    api.sandbox.play("provider_error", product_id=142)
    assert create(api, product_id=142) == (
        422,
        "PROVIDER_ERROR",
        {"cause_counts": {"provider_error": 1}},
    )
    (order_id,) = api.rent(catalog_product_id=87)
    assert api.order(order_id)["product_id"] == 143, "the next supplier has it"
    api.sandbox.play("otp_after(5)", product_id=142)
    (order_id,) = api.rent(catalog_product_id=87)
    assert api.order(order_id)["product_id"] == 142
    api.sandbox.advance(5)
    assert api.order(order_id)["status"] == "OTP_RECEIVED"


def test_suppliers_that_have_too_few_are_filled_up_by_others() -> None:
    api = still()
    api.sandbox.play("partial(1)", product_id=142)
    orders = api.post(CREATE, catalog_product_id=87, quantity=3)["orders"]
    assert [order["product_id"] for order in orders] == [142, 143, 143]
    api.sandbox.play("partial(1)", product_id=143)
    api.sandbox.play("partial(2)", product_id=142)
    orders = api.post(CREATE, catalog_product_id=87, quantity=2)["orders"]
    assert [order["product_id"] for order in orders] == [142, 142]


def test_the_product_without_stock_is_still_in_the_catalogue() -> None:
    api = still()
    api.sandbox.play("no_stock", catalog_product_id=87)
    assert create(api, catalog_product_id=87)[1] == "NO_OFFER_AVAILABLE"
    assert create(api, product_id=142)[1] == "PROVIDER_ERROR"
    listed = api.get("/catalog/products", country_id=6, platform_id=3)
    assert listed[0]["available"] > 0


def test_an_order_goes_on_by_another_scenario() -> None:
    api = still(otp_after=100)
    chosen, usual = api.rent(2)
    api.sandbox.advance(50)
    api.sandbox.play("two_messages(1, 3)", order_id=chosen)
    api.sandbox.advance(3)
    assert [api.order(order_id)["sms_revision"] for order_id in (chosen, usual)] == [2, 0]
    api.sandbox.play("usual", order_id=chosen)
    api.post("/orders/resend", id=chosen)
    api.sandbox.advance(100)
    assert api.order(chosen)["sms_revision"] == 3


def test_an_order_that_gets_no_sms_any_more_expires() -> None:
    api = still(otp_after=100)
    (order_id,) = api.rent()
    api.sandbox.play("never", order_id=order_id)
    api.sandbox.advance(1200)
    assert api.order(order_id)["status"] == "EXPIRED"


def test_the_windows_of_an_order_can_be_moved() -> None:
    api = still()
    soon, late = api.rent(2)
    api.sandbox.play("expires_soon(30), too_early(20)", order_id=soon)
    api.sandbox.play("expires_soon(3000)", order_id=late)
    assert api.refused("POST", "/orders/cancel", id=soon)[1] == "CANCEL_TOO_EARLY"
    assert api.order(soon)["can_cancel"] is False
    api.sandbox.advance(30)
    assert api.order(soon)["status"] == "EXPIRED"
    assert api.sandbox.balance == 985_000
    api.sandbox.advance(2000)
    assert api.order(late)["status"] == "ACTIVE"
    api.sandbox.advance(1000)
    assert api.order(late)["status"] == "EXPIRED"


def test_what_has_ended_does_not_go_on() -> None:
    api = still()
    (order_id,) = api.rent()
    api.post("/orders/cancel", id=order_id)
    api.sandbox.play("otp_after(0), expires_soon(5)", order_id=order_id)
    api.sandbox.advance(10)
    assert api.order(order_id)["status"] == "CANCELED"


def test_the_requests_about_an_order_have_its_scenario() -> None:
    api = still()
    refused, usual = api.rent(2)
    api.sandbox.play("cancel_refused", order_id=refused)
    assert api.refused("POST", "/orders/cancel", id=refused)[1] == "PROVIDER_ERROR"
    assert api.post("/orders/cancel", id=usual)
    api.sandbox.play("internal_error", order_id=refused, operation="orders.get", times=1)
    assert api.refused("GET", f"/orders/{refused}")[1] == "INTERNAL_ERROR"
    assert api.order(refused)


def test_an_order_does_not_get_early_what_only_some_requests_shall_have() -> None:
    api = still(otp_after=100)
    (order_id,) = api.rent()
    api.sandbox.play("too_early(900)", order_id=order_id, operation="orders.cancel")
    assert api.refused("POST", "/orders/cancel", id=order_id)[1] == "CANCEL_TOO_EARLY"
    assert api.order(order_id)["can_cancel"] is True
    api.sandbox.clear_scenarios(order_id=order_id)
    assert api.post("/orders/cancel", id=order_id)


def test_the_next_requests_have_a_scenario_one_choice_after_the_other() -> None:
    api = still()
    api.sandbox.play("internal_error", operation="orders.create", times=2)
    api.sandbox.play("insufficient_balance", times=1)
    assert api.get("/balance"), "this is none that they would change"
    codes = [create(api)[1] for _ in range(3)]
    assert codes == ["INTERNAL_ERROR", "INTERNAL_ERROR", "INSUFFICIENT_BALANCE"]
    assert create(api) == [1001]
    assert api.sandbox.transport().app.selection.choices == {}


def test_what_counts_down_begins_anew_with_each_of_the_next_requests() -> None:
    api = still()
    api.sandbox.play("rate_limited(30)", operation="balance.get", times=2)
    api.sandbox.advance(100)
    answers = [api.send("GET", "/balance") for _ in range(3)]
    assert [answer.headers.get("retry-after") for answer in answers] == ["30", "30", None]


def test_what_counts_down_for_everything_is_over_at_its_end() -> None:
    api = still()
    api.sandbox.play("maintenance(60)")
    api.sandbox.advance(45.5)
    answer = api.send("GET", "/balance")
    assert (*refusal(answer)[:2], answer.headers["retry-after"]) == (503, "SERVICE_UNAVAILABLE", "15")
    api.sandbox.advance(14.5)
    assert api.get("/balance")


def test_a_ban_is_that_of_the_abuse_guard_and_ends() -> None:
    api = still()
    first = api.post(CREATE, "key", product_id=142)
    api.sandbox.play("ban(60)", catalog_product_id=87)
    api.sandbox.advance(20)
    assert create(api) == (
        429,
        "TEMP_BANNED_ABUSE_GUARD",
        {"until": "2026-06-14T04:01:12+00:00", "tier": "HARD", "retry_after_seconds": 40},
    )
    assert api.post(CREATE, "key", product_id=142) == first, "what was bought before is still shown"
    assert create(api, catalog_product_id=88) == [1002]
    api.sandbox.advance(40)
    assert create(api) == [1003]


def test_a_request_chooses_for_itself(version: str) -> None:
    api = still(version=version)
    assert create(api, "no_stock", catalog_product_id=87)[1] == "NO_OFFER_AVAILABLE"
    (served,) = create(api, "otp_after(1), expires_soon(60)")
    (usual,) = create(api)
    api.sandbox.advance(60)
    assert [api.order(order_id)["status"] for order_id in (served, usual)] == ["COMPLETED", "ACTIVE"]
    assert api.send("GET", "/balance", headers={HEADER: "never"}).status_code == 200


def test_a_request_that_chooses_what_there_is_not_is_not_valid() -> None:
    api = still()
    answer = create(api, "no_stok")
    assert wrong_fields(answer) == {HEADER}
    assert "no_stock" in answer[2]["fields"][HEADER]
    assert len(api.sandbox.ledger) == 1


def test_nobody_without_the_token_chooses() -> None:
    api = still()
    response = api.send("GET", "/balance", headers={HEADER: "bad_gateway", "authorization": "Bearer no"})
    assert response.status_code == 401


# -- which of them plays -------------------------------------------------------------------------


def test_the_narrower_choice_counts() -> None:
    api = still()
    sandbox = api.sandbox
    arrivals: list[int] = []

    def rent(scenario: str | None = None) -> None:
        (order_id,) = create(api, scenario)
        before = sandbox.now
        while not api.order(order_id)["sms_revision"]:
            sandbox.advance(1)
        arrivals.append((sandbox.now - before).seconds)

    sandbox.play("otp_after(1)")
    rent()
    sandbox.play("otp_after(2)", catalog_product_id=87)
    rent()
    sandbox.play("otp_after(3)", product_id=142)
    rent()
    sandbox.play("otp_after(4)", operation="orders.create")
    rent()
    sandbox.play("otp_after(5)", times=2)
    rent()
    rent("otp_after(6)")
    rent()
    assert arrivals == [1, 2, 3, 4, 5, 6, 4]


def test_what_a_narrower_choice_says_nothing_about_is_left_to_the_wider_one() -> None:
    api = still()
    api.sandbox.play("text_only(1)")
    api.sandbox.play("expires_soon(60)", catalog_product_id=87)
    (order_id,) = api.rent()
    api.sandbox.advance(1)
    assert api.order(order_id)["otp_message"].startswith("Tap")
    api.sandbox.advance(59)
    assert api.order(order_id)["status"] == "COMPLETED"


def test_usual_keeps_everything_wider_out() -> None:
    api = still()
    api.sandbox.play("provider_error, slow_answer(9), lost_response, fx_down")
    api.sandbox.set_behaviour(Behaviour(outcome="provider_unavailable"))
    api.sandbox.play("usual", catalog_product_id=87)
    assert create(api) == [1001]
    api.sandbox.play("usual, internal_error", catalog_product_id=87)
    assert create(api)[1] == "INTERNAL_ERROR"


def test_usual_keeps_everything_wider_out_of_one_supplier() -> None:
    api = still()
    api.sandbox.play("provider_error", catalog_product_id=87)
    api.sandbox.play("usual", product_id=143)
    (order_id,) = api.rent(catalog_product_id=87)
    assert api.order(order_id)["product_id"] == 143


def test_the_last_choice_for_the_same_replaces_the_one_before() -> None:
    api = still()
    api.sandbox.play("provider_error", catalog_product_id=87)
    api.sandbox.play("never", catalog_product_id=87)
    assert create(api) == [1001]


def test_a_behaviour_is_a_scenario_too() -> None:
    api = still()
    behaviour = Behaviour(messages=(Message(1, "Hello"),), cancel="provider_error")
    api.sandbox.play(behaviour, catalog_product_id=87)
    (order_id,) = api.rent()
    assert api.refused("POST", "/orders/cancel", id=order_id)[1] == "PROVIDER_ERROR"
    api.sandbox.advance(1)
    assert api.order(order_id)["otp_message"] == "Hello"
    api.sandbox.play(Behaviour(resend="provider_error"), operation="orders.resend")
    assert api.refused("POST", "/orders/resend", id=order_id)[1] == "PROVIDER_ERROR"


def test_an_order_keeps_what_it_got_when_it_was_bought() -> None:
    api = still()
    api.sandbox.play("two_messages(1, 2)")
    (order_id,) = api.rent()
    api.sandbox.clear_scenarios()
    api.sandbox.advance(2)
    api.post("/orders/resend", id=order_id)
    api.sandbox.advance(2)
    assert api.order(order_id)["sms_revision"] == 4


def test_a_reactivation_has_the_scenario_of_its_order() -> None:
    api = still()
    (parent,) = api.rent()
    api.sandbox.deliver_sms(parent)
    api.post("/orders/finish", id=parent)
    api.sandbox.play("provider_error", order_id=parent)
    assert api.refused("GET", f"/orders/{parent}/reactivate-options")[1] == "PROVIDER_ERROR"
    assert api.refused("POST", "/orders/reactivate", id=parent)[1] == "PROVIDER_ERROR"
    api.sandbox.play("otp_after(1)", order_id=parent)
    (child,) = (order["id"] for order in api.post("/orders/reactivate", id=parent)["orders"])
    api.sandbox.advance(1)
    assert api.order(child)["status"] == "OTP_RECEIVED"


def test_a_purchase_on_its_way_keeps_what_was_chosen_for_it() -> None:
    api = Api(otp_after=None)
    app = api.sandbox.transport().app
    api.sandbox.play("slow_create(5)", catalog_product_id=87)
    api.sandbox.play("otp_after(1)", product_id=142)
    headers = {"authorization": f"Bearer {api.sandbox.token}"}
    exchange = app.begin("POST", "/v1/orders/create", headers, b'{"catalog_product_id":87}')
    api.sandbox.clear_scenarios()
    api.sandbox.advance(5)
    assert app.until_settled(exchange) == 0
    app.complete(exchange)
    api.sandbox.advance(1)
    assert [order["status"] for order in api.get("/orders")] == ["OTP_RECEIVED"]


def test_an_answer_is_held_back_while_the_time_stands_still() -> None:
    api = still()
    app = api.sandbox.transport().app
    api.sandbox.play("slow_answer(5), slow_create(2)")
    headers = {"authorization": f"Bearer {api.sandbox.token}"}
    exchange = app.begin("POST", "/v1/orders/create", headers, b'{"catalog_product_id":87}')
    assert app.until_settled(exchange) == 5
    api.sandbox.advance(3)
    assert len(api.sandbox.ledger) == 2
    assert app.until_settled(exchange) == 2


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"catalog_product_id": 9999}, "catalog_product_id"),
        ({"product_id": 9999}, "product_id"),
        ({"order_id": 1001}, "order_id"),
        ({"order_id": 1001, "product_id": 142}, "order_id"),
        ({"operation": "orders.buy"}, "operation"),
        ({"operation": "orders.get"}, "operation"),
        ({"times": 0}, "times"),
        ({"times": 1.5}, "times"),
    ],
)
def test_what_there_is_not_cannot_be_chosen_for(choice: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name}: "):
        Sandbox().play("never", **choice)


@pytest.mark.parametrize("scenario", ["ban", "no_stock", "partial"])
def test_what_only_plays_in_new_orders_cannot_be_chosen_for_one_that_is_there(scenario: str) -> None:
    api = still()
    (order_id,) = api.rent()
    with pytest.raises(InvalidArgumentError, match=r"^order_id: .* applies to new orders only"):
        api.sandbox.play(scenario, order_id=order_id)


def test_at_least_one_scenario_is_chosen() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^scenario: expected at least one"):
        Sandbox().play()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"product_id": true}', b'{"catalog_product_id": "87"}', b"[" * 100_000]
)
def test_a_request_that_cannot_be_read_has_what_was_chosen_for_everything(body: bytes) -> None:
    api = still()
    api.sandbox.play("internal_error", catalog_product_id=87)
    assert api.send("POST", CREATE, content=body).status_code == 422
    api.sandbox.play("internal_error")
    assert api.send("POST", CREATE, content=body).status_code == 500


def test_the_documented_generation_plays_them_too(version: str) -> None:
    api = Api(version, generation="documented", otp_after=None)
    played: list[Callable[[], Any]] = [
        lambda: create(api, "partial(1)", product_id=142, quantity=2),
        lambda: create(api, "otp_after(1)"),
    ]
    assert [len(make()) for make in played] == [1, 1]
    api.sandbox.advance(1)
    assert api.order(1002)["status"] == "OTP_RECEIVED"
