"""A purchase under one key, through calls, processes, lost answers and a disk, by a Hypothesis state machine.

There is no loop, no disk and no service here: the machine does what clients and journals do with the
decisions of `smscode.core`, in any order, and a service of its own judges them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smscode import Money, OrderIntent, SmscodeError, calls
from smscode.core.purchases import records as records
from smscode.core.purchases.book import PurchaseBook, adopted, bought_orders
from smscode.core.purchases.records import Claimant, PurchaseRecord, PurchaseState, PurchaseStep, Writing
from smscode.core.purchases.states import Purchase, judge, row_after
from smscode.models import CreatedOrder, CreatedOrders

from ..support import RUNS

ON_THE_WAY = 59.5  # seconds for which an attempt that was given up may still arrive
KEY, ACCOUNT, DAY = "sale-17", "mine", 86_400.0
INTENT = OrderIntent.of(calls.orders.create(catalog_product_id=87, idempotency_key=KEY), "v2")
EARLY = ("UNAUTHORIZED", "VALIDATION_ERROR", "RATE_LIMIT_EXCEEDED", "TEMP_BANNED_ABUSE_GUARD", "throttled")
RELEASED = ("NO_OFFER_AVAILABLE", "INSUFFICIENT_BALANCE")
LOST = ("connection broke", "unavailable", "INTERNAL_ERROR", "transport failed", "redirect", "CONFLICT")
UNSENT = ("not sent", "no room", "cannot be sent", "banned here")


@define(eq=False)
class Call:
    """A call that buys: a holder, and where it is."""

    over: bool = False
    purchase: Purchase | None = None
    writing: Writing | None = None
    written: bool = False
    refused: bool = False
    before: bool = False
    sent_at: float | None = None

    def forbid(self, why: BaseException) -> None:
        """Do nothing: no journal is closed here."""


@define
class Service:
    """What really happens: at most one purchase, and attempts that are still on their way."""

    bought: bool = False
    failed: bool = False
    on_the_way: list[float] = field(factory=list[float])  # until when each can arrive

    def carry_out(self) -> None:
        """Look the key up, and buy if that was not done."""
        if not self.failed:
            self.bought = True


class Purchases(RuleBasedStateMachine):
    """One key in one journal, used by one process after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.service = Service()
        self.row: PurchaseRecord | None = None
        self.queue: list[Callable[[], None]] = []
        self.process = 0
        self.book = PurchaseBook()
        self.call: Call | None = None
        self.told: str | None = None
        self.delivered = False

    # --- What clients and journals do with the decisions

    @property
    def owner(self) -> str:
        return f"process-{self.process}"

    def living(self, owner: str) -> bool:
        return owner == self.owner

    def apply(self, step: PurchaseStep[Any]) -> Any:
        after, result = step(self.row, self.living)
        self.row = after
        return result

    def later(self, step: PurchaseStep[Any]) -> None:
        self.queue.append(lambda: self.apply(step))

    def flush(self) -> None:
        while self.queue:
            self.queue.pop(0)()

    def leave(self, call: Call) -> None:
        """Do what a cancelled or interrupted call does."""
        purchase = call.purchase
        if purchase is not None and not purchase.bought and not call.refused:
            if purchase.doubt.raised:
                purchase.doubt.ended = self.now
                self.later(records.leave(self.owner, self.now))
            else:
                if call.writing is not None:
                    self.later(call.writing.withdraw(self.now))
                self.book.drop(purchase)
        call.over = True
        self.call = None

    def end(self, call: Call, kind: str, outcome: str) -> None:
        """Do what a call does at an error, and raise it."""
        purchase = call.purchase
        assert purchase is not None
        row = row_after(kind, outcome)  # type: ignore[arg-type]  # an outcome
        if row == "stays":
            if not purchase.doubt.raised:
                self.book.drop(purchase)
            else:
                self.later(records.leave(self.owner, self.now))
        else:
            self.flush()
            assert call.writing is not None
            state = PurchaseState(row)
            if state is PurchaseState.WITHDRAWN:
                stored = self.apply(call.writing.withdraw(self.now))
            else:
                stored = self.apply(records.end_unbought(self.owner, state, self.now))
            if stored:
                self.book.drop(purchase)
            else:
                outcome = "unknown"
                purchase.doubt.raised = True
        self.told = outcome
        call.over = True
        self.call = None

    # --- What may happen

    @initialize()
    def begin_with_a_clean_file(self) -> None:
        self.row = None

    @precondition(lambda self: self.call is None)
    @rule()
    def begin(self) -> None:
        call = Call()
        try:
            call.purchase = self.book.begin(INTENT, call)
        except SmscodeError:
            return
        new = PurchaseRecord(
            account=ACCOUNT,
            credential="here:token",
            intent=INTENT,
            owner=self.owner,
            written_at=self.now,
            open_until=self.now + 90,
        )
        call.writing = Writing(new, DAY)
        self.call, self.told = call, None
        writing = call.writing

        def write() -> None:
            try:
                self.apply(writing.write)
            except SmscodeError:
                call.refused = True
            call.written = True

        self.queue.append(write)

    @rule()
    def write(self) -> None:
        self.flush()

    @precondition(lambda self: self.call is not None and self.call.written and self.call.sent_at is None)
    @rule()
    def learn_and_send(self) -> None:
        call = self.call
        assert call is not None
        purchase, writing = call.purchase, call.writing
        assert purchase is not None
        assert writing is not None
        if call.refused:
            self.told = "unknown"
            if purchase.certain:
                self.book.drop(purchase)
            call.over, self.call = True, None
            return
        assert writing.known is not None
        if writing.known.state is not None and not purchase.doubt.raised:
            until = writing.known.open_until
            purchase.doubt.ended = self.now if until is None else min(until, self.now)
            purchase.doubt.raised = True
        call.before = purchase.doubt.raised
        call.sent_at = self.now
        purchase.doubt.raised = True  # its first byte

    @precondition(lambda self: self.call is not None and self.call.sent_at is not None)
    @rule(kind=st.sampled_from((*LOST, *EARLY, *RELEASED, *UNSENT, "PROVIDER_ERROR", "bought")))
    def answer(self, kind: str) -> None:
        call, service = self.call, self.service
        assert call is not None
        purchase, sent_at = call.purchase, call.sent_at
        assert purchase is not None
        assert sent_at is not None
        if kind in UNSENT:
            purchase.doubt.raised = call.before
        if kind in LOST:
            service.on_the_way.append(self.now + ON_THE_WAY)
        elif kind in RELEASED and (service.bought or service.failed):
            return  # the service would have found its record
        elif kind == "PROVIDER_ERROR":
            if service.bought:
                return
            service.failed = True
        elif kind == "bought":
            service.carry_out()
            if not service.bought:
                return
            self.buy(call, purchase)
            return
        outcome = judge(kind, purchase.doubt, before=call.before, sent_at=sent_at, now=self.now)
        self.end(call, kind, outcome)

    def buy(self, call: Call, purchase: Purchase) -> None:
        created = CreatedOrders((CreatedOrder(id=7, amount=Money.idr(15_000)),), 0)
        self.book.buy(purchase, created)
        assert call.writing is not None
        self.later(records.buy(call.writing.new, bought_orders(purchase.orders.values()), self.now))
        self.later(records.hand_over(self.now))
        self.book.hand_over(purchase, done=True)
        self.delivered = True
        call.over, self.call = True, None

    @precondition(lambda self: self.call is None)
    @rule(
        kind=st.one_of(
            *(st.sampled_from(kinds) for kinds in (LOST, EARLY, RELEASED, UNSENT)), st.just("PROVIDER_ERROR")
        ),
        seconds=st.sampled_from((0.0, 50.0, 70.0)),
    )
    def try_once(self, kind: str, seconds: float) -> None:
        """Make a whole attempt, some time after the last one."""
        self.now += seconds
        self.begin()
        self.flush()
        if self.call is not None:
            self.learn_and_send()
        if self.call is not None:
            self.answer(kind)

    @precondition(lambda self: self.call is not None)
    @rule()
    def cancel(self) -> None:
        call = self.call
        assert call is not None
        if call.sent_at is not None:
            self.service.on_the_way.append(self.now + ON_THE_WAY)
        self.leave(call)

    @precondition(lambda self: self.service.on_the_way)
    @rule()
    def arrive(self) -> None:
        until = self.service.on_the_way.pop(0)
        if until >= self.now:
            self.service.carry_out()

    @rule(seconds=st.sampled_from((1.0, 59.0, 61.0, 100.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 5))
    def arrive_late(self, times: int) -> None:
        """Deliver some of what is on its way just before it cannot arrive any more."""
        for _ in range(min(times, len(self.service.on_the_way))):
            self.arrive()

    @precondition(lambda self: self.call is None)
    @rule()
    def use_another_client(self) -> None:
        """Go on with a client of the same journal that knows nothing of what the former one did."""
        self.flush()
        self.book = PurchaseBook()

    @rule(written=st.integers(0, 3))
    def die(self, written: int) -> None:
        """Kill the process; of what waits for the disk some is written, the rest is lost."""
        for change in self.queue[:written]:
            change()
        self.queue.clear()
        if self.call is not None and self.call.sent_at is not None:
            self.service.on_the_way.append(self.now + ON_THE_WAY)
        if self.call is not None:
            self.call.over = True
        self.call = None
        self.process += 1
        self.book = PurchaseBook()
        self.recovered()

    def recovered(self) -> None:
        """Begin to recover, as the next process does; what is in doubt is sent again by other rules."""
        who = Claimant(self.owner, ACCOUNT, "here:token", lambda key: False)
        if self.row is not None and self.row.open:
            found = self.apply(records.claim(who))
            if found is not None:
                self.book.adopt(adopted(found, min(found.open_until or self.now, self.now)))

    # --- What must be so

    @invariant()
    def what_was_said_not_to_be_bought_is_not_and_will_not_be(self) -> None:
        if self.told in ("not_sent", "rejected", "failed") and self.call is None:
            assert not self.service.bought
            assert self.service.failed or not [one for one in self.service.on_the_way if one >= self.now]
            assert not self.queue
            assert self.row is None or self.row.state is not PurchaseState.WRITTEN, "a recovery would send it"

    @invariant()
    def what_was_bought_is_known_somewhere(self) -> None:
        if self.service.bought and self.call is None and not self.delivered:
            in_memory = KEY in {one.idempotency_key for one in self.book.unresolved()}
            in_file = self.row is not None and self.row.open
            assert in_memory or in_file

    @invariant()
    def a_row_that_is_bought_never_becomes_anything_else(self) -> None:
        if self.delivered and not self.queue:
            assert self.row is None or self.row.state in (PurchaseState.BOUGHT, PurchaseState.WRITTEN)


Purchases.TestCase.settings = settings(max_examples=200 * RUNS, stateful_step_count=30, deadline=None)
test_a_purchase_survives_everything = Purchases.TestCase
