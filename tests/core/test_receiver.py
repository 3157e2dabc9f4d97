"""What an endpoint decides about deliveries, by the thousand."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from smscode import InvalidArgumentError, WebhookPayloadError, WebhookSignatureError, webhooks
from smscode.receiver import Header, WebhookReceiver
from smscode.webhooks import SIGNATURE_HEADER, Event, OtpReceived, UnknownEvent, sign

from .test_webhooks import event

SECRETS = ["the new secret", "the old secret"]
KINDS = ["order.otp_received", "order.completed", "order.expired", "order.canceled", "order.replaced"]
DOCUMENTED = (WebhookSignatureError, WebhookPayloadError)


def deliveries(count: int, chance: random.Random) -> list[tuple[bytes, str]]:
    """Make so many deliveries, no two alike, signed with the new secret or the old one."""
    made: list[tuple[bytes, str]] = []
    for number in range(count):
        body = event(
            event=chance.choice(KINDS),
            order_id=number,
            otp_code=chance.choice([None, f"{chance.randrange(10**6):06d}"]),
            otp_message=chance.choice([None, "\u00e9" * chance.randrange(40)]),
            sms_revision=chance.choice([None, chance.randrange(2**40)]),
        )
        made.append((body, sign(body, chance.choice(SECRETS))))
    return made


def tamper(body: bytes, signature: str, chance: random.Random) -> tuple[bytes, list[str]]:
    """Change a delivery so that its signature is not right any more."""
    at = chance.randrange(len(body))
    digit = len("sha256=") + chance.randrange(64)
    ways: list[Callable[[], tuple[bytes, list[str]]]] = [
        lambda: (body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :], [signature]),
        lambda: (body[:at], [signature]),
        lambda: (body + chance.randbytes(1 + chance.randrange(4)), [signature]),
        lambda: (body[:at] + b" " + body[at:], [signature]),
        lambda: (chance.randbytes(len(body)), [signature]),
        lambda: (body, [sign(body, f"secret {at}")]),
        lambda: (body, [sign(body[:-1], SECRETS[0])]),
        lambda: (
            body,
            [signature[:digit] + "%x" % (int(signature[digit], 16) ^ 1) + signature[digit + 1 :]],
        ),
        lambda: (body, [signature[:digit]]),
        lambda: (body, [signature + signature[digit]]),
        lambda: (body, [signature[:digit] + chr(128 + chance.randrange(60_000 - 128)) + signature[digit:]]),
        lambda: (body, [chance.choice(["sha1=", "SHA256=", "", " sha256="]) + signature[7:]]),
        lambda: (body, [signature, signature]),
        lambda: (body, [f"{signature},{signature}"]),
        lambda: (body, []),
    ]
    return chance.choice(ways)()


def given(signatures: list[str], name: str = SIGNATURE_HEADER) -> list[Header]:
    return [("content-type", "application/json"), *((name, signature) for signature in signatures)]


def test_ten_thousand_valid_ten_thousand_tampered_and_five_thousand_replayed() -> None:
    chance = random.Random(4711)
    receiver = WebhookReceiver(SECRETS)
    valid = deliveries(10_000, chance)
    for number, (body, signature) in enumerate(valid):
        answer = receiver.receive(given([signature]), body)
        assert (answer.status, answer.error) == (204, None), "a false reject"
        assert answer.event == webhooks.receive(body, signature, SECRETS)
        assert isinstance(answer.event, UnknownEvent) or _order_id(answer.event) == number
    for body, signature in valid:
        changed, signatures = tamper(body, signature, chance)
        answer = receiver.receive(given(signatures), changed)
        assert (answer.status, answer.event) == (401, None), "a false accept"
        assert type(answer.error) is WebhookSignatureError
        with pytest.raises(DOCUMENTED):
            webhooks.receive(changed, ", ".join(signatures) or None, SECRETS)
    for body, _ in chance.choices(valid, k=5_000):
        # Whichever of the secrets a replay is signed with, it is the same delivery.
        answer = receiver.receive(given([sign(body, chance.choice(SECRETS))]), body)
        assert (answer.status, answer.event, answer.duplicate) == (204, None, True), "a false accept"
    assert len(receiver._seen) == 10_000


def _order_id(event: Event | None) -> int | None:
    return event.order_id if isinstance(event, webhooks.OrderEvent) else None


def test_signed_nonsense_is_refused_as_such_whatever_it_is() -> None:
    chance = random.Random(4711)
    receiver = WebhookReceiver(SECRETS)
    for body, _ in deliveries(1000, chance):
        at = chance.randrange(len(body))
        for cut in (body[:at], chance.randbytes(at), body[:at] + b"\xff" + body[at:]):
            answer = receiver.receive(given([sign(cut, SECRETS[1])]), cut)
            assert (answer.status, answer.event) == (400, None)
            assert type(answer.error) is WebhookPayloadError
    assert len(receiver._seen) == 0, "what was refused may come again in better shape"


def test_names_and_values_may_be_text_or_bytes_in_any_case() -> None:
    body = event()
    signature = sign(body, "secret")
    for header in (
        (SIGNATURE_HEADER.upper(), signature),
        (SIGNATURE_HEADER.lower().encode(), signature.encode()),
    ):
        answer = WebhookReceiver("secret").receive([header], body)
        assert isinstance(answer.event, OtpReceived)
    mixed: list[Header] = [
        (SIGNATURE_HEADER, signature),
        (SIGNATURE_HEADER.lower().encode(), signature.encode()),
    ]
    assert WebhookReceiver("secret").receive(mixed, body).status == 401


def test_it_remembers_the_newest_and_no_more() -> None:
    receiver = WebhookReceiver("secret", most_remembered=3)
    bodies = [event(order_id=number) for number in range(5)]

    def is_new(body: bytes) -> bool:
        return receiver.receive(given([sign(body, "secret")]), body).event is not None

    assert [is_new(body) for body in bodies] == [True] * 5
    assert [is_new(body) for body in reversed(bodies)] == [False, False, False, True, True]


@pytest.mark.parametrize("most", [0, -1, 1_000_001, True, 1.0, None])
def test_how_many_are_remembered_is_bounded(most: object) -> None:
    with pytest.raises(InvalidArgumentError, match="most_remembered: expected"):
        WebhookReceiver("secret", most_remembered=most)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("method", "length", "status"),
    [
        ("POST", None, None),
        ("POST", "1048576", None),
        ("POST", "1048577", 413),
        ("POST", "9" * 5000, 413),
        ("POST", "\u00b2", None),
        ("POST", "-1", None),
        ("GET", None, 405),
        ("post", None, 405),
        ("PUT", "1", 405),
    ],
)
def test_a_request_can_be_refused_before_its_body_is_read(
    method: str, length: str | None, status: int | None
) -> None:
    headers: list[Header] = [] if length is None else [("Content-Length", length)]
    refused = WebhookReceiver("secret").refuse(method, headers)
    assert (None if refused is None else refused.status) == status


def test_the_secret_is_not_shown() -> None:
    receiver = WebhookReceiver("canary")
    assert "canary" not in repr(receiver)
    assert "canary" not in repr(receiver.receive(given([]), b""))


class SlowDigests(OrderedDict[bytes, None]):
    """A dict that switches threads between a look-up and the change that follows it."""

    def __contains__(self, digest: object) -> bool:
        found = super().__contains__(digest)
        time.sleep(0.001)
        return found


def test_of_a_delivery_that_many_threads_receive_at_once_one_has_the_event() -> None:
    receiver = WebhookReceiver("secret", most_remembered=5)
    receiver._seen._digests = SlowDigests()
    bodies = [event(order_id=number) for number in range(10)]
    together = threading.Barrier(8)
    passed_on: list[Event] = []

    def receive_all() -> None:
        for body in bodies:
            together.wait(10)  # so that all of them always receive the same one
            answer = receiver.receive(given([sign(body, "secret")]), body)
            assert answer.status == 204
            assert answer.duplicate == (answer.event is None)
            if answer.event is not None:
                passed_on.append(answer.event)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(receive_all) for _ in range(8)]:
            done.result()
    assert [_order_id(one) for one in passed_on] == list(range(10))
    assert len(receiver._seen) == 5
