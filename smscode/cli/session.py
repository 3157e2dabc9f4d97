"""The state of a command: its options, its clients, and the hint for an unknown result."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from attrs import define, field

from .._async.client import AsyncClient
from .._journal.store import real_path
from .._sync.client import Client
from ..core.api.arguments import web_address
from ..core.settings import Settings
from ..errors import (
    ConfigurationError,
    InvalidArgumentError,
    NotFoundError,
    SmscodeError,
    UnauthorizedError,
)
from ..journal import SQLiteJournal
from . import offline
from .screen import Screen
from .token_file import create_private, stored_token

if TYPE_CHECKING:
    from ..sandbox import Sandbox

ENDS = "The sandbox of this command ends with it; `smscode sandbox` serves one for several commands."
_KEEPS_ONE = "`smscode sandbox` serves one that keeps them, for SMSCODE_BASE_URL and SMSCODE_TOKEN."
_TUNNEL = (
    " A sandbox on another machine is reached by a tunnel, as `ssh -L 8080:127.0.0.1:8080 HOST`, at"
    " http://127.0.0.1:8080."
)
_POLL = 3.0
_SANDBOX_POLL = 0.25
_OTP_AFTER = 2.0


def check_address(environ: Mapping[str, str]) -> None:
    """Check SMSCODE_BASE_URL. Its message is for commands, which have no ``allow_http``.

    Raises `InvalidArgumentError`.
    """
    given = environ.get("SMSCODE_BASE_URL")
    if given:
        try:
            web_address("SMSCODE_BASE_URL", given)
        except InvalidArgumentError as error:
            if given.startswith("http://"):
                error.message += _TUNNEL
            raise


def default_journal() -> Path:
    """Return the path of the journal without --journal and SMSCODE_JOURNAL."""
    return Path(typer.get_app_dir("smscode")) / "orders.db"


@define(slots=False)
class Session:
    """A command under way.

    ``doubt`` is the hint to print if the command ends now, when a change may have happened; empty while it
    only reads. ``changed`` is True once it has sent a change. ``rented`` is True if a number was rented and
    its end has been reported. ``afterwards`` is the hint to print if a change succeeded and its result cannot
    be shown. ``advice`` is what to do about an error, in place of the usual advice. ``past_orders`` is how
    many past orders the embedded sandbox begins with.
    """

    screen: Screen
    version: Literal["v1", "v2"]
    sandboxed: bool
    doubt: str = ""
    changed: bool = False
    rented: bool = False
    afterwards: str = ""
    advice: str = ""
    past_orders: int = 0
    _behind: timedelta = field(default=timedelta(0), init=False)

    @cached_property
    def sandbox(self) -> Sandbox:
        """The embedded sandbox, with a few orders in it."""
        from ..sandbox import Sandbox  # imported here, because that takes long

        self._behind = timedelta(hours=1)
        made = Sandbox(
            balance=offline.funds(offline.FUNDS),
            otp_after=None,
            clock=self._clock,
            allow_local_webhooks=True,
            past_orders=self.past_orders,
        )
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

    @cached_property
    def token(self) -> str | None:
        """The stored token, None if SMSCODE_TOKEN is set. Raises `ConfigurationError` like `stored_token`."""
        return None if os.environ.get("SMSCODE_TOKEN") else stored_token()

    @property
    def poll_interval(self) -> float:
        """The seconds between two polls."""
        return _SANDBOX_POLL if self.sandboxed else _POLL

    def pause(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)

    @property
    def settings(self) -> Settings:
        """The settings of the account. Raises `ConfigurationError` if the token is missing or invalid."""
        if self.sandboxed:
            return Settings.resolve(self.sandbox.token, None, self.version, {})
        if self.token is None and not os.environ.get("SMSCODE_TOKEN"):
            problem = "SMSCODE_TOKEN is empty." if "SMSCODE_TOKEN" in os.environ else "No token."
            raise ConfigurationError(
                f"{problem} `smscode login` stores it, or put it into the environment variable SMSCODE_TOKEN,"
                " or try --sandbox."
            )
        try:
            check_address(os.environ)
            return Settings.resolve(self.token, None, self.version, os.environ)
        except InvalidArgumentError as error:
            raise ConfigurationError(error.message) from error

    def client(self, journal: SQLiteJournal | None = None) -> Client:
        """Return a new synchronous client. Raises `ConfigurationError` like `settings`."""
        if self.sandboxed:
            return Client(
                self.sandbox.token,
                api_version=self.version,
                transport=self.sandbox.transport(),
                poll_interval=_SANDBOX_POLL,
                journal=journal,
            )
        _ = self.settings  # for its errors, which name what is missing
        return Client(self.token, api_version=self.version, journal=journal)

    def async_client(self, journal: SQLiteJournal | None) -> AsyncClient:
        """Return a new asynchronous client."""
        if self.sandboxed:
            return AsyncClient(
                self.sandbox.token,
                api_version=self.version,
                transport=self.sandbox.transport(),
                poll_interval=_SANDBOX_POLL,
                journal=journal,
            )
        return AsyncClient(self.token, api_version=self.version, journal=journal)

    def hint(self, error: SmscodeError) -> str:
        """Return what to do about an error where the usual advice would be wrong, empty where it is right."""
        if self.sandboxed and isinstance(error, NotFoundError):
            return f"This command has a sandbox of its own, with a few orders only. {_KEEPS_ONE}"
        if self.advice or self.sandboxed or not isinstance(error, UnauthorizedError):
            return self.advice
        return "" if self.token is None else "The token is the one that `smscode login` stored: log in again."

    @contextmanager
    def changing(self, doubt: str) -> Generator[None]:
        """Run a block that changes something; if it fails, ``doubt`` is printed as a hint."""
        self.doubt, self.changed = doubt, True
        yield
        self.doubt, self.afterwards = "", doubt

    @contextmanager
    def journal(self, path: Path | None) -> Generator[SQLiteJournal | None]:
        """Open the journal for the block. It is None with the embedded sandbox, which ends with the command.

        Raises `ConfigurationError` if the file or its folder cannot be used.
        """
        if self.sandboxed:
            yield None
            return
        chosen = Path(os.path.expanduser(path or default_journal()))
        try:
            chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"journal: its folder cannot be made ({error.strerror}).") from error
        create_private(real_path(chosen))
        with SQLiteJournal(chosen) as journal:
            yield journal
