"""The tables of a journal: the columns of a record, and the upgrade from the older format."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, get_args

from attrs import asdict

from .. import _sqlite
from ..core.purchases.intents import Operation, OrderIntent
from ..core.purchases.records import BoughtOrder, PurchaseRecord, PurchaseState
from ..core.purchases.spending import spending
from ..core.versions import ApiVersion
from . import owners

JournalRow: TypeAlias = tuple[Any, ...]

_FORGOTTEN: Final = 86_400.0  # seconds after a purchase from which on its orders have surely ended

COLUMNS: Final = (
    "account",
    "credential",
    "idempotency_key",
    "operation",
    "version",
    "body",
    "state",
    "owner",
    "cap",
    "written_at",
    "open_until",
    "answered_at",
    "handed_at",
    "closed_at",
    "orders",
    "charged",
    "refunded",
    "spent",
)

OPEN: Final = "closed_at IS NULL AND state IN ('written', 'bought')"
"""`PurchaseRecord.open` in SQL. SQLite uses the indexes only for queries with exactly this text."""

ENDED_AT: Final = "coalesce(closed_at, answered_at, written_at)"

SPENT_AT: Final = "coalesce(answered_at, 9e99)"
"""When a purchase counts towards the spending of an hour: one that is in doubt always does."""

_TABLES: Final = f"""
CREATE TABLE purchase (
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    credential TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    operation TEXT NOT NULL,
    version TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    cap INTEGER,
    written_at REAL NOT NULL,
    open_until REAL,
    answered_at REAL,
    handed_at REAL,
    closed_at REAL,
    orders TEXT NOT NULL,
    charged INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    UNIQUE (account, idempotency_key)
);
CREATE INDEX open_purchase ON purchase (account, number) WHERE {OPEN};
CREATE INDEX closed_purchase ON purchase ({ENDED_AT}) WHERE NOT ({OPEN});
CREATE INDEX spent_on_purchase ON purchase (account, {SPENT_AT}) WHERE spent > 0;
CREATE TABLE total (
    account TEXT NOT NULL PRIMARY KEY,
    purchases INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    spent INTEGER NOT NULL
);
"""

_SCHEMA: Final = _TABLES + owners.SCHEMA


def row_of(record: PurchaseRecord) -> JournalRow:
    """Return a record's values in the order of `COLUMNS`. Raises `ValueError` if SQLite cannot store one."""
    intent = record.intent
    row = (
        record.account,
        record.credential,
        intent.idempotency_key,
        intent.operation,
        intent.version,
        intent.body,
        record.state.value,
        record.owner,
        record.cap,
        record.written_at,
        record.open_until,
        record.answered_at,
        record.handed_at,
        record.closed_at,
        json.dumps([_facts_of(order) for order in record.orders]) if record.orders else "[]",
        record.charged,
        record.refunded,
        spending(record),
    )
    for name, value in zip(COLUMNS, row, strict=True):
        _check(name, value)
    return row


def record_of(row: JournalRow) -> PurchaseRecord:
    """Return the record of a row. Raises `ValueError` or `TypeError` for a damaged row."""
    account, credential, key, operation, version, body, state, owner, cap = row[:9]
    if operation not in get_args(Operation) or version not in get_args(ApiVersion):
        raise ValueError(f"operation {operation!r} of version {version!r}")
    try:
        orders = tuple(BoughtOrder(**facts) for facts in json.loads(row[14]))
    except TypeError as error:
        raise ValueError(str(error)) from error
    return PurchaseRecord(
        account=account,
        credential=credential,
        intent=OrderIntent.restore(key, operation, version, body),
        owner=owner,
        cap=cap,
        state=PurchaseState(state),
        written_at=row[9],
        open_until=row[10],
        answered_at=row[11],
        handed_at=row[12],
        closed_at=row[13],
        orders=orders,
    )


def _facts_of(order: BoughtOrder) -> dict[str, Any]:
    return {name: value for name, value in asdict(order).items() if value is not None}


def _check(name: str, value: object) -> None:
    """Raise `ValueError` for a value that SQLite would refuse, as that would fail the whole transaction."""
    if isinstance(value, str):
        value.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name}: {value} does not fit into 64 bits")
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{name}: not a number")


def _upgrade_1(connection: sqlite3.Connection) -> None:
    """Convert the tables of format 1.

    A process with the older release that still has the file open fails safely: its statements name a column
    that no longer exists, so it stores nothing, and sends nothing.
    """
    connection.execute("DROP INDEX open_purchase")
    connection.execute("ALTER TABLE purchase RENAME TO purchase_1")
    _sqlite.create(connection, _SCHEMA)
    connection.create_function("orders_of", 1, _orders_of_1, deterministic=True)
    connection.execute(
        f"""INSERT INTO purchase ({", ".join(COLUMNS)})
        SELECT account, '', idempotency_key, operation, version, body,
            CASE WHEN settled IS NULL THEN 'written'
                WHEN settled = 'refused' THEN 'refused' ELSE 'bought' END,
            owner, NULL, written_at, NULL,
            CASE WHEN settled IS NOT NULL THEN written_at END,
            CASE WHEN settled <> 'refused' THEN written_at END,
            CASE WHEN settled IN ('refused', '[]') THEN written_at
                WHEN settled IS NOT NULL AND written_at <= ? THEN written_at + ? END,
            CASE WHEN settled <> 'refused' THEN orders_of(settled) ELSE '[]' END,
            0, 0, 0
        FROM purchase_1 ORDER BY number""",
        (time.time() - _FORGOTTEN, _FORGOTTEN),
    )
    connection.execute("DROP TABLE purchase_1")


def _upgrade_2(connection: sqlite3.Connection) -> None:
    """Convert the tables of format 2, which did not store what a purchase counts as.

    A process with the older release that still has the file open fails safely: it writes no ``spent``.
    """
    connection.execute("DROP INDEX open_purchase")
    connection.execute("DROP INDEX closed_purchase")
    connection.execute("ALTER TABLE purchase RENAME TO purchase_2")
    connection.execute("ALTER TABLE total RENAME TO total_2")
    _sqlite.create(connection, _TABLES)
    columns = ", ".join(COLUMNS[:-1])
    connection.execute(
        f"""INSERT INTO purchase (number, {columns}, spent)
        SELECT number, {columns}, CASE state WHEN 'written' THEN min(coalesce(cap, 0), {2**62})
            WHEN 'bought' THEN min(max(charged - refunded, 0), {2**62}) ELSE 0 END
        FROM purchase_2 ORDER BY number"""
    )
    connection.execute(
        """INSERT INTO total SELECT account, sum(purchases), sum(charged), sum(refunded), sum(spent) FROM (
            SELECT account, purchases, charged, refunded, charged - refunded AS spent FROM total_2
            UNION ALL SELECT account, 0, 0, 0, spent FROM purchase
        ) GROUP BY account"""
    )
    connection.execute("DROP TABLE purchase_2")
    connection.execute("DROP TABLE total_2")


def _orders_of_1(settled: str) -> str:
    return json.dumps([{"id": id_} for id_ in json.loads(settled)])


def placeholders(rows: int, columns: Sequence[str]) -> str:
    """Return the placeholders for the values of an INSERT of several rows."""
    row = f"({', '.join('?' * len(columns))})"
    return ", ".join([row] * rows)


FORMAT: Final = _sqlite.Format(
    application_id=0x534D5343,  # "SMSC"
    version=3,
    schema=_SCHEMA,
    upgrades={1: _upgrade_1, 2: _upgrade_2},
)
