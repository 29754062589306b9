-- The embedded secret store. Applied in one transaction by src/adapters/sqlite; never edited once released.
-- No column holds a value in the clear; names, versions and lengths are.

-- One row.
CREATE TABLE meta (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    identity     TEXT    NOT NULL,                -- made at random when the store was: tells it from every other
    key_check    BLOB    NOT NULL,                -- sealed nothing: opens under the right key only
    last_version INTEGER NOT NULL                 -- of any entry; never goes back, so that no version comes twice
) STRICT;

CREATE TABLE entry (
    name             TEXT    NOT NULL PRIMARY KEY,
    version          INTEGER NOT NULL,
    sealed           BLOB    NOT NULL,            -- nonce, ciphertext, tag; bound to store, name and version
    previous         BLOB,                        -- what it was before the rotation that is under way
    previous_version INTEGER,
    updated_at       TEXT    NOT NULL,            -- RFC 3339 in UTC, by the local clock
    CHECK ((previous IS NULL) = (previous_version IS NULL))
) STRICT;
