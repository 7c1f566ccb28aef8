-- Package files under URLs that end, for modules that fetch without LwM2M. `taken`: which bytes were,
-- `0-512,1024-2000`.
CREATE TABLE links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    package INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    capability_sha256 BLOB NOT NULL UNIQUE,
    file_name TEXT NOT NULL,
    file_sha256 BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    device TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    budget_bytes INTEGER NOT NULL,
    revoked_at INTEGER,
    bytes_served INTEGER NOT NULL,
    first_fetch_at INTEGER,
    last_fetch_at INTEGER,
    taken TEXT NOT NULL,
    served_whole_at INTEGER
) STRICT;

CREATE INDEX links_by_package ON links (package, id);
