-- What happened, by number without gaps. The last is never taken away, so that no number comes twice.
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    campaign INTEGER,
    task INTEGER,
    endpoint TEXT,
    attempt INTEGER,
    object TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    topics TEXT NOT NULL,
    types TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    last_delivery INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

CREATE TABLE webhook_deliveries (
    webhook INTEGER NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    in_order INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_at INTEGER,
    next_at INTEGER,
    answer_status INTEGER,
    error TEXT NOT NULL,
    PRIMARY KEY (webhook, number)
) STRICT, WITHOUT ROWID;
