"""What a command works with: the account's client, or one of an embedded sandbox."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from attrs import define, field

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.settings import Settings
from ..errors import ConfigurationError, InvalidArgumentError
from ..journal import SQLiteJournal
from .screen import Screen

if TYPE_CHECKING:
    from ..sandbox import Sandbox

_SANDBOX_POLL = 0.25
_OTP_AFTER = 2.0


def default_journal() -> Path:
    """Return where purchases are written down unless --journal or SMSCODE_JOURNAL says otherwise."""
    return Path(typer.get_app_dir("smscode")) / "orders.db"


@define(slots=False)
class Session:
    """A command under way.

    ``doubt`` is what to do if it ends now: something may have been changed unknown to it. It is empty as
    long as only reading goes on. ``changed`` tells whether anything but reading went on, ``rented`` that a
    number was rented, and what became of it has been said. ``afterwards`` is how to learn what a change that
    went well has done, if showing that fails.
    """

    screen: Screen
    version: Literal["v1", "v2"]
    sandboxed: bool
    doubt: str = ""
    changed: bool = False
    rented: bool = False
    afterwards: str = ""
    _behind: timedelta = field(default=timedelta(0), init=False)

    @cached_property
    def sandbox(self) -> Sandbox:
        """The embedded sandbox, in which the account has been used a little."""
        from ..sandbox import Sandbox  # not for those who have an account: it takes its time to import

        self._behind = timedelta(hours=1)
        made = Sandbox(otp_after=None, clock=self._clock, allow_local_webhooks=True)
        with Client(made.token, transport=made.transport()) as client:
            for minutes, receives, ends in ((30, True, True), (4, True, False), (3, False, False)):
                self._behind = timedelta(minutes=minutes)
                order = client.orders.create(catalog_product_id=87).orders[0]
                if receives:
                    made.deliver_sms(order.id)
                if ends:
                    client.orders.finish(order.id)
        self._behind = timedelta(0)
        made.set_otp_after(_OTP_AFTER)
        return made

    def _clock(self) -> datetime:
        return datetime.now(UTC) - self._behind

    @property
    def settings(self) -> Settings:
        """The account's settings; raises `ConfigurationError` where there is none, or a wrong one."""
        if self.sandboxed:
            return Settings.resolve(self.sandbox.token, None, self.version, {})
        if not os.environ.get("SMSCODE_TOKEN"):
            raise ConfigurationError(
                "No token. Put it into the environment variable SMSCODE_TOKEN, or try --sandbox."
            )
        try:
            return Settings.resolve(None, None, self.version, os.environ)
        except InvalidArgumentError as error:
            raise ConfigurationError(error.message) from error

    def client(self, journal: SQLiteJournal | None = None) -> Client:
        """Make a client for threads."""
        if self.sandboxed:
            return Client(
                self.sandbox.token,
                api_version=self.version,
                transport=self.sandbox.transport(),
                poll_interval=_SANDBOX_POLL,
                journal=journal,
            )
        _ = self.settings  # says what is missing or wrong
        return Client(api_version=self.version, journal=journal)

    def async_client(self, journal: SQLiteJournal | None) -> AsyncClient:
        """Make a client for an event loop."""
        if self.sandboxed:
            return AsyncClient(
                self.sandbox.token,
                api_version=self.version,
                transport=self.sandbox.transport(),
                poll_interval=_SANDBOX_POLL,
                journal=journal,
            )
        return AsyncClient(api_version=self.version, journal=journal)

    @contextmanager
    def changing(self, doubt: str) -> Generator[None]:
        """Run a block that changes something; if it fails, ``doubt`` says how to learn whether it did."""
        self.doubt, self.changed = doubt, True
        yield
        self.doubt, self.afterwards = "", doubt

    @contextmanager
    def journal(self, path: Path | None) -> Generator[SQLiteJournal | None]:
        """Open the journal of purchases; the embedded sandbox has none, because it ends with the command."""
        if self.sandboxed:
            yield None
            return
        chosen = path or default_journal()
        try:
            chosen.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"journal: its folder cannot be made ({error.strerror}).") from error
        with SQLiteJournal(chosen) as journal:
            yield journal
