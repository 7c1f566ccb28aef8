-- What else is wanted of a campaign, and how far its rollout is: JSON documents, model::CampaignPolicy
-- and model::RolloutState; NULL: nothing, and not begun.
ALTER TABLE campaigns ADD COLUMN policy TEXT;
ALTER TABLE campaigns ADD COLUMN rollout TEXT;
-- Who made it; NULL in older rows.
ALTER TABLE campaigns ADD COLUMN created_by TEXT;
-- In which phase of the rollout a task is, from 0.
ALTER TABLE tasks ADD COLUMN rollout_phase INTEGER NOT NULL DEFAULT 0;
