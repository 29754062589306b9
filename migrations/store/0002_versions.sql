-- What the store wrote last, so that an older row which is put back into the file is noticed. Filled by
-- src/adapters/stores/embedded/versions.rs when the store is opened: that needs the key.

ALTER TABLE meta ADD COLUMN versions BLOB;       -- sealed: the last version, and the version of each bucket
ALTER TABLE meta ADD COLUMN versions_version INTEGER;

-- The version of each entry. In buckets, so that a write seals one of them and not all.
CREATE TABLE bucket (
    number INTEGER NOT NULL PRIMARY KEY,         -- the first byte of the SHA-256 of the entry's name
    sealed BLOB    NOT NULL                      -- by name the version, and that of the value from before
) STRICT;
