-- `status` shows open rotations from this index alone. A row also contains the JSON, so a page
-- holds only two rows. The last column says whether the columns show the row in full: see `shown_bytes`. It counts bytes without
-- octet_length(): an SQLite before 3.43, such as that of an old sqlite3 shell, could not open a file that uses it.
DROP INDEX rotation_open;
CREATE INDEX rotation_open ON rotation (
    number, id, account, user, old_key_id, new_key_id, state, in_doubt, waiting_until, last_error,
    shown_bytes IS length(CAST(summary AS BLOB))
) WHERE open = 1;
