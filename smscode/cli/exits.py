"""The exit codes of the command line. ``--help`` and the documentation show this table."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    """The exit code of a command. After another signal than Ctrl-C it is 128 plus the signal's number."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Exit:
        """Make a member; ``meaning`` is its text for people."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "done"
    FAILED = 1, "refused or failed; nothing was bought or changed"
    USAGE = 2, "a wrong command line or argument; nothing was sent"
    UNKNOWN = 3, "it may have been carried out: the message says how to find out"
    NO_CODE = 4, "no code came; the message says why, and what happened to the money"
    DECLINED = 5, "not confirmed, or no terminal to ask on: give --yes"
    SETUP = 6, "no token or a wrong one, an extra is missing, or a file cannot be used"
    INTERRUPTED = 130, "Ctrl-C; the message says what happened to the money"
