-- Times are milliseconds since the Unix epoch, words are those of the model, lists are JSON arrays.

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    manufacturer TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    bits INTEGER NOT NULL,
    public_key_pem TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    sha256 BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE packages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    manufacturer TEXT NOT NULL,
    model TEXT NOT NULL,
    device_type TEXT NOT NULL,
    protocol TEXT NOT NULL,
    target_version TEXT NOT NULL,
    source_versions TEXT NOT NULL,
    kind TEXT NOT NULL,
    component TEXT NOT NULL,
    file_name TEXT NOT NULL,
    image_sha256 BLOB NOT NULL,
    image_size_bytes INTEGER NOT NULL,
    archive_sha256 BLOB NOT NULL,
    key_id TEXT NOT NULL,
    uploaded_at INTEGER NOT NULL,
    UNIQUE (image_sha256, manufacturer, model, device_type, target_version)
) STRICT;

CREATE TABLE devices (
    endpoint TEXT NOT NULL PRIMARY KEY,
    manufacturer TEXT,
    model TEXT,
    device_type TEXT,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
    endpoint TEXT NOT NULL PRIMARY KEY,
    firmware_version TEXT,
    manufacturer TEXT,
    model TEXT,
    cell_id INTEGER,
    rsrp_dbm INTEGER,
    sinr_db INTEGER,
    tier TEXT,
    reported_at INTEGER
) STRICT, WITHOUT ROWID;

-- Numbered from 1 for each device, without gaps, so that the row that is one too old has a known key.
CREATE TABLE timeline (
    endpoint TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (endpoint, number)
) STRICT, WITHOUT ROWID;

-- 500 is store::TIMELINE_ENTRIES_MAX.
CREATE TRIGGER timeline_is_bounded AFTER INSERT ON timeline WHEN NEW.number > 500 BEGIN
    DELETE FROM timeline WHERE endpoint = NEW.endpoint AND number = NEW.number - 500;
END;

CREATE TABLE device_groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    devices INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE group_devices (
    device_group INTEGER NOT NULL REFERENCES device_groups (id) ON DELETE CASCADE,
    endpoint TEXT NOT NULL REFERENCES devices (endpoint),
    PRIMARY KEY (device_group, endpoint)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER group_devices_are_counted_in AFTER INSERT ON group_devices BEGIN
    UPDATE device_groups SET devices = devices + 1 WHERE id = NEW.device_group;
END;

CREATE TRIGGER group_devices_are_counted_out AFTER DELETE ON group_devices BEGIN
    UPDATE device_groups SET devices = devices - 1 WHERE id = OLD.device_group;
END;

-- The slot is the row's place in the file: no other index is kept, as every write of every device
-- would pay for it. That an endpoint has one registration is the engine's care.
CREATE TABLE registrations (
    slot INTEGER PRIMARY KEY,
    secret BLOB NOT NULL,
    endpoint TEXT NOT NULL,
    peer TEXT NOT NULL,
    version TEXT NOT NULL,
    queue_mode INTEGER NOT NULL,
    lifetime_ms INTEGER NOT NULL,
    links TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE observations (
    token BLOB NOT NULL PRIMARY KEY,
    endpoint TEXT NOT NULL,
    path TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A campaign is made and taken away in chunks: whole is 0 while that goes on, and nothing shows it.
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    package INTEGER NOT NULL REFERENCES packages (id),
    retries_max INTEGER NOT NULL,
    retry_delay_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    activated_at INTEGER,
    ended_at INTEGER,
    whole INTEGER NOT NULL
) STRICT;

CREATE INDEX campaigns_in_part ON campaigns (whole) WHERE whole = 0;

-- Apart from the campaign, whose row is written at each change of its state: these may be long.
CREATE TABLE campaign_targets (
    campaign INTEGER PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    device_groups TEXT NOT NULL,
    devices TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign INTEGER NOT NULL REFERENCES campaigns (id),
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    phase TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    capability BLOB,
    uri_intended INTEGER NOT NULL,
    execute_intended_attempt INTEGER,
    slot_cell INTEGER,
    slot_tier TEXT,
    waiting_for TEXT,
    since INTEGER NOT NULL,
    until INTEGER,
    retry_at INTEGER,
    failure_reason TEXT,
    failure_evidence TEXT,
    note TEXT
) STRICT;

-- Each index ends with the row's id, so both give pages in its order.
CREATE INDEX tasks_by_campaign ON tasks (campaign);
CREATE INDEX tasks_by_campaign_and_state ON tasks (campaign, state);

CREATE TABLE task_counts (
    campaign INTEGER PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    stopped INTEGER NOT NULL
) STRICT;

CREATE TRIGGER tasks_are_counted AFTER UPDATE OF state ON tasks WHEN OLD.state <> NEW.state BEGIN
    UPDATE task_counts SET
        pending = pending + (NEW.state = 'pending') - (OLD.state = 'pending'),
        running = running + (NEW.state = 'running') - (OLD.state = 'running'),
        succeeded = succeeded + (NEW.state = 'succeeded') - (OLD.state = 'succeeded'),
        failed = failed + (NEW.state = 'failed') - (OLD.state = 'failed'),
        stopped = stopped + (NEW.state = 'stopped') - (OLD.state = 'stopped')
    WHERE campaign = NEW.campaign;
END;
