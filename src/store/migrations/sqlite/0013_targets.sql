-- Who a campaign is for, beyond groups and devices: a filter's text, JSON arrays of names that are let in
-- (NULL: all) and kept out, and whether devices that match later are taken in.
ALTER TABLE campaign_targets ADD COLUMN filter TEXT;
ALTER TABLE campaign_targets ADD COLUMN allow TEXT;
ALTER TABLE campaign_targets ADD COLUMN deny TEXT NOT NULL DEFAULT '[]';
ALTER TABLE campaign_targets ADD COLUMN dynamic INTEGER NOT NULL DEFAULT 0;

-- A group is a list of devices, or those that a saved filter finds.
ALTER TABLE device_groups ADD COLUMN filter TEXT;

-- One task for a device and campaign, for ever.
CREATE UNIQUE INDEX tasks_by_campaign_and_device ON tasks (campaign, endpoint);
