"""``smscode login``: stores the token for the commands to come."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated

import typer

from .._sync.client import Client
from ..core.settings import Token
from ..errors import InvalidArgumentError
from .command import command
from .exits import Exit
from .session import Session
from .token_file import forget_token, store_token

app: typer.Typer = typer.Typer()


@command(app, "login", panel="Try and check")
def login(
    session: Session,
    forget: Annotated[bool, typer.Option("--forget", help="Delete the stored token.")] = False,
) -> int:
    """Store the token in a file that only you can read, for these commands.

    Asks for it without showing it; in a pipe it is the first line of the standard input. It is tried before
    it is stored. SMSCODE_TOKEN comes first where it is set. Programs do not read the file.
    """
    screen = session.screen
    if forget:
        done = forget_token()
        screen.fields({"forgotten": done}, {"forgotten": "yes" if done else "no: there is none"})
        return Exit.OK
    if session.sandboxed:
        raise InvalidArgumentError("--sandbox: a sandbox has a token of its own. Nothing was stored.")
    given = getpass.getpass("Token: ") if screen.live else sys.stdin.readline()
    token = Token(given.strip(), "token").secret.decode("ascii")
    session.advice = "Check the token that you gave: it is made in the account settings. It was not stored."
    with Client(token, api_version=session.version) as client:
        balance = client.balance().balance
    path = store_token(token)
    screen.fields({"file": str(path), "balance": balance}, {"file": path, "balance": balance})
    if os.environ.get("SMSCODE_TOKEN"):
        screen.warn("SMSCODE_TOKEN is set, and comes before the stored token.")
    return Exit.OK
