"""An extension of Griffe: examples in docstrings, which begin with ``>>>``, are shown as programs."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?:>>>|\.\.\.).*)*", re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)


class Examples(Extension):
    """Write the examples of each docstring as code blocks."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = as_blocks(obj.docstring.value)


def as_blocks(docstring: str) -> str:
    """Return a docstring with its examples in fenced code blocks, without prompts."""
    return _EXAMPLE.sub(lambda found: f"```python\n{_PROMPT.sub('', found[0])}\n```", docstring)
