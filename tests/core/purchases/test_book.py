"""The book of a client's purchases: what it begins, adopts, hands over, ends and forgets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from smscode import (
    APIError,
    ClientStateError,
    CreatedOrders,
    InvalidArgumentError,
    Money,
    Order,
    OrderIntent,
    OrderStatus,
    SmscodeError,
)
from smscode.core.purchases import records
from smscode.core.purchases.book import PurchaseBook, adopted, as_order, bought_orders, recovered
from smscode.core.purchases.doubt import Doubt
from smscode.core.purchases.records import BoughtOrder, PurchaseRecord, PurchaseState
from smscode.core.purchases.states import Purchase
from smscode.models import ActiveOrder, CreatedOrder

from .test_states import NOW, ORDERS, intent, row


class Call:
    over = False

    def forbid(self, why: BaseException) -> None:
        raise AssertionError("no journal is closed here")


def created(*ids: int, **fields: object) -> CreatedOrders:
    facts: dict[str, object] = {"status": OrderStatus.ACTIVE, "product_id": 5, "amount": Money.idr(15_000)}
    orders = tuple(CreatedOrder(id=one, **(facts | fields)) for one in ids)  # type: ignore[arg-type]  # as above
    return CreatedOrders(orders, 0)


def bought(book: PurchaseBook, *ids: int, key: str = "sale-17", handed: bool = True) -> Purchase:
    call = Call()
    purchase = book.begin(intent(key), call)
    book.buy(purchase, created(*ids))
    if handed:
        book.hand_over(purchase, done=True)
    call.over = True
    return purchase


def test_a_purchase_is_one_calls_at_a_time() -> None:
    book, call = PurchaseBook(), Call()
    purchase = book.begin(intent(), call)
    assert book.begin(intent(), call) is purchase
    with pytest.raises(ClientStateError, match="under way"):
        book.begin(intent(), Call())
    with pytest.raises(InvalidArgumentError, match="another order"):
        book.begin(intent(quantity=9), Call())
    assert book.knows("sale-17")
    assert book.unresolved() == ()
    call.over = True
    assert not book.knows("sale-17")
    assert book.begin(intent(quantity=9), Call()) is not purchase


def test_a_purchase_in_doubt_is_unresolved_and_keeps_its_key() -> None:
    book, call = PurchaseBook(), Call()
    purchase = book.begin(intent(), call)
    purchase.doubt.raised = True
    assert book.unresolved() == ()
    call.over = True
    assert book.unresolved() == (intent(),)
    assert book.knows("sale-17")
    with pytest.raises(InvalidArgumentError, match="another order"):
        book.begin(intent(quantity=9), Call())
    again = Call()
    assert book.begin(intent(), again) is purchase
    assert book.unresolved() == (), "it is the other call's now"
    again.over = True
    assert book.unresolved() == (intent(),)


def test_a_key_whose_purchase_is_over_is_still_known() -> None:
    book = PurchaseBook()
    bought(book, 7)
    book.end_order(7, OrderStatus.CANCELED, 0)
    assert book.bought() == ()
    assert book.knows("sale-17")
    assert not book.knows("sale-18")
    with pytest.raises(InvalidArgumentError, match="another order"):
        book.begin(intent(quantity=9), Call())


def test_a_key_under_which_nothing_was_bought_is_forgotten() -> None:
    book = PurchaseBook()
    purchase = book.begin(intent(), Call())
    book.drop(purchase)
    book.drop(purchase)
    assert not book.knows("sale-17")
    other = book.begin(intent(quantity=9), Call())
    book.drop(purchase)
    assert book.begin(intent(quantity=9), other.holder or Call()) is other


def test_old_keys_are_forgotten_once_there_are_ten_thousand_newer_ones() -> None:
    book, call, one = PurchaseBook(), Call(), intent("used-again")

    def buy(key: str) -> None:
        book.buy(book.begin(evolve(one, idempotency_key=key), call), CreatedOrders((), 1))

    buy("used-again")
    buy("first")
    for number in range(9_998):
        buy(f"key-{number}")
    buy("used-again")
    assert book.knows("first")
    buy("last")
    assert [book.knows(key) for key in ("first", "key-0", "used-again", "last")] == [False, *[True] * 3]


def test_what_is_dismissed_is_forgotten_and_its_key_is_not() -> None:
    book = PurchaseBook()
    bought(book, 7)
    for _ in range(2):
        book.dismiss("sale-17")
        assert book.bought() == ()
        assert book.knows("sale-17")
    book.dismiss("sale-18")
    assert not book.knows("sale-18")


def test_a_purchase_whose_age_is_not_known_counts_as_the_oldest() -> None:
    book = PurchaseBook()
    bought(book, 7)
    book.dismiss("sale-17")
    assert book.begin(intent(), Call()).written_at == 0.0


def test_bought_purchases_are_there_until_their_orders_have_ended() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7, 8)
    assert [(one.state, [order.id for order in one.orders]) for one in book.bought()] == [("open", [7, 8])]
    assert book.unresolved() == ()
    assert book.end_order(7, OrderStatus.CANCELED, 500) == {purchase: {7: 500}}
    assert book.end_order(7, OrderStatus.CANCELED, 500) == {}
    assert book.end_order(1, OrderStatus.CANCELED, 500) == {}
    assert not book.empty
    assert book.end_order(8, OrderStatus.CANCELED, None) == {purchase: {8: 15_000}}
    assert book.bought() == ()
    assert book.empty


def test_orders_that_no_caller_has_are_unresolved_also_when_they_have_ended() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7, handed=False)
    book.end_order(7, OrderStatus.CANCELED, 0)
    assert [one.state for one in book.bought()] == ["undelivered"]
    assert book.unresolved() == (intent(),)
    assert book.undelivered() == [purchase]
    book.hand_over(purchase, done=True)
    assert book.bought() == ()
    book.hand_over(purchase, done=False)
    assert book.unresolved() == (intent(),)


def test_each_list_has_the_purchases_of_its_kind_oldest_first() -> None:
    book = PurchaseBook()
    book.begin(intent("under-way"), Call())
    book.buy(book.begin(intent("answered"), Call()), created(1))
    doubtful = Call()
    book.begin(intent("in-doubt"), doubtful).doubt.raised = True
    doubtful.over = True
    dropped = Call()
    book.begin(intent("never-sent"), dropped)
    dropped.over = True
    bought(book, 2, key="undelivered", handed=False)
    bought(book, 3, key="delivered")
    for key, order_id, handed_at in (("left", 4, None), ("left-delivered", 5, NOW)):
        orders = (BoughtOrder(order_id),)
        book.adopt(
            adopted(row(PurchaseState.BOUGHT, intent=intent(key), orders=orders, handed_at=handed_at), 0.0)
        )
    told = [
        (one.intent.idempotency_key, one.state, [order.id for order in one.orders]) for one in book.bought()
    ]
    assert told == [
        ("undelivered", "undelivered", [2]),
        ("delivered", "open", [3]),
        ("left", "undelivered", [4]),
        ("left-delivered", "open", [5]),
    ]
    assert [purchase.key for purchase in book.undelivered()] == ["undelivered", "left", "left-delivered"]
    assert [one.idempotency_key for one in book.unresolved()] == ["in-doubt", "undelivered", "left"]


def test_a_purchase_of_no_number_needs_nobody() -> None:
    book = PurchaseBook()
    purchase = bought(book, handed=False)
    assert book.knows("sale-17")
    assert (book.unresolved(), book.bought()) == ((), ())
    book.hand_over(purchase, done=False)
    assert (book.unresolved(), book.bought()) == ((), ())


def test_an_answer_settles_the_doubt_of_its_purchase() -> None:
    book, call = PurchaseBook(), Call()
    purchase = book.begin(intent(), call)
    purchase.doubt.raised = True
    book.buy(purchase, created(7))
    book.hand_over(purchase, done=True)
    call.over = True
    assert book.unresolved() == ()


def test_an_answer_to_a_purchase_that_was_dropped_is_kept() -> None:
    book, call = PurchaseBook(), Call()
    purchase = book.begin(intent(), call)
    book.drop(purchase)
    book.buy(purchase, created(7))
    call.over = True
    assert book.unresolved() == (intent(),)
    assert [order.id for order in book.orders_under("sale-17")] == [7]


def test_a_replayed_purchase_keeps_what_was_seen_of_it() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7, 8)
    book.end_order(7, OrderStatus.CANCELED, 0)
    book.buy(purchase, created(7, 8))
    assert list(purchase.living) == [8]


def seen(order_id: int, status: OrderStatus | str) -> ActiveOrder:
    return ActiveOrder(
        id=order_id,
        status=status,
        otp_code=None,
        otp_message=None,
        otp_received_at=None,
        expires_at=None,
        failed_reason=None,
    )


def test_an_order_that_ended_with_a_status_without_a_name_does_not_look_alive() -> None:
    book = PurchaseBook()
    bought(book, 7, 8)
    book.end_order(7, "", None)
    ((ended, alive),) = (one.orders for one in book.bought())
    assert (ended.status, alive.status) == ("", OrderStatus.ACTIVE)


def test_what_is_seen_of_orders_ends_them() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7, 8, 9)
    order = evolve(as_order(purchase.orders[8]), status=OrderStatus.CANCELED)
    rows: list[Order | ActiveOrder] = [
        seen(7, OrderStatus.ACTIVE),
        order,
        seen(9, OrderStatus.COMPLETED),
        seen(5, OrderStatus.EXPIRED),
    ]
    assert book.see(rows) == {purchase: {8: 15_000, 9: 0}}
    assert book.see(rows) == {}
    assert purchase.orders[8] == order
    assert book.see([seen(7, "FROZEN")]) == {}


@pytest.mark.parametrize(
    ("status", "refund"),
    [
        (OrderStatus.CANCELED, 15_000),
        (OrderStatus.EXPIRED, 15_000),
        ("expired", 15_000),
        (OrderStatus.COMPLETED, 0),
    ],
)
def test_a_refund_is_of_the_whole_price_for_what_was_canceled_or_expired(
    status: OrderStatus | str, refund: int
) -> None:
    book = PurchaseBook()
    purchase = bought(book, 7)
    assert book.see([seen(7, status)]) == {purchase: {7: refund}}
    assert book.buy(book.begin(intent("other"), Call()), created(8, status=status)) == {8: refund}


def test_orders_end_by_the_services_date() -> None:
    book, now = PurchaseBook(), datetime(2026, 6, 14, tzinfo=UTC)
    call = Call()
    purchase = book.begin(intent(), call)
    book.begin(intent("in-doubt"), call)
    purchase.written_at = now.timestamp()
    book.buy(purchase, created(7, expires_at=now + timedelta(minutes=20)))
    unknown = book.begin(intent("unknown"), call)
    unknown.written_at = now.timestamp()
    book.buy(unknown, created(8))
    assert book.expire(now + timedelta(minutes=19)) == {}
    assert book.expire(now + timedelta(minutes=20)) == {purchase: {7: None}}
    assert book.expire(now + timedelta(hours=24) - timedelta(microseconds=1)) == {}
    assert book.expire(now + timedelta(hours=24)) == {unknown: {8: None}}
    dateless = book.begin(intent("dateless"), call)
    book.buy(dateless, created(9))
    assert book.expire(now + timedelta(days=900)) == {}, "neither its end nor its age is known"


def test_purchases_of_ended_processes_are_adopted_once() -> None:
    book = PurchaseBook()
    left = row(PurchaseState.BOUGHT, orders=(*ORDERS, BoughtOrder(9, ended_at=NOW)), handed_at=NOW)
    purchase = book.adopt(adopted(left, 0.0))
    assert book.adopt(adopted(left, 0.0)) is purchase
    assert (purchase.returned, set(purchase.living)) == (True, {7, 8})
    assert purchase.orders[7].amount == Money.idr(15_000)
    assert purchase.orders[7].expires_at == datetime.fromtimestamp(NOW + 1200, UTC)
    assert [one.state for one in book.bought()] == ["open"]
    doubtful = book.adopt(adopted(row(intent=intent("other")), 5.0))
    assert doubtful.written_at == row().written_at
    assert doubtful.doubt == Doubt(raised=True, ended=5.0)
    assert book.unresolved() == (intent("other"),)
    assert book.end_order(7, OrderStatus.EXPIRED, None) == {purchase: {7: 15_000}}


def test_what_this_client_has_seen_of_an_order_is_newer_than_its_row() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7, 8)
    purchase.written_at = 1.0
    book.end_order(7, OrderStatus.CANCELED, 0)
    assert book.adopt(adopted(row(PurchaseState.BOUGHT, orders=ORDERS, handed_at=NOW), 0.0)) is purchase
    assert (list(purchase.living), purchase.returned, purchase.written_at) == ([8], False, 1.0)
    assert [order.status for order in purchase.orders.values()] == ["CANCELED", "ACTIVE"]


def test_what_is_adopted_settles_a_doubt_of_this_client() -> None:
    book, call = PurchaseBook(), Call()
    book.begin(intent(), call).doubt.raised = True
    call.over = True
    purchase = book.adopt(adopted(row(PurchaseState.BOUGHT, orders=ORDERS), 0.0))
    assert (purchase.bought, purchase.doubt.raised, set(purchase.living)) == (True, False, {7, 8})
    assert purchase.written_at == row().written_at
    assert book.undelivered() == [purchase]


def test_times_that_no_date_can_say_are_left_out() -> None:
    left = row(PurchaseState.BOUGHT, orders=(BoughtOrder(7, 1e18), BoughtOrder(8, -1e18)))
    assert [order.expires_at for order in adopted(left, 0.0).orders.values()] == [None, None]


def test_an_end_that_is_heard_of_before_the_purchase_is_answered_counts() -> None:
    book, call = PurchaseBook(), Call()
    assert book.end_order(7, OrderStatus.CANCELED, 9_000) == {}
    for number in range(2_000):
        book.end_order(100 + number, OrderStatus.CANCELED, None)
    book.end_order(8, OrderStatus.CANCELED, 9_000)
    purchase = book.begin(intent(), call)
    assert book.buy(purchase, created(7, 8)) == {8: 9_000}, "the first was forgotten among so many"
    assert list(purchase.living) == [7]


def test_an_order_that_has_ended_when_it_is_answered_is_over() -> None:
    book = PurchaseBook()
    purchase = book.begin(intent(), Call())
    assert book.buy(purchase, created(7, status=OrderStatus.CANCELED)) == {7: 15_000}
    assert not purchase.living
    other = book.begin(intent("other"), Call())
    assert book.buy(other, created(8, status=OrderStatus.COMPLETED)) == {8: 0}


def test_a_purchase_that_is_over_is_known_with_its_age() -> None:
    book = PurchaseBook()
    purchase = bought(book, 7)
    purchase.written_at = NOW
    book.end_order(7, OrderStatus.COMPLETED, 0)
    again = book.begin(intent(), Call())
    assert (again.finished, again.certain, again.written_at) == (True, False, NOW)
    book.drop(again)
    assert book.knows("sale-17")
    call = Call()
    again = book.begin(intent(), call)
    again.doubt.raised = True
    assert book.buy(again, created(7)) == {}
    call.over = True
    assert (book.bought(), book.unresolved()) == ((), ()), "it is known to be over"
    assert book.knows("sale-17")


def test_a_purchase_under_way_is_not_dismissed() -> None:
    book = PurchaseBook()
    book.begin(intent(), Call())
    with pytest.raises(ClientStateError, match="under way"):
        book.dismiss("sale-17")


def test_what_was_bought_is_stored_as_far_as_it_is_known() -> None:
    until = datetime.fromtimestamp(NOW + 1200, UTC)
    orders = (CreatedOrder(id=7, amount=Money.idr(15_000), expires_at=until), CreatedOrder(id=8))
    assert bought_orders(orders) == (BoughtOrder(7, NOW + 1200, 15_000), BoughtOrder(8))


def test_an_absurd_price_fits_into_a_row() -> None:
    orders = tuple(BoughtOrder(number, None, 2**62, 2**62) for number in range(4))
    assert (row(orders=orders).charged, row(orders=orders).refunded) == (2**63 - 1, 2**63 - 1)
    huge = adopted(row(PurchaseState.BOUGHT, orders=(BoughtOrder(7, None, 2**70),)), 0.0).orders.values()
    assert bought_orders(huge)[0].charged == 2**62


def test_what_was_recovered_is_told_oldest_first() -> None:
    refused, doubtful = APIError("no", outcome="rejected"), APIError("no", outcome="unknown")
    a, b, c, d, e, f = (intent(key) for key in "abcdef")
    order = as_order(adopted(row(PurchaseState.BOUGHT, orders=ORDERS), 0.0).orders[7])
    gone = records.settled_meanwhile()
    in_doubt: list[tuple[PurchaseRecord, CreatedOrders | SmscodeError]] = [
        (row(intent=a, written_at=6.0), refused),
        (row(intent=b, written_at=5.0), doubtful),
        (row(intent=c, written_at=4.0), created(7)),
        (row(intent=intent("g"), written_at=7.0), gone),
    ]

    def purchase(whose: OrderIntent, at: float, *, returned: bool = False, living: bool = True) -> Purchase:
        return Purchase(
            whose,
            written_at=at,
            bought=True,
            returned=returned,
            orders={7: order},
            living={7: None} if living else {},
        )

    bought = [
        purchase(c, 4.0),
        purchase(d, 3.0, returned=True),
        purchase(e, 2.0, living=False),
        purchase(f, 1.0, returned=True, living=False),
    ]
    told = recovered(in_doubt, bought)
    assert [(one.intent, one.state, one.error) for one in told] == [
        (e, "undelivered", None),
        (d, "open", None),
        (c, "settled", None),
        (b, "unsettled", doubtful),
        (a, "settled", refused),
    ]
    assert {one.orders for one in told} == {(order,), ()}


def test_what_was_settled_is_told_also_if_its_orders_have_ended_and_a_caller_had_them() -> None:
    returned = Purchase(intent(), written_at=4.0, bought=True, returned=True)
    (told,) = recovered([(row(written_at=4.0), created(7))], [returned])
    assert (told.intent, told.state) == (intent(), "settled")


def test_purchases_of_one_moment_are_recovered_in_their_order() -> None:
    refused = APIError("no", outcome="rejected")
    told = recovered([(row(intent=intent(key)), refused) for key in "ba"], [])
    assert [one.intent.idempotency_key for one in told] == ["b", "a"]


@pytest.mark.parametrize(
    ("stored", "advice"),
    [
        (True, "orders.recover() of a new client with the same journal settles this."),
        (
            False,
            "There is no journal to settle this from: orders.active() of a new client shows what is open, and"
            " the same purchase with the same idempotency_key returns what it bought.",
        ),
    ],
)
def test_the_warning_at_the_end_says_what_settles_a_purchase(stored: bool, advice: str) -> None:
    book = PurchaseBook()
    bought(book, 7, handed=False)
    assert book.warning(stored=stored) == (
        "The client was closed with 1 purchase in doubt, which may have been carried out: idempotency key"
        f" sale-17. {advice}"
    )


def test_the_warning_at_the_end_names_the_purchases_in_doubt_up_to_a_hundred() -> None:
    book = PurchaseBook()
    bought(book, 1)
    assert book.warning(stored=True) is None
    for number in range(102):
        bought(book, 100 + number, key=f"key-{number}", handed=False)
    said = book.warning(stored=True)
    assert said is not None
    assert "with 102 purchases in doubt" in said
    assert "key-99 and 2 more. orders.recover()" in said
    assert "key-100" not in said


def test_nothing_was_bought_under_a_key_that_is_not_known() -> None:
    assert PurchaseBook().orders_under("sale-17") == ()


def test_an_order_of_an_answer_is_active_and_free_as_long_as_nothing_else_is_said() -> None:
    orders = as_order(CreatedOrder(id=7)), as_order(created(8, status=OrderStatus.COMPLETED)[0])
    assert [(one.id, one.status, one.product_id, one.amount.canonical_amount) for one in orders] == [
        (7, OrderStatus.ACTIVE, 0, 0),
        (8, OrderStatus.COMPLETED, 5, 15_000),
    ]
    assert {(one.created_at, one.canceled_at) for one in orders} == {(None, None)}
