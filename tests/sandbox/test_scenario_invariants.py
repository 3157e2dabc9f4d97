"""Whatever scenarios are chosen and taken back, the ledger adds up and orders only do what orders may do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from smscode.models import OrderStatus
from smscode.sandbox.service import order_book

from .test_invariants import RUNS, Service, Watched

SCENARIOS = [
    "usual",
    "never",
    "otp_after(0)",
    "two_messages(5, 60)",
    "text_then_code(0, 130)",
    "expires_soon(10)",
    "expires_soon(1000), never",
    "provider_error",
    "insufficient_balance",
    "slow_create(45)",
    "too_early(300)",
    "too_early(0)",
    "cancel_refused, resend_refused",
    "fx_down",
    "unauthorized",
    "rate_limited(30)",
    "dead_numbers(0.5)",
    "late_code(150, 0.5)",
]
NEW_ORDERS = ["partial(1)", "no_stock", "ban(300)"]
"""Those that play in new orders only."""
MARKET = ["prices_move(40, 10)", "stock_runs_out(2)", "prices_move, stock_runs_out(1), dead_numbers"]
"""Those of products, which play for as long as they are chosen."""


class Scripted(Service):
    """Everything that can be done with a sandbox, while scenarios come and go."""

    @rule(
        scenario=st.sampled_from(SCENARIOS + NEW_ORDERS),
        place=st.sampled_from([{}, {}, {"catalog_product_id": 87}, {"product_id": 142}, {"product_id": 143}]),
        times=st.none() | st.integers(1, 3),
    )
    def play(self, scenario: str, place: dict[str, Any], times: int | None) -> None:
        self.sandbox.play(scenario, times=times, **place)

    @rule(
        scenario=st.sampled_from(MARKET),
        place=st.sampled_from([{}, {"catalog_product_id": 87}, {"product_id": 142}]),
    )
    def move_the_market(self, scenario: str, place: dict[str, Any]) -> None:
        self.sandbox.play(scenario, **place)
        self.runs_out = self.runs_out or "stock_runs_out" in scenario

    @rule(scenario=st.sampled_from(SCENARIOS), times=st.sampled_from([None, None, 1]), data=st.data())
    def play_for_an_order(self, scenario: str, times: int | None, data: st.DataObject) -> None:
        order_id = self.some_order(data, OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED)
        if order_id in self.world.orders:
            self.sandbox.play(scenario, order_id=order_id, times=times)

    @rule()
    def clear(self) -> None:
        self.sandbox.clear_scenarios()


def test_whatever_scenarios_play_the_ledger_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_book, "ServiceOrder", Watched)
    run_state_machine_as_test(
        Scripted,
        settings=settings(
            max_examples=RUNS // 2,
            stateful_step_count=30,
            deadline=None,
            derandomize=RUNS == 200,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
