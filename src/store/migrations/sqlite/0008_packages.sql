-- Packages of several files, what was signed of a package beside its product, who answers for one that
-- is not signed (its key_id is empty), and what is new in it.
ALTER TABLE packages ADD COLUMN more_files TEXT NOT NULL DEFAULT '[]';
ALTER TABLE packages ADD COLUMN sequence INTEGER;
ALTER TABLE packages ADD COLUMN not_after INTEGER;
ALTER TABLE packages ADD COLUMN unsigned_by TEXT;
ALTER TABLE packages ADD COLUMN unsigned_reason TEXT;
ALTER TABLE packages ADD COLUMN release_notes_zh TEXT NOT NULL DEFAULT '';
ALTER TABLE packages ADD COLUMN release_notes_en TEXT NOT NULL DEFAULT '';

CREATE INDEX campaigns_by_package ON campaigns (package);

-- Who allowed a campaign to give devices a lower sequence than they run, and why.
ALTER TABLE campaigns ADD COLUMN downgrade_by TEXT;
ALTER TABLE campaigns ADD COLUMN downgrade_reason TEXT;
