"""Ctrl-C at every line of the end of a synchronous rental. By hand: tasks are cancelled, not interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from smscode import OrderStatus, Released, Rental
from smscode.sandbox import Sandbox

from ._sync.helpers import still_sandbox
from .concurrency import VirtualClient
from .interrupts import Line, Tracer, files_of_package

FILES = files_of_package(
    *("_sync/rental.py", "_sync/order_endpoints.py", "_sync/order_waits.py", "_sync/driver.py"),
    *("core/order_endings.py", "core/open_rentals.py", "core/waiting/sms_wait.py", "core/flow.py"),
)
OPEN = (OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED)


def too_new(sandbox: Sandbox, rental: Rental) -> None:
    """Leave the order as it is."""


def without_sms(sandbox: Sandbox, rental: Rental) -> None:
    sandbox.advance(130)


def with_a_code(sandbox: Sandbox, rental: Rental) -> None:
    sandbox.deliver_sms(rental.order_id, code="123456")


def seen(sandbox: Sandbox, rental: Rental) -> None:
    with_a_code(sandbox, rental)
    rental.wait_for_otp()


State = Callable[[Sandbox, Rental], None]
STATES: dict[State, Released] = {
    too_new: Released.LEFT_TO_EXPIRE,
    without_sms: Released.CANCELED,
    with_a_code: Released.FINISHED,
    seen: Released.FINISHED,
}


def ended(state: State, error: BaseException | None, tracer: Tracer) -> Rental:
    """End a block under the tracer, and check that what is said of it is true."""
    sandbox = still_sandbox(otp_after=None)
    client = VirtualClient(sandbox)
    rental = client.orders.rent(catalog_product_id=87)
    rental.__enter__()
    state(sandbox, rental)
    kind = None if error is None else type(error)
    if tracer_expects_interrupts(tracer):
        with pytest.raises(KeyboardInterrupt):
            tracer.run(lambda: rental.__exit__(kind, error, None))
    else:
        tracer.run(lambda: rental.__exit__(kind, error, None))
    if rental._exited:  # it had begun
        requests = sum(sandbox.requests.values())
        rental.__exit__(None, None, None)
        assert sum(sandbox.requests.values()) == requests, "a second end sends nothing"

    truth = VirtualClient(sandbox).orders.get(rental.order_id)
    listed = rental.order_id in client._driver.open_rentals
    if truth.status in OPEN:
        assert rental.released in (None, Released.LEFT_TO_EXPIRE), tracer.raised
        assert listed, tracer.raised
    if rental.released is Released.FINISHED:
        assert truth.status == OrderStatus.COMPLETED, tracer.raised
    elif rental.released is Released.CANCELED:
        assert truth.status == OrderStatus.CANCELED, tracer.raised
    else:
        assert rental.released is not Released.ALREADY_RELEASED, "nobody else ended it"
    if truth.status == OrderStatus.COMPLETED:
        assert rental.sms is not None, tracer.raised
        assert rental.sms.code == "123456", tracer.raised
    return rental


def tracer_expects_interrupts(tracer: Tracer) -> bool:
    return tracer._should_raise is not never


def never(line: Line, number: int) -> bool:
    return False


def lines_of(state: State, error: BaseException | None) -> list[Line]:
    """Return the lines of an end that is not interrupted, each once, in their order."""
    tracer = Tracer(FILES, never)
    assert ended(state, error, tracer).released is STATES[state]
    return list(dict.fromkeys(tracer.lines))


@pytest.mark.parametrize("error", [None, ValueError("x"), SystemExit()], ids=["well", "badly", "exiting"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_an_interrupt_at_any_line_of_the_end_leaves_what_is_said_true(
    state: State, error: BaseException | None
) -> None:
    lines = lines_of(state, error)
    assert len(lines) > 40
    told = 0
    for wanted in lines:
        left = [wanted]

        def at_the_first_hit(line: Line, number: int, left: list[Line] = left) -> bool:
            return line in left and left.pop() == line

        rental = ended(state, error, Tracer(FILES, at_the_first_hit))
        told += rental.released is not None
    # Where the interrupt came while the number was given back, one more try tells.
    assert told > len(lines) / 2 or isinstance(error, SystemExit)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_second_interrupt_while_it_is_tried_once_more_leaves_what_is_said_true(state: State) -> None:
    lines = lines_of(state, None)
    chance = random.Random(7)
    for _ in range(100):
        first = [chance.choice(lines)]
        second = chance.randrange(1, 150)
        reached: list[int] = []

        def twice(
            line: Line, number: int, first: list[Line] = first, second: int = second, reached: Any = reached
        ) -> bool:
            if line in first and not reached:
                reached.append(number)
                return True
            return bool(reached) and number == reached[0] + second

        ended(state, None, Tracer(FILES, twice))
