"""What tests write into journals by hand: purchases as a killed process leaves them."""

from __future__ import annotations

import threading
import time
from typing import Any, TypeVar

from smscode import OrderIntent
from smscode.core.purchases.records import PurchaseRecord, Writing
from smscode.journal import SQLiteJournal, Write

R = TypeVar("R")


def apply(journal: SQLiteJournal, write: Write[R]) -> Write[R]:
    """Apply a write and wait until it is on disk."""
    done = threading.Event()
    write.wake = done.set
    journal.apply(write)
    assert write.done or done.wait(10)
    return write


def leave_behind(journal: SQLiteJournal, account: str, intent: OrderIntent, **fields: Any) -> PurchaseRecord:
    """Write a purchase down whose attempt ended long ago, with nothing known of its end."""
    now = time.time()
    facts: dict[str, Any] = {"credential": "", "written_at": now - 120, "open_until": now - 100}
    record = PurchaseRecord(account=account, intent=intent, owner=journal.owner, **(facts | fields))
    written = apply(journal, Write(account, intent.idempotency_key, Writing(record, 1e9).write, durable=True))
    assert written.error is None
    return record
