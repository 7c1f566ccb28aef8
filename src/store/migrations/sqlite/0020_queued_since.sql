-- Since when a task waits for a slot, over windows, pauses and restarts: who has waited too long comes first.
ALTER TABLE tasks ADD COLUMN queued_since INTEGER;
