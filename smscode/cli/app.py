"""The command line with the ``cli`` extra: every command, put together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from .._version import VERSION
from ..core.codec import Version
from ..errors import SmscodeError
from ..sandbox.openapi import Versions
from ..sandbox.render import Generation
from . import catalog, doctor, local, orders, rent, webhook
from .command import paragraphs
from .exits import Exit
from .screen import Screen
from .trouble import Trouble

# Typer keeps the class to itself, but not what is made from it.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)

_TRY = "Try and check"

app: typer.Typer = typer.Typer(
    name="smscode",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\n".join(["Exit codes:", *(f"{code:>3}  {code.meaning}" for code in Exit)]),
)
for _part in (rent, orders, catalog, doctor):
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

    The token is read from the environment variable SMSCODE_TOKEN. With --sandbox every command runs without
    one.
    """


app.callback(help=paragraphs(_start))(_start)


@app.command("demo", rich_help_panel=_TRY)
def demo(
    count: Annotated[int, typer.Option(min=1, max=local.MOST_NUMBERS, help="How many numbers.")] = 50,
    sync: Annotated[bool, typer.Option("--sync", help="Use threads and Client instead of asyncio.")] = False,
    api_version: Annotated[Version, typer.Option(help="v1: rupiah, v2: dollars.")] = "v2",
) -> None:
    """Rent numbers on a sandbox and watch their codes arrive."""
    raise typer.Exit(local.demo(count, api_version, sync, sys.stdout))


@app.command("sandbox", rich_help_panel=_TRY)
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=local.LAST_PORT, help="0 takes any free one.")] = 0,
    otp_after: Annotated[float, typer.Option(metavar="SECONDS", help="How soon an SMS arrives.")] = 2.0,
    generation: Annotated[Generation, typer.Option(help="How much it sends.")] = "current",
    balance: Annotated[
        int, typer.Option(min=0, max=local.MOST_FUNDS, metavar="IDR", help="What the account holds.")
    ] = 1_000_000,
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What goes wrong, as 'ban(60)'. Again for more."),
    ] = None,
) -> None:
    """Serve a sandbox on this machine until interrupted."""
    raise typer.Exit(local.sandbox(port, otp_after, generation, balance, scenario or [], sys.stdout))


@app.command("openapi", rich_help_panel=_TRY)
def openapi(
    generation: Annotated[Generation, typer.Option(help="Of which service.")] = "current",
    api_version: Annotated[Versions, typer.Option(help="Of which API version.")] = "both",
) -> None:
    """Print the OpenAPI document of what the sandbox serves."""
    raise typer.Exit(local.openapi(generation, api_version, sys.stdout))


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code."""
    try:
        return app(list(arguments), prog_name="smscode", standalone_mode=False) or Exit.OK
    except _UsageError as error:
        said = error.format_message()
        if said:  # else it is the help itself, shown because nothing was asked for
            sys.stderr.write(
                f"error: {said}\nTry `{getattr(error.ctx, 'command_path', 'smscode')} --help`.\n"
            )
        return Exit.USAGE
    except SmscodeError as error:
        trouble = Trouble(error, "")
        Screen(as_json=False).fail(trouble)
        return trouble.exit
