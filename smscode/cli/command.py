"""Runs commands: the options that all have, the report of errors, and the exit code."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from ..core.versions import ApiVersion
from ..errors import InvalidArgumentError, SmscodeError
from . import stdio
from .error_report import ErrorReport
from .exits import Exit
from .screen import Declined, Screen
from .session import ENDS, Session

Body = Callable[..., int | None]

_PANEL = "Everywhere"


class CommandGroup(TyperGroup):
    """A group of commands; see `Command`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options for the help."""
        return _without_flag_types(super().get_params(ctx))


class Command(TyperCommand):
    """A command. Its help shows no type for options that take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments for the help."""
        return _without_flag_types(super().get_params(ctx))


def _without_flag_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def _shared(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with the names of the API.", rich_help_panel=_PANEL)
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Use a sandbox inside this command.", rich_help_panel=_PANEL)
    ] = False,
    api_version: Annotated[
        ApiVersion, typer.Option(help="v1: rupiah, v2: dollars.", rich_help_panel=_PANEL)
    ] = "v2",
) -> None:
    """Define the options that every command has."""


def _listing(
    header: Annotated[
        bool,
        typer.Option("--header", help="Print column names first, in a pipe.", rich_help_panel=_PANEL),
    ] = False,
) -> None:
    """Define the option that every command has which shows a table."""


def command(
    app: typer.Typer, name: str, *, panel: str | None = None, versioned: bool = True, lists: bool = False
) -> Callable[[Body], Body]:
    """Make a command of a function, which takes a `Session` first and may return an exit code.

    A ``versioned`` command has the option ``--api-version``, and uses one version of the API. One that
    ``lists`` has the option ``--header``.
    """

    def decorate(body: Body) -> Body:
        def run(**given: Any) -> None:
            screen = Screen(as_json=given.pop("as_json"))
            screen.header = given.pop("header", False)
            version: ApiVersion = given.pop("api_version") if versioned else "v2"
            session = Session(screen, version, given.pop("sandbox"))
            raise typer.Exit(_run(body, session, given, options))

        own = list(inspect.signature(body).parameters.values())[1:]
        shared = list(inspect.signature(_shared).parameters.values())
        shared = [*(inspect.signature(_listing).parameters.values() if lists else ()), *shared]
        hints: dict[str, Any] = {}
        for part in (_listing, _shared, body):
            hints |= get_type_hints(part, include_extras=True)
        parameters = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in (*own, *(shared if versioned else shared[:-1]))
        ]
        options = {
            parameter.name: (*cast(Any, shown).param_decls, f"--{parameter.name.replace('_', '-')}")[0]
            for parameter in parameters
            for shown in parameter.annotation.__metadata__
            if isinstance(shown, OptionInfo)
        }
        described = cast(Any, run)
        described.__signature__ = inspect.Signature(parameters)
        described.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, cls=Command, help=paragraphs(body), rich_help_panel=panel)(run)
        return body

    return decorate


def paragraphs(documented: object) -> str:
    """Return a docstring as help text, with each paragraph in one line."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(documented) or "").split("\n\n"))


def _run(body: Body, session: Session, given: dict[str, Any], options: Mapping[str, str]) -> int:
    """Run a command and return its exit code; report each error in one to three lines.

    ``options`` are the options of the command by the names of their arguments, for messages.
    """
    screen = session.screen
    try:
        code = body(session, **given) or Exit.OK
        if session.sandboxed and session.changed:
            screen.note(ENDS)
        return code
    except Declined as refusal:
        screen.warn(str(refusal))
        return Exit.DECLINED
    except KeyboardInterrupt:
        doubt = f"It may have been carried out: {session.doubt}" if session.doubt else "Nothing was changed."
        screen.warn(f"Interrupted. {doubt}")
        return Exit.INTERRUPTED
    except SmscodeError as error:
        name, separator, rest = error.message.partition(": ")
        if isinstance(error, InvalidArgumentError) and name in options:
            error.message = f"{options[name]}{separator}{rest}"
        report = ErrorReport(error, session.doubt, session.rented, session.hint(error))
    except OSError as error:
        # One of a standard stream: those of connections and files are errors of this package.
        code = Exit.UNKNOWN if session.changed else Exit.FAILED
        return stdio.report_lost_output(error, code, session.doubt or session.afterwards)
    except Exception as error:
        report = ErrorReport(_defect(error), session.doubt or session.afterwards, session.rented)
    screen.fail(report)
    return report.exit


def _defect(error: Exception) -> SmscodeError:
    """Return the error for a defect, without its text, which may hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return SmscodeError(
        f"This is a defect: {type(error).__name__} at {where}. Please report it.", outcome="unknown"
    )
