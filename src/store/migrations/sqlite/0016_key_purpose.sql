-- What a key signs: nothing but firmware yet.
ALTER TABLE keys ADD COLUMN purpose TEXT NOT NULL DEFAULT 'firmware';
