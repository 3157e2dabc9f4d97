"""`orders.changes`: the orders as they are, then every change, from the poll that all waits share."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from attrs import evolve

from smscode import (
    AsyncClient,
    ClientStateError,
    ForbiddenError,
    InvalidArgumentError,
    OrderChange,
    ServiceUnavailableError,
    Sms,
    UnauthorizedError,
)
from smscode._concurrency import AsyncRuntime
from smscode.webhooks import OtpReceived

from ..concurrency import AsyncVirtualClient
from .helpers import ACTIVE, WHATSAPP_INDONESIA, AsyncScript, refusal, rent, still_sandbox, until

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]


def short(change: OrderChange) -> tuple[int, str, bool]:
    return change.order_id, str(change.status), change.ended


async def took(client: AsyncClient, timeout: float) -> list[tuple[int, str, bool]]:
    return [short(change) async for change in client.orders.changes(timeout=timeout)]


def nothing_is_left(client: AsyncClient) -> bool:
    poll = client._ordering.waits._shared_poll
    left = (poll._participants, poll._reading, poll._absent, poll._known.live, poll._known.readers)
    return not any(left) and poll._leader is None


async def test_an_order_is_followed_from_its_first_sight_to_its_end(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(otp_after=10, lifetime=60, generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        first, second = await rent(client), await rent(client)
        sandbox.play("never", catalog_product_id=WHATSAPP_INDONESIA)
        third = await rent(client)
        changes = [change async for change in client.orders.changes(timeout=90)]
        orders = {order_id: await client.orders.get(order_id) for order_id in (first, second, third)}
    by_order: dict[int, list[OrderChange]] = {}
    for change in changes:
        before = by_order.setdefault(change.order_id, [])
        assert change.previous == (before[-1].order if before else None)
        before.append(change)
    assert by_order.keys() == orders.keys()
    for order_id, seen in by_order.items():
        assert (seen[0].status, seen[0].ended, seen[-1].ended) == ("ACTIVE", False, True)
        assert seen[-1].order == orders[order_id]
        codes = [change.sms.code for change in seen if change.sms is not None]
        assert codes == [code for code in [orders[order_id].otp_code] if code is not None]
    assert sum(change.sms is not None for change in changes) == 2
    assert sandbox.requests[ACTIVE] == 30
    assert sandbox.requests["GET /orders/{id}"] == 3 + 3


@pytest.mark.parametrize(("timeout", "polls"), [(0, 1), (5, 2), (3, 1)])
async def test_the_iteration_ends_with_its_time(timeout: float, polls: int) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        order_id = await rent(client)
        assert await took(client, timeout) == [(order_id, "ACTIVE", False)]
        assert nothing_is_left(client)
        with pytest.raises(InvalidArgumentError, match="timeout"):
            client.orders.changes(timeout=-1)
    assert sandbox.requests[ACTIVE] == polls


async def test_where_there_are_no_orders_nothing_comes() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        assert await took(client, 0) == []
        assert await took(client, 10) == []


async def test_a_webhook_is_shown_without_a_poll() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        order_id = await rent(client)
        found: list[Sms | None] = []
        changes = client.orders.changes()
        async for change in changes:
            found.append(change.sms)
            if change.sms is not None:
                break
            client.notify(OtpReceived(order_id=order_id, otp_code="123456", sms_revision=1))
        await changes.aclose()
        assert nothing_is_left(client)
    assert found == [None, Sms(order_id, "123456", None, 1)]
    assert sandbox.requests[ACTIVE] == 1


async def test_a_slow_consumer_sees_the_newest_of_each_order_and_holds_up_nobody() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        first, second = await rent(client), await rent(client)
        seen: list[tuple[int, str | None]] = []
        async for change in client.orders.changes(timeout=60):
            seen.append((change.order_id, change.sms.code if change.sms else None))
            if len(seen) == 1:  # a wait polls meanwhile, twice
                for code, order_id in (("111111", second), ("222222", second), ("333333", first)):
                    sandbox.deliver_sms(order_id, code=code)
                    client.runtime.pass_by(3)
                    await client.orders.wait_for_sms(order_id)
    assert seen == [(second, None), (first, "333333"), (second, "222222")]


async def test_what_changes_back_while_another_change_is_handled_is_no_change() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        ids = [await rent(client) for _ in range(2)]
        poll = client._ordering.waits._shared_poll
        shown: list[OrderChange] = []
        async for change in client.orders.changes(timeout=10):
            shown.append(change)
            if len(shown) == 2:
                for one in shown:
                    poll.show(evolve(one.order, failed_reason="busy"))
            elif len(shown) == 3:
                poll.show(shown[1].order)
    first, second = ids[1], ids[0]
    assert [change.order_id for change in shown] == [first, second, first, first]
    assert [change.order.failed_reason for change in shown] == [None, None, "busy", None]


async def test_the_poll_is_shared_with_the_waits_and_goes_on_when_the_leader_leaves() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        order_id = await rent(client)
        ended: list[str] = []

        async def follow(timeout: float | None) -> None:
            if timeout is None:
                await until(lambda: sandbox.requests[ACTIVE])
                changes = client.orders.changes()
                async for change in changes:
                    if change.sms is not None:
                        break
                await changes.aclose()
                ended.append("code")
            else:
                assert await took(client, timeout) == [(order_id, "ACTIVE", False)]
                sandbox.deliver_sms(order_id, code="123456")
                ended.append("time")

        client.runtime.crowd = 1
        began = client.runtime.now()
        await AsyncRuntime().for_each(follow, [5.0, None])
        assert client.runtime.now() - began == 6
    assert ended == ["time", "code"]
    assert sandbox.requests[ACTIVE] == 3


@pytest.mark.parametrize("count", [1, 100])
async def test_any_number_of_consumers_and_waits_shares_the_polls(count: int) -> None:
    sandbox = still_sandbox(otp_after=10, balance=10**9)
    codes: list[str | None] = []
    async with AsyncVirtualClient(sandbox) as client:
        created = await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=count)
        ids = [order.id for order in created]

        async def follow(number: int) -> None:
            if number < count:
                codes.append((await client.orders.wait_for_otp(ids[number])).code)
                return
            missing = set(ids)
            changes = client.orders.changes()
            async for change in changes:
                if change.sms is not None:
                    codes.append(change.sms.code)
                    missing.discard(change.order_id)
                if not missing:
                    break
            await changes.aclose()

        client.runtime.crowd = 2 * count - 1
        await AsyncRuntime().for_each(follow, range(2 * count))
        assert nothing_is_left(client)
    assert len(codes) == count + count * count
    assert len(set(codes)) == count
    assert sandbox.requests[ACTIVE] == 5  # after 0, 3, 6, 9 and 12 seconds
    assert sandbox.requests["GET /orders/{id}"] == 0


async def test_a_read_that_fails_is_made_again_and_holds_up_no_poll() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        gone, stays = await rent(client), await rent(client)
        seen: list[tuple[int, str, bool]] = []
        async for change in client.orders.changes(timeout=60):
            seen.append(short(change))
            if len(seen) == 2:
                await client.orders.cancel(gone)
                sandbox.fail_next("orders.get", 503, times=6)
    assert seen == [(stays, "ACTIVE", False), (gone, "ACTIVE", False), (gone, "CANCELED", True)]
    assert sandbox.requests["GET /orders/{id}"] == 7
    assert sandbox.requests[ACTIVE] == 20


@pytest.mark.parametrize("code", ["NOT_FOUND", "FORBIDDEN"])
async def test_an_order_whose_end_cannot_be_read_ends_with_a_problem(code: str) -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        gone, stays = await rent(client), await rent(client)
        changes: list[OrderChange] = []
        async for change in client.orders.changes(timeout=30):
            changes.append(change)
            if len(changes) == 2:
                await client.orders.cancel(gone)
                sandbox.fail_next("orders.get", code)
    *first, last = changes
    assert [short(change) for change in first] == [(stays, "ACTIVE", False), (gone, "ACTIVE", False)]
    assert (last.order_id, last.status, last.ended) == (gone, "ACTIVE", True)
    assert last.problem
    assert last.previous == last.order == first[1].order


PASSING: list[Any] = [refusal(503), refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "5"}), refusal(404)]


@pytest.mark.parametrize("failure", PASSING)
async def test_transient_failures_are_ridden_out(failure: Any) -> None:
    sandbox = still_sandbox(otp_after=None)
    script = AsyncScript([], sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=script) as client:
        order_id = await rent(client)
        script.add(*[failure] * 8)
        assert (await took(client, 600))[0] == (order_id, "ACTIVE", False)


@pytest.mark.parametrize("timeout", [0, 20])
async def test_where_no_poll_succeeded_its_last_error_is_raised(timeout: float) -> None:
    sandbox = still_sandbox(otp_after=None)
    sandbox.fail_next("orders.active", "SERVICE_UNAVAILABLE", times=1000)
    async with AsyncVirtualClient(sandbox) as client:
        await rent(client)
        began = client.runtime.now()
        with pytest.raises(ServiceUnavailableError) as caught:
            await took(client, timeout)
        assert client.runtime.now() - began <= max(timeout, 5)
        assert caught.value is not client._ordering.waits._shared_poll.failure
        assert nothing_is_left(client)


async def test_a_failure_after_a_poll_that_succeeded_only_ends_with_the_time() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        order_id = await rent(client)
        seen: list[tuple[int, str, bool]] = []
        async for change in client.orders.changes(timeout=60):
            seen.append(short(change))
            sandbox.fail_next("orders.active", 503, times=1000)
    assert seen == [(order_id, "ACTIVE", False)]


@pytest.mark.parametrize(
    ("answer", "class_"),
    [(refusal(401, "UNAUTHORIZED"), UnauthorizedError), (refusal(403, "FORBIDDEN"), ForbiddenError)],
)
async def test_a_final_refusal_ends_all_consumers(answer: Any, class_: type[Exception]) -> None:
    sandbox = still_sandbox(otp_after=None)
    script = AsyncScript([], sandbox.transport())
    errors: list[int] = []
    async with AsyncVirtualClient(sandbox, transport=script) as client:

        async def follow(_: int) -> None:
            with pytest.raises(class_) as caught:
                [change async for change in client.orders.changes()]
            errors.append(id(caught.value))

        script.add(*[answer] * 12)
        await AsyncRuntime().for_each(follow, range(3))
        assert nothing_is_left(client)
    assert len(errors) == 3


async def test_a_closed_client_has_no_changes() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        changes = client.orders.changes()
    with pytest.raises(ClientStateError, match="closed"):
        [change async for change in changes]
    assert sandbox.requests[ACTIVE] == 0
