"""Write the pages as the site is built from them: ``python docs/generate.py build/docs``.

The reference of the command line and that of the error codes come from the code. Everything else is copied.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import attrs
import typer

from smscode import models
from smscode.cli.app import app
from smscode.errors import API_ERRORS

EVERYWHERE = ("header", "as_json", "sandbox", "api_version", "help")  # described once, at the top of the page

_EXAMPLE = re.compile(r"^( +)>>> .*(?:\n\1(?:>>>|\.\.\.).*)*", re.MULTILINE)
_PROMPT = re.compile(r"^( +)(?:>>>|\.\.\.) ?", re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "_sync")


def generate(target: Path) -> None:
    """Write the configuration and all pages to a folder, whose former contents are deleted."""
    here = Path(__file__).parent
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(here / "pages", target / "pages")
    shutil.copy(here / "zensical.toml", target)
    for page in (target / "pages").rglob("*.md"):
        page.write_text(filled(page.read_text("utf-8")), encoding="utf-8")
    shutil.copytree(here.parent / "smscode", target / "package" / "smscode", ignore=_NOT_COPIED)
    for module in (target / "package").rglob("*.py"):
        module.write_text(with_examples(module.read_text("utf-8")), encoding="utf-8")


def with_examples(source: str) -> str:
    """Return a module with the examples of its docstrings (``>>>``) as fenced programs."""

    def fenced(found: re.Match[str]) -> str:
        program = _PROMPT.sub(r"\1", found[0])
        return f"{found[1]}```python\n{program}\n{found[1]}```"

    return _EXAMPLE.sub(fenced, source)


def filled(markdown: str) -> str:
    """Replace the placeholders of a page by what is made from the code, or from the page itself."""
    made: dict[str, Callable[[], Iterator[str]]] = {
        "commands": commands,
        "codes": codes,
        "models": tables,
        "methods": partial(overview, markdown),
    }
    for name, lines in made.items():
        mark = f"<!-- {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(lines()))
    return markdown


def codes() -> Iterator[str]:
    """Describe the classes of the service's error codes."""
    yield "| Error | Code | When | What to do |\n|---|---|---|---|"
    for code, (class_, status) in API_ERRORS.items():
        when = " ".join(inspect.cleandoc(class_.__doc__ or "").partition("\n\n")[0].split())
        yield f"| `{class_.__name__}` | {status} `{code}` | {when} | {class_.advice} |"


def overview(markdown: str) -> Iterator[str]:
    """List the methods that the sections of a page describe."""
    yield "| Method | What it does |\n|---|---|"
    sections = re.findall(r"^## ([\w.]+)\n\n```text\n[^`]*```\n\n(.+)$", markdown, re.MULTILINE)
    for name, what in sections:
        yield f"| [`{name}`](#{name.replace('.', '')}) | {what} |"


def tables() -> Iterator[str]:
    """Describe every model: what it is, and each of its fields in words."""
    here = Path(__file__).parent
    files = (here.parent / "smscode" / "fields.toml", here / "values.toml")
    words = dict(table for file in files for table in tomllib.loads(file.read_text("utf-8")).items())
    for name in sorted(models.__all__):
        class_ = getattr(models, name)
        yield f"## {name} {{ #smscode.models.{name} }}\n"
        yield f"{_prose(class_)}\n"
        if attrs.has(class_):
            yield "| Field | Type | Meaning |\n|---|---|---|"
            for one in attrs.fields(class_):
                meaning = words.get(name, {}).get(one.name) or words["all"][one.name]
                yield f"| `{one.name}` | {_type(one.type)} | {meaning} |"
            yield ""
        else:
            yield "| Value | Text | Meaning |\n|---|---|---|"
            for one in class_:
                yield f"| `{one.name}` | `{one.value}` | {words[name][one.name]} |"
            yield ""


def _prose(value: Any) -> str:
    """Return a docstring as Markdown: names in single backticks."""
    return inspect.cleandoc(value.__doc__ or "").replace("``", "`")


def _type(given: Any) -> str:
    """Return the type of a field as a reader says it."""
    text = re.sub(r"\b(?:smscode\.\w+|datetime)\.", "", given if isinstance(given, str) else _name_of(given))
    return " or ".join(f"`{part}`" for part in text.split(" | "))


def _name_of(given: Any) -> str:
    return given.__name__ if isinstance(given, type) and not get_args(given) else str(given)


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


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
