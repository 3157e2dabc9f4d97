"""Finding invisible characters in texts."""

from __future__ import annotations

import unicodedata

# Invisible, although their categories are those of letters, marks and symbols: fillers of Hangul and Khmer,
# the blank of Braille, the grapheme joiner (Default_Ignorable_Code_Point of Unicode).
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})


def is_invisible(character: str) -> bool:
    """Return True for a character that is invisible and not a space, such as a zero-width joiner."""
    if character.isascii():
        return not character.isprintable() and not character.isspace()
    return (
        (unicodedata.category(character) in _HIDDEN and not character.isspace())
        or character in _BLANKS
        or "\ufe00" <= character <= "\ufe0f"
        or "\u180b" <= character <= "\u180f"
        or "\U000e0000" <= character <= "\U000e0fff"
    )


def is_blank(text: str) -> bool:
    """Return True if a text has no visible character."""
    return all(character.isspace() or is_invisible(character) for character in text)


def not_blank(text: str | None) -> str | None:
    """Return a text that has a visible character, None for any other.

    Many services send an empty text, or spaces, for "none yet".
    """
    if text is None or (text.isascii() and text.isprintable() and text.strip()):
        return text
    return None if is_blank(text) else text
