-- What operators ask of devices. The engine names the rows that make room, so nothing is found by its
-- state or its time.
CREATE TABLE device_requests (
    endpoint TEXT NOT NULL,
    id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    state TEXT NOT NULL,
    coap_code INTEGER,
    content_format INTEGER,
    answer BLOB NOT NULL,
    detail TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (endpoint, id)
) STRICT, WITHOUT ROWID;

-- What devices sent of their own data, numbered for each from 1, without gaps. A row says how many of its
-- device's were to be kept when it came.
CREATE TABLE uplinks (
    endpoint TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    payload BLOB NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (endpoint, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER uplinks_are_bounded AFTER INSERT ON uplinks WHEN NEW.number > NEW.kept BEGIN
    DELETE FROM uplinks WHERE endpoint = NEW.endpoint AND number <= NEW.number - NEW.kept;
END;
