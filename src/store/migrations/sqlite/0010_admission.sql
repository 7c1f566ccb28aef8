-- How a campaign wants its devices admitted to their cells; NULL: as the server's settings say.
ALTER TABLE campaigns ADD COLUMN admission TEXT;
ALTER TABLE campaigns ADD COLUMN airtime_permille INTEGER;
