"""Small changes to a module's source, each of which a test should notice."""

from __future__ import annotations

import ast
import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import TypeVar

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_CHOOSING = ("min", "max")
_WRAPPING = ("abs", "sorted", "reversed")
_TYPING = ("TypeVar", "cast", "TypeAlias")


N = TypeVar("N", bound=ast.AST)
T = TypeVar("T")
Place = ast.expr | ast.stmt
Edit = tuple[Place, str, str]


@dataclass(frozen=True)
class Change:
    """A place of a module changed: its bytes from ``start`` to ``end`` become ``text``."""

    path: str
    scope: str
    line: int
    what: str
    before: str = field(repr=False)
    start: int
    end: int
    text: str

    @property
    def after(self) -> str:
        """Return the changed source."""
        source = self.before.encode()
        return (source[: self.start] + self.text.encode() + source[self.end :]).decode()

    @property
    def diff(self) -> list[str]:
        """Return the lines that differ, as a diff has them."""
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0, lineterm="")
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("---", "+++")]

    @property
    def name(self) -> str:
        """Return what stays the same while the module grows and shrinks around the place."""
        return (
            f"{self.path} {self.scope}".strip()
            + ": "
            + " ".join(f"{line[0]} {line[1:].strip()}" for line in self.diff)
        )


def changes(path: str, source: str) -> list[Change]:
    """Return every change of a module."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[tuple[int, int, str], Change] = {}
    tree = ast.parse(source)
    for node, what, text in _Finder(tree).edits():
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset  # positions count bytes
        end = starts[node.end_lineno - 1] + node.end_col_offset
        change = Change(path, _scope(tree, node.lineno), node.lineno, what, source, start, end, text)
        if text.strip("()") != ast.unparse(node).strip("()"):
            found.setdefault((start, end, text), change)
    return list(found.values())


class _Finder:
    """Finds what can be changed in a module. What only type checkers and readers see is left out."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._members: dict[str, set[str]] = defaultdict(set)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (enumeration := _enumeration(node)):
                self._members[enumeration].add(node.attr)

    def edits(self) -> Iterator[Edit]:
        """Yield each change as a node, its description, and the text in the node's place."""
        yield from self._walk(self._tree)

    def _walk(self, node: ast.AST) -> Iterator[Edit]:
        if isinstance(node, ast.stmt):
            yield from _statement(node)
        elif isinstance(node, ast.expr):
            for what, changed in self._expression(node):
                yield node, what, f"({ast.unparse(changed)})"
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            yield from _cells(node.value)
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            yield from _cells(node.value)
        for child in _children(node):
            yield from self._walk(child)

    def _expression(self, node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
        match node:
            case ast.Compare(ops=operators):
                for index, operator in enumerate(operators):
                    other = _COMPARISONS[type(operator)]()
                    yield "comparison", _with(node, ops=[*operators[:index], other, *operators[index + 1 :]])
            case ast.BinOp(op=operator) if type(operator) in _ARITHMETIC:
                yield "arithmetic", _with(node, op=_ARITHMETIC[type(operator)]())
            case ast.BoolOp(op=operator, values=values):
                yield "and/or", _with(node, op=ast.And() if isinstance(operator, ast.Or) else ast.Or())
                for index in range(len(values)):
                    rest = _without(values, index)
                    yield "condition removed", _with(node, values=rest) if len(rest) > 1 else rest[0]
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield "sign removed", node.operand
            case ast.IfExp():
                yield "always", node.body
                yield "never", node.orelse
            case ast.Constant():
                yield from _constants(node)
            case ast.Attribute():
                for member in sorted(self._members[_enumeration(node)] - {node.attr})[:1]:
                    yield "member", ast.Attribute(node.value, member, node.ctx)
            case ast.Call():
                yield from _call(node)
            case ast.Subscript(slice=ast.Slice() as part):
                for name in ("lower", "upper"):
                    if getattr(part, name) is not None:
                        yield "bound removed", _with(node, slice=_with(part, **{name: None}))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for index, loop in enumerate(node.generators):
                    for number in range(len(loop.ifs)):
                        bare = _with(loop, ifs=_without(loop.ifs, number))
                        loops = [*node.generators[:index], bare, *node.generators[index + 1 :]]
                        yield "filter removed", _with(node, generators=loops)
            case _:
                pass


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.expr]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 2 if value else 1.0)
    elif isinstance(value, str):
        yield "constant", ast.Constant(value + "x")
    elif isinstance(value, bytes):
        yield "constant", ast.Constant(value + b"x")


def _call(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    for index in range(len(node.keywords)):
        yield "keyword removed", _with(node, keywords=_without(node.keywords, index))
    if name in _CHOOSING and len(node.args) > 1:
        for index in range(len(node.args)):
            rest = _without(node.args, index)
            yield "choice removed", _with(node, args=rest) if len(rest) > 1 else rest[0]
    elif name in _WRAPPING and node.args:
        yield "call removed", node.args[0]
    elif isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        yield "call removed", node.func.value


def _statement(node: ast.stmt) -> Iterator[Edit]:
    match node:
        case ast.Expr(value=ast.Constant() | ast.Yield() | ast.YieldFrom()):
            return
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield node, "statement removed", "pass"
        case ast.Assign() if any(
            isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
        ):
            yield node, "statement removed", "pass"
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield node, "returns None", "return None"
        case ast.Return(value=None):
            yield node, "statement removed", "pass"
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return
        case ast.If() | ast.While():
            for what, text in (("always", "True"), ("never", "False")):
                if not (isinstance(node, ast.While) and what == "always"):
                    yield node.test, what, text
        case _:
            pass
    if isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield node, "arithmetic", ast.unparse(_with(node, op=_ARITHMETIC[type(node.op)]()))


def _cells(table: ast.Dict) -> Iterator[Edit]:
    """Yield changes of a table's cells: each value by the next other one of its column."""
    columns: dict[tuple[str, int], list[str]] = defaultdict(list)
    cells = list[tuple[ast.expr, tuple[str, int]]]()
    for value in table.values:
        parts = [(value, ("", 0))]
        if isinstance(value, ast.Call):
            parts += [(part, (ast.unparse(value.func), at)) for at, part in enumerate(value.args)]
        for part, column in parts:
            text = ast.unparse(part)
            cells.append((part, column))
            if text not in columns[column]:
                columns[column].append(text)
    for part, column in cells:
        texts = columns[column]
        other = texts[(texts.index(ast.unparse(part)) + 1) % len(texts)]
        yield part, "cell", f"({other})"


def _with(node: N, **fields: object) -> N:
    """Return a node with other fields."""
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(items: list[T], index: int) -> list[T]:
    return [*items[:index], *items[index + 1 :]]


def _enumeration(node: ast.Attribute) -> str:
    """Return the name of the enumeration that an attribute looks like a member of, "" for others."""
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    return owner if owner[:1].isupper() and node.attr.isupper() else ""


def _scope(tree: ast.AST, line: int) -> str:
    """Return the dotted name of the function or class around a line, "" at the top of the module."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt) and child.lineno <= line <= (child.end_lineno or 0):
            inner = _scope(child, line)
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                return f"{child.name}.{inner}".rstrip(".")
            return inner
    return ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """Return the parts of a node in which a change can be noticed."""
    skipped: set[ast.AST | None] = set()
    match node:
        case ast.JoinedStr() | ast.arg() | ast.Import() | ast.ImportFrom() | ast.Pass():
            return ()  # texts for people, types, names
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return node.orelse
        case ast.Call(func=ast.Name(name)) if name in _TYPING:
            return node.args[1:]
        case ast.Call(args=args, keywords=keywords):
            skipped.update(arg for arg in args if _is_text(arg))
            skipped.update(keyword for keyword in keywords if keyword.arg == "about")
        case ast.Assign(targets=[ast.Name("__all__")]):
            return ()
        case ast.Assert(msg=message):
            skipped.add(message)
        case ast.AnnAssign():
            skipped.add(node.annotation)
            if isinstance(node.annotation, ast.Name) and node.annotation.id in _TYPING:
                return ()
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            skipped.add(node.returns)
            skipped.update(node.decorator_list)
            if any(
                ast.unparse(decorator) in ("overload", "abstractmethod") for decorator in node.decorator_list
            ):
                return ()
        case ast.ClassDef():
            skipped.update(node.bases)
            skipped.update(node.decorator_list)
        case ast.Expr(value=ast.Constant()):
            return ()  # a docstring
        case _:
            pass
    return [child for child in ast.iter_child_nodes(node) if child not in skipped]


def _is_text(node: ast.expr) -> bool:
    """Return True for a message or a statement of SQL: they are pinned as a whole or not at all."""
    text = node.left if isinstance(node, ast.BinOp) else node
    return isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value
