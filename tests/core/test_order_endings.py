"""How a rental ends: what is sent, and what the answers mean, whatever the service has and whatever fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import attrs
import pytest

from smscode import (
    ActiveOrder,
    CancelTooEarlyError,
    ConflictError,
    CreatedOrder,
    ForbiddenError,
    Money,
    NetworkError,
    NotFoundError,
    Order,
    OrderStatus,
    ProviderError,
    RateLimitError,
    Sms,
    SmscodeError,
)
from smscode.core import order_endings
from smscode.core.order_endings import KnownMessages, Released, ReleaseEnding, ReleaseStep
from smscode.core.order_status import has_ended, is_over, known_status
from smscode.errors import Outcome

from .support import active_order

AT = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ORDER = Order(
    id=7,
    status=OrderStatus.ACTIVE,
    created_at=AT,
    product_id=1,
    amount=Money.idr(15_000),
    phone_number="+6281200000000",
    otp_code=None,
    otp_received_at=None,
    expires_at=None,
    canceled_at=None,
    failed_reason=None,
)
RECEIVED = attrs.evolve(
    ORDER,
    status=OrderStatus.OTP_RECEIVED,
    otp_code="123456",
    otp_message="Your code is 123456",
    otp_received_at=AT,
    sms_revision=1,
)
MESSAGE = Sms(7, "123456", "Your code is 123456", 1, AT)


def ended(order: Order, status: OrderStatus) -> Order:
    return attrs.evolve(order, status=status)


def knowing(*, received: bool) -> KnownMessages:
    known = KnownMessages()
    if received:
        known.take(MESSAGE)
    return known


def given_back(
    known: KnownMessages, *replies: SmscodeError | Order | ActiveOrder | None
) -> tuple[list[ReleaseStep], ReleaseEnding]:
    """Play the replies to what is sent; an order is what a reading shows. All of them must be used."""
    left = list(replies)
    sent: list[ReleaseStep] = []
    steps = order_endings.giving_back(known)
    try:
        step = next(steps)
        while True:
            sent.append(step)
            reply = left.pop(0)
            if isinstance(reply, Order | ActiveOrder):
                known.see(reply)
                reply = None
            step = steps.send(reply)
    except StopIteration as end:
        assert left == []
        return sent, end.value


def test_what_became_of_a_number_is_a_word() -> None:
    assert [str(one) for one in Released] == ["finished", "canceled", "left_to_expire", "already_released"]


def test_an_order_with_an_sms_is_finished_and_another_cancelled() -> None:
    assert given_back(KnownMessages(), None) == (["cancel"], ReleaseEnding(Released.CANCELED))
    known = KnownMessages()
    known.take(MESSAGE)
    assert given_back(known, None) == (["finish"], ReleaseEnding(Released.FINISHED))


@pytest.mark.parametrize(
    "refusal", [ConflictError("x"), CancelTooEarlyError("x"), ProviderError("x"), RateLimitError("x")]
)
def test_an_sms_behind_a_refused_cancel_is_read_before_the_order_is_finished(refusal: SmscodeError) -> None:
    known = KnownMessages()
    assert given_back(known, refusal, RECEIVED, None) == (
        ["cancel", "read", "finish"],
        ReleaseEnding(Released.FINISHED),
    )
    assert known.sms == MESSAGE


def test_an_order_that_is_too_new_and_has_no_sms_is_left_to_expire() -> None:
    for reading in (ORDER, NetworkError("x")):
        sent, ending = given_back(KnownMessages(), CancelTooEarlyError("x"), reading)
        assert (sent, ending) == (["cancel", "read"], ReleaseEnding(Released.LEFT_TO_EXPIRE))


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_an_order_that_ended_before_its_cancel_was_too_early_is_released_already(status: OrderStatus) -> None:
    found = given_back(KnownMessages(), CancelTooEarlyError("x"), ended(ORDER, status))
    assert found == (["cancel", "read"], ReleaseEnding(Released.ALREADY_RELEASED))


def test_an_order_whose_sms_cannot_be_read_is_not_finished() -> None:
    refusal, failure = ConflictError("x"), NetworkError("y")
    assert given_back(KnownMessages(), refusal, failure) == (["cancel", "read"], ReleaseEnding(None, refusal))
    assert refusal.__cause__ is failure


def test_an_order_without_an_sms_is_not_finished_whatever_a_cancel_is_told() -> None:
    refusal = ConflictError("x")
    assert given_back(KnownMessages(), refusal, ORDER) == (["cancel", "read"], ReleaseEnding(None, refusal))


def test_the_text_of_a_message_without_a_code_is_looked_up_where_the_order_has_none() -> None:
    older = attrs.evolve(ORDER, status=OrderStatus.OTP_RECEIVED, otp_received_at=AT)
    active = ActiveOrder(
        id=7,
        status=OrderStatus.OTP_RECEIVED,
        otp_code=None,
        otp_message="Welcome!",
        otp_received_at=AT,
        expires_at=None,
        failed_reason=None,
    )
    known = KnownMessages()
    sent, ending = given_back(known, ConflictError("x"), older, active, None)
    assert (sent, ending) == (["cancel", "read", "look", "finish"], ReleaseEnding(Released.FINISHED))
    assert known.sms == Sms(7, None, "Welcome!", None, AT)
    refusal = ConflictError("x")
    sent, ending = given_back(KnownMessages(), refusal, older, NetworkError("y"))
    assert (sent, ending) == (["cancel", "read", "look"], ReleaseEnding(None, refusal))
    sent, ending = given_back(KnownMessages(), ConflictError("x"), older, None, None)
    assert ending == ReleaseEnding(Released.FINISHED), "there is no more to be learned"


@pytest.mark.parametrize("status", [OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_an_order_that_ended_otherwise_is_released_already_and_its_sms_is_known(status: OrderStatus) -> None:
    order = ended(RECEIVED, status)
    refusal = ConflictError("x", outcome="rejected")
    known = KnownMessages()
    assert given_back(known, refusal, order) == (["cancel", "read"], ReleaseEnding(Released.ALREADY_RELEASED))
    assert known.sms == MESSAGE
    refusal.order, known = order, KnownMessages()
    assert given_back(known, refusal) == (["cancel"], ReleaseEnding(Released.ALREADY_RELEASED))
    assert known.sms == MESSAGE
    assert given_back(known) == ([], ReleaseEnding(Released.ALREADY_RELEASED))


@pytest.mark.parametrize("received", [False, True])
def test_an_order_that_the_account_does_not_have_is_released_already(received: bool) -> None:
    gone = NotFoundError("x")
    known = knowing(received=received)
    assert given_back(known.copy(), gone)[1] == ReleaseEnding(Released.ALREADY_RELEASED)
    assert given_back(known, ConflictError("x"), gone)[1] == ReleaseEnding(Released.ALREADY_RELEASED)


@pytest.mark.parametrize("received", [False, True])
@pytest.mark.parametrize("error", [NetworkError("x"), ForbiddenError("x")])
def test_any_other_error_is_reported(received: bool, error: SmscodeError) -> None:
    assert given_back(knowing(received=received), error)[1] == ReleaseEnding(None, error)


def test_a_finish_that_is_refused_for_an_open_order_is_reported() -> None:
    refusal = ConflictError("x")
    known = KnownMessages()
    known.take(MESSAGE)
    assert given_back(known, refusal, RECEIVED) == (["finish", "read"], ReleaseEnding(None, refusal))


def test_an_order_of_which_only_is_known_that_a_message_came_is_read_before_it_is_finished() -> None:
    known = KnownMessages(received=True)
    assert given_back(known, RECEIVED, None) == (["read", "finish"], ReleaseEnding(Released.FINISHED))
    assert known.sms == MESSAGE


def test_after_a_resend_the_order_is_read_before_it_is_finished() -> None:
    known = KnownMessages()
    known.take(MESSAGE)
    known.asked_again = True
    newer = attrs.evolve(RECEIVED, otp_code="654321", otp_message="Your code is 654321", sms_revision=2)
    assert given_back(known.copy(), newer, None)[0] == ["read", "finish"]
    known.see(newer)
    assert (known.asked_again, known.sms) == (False, Sms(7, "654321", "Your code is 654321", 2, AT))
    known.asked_again, failure = True, NetworkError("x")
    assert given_back(known.copy(), failure) == (["read"], ReleaseEnding(None, failure))
    over = ended(newer, OrderStatus.COMPLETED)
    assert given_back(known.copy(), over) == (["read"], ReleaseEnding(Released.ALREADY_RELEASED))


@pytest.mark.parametrize(
    ("step", "status", "released"),
    [
        ("cancel", OrderStatus.CANCELED, Released.CANCELED),
        ("finish", OrderStatus.COMPLETED, Released.FINISHED),
    ],
)
def test_what_an_interrupted_attempt_has_done_is_not_taken_for_what_somebody_else_did(
    step: ReleaseStep, status: OrderStatus, released: Released
) -> None:
    known = knowing(received=step == "finish")
    assert next(order_endings.giving_back(known)) == step  # and its answer never came
    refusal = ConflictError("x", outcome="rejected")
    assert given_back(known, refusal, ended(ORDER, status)) == ([step, "read"], ReleaseEnding(released))


@pytest.mark.parametrize(
    ("outcome", "released"),
    [
        ("unknown", Released.CANCELED),
        ("not_sent", Released.ALREADY_RELEASED),
        ("rejected", Released.ALREADY_RELEASED),
    ],
)
def test_an_attempt_that_was_surely_not_carried_out_did_not_end_the_order(
    outcome: Outcome, released: Released
) -> None:
    known, failure = KnownMessages(), NetworkError("x", outcome=outcome)
    assert given_back(known, failure) == (["cancel"], ReleaseEnding(None, failure))
    refusal = ConflictError("x", outcome="rejected")
    found = given_back(known, refusal, ended(ORDER, OrderStatus.CANCELED))
    assert found == (["cancel", "read"], ReleaseEnding(released))


def test_a_message_that_is_known_already_is_not_a_new_one() -> None:
    known = KnownMessages()
    known.see(RECEIVED)
    first = known.sms
    known.see(RECEIVED)
    assert known.sms is first
    # Active again after a resend, with the old code beside it.
    known.see(attrs.evolve(RECEIVED, status=OrderStatus.ACTIVE))
    assert (known.sms, known.asked_again) == (first, True)
    # A newer text without a code, beside which the service still shows the old code.
    known.see(attrs.evolve(RECEIVED, otp_message="Welcome!", sms_revision=2))
    assert known.sms == Sms(7, None, "Welcome!", 2, AT)
    assert known.asked_again is False


def test_a_created_order_shows_its_message_too() -> None:
    known = KnownMessages()
    known.see(CreatedOrder(id=7))
    assert (known.sms, known.received, known.ended) == (None, False, False)
    known.see(CreatedOrder(id=7, status=OrderStatus.OTP_RECEIVED, otp_code="123456"))
    assert known.sms == Sms(7, "123456")
    known.see(CreatedOrder(id=7, status=OrderStatus.COMPLETED, otp_code="123456"))
    assert known.ended


def test_an_order_whose_status_is_not_stated_is_taken_to_be_active() -> None:
    known = KnownMessages()
    known.see(CreatedOrder(id=7, otp_code="123456"))
    assert (known.sms, known.asked_again, known.ended) == (Sms(7, "123456"), True, False)


def test_what_a_newer_message_has_to_differ_from_is_the_last_message_and_the_last_code() -> None:
    known = KnownMessages()
    assert known.after() == {"after_revision": None}
    known.see(attrs.evolve(ORDER, sms_revision=3))
    known.see(ORDER)
    assert known.after() == {"after_revision": 3}
    known.take(MESSAGE)
    known.take(Sms(7, None, "Welcome!", 2, AT))
    assert known.after() == {
        "after_revision": 2,
        "after_code": "123456",
        "after_text": "Welcome!",
        "after_time": AT,
    }


def test_the_message_of_a_revision_that_is_known_without_it_is_stored() -> None:
    known = KnownMessages()
    known.see(attrs.evolve(ORDER, status=OrderStatus.OTP_RECEIVED, sms_revision=1))
    assert (known.received, known.sms) == (True, None)
    known.see(RECEIVED)
    assert known.sms == MESSAGE


@pytest.mark.parametrize(
    ("shown", "received", "asked_again"),
    [
        ({}, False, False),
        ({"status": OrderStatus.OTP_RECEIVED}, True, False),
        ({"otp_received_at": AT}, True, True),
        ({"sms_revision": 1}, True, True),
        ({"sms_revision": 0}, False, False),
    ],
)
def test_an_order_shows_in_any_of_three_ways_that_a_message_came(
    shown: dict[str, Any], received: bool, asked_again: bool
) -> None:
    known = KnownMessages()
    known.see(attrs.evolve(ORDER, **shown))
    assert (known.received, known.asked_again, known.sms) == (received, asked_again, None)


@pytest.mark.parametrize("tried", ["cancel", "finish"])
def test_an_order_that_expired_was_not_ended_by_what_this_rental_tried(tried: ReleaseStep) -> None:
    known = KnownMessages(ended=True, status=OrderStatus.EXPIRED, tried={tried})
    assert known.ending() == ReleaseEnding(Released.ALREADY_RELEASED)


@pytest.mark.parametrize(
    ("status", "known", "over"),
    [
        (None, None, False),
        ("REFUNDING", None, False),
        (OrderStatus.ACTIVE, OrderStatus.ACTIVE, False),
        ("otp_received", OrderStatus.OTP_RECEIVED, False),
        ("Canceled", OrderStatus.CANCELED, True),
        (OrderStatus.EXPIRED, OrderStatus.EXPIRED, True),
    ],
)
def test_a_status_is_known_in_any_case(
    status: OrderStatus | str | None, known: OrderStatus | None, over: bool
) -> None:
    assert known_status(status) is known
    assert is_over(status) is over


@pytest.mark.parametrize(
    ("facts", "now", "over"),
    [
        ({"status": "completed"}, None, True),
        ({"status": "active", "expires_at": AT - SECOND, "canceled_at": AT}, AT, False),
        ({"status": "REFUNDING"}, AT, False),
        ({"status": "REFUNDING", "canceled_at": AT}, None, True),
        ({"status": "REFUNDING", "expires_at": AT - SECOND}, AT, True),
        ({"status": "REFUNDING", "expires_at": AT}, AT, False),
        ({"status": "REFUNDING", "expires_at": AT + SECOND}, AT, False),
        ({"status": "REFUNDING", "expires_at": AT - SECOND}, None, False),
    ],
)
def test_an_order_of_an_unknown_status_has_ended_if_it_was_cancelled_or_its_time_is_over(
    facts: dict[str, Any], now: datetime | None, over: bool
) -> None:
    assert has_ended(attrs.evolve(ORDER, **facts), now) is over


def test_an_order_that_is_listed_as_active_has_not_ended_unless_its_status_says_so() -> None:
    listed = active_order(status="REFUNDING", expires_at=AT - SECOND)
    assert has_ended(listed, AT) is False
    assert has_ended(attrs.evolve(listed, status="EXPIRED"), AT) is True


WELCOME = Sms(7, None, "Welcome!", 0, AT)
LOST = NetworkError("x")
OVER = {"ended": True, "status": OrderStatus.COMPLETED}
OLDER = attrs.evolve(ORDER, status=OrderStatus.OTP_RECEIVED, otp_received_at=AT)


@pytest.mark.parametrize(
    ("facts", "replies", "sent", "ending", "sms"),
    [
        # Somebody else finished it, and only that is known.
        (OVER, [ended(RECEIVED, OrderStatus.COMPLETED)], ["read"], Released.ALREADY_RELEASED, MESSAGE),
        (OVER | {"sms": WELCOME, "received": True}, [LOST], ["read"], Released.ALREADY_RELEASED, WELCOME),
        (OVER | {"sms": MESSAGE, "received": True}, [], [], Released.ALREADY_RELEASED, MESSAGE),
        # It ended without a message, or nothing more can be learned of it.
        ({"ended": True, "status": OrderStatus.CANCELED}, [], [], Released.ALREADY_RELEASED, None),
        ({"ended": True, "received": True}, [], [], Released.ALREADY_RELEASED, None),
        # A code may have come after a message that had none, and after a resend.
        (
            {"sms": WELCOME, "received": True},
            [RECEIVED, None],
            ["read", "finish"],
            Released.FINISHED,
            MESSAGE,
        ),
        ({"sms": WELCOME, "received": True}, [LOST, None], ["read", "finish"], Released.FINISHED, WELCOME),
        (
            {"sms": MESSAGE, "code": "123456", "received": True, "asked_again": True},
            [ended(RECEIVED, OrderStatus.ACTIVE), None],
            ["read", "finish"],
            Released.FINISHED,
            MESSAGE,
        ),
        # The message is not known at all.
        ({"received": True}, [OLDER, None, None], ["read", "look", "finish"], Released.FINISHED, None),
        ({"received": True}, [LOST], ["read"], LOST, None),
        (
            {"received": True},
            [ended(OLDER, OrderStatus.COMPLETED)],
            ["read"],
            Released.ALREADY_RELEASED,
            None,
        ),
    ],
)
def test_the_order_is_read_where_there_may_be_a_message_that_is_not_known(
    facts: dict[str, Any],
    replies: list[SmscodeError | Order | None],
    sent: list[ReleaseStep],
    ending: Released | SmscodeError,
    sms: Sms | None,
) -> None:
    known = KnownMessages(**facts)
    expected = ReleaseEnding(ending) if isinstance(ending, Released) else ReleaseEnding(None, ending)
    assert given_back(known, *replies) == (sent, expected)
    assert known.sms == sms


@pytest.mark.parametrize(
    ("facts", "step"),
    [({"received": True}, "read"), ({}, "cancel"), ({"sms": MESSAGE, "received": True}, "finish")],
)
def test_an_order_that_is_seen_to_end_during_a_step_that_fails_is_released(
    facts: dict[str, Any], step: ReleaseStep
) -> None:
    known = KnownMessages(**facts)
    steps = order_endings.giving_back(known)
    assert next(steps) == step
    known.close(OrderStatus.EXPIRED)  # by a poll or a webhook
    with pytest.raises(StopIteration) as end:
        steps.send(LOST)
    assert end.value.value == ReleaseEnding(Released.ALREADY_RELEASED)


# -- every pair of what the service has and what fails ----------------------------------------------


class Service:
    """One order, and what it does for a step; ``new`` is True while it cannot be cancelled yet."""

    def __init__(self, *, new: bool) -> None:
        self.new = new
        self.order = ORDER

    def happen(self, event: str) -> None:
        if self.order.status in (OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED):
            if event == "sms" and self.order.sms_revision is None:
                self.order = RECEIVED
            elif event == "end":
                arrived = self.order.sms_revision is not None
                self.order = ended(self.order, OrderStatus.COMPLETED if arrived else OrderStatus.EXPIRED)

    def carry_out(self, step: ReleaseStep) -> SmscodeError | None:
        status = self.order.status
        if step == "cancel":
            if status != OrderStatus.ACTIVE:
                return ConflictError("no", outcome="rejected")
            if self.new:
                return CancelTooEarlyError("no", outcome="rejected")
            self.order = ended(self.order, OrderStatus.CANCELED)
        elif step == "finish":
            if status != OrderStatus.OTP_RECEIVED:
                return ConflictError("no", outcome="rejected")
            self.order = ended(self.order, OrderStatus.COMPLETED)
        return None


EVENTS = ("nothing", "sms", "end")
FAULTS = ("none", "unreachable", "lost", "answer lost", "refused")
TURNS = tuple(product(EVENTS, FAULTS))
Turn = tuple[str, str]


def played(turns: tuple[Turn, ...], *, new: bool) -> tuple[KnownMessages, Service, ReleaseEnding] | None:
    """Return a number, with an event before each step and a fault in it; None if there are more steps."""
    service, known, left = Service(new=new), KnownMessages(), list(turns)
    steps = order_endings.giving_back(known)
    try:
        step = next(steps)
        while True:
            if not left:
                return None
            event, fault = left.pop(0)
            service.happen(event)
            reply: SmscodeError | None = None
            if fault in ("none", "answer lost"):
                reply = service.carry_out(step)
                if step == "read" and fault == "none":
                    known.see(service.order)
            if step == "finish":
                assert known.sms == MESSAGE, "it is known before it can no longer be had"
            if fault == "refused":
                reply = ForbiddenError("no", outcome="rejected")
            elif fault != "none":
                reply = NetworkError("no", outcome="not_sent" if fault == "unreachable" else "unknown")
            step = steps.send(reply)
    except StopIteration as end:
        return known, service, end.value


def endings(turns: tuple[Turn, ...], *, new: bool) -> Iterator[tuple[tuple[Turn, ...], Any]]:
    found = played(turns, new=new)
    if found is not None:
        yield turns, found
        return
    assert len(turns) < 4, "it ends after four steps"
    for turn in TURNS:
        yield from endings((*turns, turn), new=new)


@pytest.mark.parametrize("new", [True, False])
def test_whatever_happens_and_fails_what_is_said_is_true_and_no_message_is_lost(new: bool) -> None:
    seen: set[Released | None] = set()
    for turns, (known, service, ending) in endings((), new=new):
        seen.add(ending.released)
        status = service.order.status
        assert (ending.released is None) == (ending.error is not None), turns
        if ending.released is Released.FINISHED:
            assert status == OrderStatus.COMPLETED, turns
        elif ending.released is Released.CANCELED:
            assert status == OrderStatus.CANCELED, turns
        elif ending.released is Released.ALREADY_RELEASED:
            assert service.order.canceled_at is None, turns
            assert status in (OrderStatus.COMPLETED, OrderStatus.EXPIRED), turns
        if known.ended and status == OrderStatus.COMPLETED:
            assert known.sms == MESSAGE, turns
        if all(fault == "none" for _, fault in turns):
            assert ending.released is not None, turns
    assert seen == {None, *Released} - {Released.CANCELED if new else Released.LEFT_TO_EXPIRE}
