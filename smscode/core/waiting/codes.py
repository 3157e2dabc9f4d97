"""Codes and messages: is one newer than the known one, is its code an old one, where in the text is it?"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, TypeGuard, cast

from ... import _exact
from ..._visible_text import is_blank, is_invisible
from ...errors import InvalidArgumentError
from ...models import Sms
from ..api import arguments

_CASED = ("Lu", "Ll", "Nd")  # after `str.casefold`, which leaves no letter in title case
_SEPARATORS = frozenset(".,:;/-+'\u2013\u2019\u066b\u066c")
"""Characters between the digits of one number: an amount, a time, a date or a phone number."""


def normal(text: str) -> str:
    """Return a text for comparison: NFKC, digits of all scripts as ASCII, invisible characters removed."""
    plain = unicodedata.normalize("NFKC", text)
    if plain.isascii() and plain.isprintable():
        return plain.strip()
    return "".join(_digit(letter) for letter in plain if not is_invisible(letter)).strip()


def _digit(letter: str) -> str:
    value = unicodedata.decimal(letter, None)
    return letter if value is None else str(value)


def same(one: str | None, other: str | None) -> bool:
    """Return True if two codes or texts look the same to a reader. None equals only None."""
    if one is None or other is None:
        return one is other
    return one == other or normal(one) == normal(other)


def stands_in(code: str, text: str) -> bool:
    """Return True if a code stands as a whole word in a text.

    Digits within a longer number, such as 4821 in 10482130, 48.21 or +62 4821-1000, are not a whole word. A
    letter next to a digit belongs to the word in scripts with capitals; other scripts are written without
    spaces.
    """
    word, where = normal(code).casefold(), normal(text).casefold()
    start = where.find(word)
    while start >= 0:
        end = start + len(word)
        before, after = where[max(start - 2, 0) : start], where[end : end + 2]
        if not _goes_on(word[0], before[::-1]) and not _goes_on(word[-1], after):
            return True
        start = where.find(word, start + 1)
    return False


def _goes_on(edge: str, beside: str) -> bool:
    """Return True if a word continues beyond its edge, given the two characters there, nearest first."""
    if not beside:
        return False
    following = beside[0]
    if following == "_" or unicodedata.category(following) in _CASED:
        return True
    if not edge.isdecimal():
        return following.isalnum()
    return following in _SEPARATORS and beside[1:].isdecimal()


def compare_times(one: datetime | None, other: datetime | None) -> int:
    """Return 1 if ``one`` is after ``other``, -1 if before, 0 if they are equal or one is None."""
    if one is None or other is None:
        return 0
    first, second = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in (one, other))
    return (first > second) - (first < second)


def is_newer(sms: Sms, known: Sms, *, of_event: bool) -> bool:
    """Return True if a message is newer than the known one, any field of which may be None.

    The revision decides if both have one. Otherwise a later time is newer. An earlier time is older only if
    it is ``of_event``, a webhook: the time of an order is that of its first message and never changes. If
    the times do not decide, a different code or text is newer.
    """
    if sms.revision is not None and known.revision is not None:
        return sms.revision > known.revision
    order = compare_times(sms.received_at, known.received_at)
    if order > 0 or (order < 0 and of_event):
        return order > 0
    if known.code is None and known.text is None:
        return True
    if sms.text is not None and known.text is not None:
        if not same(sms.text, known.text):
            return True
        return sms.code is not None and not same(sms.code, known.code)
    return not same(sms.code, known.code)


def has_old_code(sms: Sms, known: Sms) -> bool:
    """Return True if the code of a newer message is that of the known message.

    When a message without a code arrives, the service keeps showing the last code. So the known code counts
    again only if the newer text contains it: a service may send the same code twice.
    """
    if sms.code is None or sms.text is None or not same(sms.code, known.code):
        return False
    return not stands_in(sms.code, sms.text)


def code_pattern(pattern: object) -> re.Pattern[str] | None:
    """Check the ``pattern`` argument of a wait: a regular expression, as a string or compiled, or None."""
    if pattern is None:
        return None
    if _is_of_text(pattern):
        return pattern
    text = _exact.text(pattern)
    if text is None:
        raise arguments.wrong("pattern", "a string or a compiled regular expression of strings", pattern)
    if not text:
        raise InvalidArgumentError(
            "pattern: expected a regular expression, got an empty text; omit it instead."
        )
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidArgumentError(f"pattern: this is no regular expression: {error}.") from None


def _is_of_text(pattern: object) -> TypeGuard[re.Pattern[str]]:
    return isinstance(pattern, re.Pattern) and isinstance(cast(Any, pattern).pattern, str)


def code_in(text: str, pattern: re.Pattern[str]) -> str | None:
    """Return the code that a pattern finds in a text: its first group, or the whole match. None: no match."""
    found = pattern.search(text)
    if found is None:
        return None
    code: str = next((group for group in found.groups() if group is not None), found[0])
    return None if is_blank(code) else code
