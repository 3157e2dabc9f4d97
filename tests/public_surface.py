"""The public surface as text: each public name, with its signature, bases, fields and members.

    python -m tests.public_surface           prints it
    python -m tests.public_surface --write   writes tests/data/public-surface.txt, which a test compares

Annotations are shown as they are written in the source, defaults by their `repr`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ForwardRef, cast

GOLDEN = Path(__file__).parent / "data" / "public-surface.txt"
# A module without `__all__` shows what it defines itself.
MODULES = (
    *("smscode", "smscode.calls", "smscode.errors", "smscode.events", "smscode.journal", "smscode.models"),
    *("smscode.money", "smscode.receiver", "smscode.sandbox", "smscode.testing"),
    *("smscode.webhooks", "smscode.ext.aiohttp", "smscode.ext.asgi", "smscode.ext.fastapi"),
    *("smscode.ext.error_answers", "smscode.ext.otel", "smscode.ext.relay", "smscode.ext.wsgi"),
)
_PROTOCOLS = (
    *("__len__", "__iter__", "__next__", "__getitem__", "__contains__", "__call__", "__await__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__aiter__", "__anext__"),
    *("__lt__", "__le__", "__gt__", "__ge__", "__add__", "__sub__", "__hash__", "__bool__"),
)
# Made by the package, not by its callers: how is no part of the surface.
_GIVEN = {
    *("AsyncCatalog", "AsyncOrders", "AsyncRental", "AsyncWebhook", "Catalog", "Orders", "Rental", "Webhook"),
    *("ErrorAnswer", "WebhookApp"),
}
# What only the clients use of a public class.
_INSIDE = {
    "Sandbox": {"control"},
    "SQLiteJournal": {"abandon", "apply", "find", "holders", "lock", "owner", "records", "totals"},
}
_ELSEWHERE = ("smscode.errors", "smscode.events", "smscode.models", "smscode.money")
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
_ASSIGNED = re.compile(r"^ +self\.([a-z]\w*)(?:: [^=\n]+)? = ", re.MULTILINE)


def surface(name: str) -> list[str]:
    """Return the lines that describe a public module; the first is its name."""
    module = importlib.import_module(name)
    lines = [f"module {name}"]
    for public in sorted(_names(module)):
        value = getattr(module, public)
        home = next(
            (each for each in _ELSEWHERE if getattr(importlib.import_module(each), public, None) is value),
            name,
        )
        if home == name or isinstance(value, ModuleType):
            lines += [f"  {line}" for line in _described(public, value)]
        else:
            lines.append(f"  {public} of {home}")
    return lines


def _names(module: ModuleType) -> Iterator[str]:
    if module.__name__ == "smscode.journal":
        yield "SQLiteJournal"  # the rest is for the clients
        return
    if hasattr(module, "__all__"):
        yield from module.__all__
        return
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
            yield name


def resources(client: type[Any]) -> dict[str, type[Any]]:
    """Return the resources of a client, such as ``orders``, with their classes."""
    package: Any = importlib.import_module("smscode")
    return {
        name: getattr(package, cast(Any, value).func.__annotations__["return"])
        for name, value in vars(client).items()
        if isinstance(value, cached_property)
    }


def _described(name: str, value: object) -> Iterator[str]:
    if isinstance(value, type):
        yield from _class(name, cast("type[Any]", value))
    elif isinstance(value, FunctionType):
        yield f"def {name}{_signature(value)}"
    elif isinstance(value, ModuleType):
        yield f"{name}: module"
    else:
        yield f"{name}: {_plain(value)}"


def _class(name: str, cls: type[Any]) -> Iterator[str]:
    shown = [base for base in cls.__mro__[1:-1] if base.__module__ != "smscode._value"]
    bases = [base.__name__ for base in shown if _public(base)]
    yield f"class {name}({', '.join(bases)})"
    if not issubclass(cls, Enum) and cls.__name__ not in _GIVEN:
        yield f"    {_init(cls)}"
    protocols = [each for each in _PROTOCOLS if _ours(cls, each)]
    if protocols:
        yield f"    {' '.join(protocols)}"
    for member in sorted({*_members(cls)} - _INSIDE.get(cls.__name__, set())):
        yield f"    {_member(cls, member)}"


def _init(cls: type[Any]) -> str:
    try:
        return f"__init__{_signature(cls.__init__)}"
    except ValueError:
        return "__init__ of Python's own"


def _public(base: type[Any]) -> bool:
    """Return True unless a base only says what is wrong with a block of the other flavour, or is private."""
    return not base.__name__.startswith("_") and base.__module__ != "smscode._concurrency.blocks"


def _ours(cls: type[Any], member: str) -> bool:
    """Return True if a class of this package defines the member, and does not forbid it."""
    for base in filter(_public, cls.__mro__):
        if member in vars(base):
            return base.__module__.startswith("smscode") and vars(base)[member] is not None
    return False


def _members(cls: type[Any]) -> Iterator[str]:
    for base in cls.__mro__:
        if not base.__module__.startswith("smscode"):
            continue
        names = [*vars(base), *inspect.get_annotations(base)]
        init = vars(base).get("__init__")
        if isinstance(init, FunctionType) and not init.__code__.co_filename.startswith("<attrs"):
            names += _ASSIGNED.findall(inspect.getsource(init))
        yield from (name for name in names if not name.startswith("_"))


def _member(cls: type[Any], name: str) -> str:
    value = inspect.getattr_static(cls, name, None)
    if isinstance(value, property):
        return f"{name}: property{_result(value.fget)}"
    if isinstance(value, cached_property):
        return f"{name}: {_result(cast(Any, value).func).removeprefix(' -> ')}"
    if isinstance(value, classmethod | staticmethod):
        kind = "classmethod" if isinstance(value, classmethod) else "staticmethod"
        return f"{kind} {name}{_signature(cast(Any, value).__func__)}"
    if inspect.isfunction(value):
        waits = "async " if inspect.iscoroutinefunction(value) else ""
        return f"{waits}def {name}{_signature(value)}"
    if isinstance(value, Enum):
        return f"{name} = {value.value!r}"
    annotations = {
        each: text for base in cls.__mro__[::-1] for each, text in inspect.get_annotations(base).items()
    }
    return f"{name}: {_annotation(annotations.get(name, 'attribute'))}"


def _result(function: object) -> str:
    text = _signature(function)
    return text[text.rindex(" -> ") :] if " -> " in text else ""


def _signature(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    shown: list[str] = []
    stars = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not stars:
            shown.append("*")
        stars = stars or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        text = _STARS.get(parameter.kind.name, "") + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_plain(parameter.default)}"
        shown.append(text)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            shown.append("/")
    slashes = shown.count("/")  # only the last one is written
    kept = [text for at, text in enumerate(shown) if text != "/" or shown[: at + 1].count("/") == slashes]
    result = signature.return_annotation
    return f"({', '.join(kept)})" + ("" if result is signature.empty else f" -> {_annotation(result)}")


def _annotation(annotation: object) -> str:
    """Return it as in the source, also where attrs has put the type itself in its place."""
    if isinstance(annotation, ForwardRef):  # of a NamedTuple, whose `repr` differs between Pythons
        annotation = annotation.__forward_arg__
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b(?:smscode\.|datetime\.|builtins\.|collections\.|typing\.)(?:\w+\.)*(?=\w)", "", text)


def _plain(value: object) -> str:
    """Return a default's or a value's `repr`, without what differs from run to run."""
    shown = re.sub(r"<(?:function |class )?'?([\w.]+).*>", r"<\1>", repr(value))
    return _annotation(re.sub(r"\b(Depends|mappingproxy)\(.*\)", r"\1(...)", shown))  # not ours inside


def main() -> None:
    """Print the surface of all modules, or write the file."""
    text = "\n\n".join("\n".join(surface(name)) for name in MODULES) + "\n"
    if "--write" in sys.argv:
        GOLDEN.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
