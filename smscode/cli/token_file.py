"""The token that ``smscode login`` stores: a file that only its user reads. Clients do not read it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

import typer

from .. import _platform
from ..errors import ConfigurationError

_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def token_path() -> Path:
    """Return the path of the file, in the user's folder for settings."""
    return Path(typer.get_app_dir("smscode")) / "token"


def stored_token() -> str | None:
    """Return the stored token, None without one.

    Raises `ConfigurationError` if the file cannot be read, or others may read it.
    """
    path = token_path()
    try:
        with open(path, encoding="ascii") as file:
            open_to_others = os.name == "posix" and os.fstat(file.fileno()).st_mode & _FOR_OTHERS
            token = file.read().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read ({_why(error)}).") from error
    if open_to_others:
        raise ConfigurationError(f"{path} can be read by others: chmod 600, or log in again.")
    return token


def store_token(token: str) -> Path:
    """Replace the file as a whole, readable by its user only, and return its path.

    Raises `ConfigurationError` if it cannot be written.
    """
    path = token_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(prefix=".token-", dir=path.parent)  # for its user only
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(f"{token}\n")
            _platform.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({_why(error)}).") from error
    return path


def create_private(path: str) -> None:
    """Create an empty file that only its user reads; leave one that exists, and its permissions, as it is.

    Where it cannot be created nothing is raised: opening it then fails with the reason.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def forget_token() -> bool:
    """Delete the file; return False if there is none. Raises `ConfigurationError` if that fails."""
    path = token_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be deleted ({_why(error)}).") from error
    return True


def _why(error: Exception) -> str:
    """Return the reason without the content of the file."""
    return (isinstance(error, OSError) and error.strerror) or "it is no token"
