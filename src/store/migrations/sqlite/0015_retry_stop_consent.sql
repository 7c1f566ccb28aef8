-- Attempts of a task before an operator had it tried again, which no longer count against retries_max;
-- how it is being stopped; and when somebody agreed to it.
ALTER TABLE tasks ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN stop TEXT;
ALTER TABLE tasks ADD COLUMN consented_at INTEGER;
-- When somebody agreed for all devices of a campaign, and when it was put away.
ALTER TABLE campaigns ADD COLUMN consented_at INTEGER;
ALTER TABLE campaigns ADD COLUMN archived_at INTEGER;
