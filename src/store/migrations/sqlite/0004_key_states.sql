-- Who entered a key, retired it, revoked it. A key that was entered before this has no name there.
ALTER TABLE keys ADD COLUMN created_by TEXT;
ALTER TABLE keys ADD COLUMN retired_at INTEGER;
ALTER TABLE keys ADD COLUMN retired_by TEXT;
ALTER TABLE keys ADD COLUMN retired_reason TEXT;
ALTER TABLE keys ADD COLUMN revoked_at INTEGER;
ALTER TABLE keys ADD COLUMN revoked_by TEXT;
ALTER TABLE keys ADD COLUMN revoked_reason TEXT;
