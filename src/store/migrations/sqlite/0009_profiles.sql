-- Product profiles. A product has one: CoAP and LWM2M are one protocol (`family`).
CREATE TABLE profiles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_type TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    model TEXT NOT NULL,
    protocol TEXT NOT NULL,
    family TEXT NOT NULL,
    -- The name of a quirk set, and a JSON object of the settings that differ.
    quirks TEXT,
    settings TEXT NOT NULL,
    -- The device part and the services as they came, JSON.
    document TEXT NOT NULL,
    services TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT,
    UNIQUE (manufacturer, model, device_type, family)
) STRICT;
