-- Who is kept awake for a slot, since when, and how many pings its attempt had cost before that.
ALTER TABLE tasks ADD COLUMN held_since INTEGER;
ALTER TABLE tasks ADD COLUMN pings INTEGER NOT NULL DEFAULT 0;
