"""A sandbox's state in a file: a snapshot that is replaced as a whole soon after a change.

Answers do not wait for it. Only one sandbox uses a file at a time.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, cast

from cattrs import BaseValidationError

from ... import _platform
from ..._clock import RealTime
from ...errors import ClientStateError, ConfigurationError
from ..http.app import App
from ..options import Options
from ..service.catalog import Tier
from .snapshot import MARK, VERSION, copy_parts, lines, make_snapshot_converter, restore

PAUSE: Final = 1.0
"""The least number of seconds between two snapshots."""
# The pause is at least so many times as long as writing took, so that large states cost little.
_SHARE: Final = 5
_DELETE: Final = "delete it, and a new sandbox is made"

_log = logging.getLogger("smscode.sandbox")


class SavedState:
    """The file of one sandbox, locked from construction until `close` or the end of the process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._path = os.path.realpath(os.path.expanduser(os.fsdecode(path)))
        except (TypeError, ValueError) as error:  # ValueError: a null character
            raise ConfigurationError(f"state: expected the path of a file ({error}).") from error
        self._process = os.getpid()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._tiers: dict[int, Tier] = {}
        self._converter = make_snapshot_converter(self._tiers)
        self._write: Callable[[], None] | None = None
        self._locked = self._lock()
        try:
            self._found = self._read()
        except BaseException:
            self._unlock()
            raise

    def options(self, wanted: Options) -> Options:
        """Return the options of the stored sandbox, for a new one ``wanted``. Raises `ConfigurationError`."""
        if self._found is None:
            return wanted
        with self._reading():
            saved = self._converter.structure(self._found["options"], Options)
        return wanted.resume_with(saved)

    def attach(self, app: App, options: Options) -> None:
        """Restore a sandbox's state, and from now on write its changes. Raises `ConfigurationError`."""
        self._tiers.update(app.world.catalog.tiers)
        if self._found is not None:
            with self._reading():
                restore(app, self._found, self._converter)
            self._found = None
        app.changed = self._request_write
        write = partial(self._replace, app, options)
        write()
        self._writer = threading.Thread(
            target=self._run, args=(write,), name="smscode-sandbox-state", daemon=True
        )
        self._writer.start()
        self._write = write
        atexit.register(self.close)

    def close(self) -> None:
        """Write the last snapshot and unlock the file; in a forked child do nothing."""
        if self._closed.is_set() or os.getpid() != self._process:
            return
        self._closed.set()
        atexit.unregister(self.close)
        try:
            if self._write is not None:
                self._changed.set()
                self._writer.join()
                self._write()
        finally:
            self._unlock()

    def _request_write(self) -> None:
        """Request a snapshot; called with the app's lock held, before a change."""
        if os.getpid() != self._process:
            raise ClientStateError("state: a forked process cannot go on with the sandbox of its parent.")
        if self._closed.is_set():
            raise ClientStateError("state: the sandbox is closed.")
        if not self._changed.is_set():
            self._changed.set()

    def _run(self, write: Callable[[], None]) -> None:
        """Write a snapshot soon after each change until the file is closed."""
        while self._changed.wait() and not self._closed.is_set():
            self._changed.clear()
            began = RealTime.monotonic()
            try:
                write()
            except Exception as error:
                _log.error(
                    "The sandbox's state cannot be stored at the moment; this will be tried again: %s", error
                )
                self._changed.set()
            self._closed.wait(max(PAUSE, _SHARE * (RealTime.monotonic() - began)))

    def _replace(self, app: App, options: Options) -> None:
        with app.lock:
            parts = copy_parts(app)
        new = f"{self._path}.new"
        try:
            with open(new, "w", encoding="utf-8", opener=_open_private) as file:
                file.writelines(lines(options, parts, self._converter))
            _platform.replace(new, self._path)
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error
        finally:
            with suppress(OSError):
                os.unlink(new)

    def _read(self) -> dict[str, Any] | None:
        try:
            with open(self._path, "r+b") as file:  # a file that is not writable fails here, too
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error
        if content.startswith(b"SQLite format 3\0") and content[68:72] == b"SMSB":
            raise self._unusable(f"an older version of this package made it; {_DELETE}")
        if not content:
            return None
        try:
            found: Any = json.loads(content)
        except (ValueError, RecursionError) as error:
            if content.startswith(f'{{"{MARK}"'.encode()):
                raise self._damaged(error) from error
            found = None
        if not isinstance(found, dict) or MARK not in found:
            raise self._unusable("it is another program's file, and left as it is")
        if found[MARK] != VERSION:
            raise self._unusable(f"it has format {found[MARK]}, expected {VERSION}; {_DELETE}")
        return cast("dict[str, Any]", found)

    @contextmanager
    def _reading(self) -> Generator[None]:
        try:
            yield
        except (BaseValidationError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ConfigurationError:
        return self._unusable(f"it is damaged, and left as it is: {error!r}; {_DELETE}")

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"state: {self._path} cannot be used ({why}).")

    def _lock(self) -> int:
        try:
            descriptor = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unusable(f"{error.strerror}: {error.filename}") from error
        try:
            _platform.lock_file(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        raise self._unusable("another sandbox is using it")

    def _unlock(self) -> None:
        _platform.remove_locked(self._locked, f"{self._path}.lock")


def _open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read: it contains the token and the webhook's secret."""
    return os.open(path, flags, 0o600)
