"""The options of the rate limits: what is accepted, and what each group may send."""

from __future__ import annotations

from typing import Any

import pytest

from smscode.core.ratelimit.options import RateLimits
from smscode.errors import InvalidArgumentError
from smscode.models import EndpointGroup

URLS = (
    "redis://localhost",
    "rediss://localhost:6380/1",
    "unix:///run/redis.sock",
    "redis+sentinel://one:26379,two:26379/main/0",
    "rediss+sentinel://one:26379/main/0",
    "redis+cluster://one:6379,two:6379",
    "rediss+cluster://one:6379",
)


class Redis:
    """A client of redis-py, as far as the options look at it."""

    def execute_command(self, *args: Any, **options: Any) -> None:
        raise AssertionError


class Attribute:
    """No client of redis-py, but it has an attribute of that name."""

    execute_command = "GET"


@pytest.mark.parametrize(
    ("limits", "group", "expected"),
    [
        (RateLimits(share=1 / 16), "create", (187, 60.0)),
        (RateLimits(share=1 / 16), "webhook_test", (1, 96.0)),
        (RateLimits(share=0.5, webhook_test=3), "webhook_test", (1, 60.0)),
        (RateLimits(share=0.5, webhook_test=2), "webhook_test", (1, 60.0)),
        (RateLimits(share=0.5, webhook_test=1), "webhook_test", (1, 120.0)),
        (RateLimits(share=0.5, window=10.0), "balance", (300, 10.0)),
        (RateLimits(share=1, window=10), "balance", (600, 10.0)),
    ],
)
def test_a_share_is_rounded_down_and_less_than_one_takes_longer(
    limits: RateLimits, group: str, expected: tuple[int, float]
) -> None:
    assert limits.of(EndpointGroup(group)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("share", bad) for bad in (0, -0.5, 1.01, 1e-9, 5e-324, float("nan"), "1", True, None)),
        *(("redis_fallback", bad) for bad in (-0.01, 1.01, float("nan"), "1", True, None)),
        *(("window", bad) for bad in (0, 1e-5, 86_401, float("inf"), float("nan"), "60")),
        *((group.value, bad) for group in EndpointGroup for bad in (0, 1.5, "5", True, 10**9 + 1)),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^rate_limits.{name}: (expected|leaves less)"):
        RateLimits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("share", good) for good in (1 / 14_400, 0.5, 1, 1.0)),
        *(("redis_fallback", good) for good in (0, 0.0, 0.5, 1, 1.0)),
        *(("window", good) for good in (0.0001, 1, 86_400)),
        *((group.value, good) for group in EndpointGroup for good in (1, 10**9)),
    ],
)
def test_numbers_at_the_ends_of_their_ranges_are_accepted(name: str, value: Any) -> None:
    assert getattr(RateLimits(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "rate_limits.share: expected a number above 0, at most 1."),
        ({"redis_fallback": 2}, "rate_limits.redis_fallback: expected a number from 0, at most 1."),
        ({"window": 0.00005}, "rate_limits.window: expected seconds, 0.0001 to 86,400 of them."),
        ({"window": 0}, "rate_limits.window: expected a number of seconds above 0, got 0."),
        ({"create": 0}, "rate_limits.create: expected an int of 1..1000000000, got 0."),
        (
            {"share": 0.5, "window": 43_201, "webhook_test": 1},
            "rate_limits.share: leaves less than one request a day for webhook_test; give more.",
        ),
        (
            {"redis": "http://:secret@localhost"},
            "rate_limits.redis: expected a URL (redis://, rediss://, unix://, redis+sentinel://, "
            "rediss+sentinel://, redis+cluster://, rediss+cluster://) or a client of redis-py.",
        ),
    ],
)
def test_a_refusal_names_the_option_and_what_is_expected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RateLimits(**options)
    assert str(caught.value) == message


def test_one_request_a_day_is_enough() -> None:
    limits = RateLimits(share=0.5, window=43_200, webhook_test=1)
    assert limits.of(EndpointGroup.WEBHOOK_TEST) == (1, 86_400.0)


@pytest.mark.parametrize("url", URLS)
def test_each_kind_of_address_of_redis_is_accepted(url: str) -> None:
    assert RateLimits(redis=url).redis == url


def test_a_client_of_redis_py_is_accepted() -> None:
    redis = Redis()
    assert RateLimits(redis=redis).redis is redis


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://localhost", "redisx://localhost", 5, b"redis://localhost", Attribute()]
)
def test_what_is_no_address_of_redis_is_refused(url: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"rate_limits\.redis: expected a URL \(redis://"):
        RateLimits(redis=url)  # type: ignore[arg-type]  # that it is wrong is tested


def test_a_password_in_the_address_does_not_show() -> None:
    shown = repr(RateLimits(redis="redis://:secret@localhost"))
    assert shown.startswith("RateLimits(share=1.0, window=60.0, catalog=5000")
    assert "secret" not in shown


def test_without_redis_a_process_has_a_quarter_of_the_limits() -> None:
    assert (RateLimits().redis, RateLimits().redis_fallback) == (None, 0.25)
