"""Writes the reference of the command line and of the error codes from the code, when the pages are built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from smscode.cli.app import app
from smscode.errors import API_ERRORS

EVERYWHERE = ("header", "as_json", "sandbox", "api_version", "help")  # the page tells of them once


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace a page's placeholders by what is made from the code; MkDocs calls this for each page."""
    for mark, lines in (("<!-- commands -->", commands), ("<!-- codes -->", codes)):
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(lines()))
    return markdown


def codes() -> Iterator[str]:
    """Describe the classes of the service's error codes."""
    yield "| Error | Code | When | What to do |\n|---|---|---|---|"
    for code, (class_, status) in API_ERRORS.items():
        when = " ".join(inspect.cleandoc(class_.__doc__ or "").partition("\n\n")[0].split())
        yield f"| `{class_.__name__}` | {status} `{code}` | {when} | {class_.advice} |"


def commands() -> Iterator[str]:
    """Describe every command: what it does, how it is called, and what it takes."""
    for path, command in _walk(typer.main.get_command(app), "smscode"):
        context = typer.Context(command)
        parameters: list[Any] = [one for one in command.params if one.name not in EVERYWHERE]
        arguments = [one.metavar for one in parameters if one.param_type_name == "argument"]
        yield f"## {path}\n\n{inspect.cleandoc(command.help)}\n"
        yield f"```text\n{' '.join([path, *arguments])}\n```\n"
        if parameters:
            yield "| Takes | Meaning |\n|---|---|"
        for one in parameters:
            yield f"| {_name(one, context)} | {one.help}{_facts(one)} |"
        yield ""


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children: dict[str, Any] = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}")


def _name(parameter: Any, context: typer.Context) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    if parameter.metavar or parameter.is_flag:
        values = [parameter.metavar or ""]
    elif parameter.min is not None:
        values = [f"{parameter.min}.." if parameter.max is None else f"{parameter.min}..{parameter.max}"]
    else:
        values = str(parameter.display_type_rich(context)).strip("<>").split("|")
    options = " ".join(f"`{name}`" for name in parameter.opts)
    return f"{options} {', '.join(f'`{value}`' for value in values if value)}".strip()


def _facts(parameter: Any) -> str:
    default = "" if parameter.default in (None, False) or parameter.required else parameter.default
    facts = [f" Default: `{default}`."] if default != "" else []
    return "".join([*facts, *([f" Environment: `{parameter.envvar}`."] if parameter.envvar else [])])
