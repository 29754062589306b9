-- `status` shows open rotations from these columns, without their JSON. They are NULL in rows of earlier versions.
ALTER TABLE rotation ADD COLUMN waiting_until TEXT;      -- when it continues, as the summary has it
ALTER TABLE rotation ADD COLUMN last_error    TEXT;      -- why it waits or failed last, as the summary has it
-- The bytes of the summary that the columns show in full; NULL if they do not. A summary of another size is parsed.
ALTER TABLE rotation ADD COLUMN shown_bytes   INTEGER;

-- The number of closed rotations of each campaign and ending, so that a count does not read the rows.
CREATE TABLE closed_counter (
    campaign  TEXT    NOT NULL,
    ending    TEXT    NOT NULL,
    rotations INTEGER NOT NULL,
    PRIMARY KEY (campaign, ending)
) STRICT, WITHOUT ROWID;

INSERT INTO closed_counter (campaign, ending, rotations)
    SELECT campaign, state, count(*) FROM rotation WHERE open = 0 GROUP BY campaign, state;

CREATE TRIGGER closed_counted AFTER INSERT ON rotation WHEN NEW.open = 0
BEGIN
    INSERT INTO closed_counter (campaign, ending, rotations) VALUES (NEW.campaign, NEW.state, 1)
        ON CONFLICT (campaign, ending) DO UPDATE SET rotations = rotations + 1;
END;

CREATE TRIGGER closed_recounted AFTER UPDATE OF open, state ON rotation
WHEN OLD.open <> NEW.open OR (NEW.open = 0 AND OLD.state <> NEW.state)
BEGIN
    UPDATE closed_counter SET rotations = rotations - 1
        WHERE OLD.open = 0 AND campaign = OLD.campaign AND ending = OLD.state;
    INSERT INTO closed_counter (campaign, ending, rotations) SELECT NEW.campaign, NEW.state, 1 WHERE NEW.open = 0
        ON CONFLICT (campaign, ending) DO UPDATE SET rotations = rotations + 1;
END;
