-- Whether a task's device was lost after an Execute of it: it counts as failed, also where it is tried again.
ALTER TABLE tasks ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
