-- What tells a downgrade, by itself: it stays when packages and campaigns, which it came from, are
-- deleted.

-- The highest sequence of each version that was uploaded.
CREATE TABLE releases (
    manufacturer TEXT NOT NULL,
    model TEXT NOT NULL,
    device_type TEXT NOT NULL,
    component TEXT NOT NULL,
    version TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (manufacturer, model, device_type, component, version)
) STRICT, WITHOUT ROWID;

INSERT INTO releases
SELECT manufacturer, model, device_type, component, target_version, max(sequence)
FROM packages WHERE sequence IS NOT NULL
GROUP BY manufacturer, model, device_type, component, target_version;

-- The sequence of what each device was last given; NULL where that had none.
CREATE TABLE installed (
    manufacturer TEXT NOT NULL,
    model TEXT NOT NULL,
    device_type TEXT NOT NULL,
    component TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    sequence INTEGER,
    PRIMARY KEY (manufacturer, model, device_type, component, endpoint)
) STRICT, WITHOUT ROWID;

-- With max, SQLite takes the other columns from the row that has it.
INSERT INTO installed
SELECT manufacturer, model, device_type, component, endpoint, sequence FROM
    (SELECT manufacturer, model, device_type, component, endpoint, sequence, max(since)
     FROM packages
     JOIN campaigns ON campaigns.package = packages.id
     JOIN tasks ON tasks.campaign = campaigns.id AND tasks.state = 'succeeded'
     GROUP BY manufacturer, model, device_type, component, endpoint);
