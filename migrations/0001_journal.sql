-- The journal. Applied in one transaction by src/adapters/sqlite/migrate.rs; never edited once released.
-- Times are RFC 3339 in UTC, by the local clock; ids are UUIDs; no column holds a secret.

-- What one `run` set out to do.
CREATE TABLE campaign (
    number   INTEGER PRIMARY KEY,                 -- in the order they began
    id       TEXT    NOT NULL UNIQUE,
    began_at TEXT    NOT NULL,
    closed   INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
    notes    TEXT    NOT NULL                     -- JSON: keys not opened yet, keys left alone
) STRICT;

-- Where each rotation stands after its last line, written in the same transaction as that line.
CREATE TABLE rotation (
    number        INTEGER PRIMARY KEY,            -- in the order they were opened
    id            TEXT    NOT NULL UNIQUE,
    campaign      TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    user          TEXT    NOT NULL,
    old_key_id    TEXT    NOT NULL,
    new_key_id    TEXT,
    state         TEXT    NOT NULL,               -- the phase or the ending
    open          INTEGER NOT NULL CHECK (open IN (0, 1)),
    blocked       INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    in_doubt      TEXT,                           -- the intent without an outcome
    watched_until INTEGER,                        -- Unix seconds by AWS's clock: a lost create may run until then
    opened_at     TEXT    NOT NULL,
    updated_at    TEXT    NOT NULL,
    seq           INTEGER NOT NULL CHECK (seq >= 1),
    summary       TEXT    NOT NULL                -- JSON: the whole rotation
) STRICT;

-- `status` looks at these few, not at a million closed ones.
CREATE INDEX rotation_open     ON rotation (number) WHERE open = 1;
CREATE INDEX rotation_watched  ON rotation (watched_until) WHERE open = 0 AND watched_until IS NOT NULL;
CREATE INDEX rotation_campaign ON rotation (campaign);
CREATE INDEX rotation_user     ON rotation (user);

-- Lines: what happened, in order.
CREATE TABLE entry (
    rotation TEXT    NOT NULL REFERENCES rotation (id),
    seq      INTEGER NOT NULL CHECK (seq >= 1),
    at       TEXT    NOT NULL,
    event    TEXT    NOT NULL,                    -- JSON
    PRIMARY KEY (rotation, seq)
) STRICT;

CREATE TRIGGER entry_never_changed BEFORE UPDATE ON entry
BEGIN
    SELECT RAISE(ABORT, 'a line of the journal is never changed');
END;

CREATE TRIGGER entry_never_deleted BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'a line of the journal is never deleted');
END;

-- INSERT OR REPLACE would delete without firing the trigger above.
CREATE TRIGGER entry_follows_the_last BEFORE INSERT ON entry
WHEN NEW.seq <> 1 + coalesce((SELECT max(seq) FROM entry WHERE rotation = NEW.rotation), 0)
BEGIN
    SELECT RAISE(ABORT, 'a line of the journal follows the last one');
END;

CREATE TRIGGER rotation_never_deleted BEFORE DELETE ON rotation
BEGIN
    SELECT RAISE(ABORT, 'a rotation is never deleted from the journal');
END;

-- The number of rotations in each state, so that a count does not read a million rows.
CREATE TABLE counter (
    state     TEXT    NOT NULL PRIMARY KEY,
    rotations INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER rotation_counted AFTER INSERT ON rotation
BEGIN
    INSERT INTO counter (state, rotations) VALUES (NEW.state, 1)
        ON CONFLICT (state) DO UPDATE SET rotations = rotations + 1;
END;

CREATE TRIGGER rotation_recounted AFTER UPDATE OF state ON rotation WHEN OLD.state <> NEW.state
BEGIN
    UPDATE counter SET rotations = rotations - 1 WHERE state = OLD.state;
    INSERT INTO counter (state, rotations) VALUES (NEW.state, 1)
        ON CONFLICT (state) DO UPDATE SET rotations = rotations + 1;
END;

-- The right to drive a rotation, for a journal that many workers share.
CREATE TABLE lease (
    rotation TEXT NOT NULL PRIMARY KEY,
    holder   TEXT NOT NULL,
    until    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
