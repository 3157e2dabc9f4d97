PRAGMA application_id = 1397576515;
PRAGMA user_version = 3;
CREATE TABLE owner (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL
);
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
CREATE TABLE total (
    account TEXT NOT NULL PRIMARY KEY,
    purchases INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    spent INTEGER NOT NULL
);
CREATE INDEX closed_purchase ON purchase (coalesce(closed_at, answered_at, written_at)) WHERE NOT (closed_at IS NULL AND state IN ('written', 'bought'));
CREATE INDEX open_purchase ON purchase (account, number) WHERE closed_at IS NULL AND state IN ('written', 'bought');
CREATE INDEX spent_on_purchase ON purchase (account, coalesce(answered_at, 9e99)) WHERE spent > 0;
INSERT INTO purchase VALUES (1, 'account', 'credential', 'key-1', 'orders.create', 'v2', X'7B22636174616C6F675F70726F647563745F6964223A38372C227175616E74697479223A317D', 'bought', 'gone', 20000, 1790000000.0, 1790000090.25, 1790000002.0, 1790000003.0, NULL, '[{"id": 1001, "expires_at": 1790001200.0, "charged": 15000, "refunded": 15000, "ended_at": 1790000500.0}, {"id": 1002}]', 15000, 15000, 20000);
INSERT INTO purchase VALUES (2, 'account', 'credential', 'key-2', 'orders.create', 'v2', X'7B22636174616C6F675F70726F647563745F6964223A38372C227175616E74697479223A317D', 'written', 'gone', NULL, 1790000000.0, NULL, NULL, NULL, NULL, '[]', 0, 0, 0);
INSERT INTO purchase VALUES (3, 'other', 'credential', 'key-3', 'orders.create', 'v2', X'7B22636174616C6F675F70726F647563745F6964223A38372C227175616E74697479223A317D', 'refused', 'gone', NULL, 1790000000.0, NULL, 1790000000.0, NULL, 1790000000.0, '[]', 0, 0, 0);
INSERT INTO purchase VALUES (4, 'account', 'credential', 'key-4', 'orders.reactivate', 'v1', X'7B226964223A313030317D', 'withdrawn', 'gone', NULL, 1790000000.0, NULL, 1790000001.0, NULL, 1790000001.0, '[]', 0, 0, 0);
INSERT INTO total VALUES ('account', 0, 0, 0, 20000);
