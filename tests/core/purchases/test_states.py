"""What a purchase goes through, without a loop: the table, the steps, the book."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from attrs import evolve

from smscode import (
    ClientStateError,
    InvalidArgumentError,
    JournalError,
    OrderIntent,
    PurchaseTooOldError,
    calls,
)
from smscode.core import retry
from smscode.core.purchases import records as records
from smscode.core.purchases.doubt import Doubt
from smscode.core.purchases.records import (
    BoughtOrder,
    Claimant,
    KnownKeys,
    PurchaseRecord,
    PurchaseState,
    Writing,
)
from smscode.core.purchases.spending import SpendingRule
from smscode.core.purchases.states import (
    FOUND_HERE,
    VERDICTS,
    Purchase,
    judge,
    kind_of,
    row_after,
)
from smscode.core.retry import for_every_code
from smscode.money import FxRate

from ..test_open_rentals import ORDER

# Written out once more on purpose: the package's table is what is tested.
# kind: (outcome and row without an open attempt, outcome and row with one)
UNKNOWN = ("unknown stays", "unknown stays")
NOT_SENT = ("not_sent withdrawn", "unknown stays")
REJECTED = ("rejected refused", "unknown stays")
ROWS = {
    "argument": NOT_SENT,
    "another order": UNKNOWN,
    "under way": UNKNOWN,
    "too old": UNKNOWN,
    "another token": UNKNOWN,
    "settled meanwhile": UNKNOWN,
    "journal": NOT_SENT,
    "closed": NOT_SENT,
    "spending limit": NOT_SENT,
    "banned here": NOT_SENT,
    "no room": NOT_SENT,
    "not sent": NOT_SENT,
    "cannot be sent": NOT_SENT,
    "transport failed": UNKNOWN,
    "connection broke": UNKNOWN,
    "kept-alive connection broke": UNKNOWN,
    "unreadable answer": UNKNOWN,
    "unavailable": UNKNOWN,
    "throttled": REJECTED,
    "body too large": REJECTED,
    "refused by something else": UNKNOWN,
    "redirect": UNKNOWN,
    "answer too large": UNKNOWN,
    "unexpected data": UNKNOWN,
    "UNAUTHORIZED": REJECTED,
    "FORBIDDEN": REJECTED,
    "NOT_FOUND": REJECTED,
    "CONFLICT": UNKNOWN,
    "INSUFFICIENT_BALANCE": REJECTED,
    "CANCEL_TOO_EARLY": UNKNOWN,
    "REQUEST_IN_PROGRESS": UNKNOWN,
    "VALIDATION_ERROR": REJECTED,
    "PROVIDER_ERROR": ("failed refused", "failed refused"),
    "NO_OFFER_AVAILABLE": REJECTED,
    "IDEMPOTENCY_KEY_REUSED": ("unknown refused", "unknown refused"),
    "RATE_LIMIT_EXCEEDED": REJECTED,
    "TEMP_BANNED_ABUSE_GUARD": REJECTED,
    "INTERNAL_ERROR": UNKNOWN,
    "SERVICE_UNAVAILABLE": UNKNOWN,
    "FX_RATE_UNAVAILABLE": REJECTED,
    "unknown refusal": REJECTED,
    "unknown code": UNKNOWN,
    "unknown code of a failing service": UNKNOWN,
}
TABLE = for_every_code(ROWS)
SETTLING = {
    "INSUFFICIENT_BALANCE": "late",
    "NO_OFFER_AVAILABLE": "late",
    "PROVIDER_ERROR": "always",
    "IDEMPOTENCY_KEY_REUSED": "always",
}
NOTHING_SENT = {
    *("argument", "another order", "under way", "too old", "another token", "settled meanwhile", "journal"),
    *("closed", "spending limit"),
}
STILL_NOTHING_SENT = {"banned here", "no room", "not sent", "cannot be sent"}
NEVER_OPEN = NOTHING_SENT | STILL_NOTHING_SENT | {"IDEMPOTENCY_KEY_REUSED"}
NOW = 1_000_000.0


def intent(key: str = "sale-17", **wish: object) -> OrderIntent:
    options: dict[str, object] = {"catalog_product_id": 87}
    return OrderIntent.of(calls.orders.create(**(options | wish), idempotency_key=key), "v2")  # type: ignore[arg-type]  # a test's options


def row(state: PurchaseState = PurchaseState.WRITTEN, **fields: object) -> PurchaseRecord:
    facts: dict[str, object] = {
        "account": "mine",
        "credential": "here:token",
        "intent": intent(),
        "owner": "me",
        "written_at": NOW,
    }
    return PurchaseRecord(state=state, **(facts | fields))  # type: ignore[arg-type]  # a test's options


def nobody(owner: str) -> bool:
    return False


def everybody(owner: str) -> bool:
    return True


def test_every_kind_of_failure_of_a_purchase_has_a_verdict() -> None:
    assert set(VERDICTS) == set(TABLE)
    assert set(retry.TABLE) <= set(TABLE)
    assert FOUND_HERE == NOTHING_SENT


@pytest.mark.parametrize("kind", TABLE)
def test_the_verdicts_are_those_of_the_table(kind: str) -> None:
    clear, doubtful = TABLE[kind]
    verdict = VERDICTS[kind]
    assert f"{verdict.outcome} {verdict.row}" == clear
    assert f"{verdict.outcome_open} {verdict.row_open}" == doubtful
    assert verdict.settles == SETTLING.get(kind, "no")
    for before, expected in ((False, clear), (True, doubtful)):
        doubt = Doubt(raised=before, ended=NOW if before else float("-inf"))
        outcome = judge(kind, doubt, before=before, sent_at=NOW + 1, now=NOW + 2)
        assert f"{outcome} {row_after(kind, outcome)}" == expected


@pytest.mark.parametrize("kind", TABLE)
def test_doubt_stays_until_the_key_was_looked_up(kind: str) -> None:
    for before in (False, True):
        doubt = Doubt(raised=before, ended=NOW)
        judge(kind, doubt, before=before, sent_at=NOW + 1, now=NOW + 2)
        opens = TABLE[kind] == UNKNOWN and kind not in NEVER_OPEN
        settles = kind in ("PROVIDER_ERROR", "IDEMPOTENCY_KEY_REUSED")
        assert doubt.raised == (opens or (before and not settles))
        assert doubt.ended == (NOW + 2 if opens else NOW)


@pytest.mark.parametrize("kind", ["NO_OFFER_AVAILABLE", "INSUFFICIENT_BALANCE"])
@pytest.mark.parametrize(("seconds", "outcome"), [(59.999, "unknown"), (60.0, "rejected")])
def test_a_released_key_is_free_once_the_last_open_attempt_cannot_arrive_any_more(
    kind: str, seconds: float, outcome: str
) -> None:
    doubt = Doubt(raised=True, ended=NOW)
    assert judge(kind, doubt, before=True, sent_at=NOW + seconds, now=NOW + 100) == outcome
    assert doubt.raised == (outcome == "unknown")


@pytest.mark.parametrize("kind", sorted(TABLE.keys() - SETTLING.keys()))
def test_nothing_else_ends_the_doubt_however_late_it_comes(kind: str) -> None:
    doubt = Doubt(raised=True, ended=NOW)
    assert judge(kind, doubt, before=True, sent_at=NOW + 1e6, now=NOW + 1e6) == "unknown"
    assert doubt.raised


def test_errors_found_here_are_kinds_of_the_table() -> None:
    assert kind_of(ClientStateError("closed")) == "closed"
    assert kind_of(JournalError("busy")) == "journal"
    assert kind_of(InvalidArgumentError("quantity")) == "argument"
    assert kind_of(records.too_old(5.0, 1.0)) == "too old"
    assert "first sent 5 s ago, and max_age is 1 s" in str(records.too_old(5.0, 1.0))
    assert "first sent in the future, by a clock that was set back, and" in str(
        records.too_old(float("inf"), 1.0)
    )
    assert kind_of(records.under_way("it")) == "under way"
    assert kind_of(records.another_order("it")) == "another order"
    assert kind_of(records.settled_meanwhile()) == "settled meanwhile"


def test_what_was_not_sent_is_withdrawn_whatever_stopped_it() -> None:
    assert row_after("TEMP_BANNED_ABUSE_GUARD", "not_sent") == "withdrawn"
    assert row_after("TEMP_BANNED_ABUSE_GUARD", "rejected") == "refused"


@pytest.mark.parametrize(
    ("facts", "certain", "undelivered"),
    [
        ({}, True, False),
        ({"doubt": Doubt(raised=True)}, False, False),
        ({"finished": True}, False, False),
        ({"bought": True}, False, False),
        ({"bought": True, "orders": {7: ORDER}}, False, True),
        ({"bought": True, "orders": {7: ORDER}, "handed_over": True}, False, False),
        ({"bought": True, "orders": {7: ORDER}, "returned": True}, False, False),
        ({"orders": {7: ORDER}}, True, False),  # while the answer is stored
    ],
)
def test_a_purchase_knows_whether_it_was_made_and_returned(
    facts: dict[str, Any], certain: bool, undelivered: bool
) -> None:
    purchase = Purchase(intent(), **facts)
    assert (purchase.certain, purchase.undelivered) == (certain, undelivered)
    assert (purchase.key, purchase.under_way) == ("sale-17", False)


# --- Intents


def test_an_intent_is_the_same_after_it_was_pickled() -> None:
    one = intent()
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.call.request("v2") == one.request
    assert b"sale-17" not in repr(one.body).encode()


@pytest.mark.parametrize(
    ("pickled", "expected"),
    [
        (
            b"\x80\x02csmscode.core.intents\nOrderIntent\nq\x00)\x81q\x01}q\x02(X\x0f\x00\x00\x00idempotency_key"
            b"q\x03X\x06\x00\x00\x00goldenq\x04X\t\x00\x00\x00operationq\x05X\r\x00\x00\x00orders.createq\x06X"
            b"\x07\x00\x00\x00versionq\x07X\x02\x00\x00\x00v2q\x08X\x04\x00\x00\x00bodyq\tc_codecs\nencode\nq\n"
            b'X9\x00\x00\x00{"catalog_product_id":87,"quantity":1,"max_price":"1.50"}q\x0bX\x06\x00\x00\x00'
            b"latin1q\x0c\x86q\rRq\x0eub.",
            intent("golden", max_price="1.50"),
        ),
        (
            b"\x80\x04\x95\x8d\x00\x00\x00\x00\x00\x00\x00\x8c\x14smscode.core.intents\x94\x8c\x0bOrderIntent"
            b"\x94\x93\x94)\x81\x94}\x94(\x8c\x0fidempotency_key\x94\x8c\x07golden2\x94\x8c\toperation\x94\x8c"
            b'\x11orders.reactivate\x94\x8c\x07version\x94\x8c\x02v1\x94\x8c\x04body\x94C\x08{"id":5}\x94ub.',
            OrderIntent.of(calls.orders.reactivate(5, idempotency_key="golden2"), "v1"),
        ),
    ],
)
def test_pickles_of_the_first_version_are_read(pickled: bytes, expected: OrderIntent) -> None:
    assert pickle.loads(pickled) == expected


def test_an_intent_of_another_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidArgumentError, match="api_version='v2'"):
        intent().call.request("v1")


def test_a_cap_is_in_rupiah_for_the_whole_quantity() -> None:
    rate = FxRate("USD/IDR", 16_000, None)
    assert intent(max_price="0.50", quantity=3).cap(rate) == 24_000
    assert intent(max_price="0.50").cap(None) is None
    assert intent().cap(rate) is None
    call = calls.orders.create(catalog_product_id=87, quantity=2, max_price=7_000)
    assert OrderIntent.of(call, "v1").cap(None) == 14_000


# --- Writing


def test_a_new_purchase_is_written() -> None:
    writing = Writing(row(), 10)
    assert writing.write(None, nobody) == (row(), KnownKeys())


@pytest.mark.parametrize("state", [PurchaseState.REFUSED, PurchaseState.WITHDRAWN])
def test_a_key_under_which_nothing_was_bought_is_free_for_another_order(state: PurchaseState) -> None:
    before = row(state, intent=intent(quantity=5), owner="other", closed_at=NOW)
    assert Writing(row(), 10).write(before, everybody) == (row(), KnownKeys())


@pytest.mark.parametrize("state", [PurchaseState.WRITTEN, PurchaseState.BOUGHT])
def test_a_key_that_may_have_bought_is_not_for_another_order(state: PurchaseState) -> None:
    with pytest.raises(InvalidArgumentError, match="another order"):
        Writing(row(intent=intent(quantity=5)), 10).write(row(state), nobody)


def test_a_purchase_that_a_living_process_has_under_way_is_left_to_it() -> None:
    with pytest.raises(ClientStateError, match="under way"):
        Writing(row(), 10).write(row(owner="other"), everybody)


def test_a_purchase_of_an_ended_process_is_taken_over_in_doubt() -> None:
    before = row(owner="other", open_until=NOW - 5, closed_at=NOW, credential="here:old")
    stored, known = Writing(row(open_until=NOW + 9), 10).write(before, nobody)
    assert stored == evolve(before, owner="me", open_until=NOW + 9, closed_at=None)
    assert known == KnownKeys(PurchaseState.WRITTEN, NOW - 5, NOW)


def test_a_purchase_that_waits_to_be_written_has_not_failed() -> None:
    assert not Writing(row(), 10).failed


def test_the_limit_that_a_purchase_has_to_keep_to_goes_along_with_it() -> None:
    rule = SpendingRule(total=5)
    assert (Writing(row(), 10, rule=rule).rule, Writing(row(), 10).rule) == (rule, None)


@pytest.mark.parametrize(
    ("stored_until", "new_until", "until"),
    [
        (NOW + 5, NOW + 9, NOW + 9),
        (NOW + 9, NOW + 5, NOW + 9),
        (None, NOW + 5, NOW + 5),
        (NOW, None, None),
        (None, None, None),
    ],
)
def test_a_repeated_purchase_may_arrive_until_the_last_of_its_attempts_has_ended(
    stored_until: float | None, new_until: float | None, until: float | None
) -> None:
    stored, known = Writing(row(open_until=new_until), 10).write(row(open_until=stored_until), everybody)
    assert stored == row(open_until=until)
    assert known == KnownKeys(PurchaseState.WRITTEN, stored_until, NOW)


def test_a_purchase_that_was_made_stays_with_whoever_has_it() -> None:
    before = row(PurchaseState.BOUGHT, owner="other")
    stored, known = Writing(row(), 10).write(before, everybody)
    assert stored is before
    assert known.state is PurchaseState.BOUGHT


@pytest.mark.parametrize(
    ("age", "sent"),
    [(0.0, True), (10.0, True), (10.001, False), (-60.0, True), (-60.001, False), (-30 * 86_400.0, False)],
)
def test_ages_are_kept_and_a_clock_that_was_set_back_is_not_believed(age: float, sent: bool) -> None:
    writing = Writing(row(written_at=NOW + age), 10)
    if sent:
        assert writing.write(row(), nobody)[1].state is PurchaseState.WRITTEN
        return
    with pytest.raises(PurchaseTooOldError):
        writing.write(row(), nobody)


@pytest.mark.parametrize(
    ("ago", "age"), [(5.0, 5.0), (0.0, 0.0), (-1.0, 0.0), (-60.0, 0.0), (-60.5, float("inf"))]
)
def test_a_purchase_of_the_next_minute_was_written_now(ago: float, age: float) -> None:
    assert records.age_of(NOW - ago, NOW) == age


@pytest.mark.parametrize(
    ("state", "closed_at", "expected"),
    [
        (PurchaseState.WRITTEN, None, True),
        (PurchaseState.BOUGHT, None, True),
        (PurchaseState.REFUSED, None, False),
        (PurchaseState.WITHDRAWN, None, False),
        (PurchaseState.WRITTEN, NOW, False),
        (PurchaseState.BOUGHT, NOW, False),
    ],
)
def test_a_purchase_is_open_until_it_is_closed_or_known_not_to_be_made(
    state: PurchaseState, closed_at: float | None, expected: bool
) -> None:
    assert row(state, closed_at=closed_at).open is expected


@pytest.mark.parametrize(
    ("orders", "charged", "refunded"),
    [
        ((), 0, 0),
        ((BoughtOrder(7),), 0, 0),
        ((BoughtOrder(7, charged=500, refunded=20), BoughtOrder(8), BoughtOrder(9, charged=70)), 570, 20),
        (2 * (BoughtOrder(7, charged=2**62, refunded=2**62),), 2**63 - 1, 2**63 - 1),
        ((BoughtOrder(7, charged=2**80, refunded=2**80),), 2**63 - 1, 2**63 - 1),
    ],
)
def test_a_record_sums_up_its_orders_as_far_as_a_file_can_hold_it(
    orders: tuple[BoughtOrder, ...], charged: int, refunded: int
) -> None:
    bought = row(PurchaseState.BOUGHT, orders=orders)
    assert (bought.charged, bought.refunded) == (charged, refunded)


# --- Withdrawals and refusals


def test_only_what_this_call_wrote_is_withdrawn() -> None:
    made, joined = Writing(row(), 10), Writing(row(), 10)
    stored, _ = made.write(None, nobody)
    assert made.withdraw(NOW + 1)(stored, nobody) == (
        row(PurchaseState.WITHDRAWN, answered_at=NOW + 1, closed_at=NOW + 1),
        True,
    )
    stored, _ = joined.write(row(), nobody)
    assert joined.withdraw(NOW + 1)(stored, nobody) == (stored, False)


def test_what_was_never_written_need_not_be_withdrawn() -> None:
    assert Writing(row(), 10).withdraw(NOW)(None, nobody) == (None, True)
    other = row(owner="other")
    assert Writing(row(), 10).withdraw(NOW)(other, nobody) == (other, False)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        row(owner="other"),
        row(PurchaseState.BOUGHT),
        row(PurchaseState.WITHDRAWN),
        row(PurchaseState.REFUSED),
    ],
)
def test_a_refusal_changes_no_row_that_is_not_this_owners_open_one(stored: PurchaseRecord | None) -> None:
    assert records.end_unbought("me", PurchaseState.REFUSED, NOW)(stored, nobody) == (stored, False)


def test_a_refusal_closes_the_row() -> None:
    refused, done = records.end_unbought("me", PurchaseState.REFUSED, NOW)(row(), nobody)
    assert done
    assert refused is not None
    assert (refused.state, refused.closed_at, refused.open) == (PurchaseState.REFUSED, NOW, False)


def test_leaving_a_purchase_in_doubt_stores_when_its_attempt_ended() -> None:
    assert records.leave("me", NOW + 3)(row(), nobody)[0] == row(open_until=NOW + 3)
    for other in (None, row(owner="other"), row(PurchaseState.BOUGHT)):
        assert records.leave("me", NOW + 3)(other, nobody)[0] is other


# --- Bought


ORDERS = (BoughtOrder(7, NOW + 1200, 15_000), BoughtOrder(8, None, 9_000))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        row(),
        row(owner="other"),
        row(PurchaseState.REFUSED, closed_at=NOW),
        row(PurchaseState.WITHDRAWN),
    ],
)
def test_bought_overwrites_any_state(stored: PurchaseRecord | None) -> None:
    bought, _ = records.buy(row(), ORDERS, NOW + 1)(stored, nobody)
    assert bought is not None
    assert (bought.state, bought.orders, bought.open) == (PurchaseState.BOUGHT, ORDERS, True)
    assert (bought.charged, bought.refunded, bought.answered_at) == (24_000, 0, NOW + 1)


def test_buying_again_keeps_what_is_known() -> None:
    stored = row(PurchaseState.BOUGHT, orders=ORDERS, handed_at=NOW)
    assert records.buy(row(), (), NOW)(stored, nobody)[0] is stored


def test_a_purchase_of_no_number_is_over() -> None:
    bought, _ = records.buy(row(), (), NOW)(row(), nobody)
    assert bought is not None
    assert not bought.open
    assert records.hand_over(None)(bought, nobody)[0] == bought


def test_a_row_closes_when_its_orders_have_ended_and_its_caller_had_them() -> None:
    stored: PurchaseRecord | None = row(PurchaseState.BOUGHT, orders=ORDERS)
    stored, _ = records.end_orders({7: 15_000, 99: 0}, NOW + 2)(stored, nobody)
    stored, _ = records.end_orders({7: 0, 8: 0}, NOW + 3)(stored, nobody)
    assert stored is not None
    assert [(order.refunded, order.ended_at) for order in stored.orders] == [(15_000, NOW + 2), (0, NOW + 3)]
    assert (stored.refunded, stored.open) == (15_000, True)
    stored, _ = records.hand_over(NOW + 4)(stored, nobody)
    assert stored is not None
    assert stored.closed_at == NOW + 4
    stored, _ = records.hand_over(None)(stored, nobody)
    assert stored is not None
    assert stored.open


def test_a_row_that_was_handed_over_closes_with_its_last_order() -> None:
    stored, _ = records.hand_over(NOW)(row(PurchaseState.BOUGHT, orders=ORDERS), nobody)
    stored, _ = records.end_orders({7: None}, NOW + 1)(stored, nobody)
    assert stored is not None
    assert stored.open
    stored, _ = records.end_orders({8: None}, NOW + 2)(stored, nobody)
    assert stored is not None
    assert stored.closed_at == NOW + 2


def test_a_row_that_was_dismissed_stays_closed_since_then() -> None:
    stored: PurchaseRecord | None = row(PurchaseState.BOUGHT, orders=ORDERS, handed_at=NOW, closed_at=NOW + 1)
    stored, _ = records.end_orders({7: None, 8: None}, NOW + 2)(stored, nobody)
    assert stored is not None
    assert stored.closed_at == NOW + 1


def test_steps_on_rows_that_are_not_there_change_nothing() -> None:
    assert records.end_orders({7: None}, NOW)(None, nobody)[0] is None
    assert records.hand_over(NOW)(None, nobody)[0] is None
    assert records.hand_over(NOW)(row(), nobody)[0] == row()
    assert records.close(NOW)(None, nobody)[0] is None
    assert records.close(NOW)(row(), nobody)[0] == row(closed_at=NOW)
    assert records.close(NOW)(row(closed_at=1.0), nobody)[0] == row(closed_at=1.0)


# --- Claims


ME = Claimant("me", "mine", "here:token", nobody)


def test_rows_of_ended_processes_are_taken_over() -> None:
    for state, handed_at in (
        (PurchaseState.WRITTEN, None),
        (PurchaseState.BOUGHT, None),
        (PurchaseState.BOUGHT, NOW),
    ):
        left = row(state, owner="gone", handed_at=handed_at)
        assert records.claim(ME)(left, nobody) == (evolve(left, owner="me"), evolve(left, owner="me"))
        assert records.claim(ME)(left, everybody) == (left, None)


def test_what_this_owner_left_unfinished_comes_along() -> None:
    for unfinished in (row(), row(PurchaseState.BOUGHT)):
        assert records.claim(ME)(unfinished, nobody) == (unfinished, unfinished)
        assert records.claim(evolve(ME, under_way=everybody))(unfinished, nobody) == (unfinished, None)
        assert records.claim(ME)(unfinished, everybody) == (unfinished, unfinished)
    handed = row(PurchaseState.BOUGHT, handed_at=NOW)
    assert records.claim(ME)(handed, nobody) == (handed, None)


def test_no_row_of_another_account_is_moved() -> None:
    shown = row(account="theirs", owner="gone", credential="here:other")
    assert records.claim(ME)(shown, nobody) == (shown, shown)
    assert records.claim(ME)(shown, everybody) == (shown, None)
    for hidden in (
        row(PurchaseState.BOUGHT, account="theirs", owner="gone", credential="here:other"),
        row(account="theirs", owner="gone", credential="elsewhere:token"),
        row(account="here:named", owner="gone", credential="here:other"),
        row(account="theirs", owner="gone", credential=""),
    ):
        assert records.claim(ME)(hidden, nobody) == (hidden, None)


def test_what_the_same_token_wrote_under_another_name_of_the_account_is_taken_over() -> None:
    left = row(account="here:named", owner="gone", credential="here:token")
    assert records.claim(ME)(left, nobody) == (evolve(left, owner="me"), evolve(left, owner="me"))


def test_what_was_written_before_tokens_were_noted_is_taken_over_by_its_account() -> None:
    left = row(owner="gone", credential="")
    assert records.claim(ME)(left, nobody) == (evolve(left, owner="me"), evolve(left, owner="me"))


def test_what_another_token_wrote_under_this_name_stays_with_it() -> None:
    for credential in ("here:other", "elsewhere:token"):
        left = row(owner="gone", credential=credential)
        assert records.claim(ME)(left, nobody) == (left, left)
    bought = row(PurchaseState.BOUGHT, owner="gone", credential="here:other")
    assert records.claim(ME)(bought, nobody) == (evolve(bought, owner="me"), evolve(bought, owner="me"))


@pytest.mark.parametrize(
    "stored",
    [row(PurchaseState.REFUSED), row(PurchaseState.WITHDRAWN), row(PurchaseState.BOUGHT), row(closed_at=NOW)],
)
def test_what_is_recovered_is_written_only_while_it_is_in_doubt(stored: PurchaseRecord) -> None:
    with pytest.raises(ClientStateError, match="settled meanwhile"):
        Writing(row(), 10, only_open=True).write(stored, nobody)
    for kept in (None, row()):
        assert Writing(row(), 10, only_open=True).write(kept, nobody)[0] == row()


def test_a_repeated_purchase_is_taken_over_from_a_process_that_has_ended() -> None:
    before = row(PurchaseState.BOUGHT, owner="gone", orders=ORDERS)
    assert Writing(row(), 10).write(before, nobody)[0] == evolve(before, owner="me")
