-- How far a task's package was served when the task was last written; and of all tasks of a campaign.
ALTER TABLE tasks ADD COLUMN bytes_served INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task_counts ADD COLUMN bytes_served INTEGER NOT NULL DEFAULT 0;

-- What was updated before this was kept was served its package, but for what ran the version already.
UPDATE tasks SET bytes_served = (
    SELECT packages.image_size_bytes FROM campaigns
    JOIN packages ON packages.id = campaigns.package
    WHERE campaigns.id = tasks.campaign
) WHERE state = 'succeeded' AND note IS NOT 'up_to_date';
UPDATE task_counts SET bytes_served = (
    SELECT coalesce(sum(tasks.bytes_served), 0) FROM tasks WHERE tasks.campaign = task_counts.campaign
);

CREATE TRIGGER served_bytes_are_counted AFTER UPDATE OF bytes_served ON tasks
WHEN OLD.bytes_served <> NEW.bytes_served BEGIN
    UPDATE task_counts SET bytes_served = bytes_served + NEW.bytes_served - OLD.bytes_served
    WHERE campaign = NEW.campaign;
END;
