-- What the loop guard remembers of a device: a JSON array of times, and since when it is barred. The
-- guard names the rows that no longer count, so nothing here is found by its time.
CREATE TABLE deliveries (
    endpoint TEXT NOT NULL PRIMARY KEY,
    delivered_at TEXT NOT NULL,
    barred_since INTEGER
) STRICT, WITHOUT ROWID;
