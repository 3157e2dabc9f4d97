"""Writes the synchronous twins of the asynchronous sources, or checks that they are up to date.

    python .ci/generate_sync.py            writes them
    python .ci/generate_sync.py --check    fails unless every byte and every file name is as written

Only names change: ``async`` and ``await`` go, ``AsyncX`` becomes ``X``, a few methods have other names
by convention, in the code and in the examples of docstrings (lines that begin with ``>>>`` or ``...``).
What has no synchronous meaning is refused instead of translated: concurrency lives in
``smscode/_concurrency``, by hand in both flavours. The result does not depend on the Python that
runs this.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PAIRS = (
    ("smscode/_async", "smscode/_sync"),
    ("smscode/demo/_async", "smscode/demo/_sync"),
    ("tests/_async", "tests/_sync"),
)

RULES = {
    "_async": "_sync",  # in imports of a client's modules
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "handle_async_request": "handle_request",
}
PREFIX = re.compile(r"Async(?=[A-Z])")  # AsyncClient -> Client
DROPPED = ("async", "await")
REFUSED_IMPORTS = ("anyio", "asyncio", "sniffio", "trio")
ASYNC_WORD = re.compile(r"\b(async|await|aclose|asyncio|anyio|trio|Async[A-Z]\w*|__a[a-z]+__)\b")

EXAMPLE = re.compile(r"^ *(?:>>>|\.\.\.) .*$", re.MULTILINE)


class Refused(Exception):
    """The source holds something that cannot be turned into synchronous code by renaming."""


class Generator:
    """Turns sources into their twins and remembers which rules were of use."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def convert(self, text: str, name: str) -> str:
        """Return the twin of a source; ``name`` is its path, for the banner and for messages."""
        lines = text.splitlines(keepends=True)
        edits: list[tuple[int, int, int, str]] = []
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        depth = 0  # of f-strings, which are one token before Python 3.12 and many since
        for index, token in enumerate(tokens):
            where = f"{name}:{token.start[0]}"
            kind = tokenize.tok_name[token.type]
            depth += {"FSTRING_START": 1, "FSTRING_END": -1}.get(kind, 0)
            if kind in ("STRING", "FSTRING_MIDDLE"):
                edits += self._examples(token)
                self._check_string(EXAMPLE.sub("", token.string), where)
            elif kind == "NAME":
                if depth and (token.string in DROPPED or self._rename(token.string) != token.string):
                    raise Refused(f"{where}: {token.string!r} inside an f-string")
                self._check_import(tokens, index, where)
                edits += self._edit(token, tokens[index + 1], where)
        for row, start, end, new in sorted(edits, reverse=True):
            line = lines[row - 1]
            lines[row - 1] = line[:start] + new + line[end:]
        banner = f"# Generated from {name} by `nox -s generate`: change that file, not this one.\n\n"
        twin = banner + "".join(lines)
        compile(twin, name, "exec")
        return twin

    def _edit(
        self, token: tokenize.TokenInfo, following: tokenize.TokenInfo, where: str
    ) -> Iterator[tuple[int, int, int, str]]:
        row, start = token.start
        if token.string in DROPPED:
            if following.start[0] != row:
                raise Refused(f"{where}: {token.string!r} at the end of a line")
            # `await (x)` keeps its bracket, because the blank goes with the word.
            yield row, start, following.start[1], ""
        else:
            new = self._rename(token.string)
            if new != token.string:
                yield row, start, token.end[1], new

    def _rename(self, word: str) -> str:
        if word in RULES:
            self.used.add(word)
            return RULES[word]
        return PREFIX.sub("", word)

    def _examples(self, token: tokenize.TokenInfo) -> Iterator[tuple[int, int, int, str]]:
        """Convert the lines of a docstring that are an example."""
        for number, line in enumerate(token.string.split("\n")):
            if EXAMPLE.fullmatch(line):
                code = re.sub(r"\b(?:async|await) ", "", line)
                yield (
                    token.start[0] + number,
                    0,
                    len(line),
                    re.sub(r"\w+", lambda m: self._rename(m[0]), code),
                )

    @staticmethod
    def _check_string(text: str, where: str) -> None:
        found = ASYNC_WORD.search(text)
        if found:
            raise Refused(f"{where}: {found.group()!r} inside a string, where it would stay")

    @staticmethod
    def _check_import(tokens: list[tokenize.TokenInfo], index: int, where: str) -> None:
        if tokens[index].string in ("import", "from") and tokens[index + 1].string in REFUSED_IMPORTS:
            raise Refused(
                f"{where}: imports {tokens[index + 1].string}; waits belong to smscode/_concurrency"
            )


def wanted(root: Path) -> dict[Path, str]:
    """Return the text of every generated file, by its path."""
    generator = Generator()
    files = {}
    for source, target in PAIRS:
        for path in sorted((root / source).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            twin = generator.convert(path.read_text("utf-8"), name)
            files[root / target / path.relative_to(root / source)] = twin
    unused = sorted(RULES.keys() - generator.used)
    if unused:
        raise Refused(f"rules nobody uses: {', '.join(unused)}")
    return files


def existing(root: Path) -> set[Path]:
    """Return every file in the generated folders, whatever its name."""
    folders = [root / target for _, target in PAIRS]
    return {
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def problems(root: Path) -> list[str]:
    """Compare what is there with what should be there, to the byte."""
    files = wanted(root)
    found = existing(root)
    wrong = [(path, "missing") for path in files.keys() - found]
    wrong += [(path, "has no source") for path in found - files.keys()]
    wrong += [
        (path, "differs from what its source gives")
        for path in files.keys() & found
        if path.read_bytes() != files[path].encode("utf-8")
    ]
    return sorted(f"{path.relative_to(root).as_posix()}: {what}" for path, what in wrong)


def write(root: Path) -> None:
    """Write every generated file and delete what has no source."""
    files = wanted(root)
    for orphan in existing(root) - files.keys():
        orphan.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


def main(arguments: list[str], root: Path) -> int:
    """Run from the command line; the exit code is 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail on any difference")
    try:
        if not parser.parse_args(arguments).check:
            write(root)
            return 0
        found = problems(root)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent.parent))
