"""The commands for the account's webhook."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ..errors import ConfigurationError, InvalidArgumentError
from ..models import WebhookConfig
from ..webhooks import secret_keys
from .command import CommandGroup, command
from .exits import Exit
from .orders import Yes
from .screen import day
from .session import Session
from .webhook_listener import listen as listen_for_events

SECRET = "SMSCODE_WEBHOOK_SECRET"

app: typer.Typer = typer.Typer(
    cls=CommandGroup, help="Show, set, try and receive the account's webhook.", no_args_is_help=True
)


@command(app, "show")
def show(session: Session) -> None:
    """Show where webhooks go; of the secret only whether there is one."""
    with session.client() as client:
        found = client.webhook.get()
    _show(session, found)


@command(app, "set")
def set_(
    session: Session,
    url: Annotated[str, typer.Argument(metavar="URL", help='Where they are to go (https); "" for nowhere.')],
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read a new secret from the standard input.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Set where webhooks go; asks before it replaces another address."""
    secret = sys.stdin.readline().rstrip("\r\n") if secret_stdin else None
    if secret == "":
        raise InvalidArgumentError("--secret-stdin: expected the secret as a line of the standard input.")
    with session.client() as client:
        before = client.webhook.get().webhook_url
        if before not in (None, "", url):
            session.screen.confirm(f"Webhooks go to {before}. Replace that?", yes=yes)
        with session.changing("`smscode webhook show` shows it."):
            found = client.webhook.update(url=url, secret=secret)
    _show(session, found)


@command(app, "test")
def test(session: Session) -> int:
    """Have the service send a test event; shows how the address answered it."""
    with session.client() as client:
        done = client.webhook.test()
    session.screen.fields(done, {"answered": done.status_code})
    return Exit.OK if 200 <= done.status_code < 300 else Exit.FAILED


@command(app, "listen")
def listen(
    session: Session,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8080,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many events.")] = None,
) -> None:
    """Receive webhooks on this machine and print those that the service signed.

    The secret is taken from SMSCODE_WEBHOOK_SECRET, or else from the account. Put a tunnel or a proxy with
    a public https address in front, and `webhook set` that.
    """
    with session.client() as client:
        secret = os.environ.get(SECRET)
        if secret:
            secret_keys(secret, SECRET)
        else:
            secret = client.webhook.get().webhook_secret
        if session.sandboxed:
            secret = "sandbox-secret"
        if not secret:
            raise ConfigurationError(f"The webhook has no secret to check with: set one, or {SECRET}.")

        def ready(url: str) -> None:
            session.screen.warn(f"listening on {url}")
            if session.sandboxed:
                client.webhook.update(url=url, secret=secret)
                client.webhook.test()

        listen_for_events(session.screen, secret, (host, port), count, ready)


def _show(session: Session, found: WebhookConfig) -> None:
    record = {
        "webhook_url": found.webhook_url,
        "webhook_secret_set": bool(found.webhook_secret),
        "webhook_disabled_at": found.webhook_disabled_at,
        "webhook_disabled_reason": found.webhook_disabled_reason,
        "webhook_consecutive_failures": found.webhook_consecutive_failures,
    }
    state = "on" if found.webhook_url else "not set"
    if found.webhook_disabled_at is not None:
        state = f"switched off by the service since {day(found.webhook_disabled_at)}"
    pairs = {
        "url": found.webhook_url,
        "secret": "set" if found.webhook_secret else "not set",
        "delivery": state,
        "failures": found.webhook_consecutive_failures,
    }
    session.screen.fields(record, pairs)
