"""The command line with the ``cli`` extra: all commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from .._version import VERSION
from . import (
    catalog,
    doctor,
    endings,
    login,
    obtaining,
    offline,
    orders,
    reactivating,
    rent,
    stats,
    watching,
    webhook,
)
from .command import CommandGroup, command, paragraphs
from .exits import Exit
from .session import Session

# Typer does not export this class, but it exports a subclass.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)

_TRY = "Try and check"

app: typer.Typer = typer.Typer(
    name="smscode",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\n".join(["Exit codes:", *(f"{code:>3}  {code.meaning}" for code in Exit)]),
)
for _part in (rent, obtaining, orders, endings, watching, reactivating, stats, catalog, login, doctor):
    app.registered_commands += _part.app.registered_commands
app.add_typer(webhook.app, name="webhook", rich_help_panel="Look around")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"smscode-async {VERSION}\n")
        raise typer.Exit


def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Rent phone numbers and receive their SMS codes with SMSCode.

    The token is read from the environment variable SMSCODE_TOKEN, or is that of `smscode login`. With
    --sandbox every command runs without one.
    """


app.callback(help=paragraphs(_start))(_start)


@command(app, "demo", panel=_TRY)
def demo(
    session: Session,
    count: Annotated[int, typer.Option(min=1, max=offline.MOST_NUMBERS, help="How many numbers.")] = 50,
    sync: Annotated[bool, typer.Option("--sync", help="Use threads and Client instead of asyncio.")] = False,
) -> int:
    """Rent numbers on a sandbox and watch their codes arrive."""
    return offline.demo(count, session.version, sync, session.screen.as_json, sys.stdout)


@command(app, "sandbox", panel=_TRY, versioned=False)
def sandbox(
    session: Session,
    port: Annotated[int, typer.Option(min=0, max=offline.LAST_PORT, help="0 for any free port.")] = 0,
    otp_after: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds until an SMS arrives.")] = 2.0,
    generation: Annotated[
        offline.Generation, typer.Option(help="Fields of the documentation, or of the current service.")
    ] = "current",
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT",
            help=f"Dollars such as 10usd, or whole rupiah such as 162500 (default: {offline.FUNDS}).",
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A scenario to play, such as 'ban(60)'. Repeat for several."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Store the state in this file, to continue later.")
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Address to listen on and host name to accept. Repeat for more names."
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="The token to accept (default: a random one).")
    ] = None,
    local_webhooks: Annotated[
        bool, typer.Option("--local-webhooks", help="Send webhooks to this machine, too.")
    ] = False,
    past_orders: Annotated[
        int,
        typer.Option(min=0, max=offline.MOST_PAST_ORDERS, help="How many past orders the account has."),
    ] = 0,
) -> int:
    """Serve a sandbox on this machine until interrupted.

    Its first line has the address and the token; a second one sets both for other commands.

    It answers only requests whose Host is this machine, or one of --host. With --host 0.0.0.0 other
    machines and containers reach it.
    """
    return offline.sandbox(
        port,
        otp_after,
        generation,
        balance,
        scenario or [],
        state,
        host or [],
        token,
        local_webhooks,
        past_orders,
        session.screen.as_json,
        sys.stdout,
    )


@command(app, "openapi", panel=_TRY, versioned=False)
def openapi(
    session: Session,
    generation: Annotated[
        offline.Generation, typer.Option(help="Fields of the documentation, or of the current service.")
    ] = "current",
    api_version: Annotated[offline.Versions, typer.Option(help="The API version.")] = "both",
) -> int:
    """Print the OpenAPI document of what the sandbox serves."""
    return offline.openapi(generation, api_version, sys.stdout)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    try:
        return app(list(arguments), prog_name="smscode", standalone_mode=False) or Exit.OK
    except _UsageError as error:
        message = error.format_message()
        if message:  # else the help was shown, as no command was given
            sys.stderr.write(
                f"error: {message}\nTry `{getattr(error.ctx, 'command_path', 'smscode')} --help`.\n"
            )
        return Exit.USAGE
