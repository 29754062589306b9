-- `status` shows open rotations from this index alone. The rows have the JSON, too, so that every second row is on another
-- page. The last column says whether the columns show the row in full: see `shown_bytes`. It counts bytes without
-- octet_length(), with which an SQLite before 3.43, as a shell may have it, could not open the file any more.
DROP INDEX rotation_open;
CREATE INDEX rotation_open ON rotation (
    number, id, account, user, old_key_id, new_key_id, state, in_doubt, waiting_until, last_error,
    shown_bytes IS length(CAST(summary AS BLOB))
) WHERE open = 1;
