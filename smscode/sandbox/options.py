"""What a sandbox is made with: the plain values among its arguments, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

import attrs
from attrs import field, frozen

from ..errors import ConfigurationError, InvalidArgumentError
from .checks import check_seconds, check_whole
from .control.history import DEFAULT_LIMIT
from .http.limits import ServiceLimits, read_limits
from .http.render import Generation
from .service.abuse import AbuseGuard
from .service.catalog import Catalog
from .service.order_book import Rules
from .service.world import World


@frozen(kw_only=True)
class Options:
    """The arguments of `Sandbox` that are plain values; they mean the same, and have the same defaults."""

    token: str = field(default="sandbox-token", repr=False)
    balance: int = 1_000_000
    rate: int | None = 16_250
    otp_after: float | None = 2.0
    lifetime: float = 1200.0
    cancel_after: float = 120.0
    resend_cooldown: float = 30.0
    generation: Generation = "current"
    allow_local_webhooks: bool = False
    webhook_jitter: float = 0.0
    rate_limits: bool | Mapping[str, int] = True
    abuse_guard: AbuseGuard | None = AbuseGuard()
    history_limit: int = DEFAULT_LIMIT
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        check_whole("balance", self.balance, 0)
        check_whole("history_limit", self.history_limit, 0)
        if self.rate is not None:
            check_whole("rate", self.rate, 1)
        if self.generation not in get_args(Generation):
            raise InvalidArgumentError("generation: expected 'documented' or 'current'.")
        for name in ("otp_after", "lifetime", "cancel_after", "resend_cooldown", "webhook_jitter"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))
        read_limits(self.rate_limits)

    def rules(self) -> Rules:
        """Return what the account cannot choose."""
        return Rules(
            otp_after=self.otp_after,
            lifetime=self.lifetime,
            cancel_after=self.cancel_after,
            resend_cooldown=self.resend_cooldown,
            current=self.generation == "current",
            webhook_jitter=self.webhook_jitter,
            cancels_per_day=read_limits(self.rate_limits)[1],
            abuse_guard=self.abuse_guard,
            seed=self.seed,
        )

    def world(self, catalog: Catalog, now: datetime) -> World:
        """Make a new account."""
        return World(self.rules(), catalog, balance=self.balance, rate=self.rate, now=now)

    def limits(self) -> ServiceLimits:
        """Return the rate limits, with nothing used up yet."""
        return read_limits(self.rate_limits)[0]

    def goes_on_as(self, kept: Options) -> Options:
        """Return what a kept sandbox was made with, refusing what it is now asked to be instead.

        What has its default counts as left out.
        """
        for name, default in attrs.asdict(Options(), recurse=False).items():
            wanted, was = getattr(self, name), getattr(kept, name)
            if wanted not in (default, was):
                made = "another token" if name == "token" else f"{name}={was!r}, not {wanted!r}"
                raise ConfigurationError(
                    f"state: the sandbox in the file was made with {made}: leave {name} out, or take another"
                    " file."
                )
        return kept
