"""Which deliveries came before, for any number of threads."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Seen:
    """The newest digests, at most so many of them. It may be used by any number of threads at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, digest: bytes) -> bool:
        """Keep a digest; return True to one caller for each, however many ask at once."""
        with self._lock:
            if digest in self._digests:
                return False
            self._digests[digest] = None
            if len(self._digests) > self._most:
                self._digests.popitem(last=False)
            return True
