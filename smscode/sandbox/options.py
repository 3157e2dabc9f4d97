"""The arguments of a sandbox that are plain values, checked."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from attrs import asdict, field, frozen

from ..errors import ConfigurationError, InvalidArgumentError
from .checks import check_duration, check_whole
from .control.history import DEFAULT_LIMIT
from .http.limits import ServiceLimits, read_limits
from .http.render import Generation
from .service.catalogue_data import make_catalog
from .service.order_book import Rules
from .service.past_orders import add_past_orders
from .service.world import World


@frozen(kw_only=True)
class Options(Rules):
    """The arguments of `Sandbox` that are plain values, with the same meaning and the same defaults."""

    token: str = field(default="sandbox-token", repr=False)
    balance: int = 1_000_000
    rate: int | None = 16_250
    allow_local_webhooks: bool = False
    history_limit: int = DEFAULT_LIMIT
    past_orders: int = 0

    def __attrs_post_init__(self) -> None:
        check_whole("balance", self.balance, 0)
        check_whole("history_limit", self.history_limit, 0)
        check_whole("past_orders", self.past_orders, 0)
        if self.rate is not None:
            check_whole("rate", self.rate, 1)
        if self.generation not in get_args(Generation):
            raise InvalidArgumentError("generation: expected 'documented' or 'current'.")
        for name in ("otp_after", "lifetime", "cancel_after", "resend_cooldown", "webhook_jitter"):
            if getattr(self, name) is not None:
                check_duration(name, getattr(self, name))
        read_limits(self.rate_limits)

    def world(self, now: datetime) -> World:
        """Return a new account."""
        world = World(self, make_catalog(), balance=self.balance, rate=self.rate, now=now)
        if self.past_orders:
            add_past_orders(world, self.past_orders, now)
        return world

    def limits(self) -> ServiceLimits:
        """Return new rate limits with nothing used."""
        return ServiceLimits(read_limits(self.rate_limits)[0])

    def resume_with(self, saved: Options) -> Options:
        """Return the options of a saved sandbox.

        Raises `ConfigurationError` if an option that is not at its default contradicts them.
        """
        for name, default in asdict(Options(), recurse=False).items():
            wanted, was = getattr(self, name), getattr(saved, name)
            if wanted not in (default, was):
                made = "another token" if name == "token" else f"{name}={was!r}, not {wanted!r}"
                raise ConfigurationError(
                    f"state: the sandbox in the file was made with {made}: leave {name} out, or take another"
                    " file."
                )
        return saved
