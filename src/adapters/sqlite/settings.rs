//! SQLite's settings that we rely on: set, read back, asserted.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};

use super::{DatabaseError, Kind};

/// A PRAGMA: its name, what to set, what it then has to say.
pub(in crate::adapters) type Setting = (&'static str, &'static str, &'static str);

/// For a connection that writes.
pub(in crate::adapters) const WRITER: &[Setting] = &[
    // WAL with FULL is the only pair that is both fast and lost nothing in simulated power cuts.
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    // macOS: an fsync that reaches the disk.
    ("fullfsync", "ON", "1"),
    ("checkpoint_fullfsync", "ON", "1"),
    ("foreign_keys", "ON", "1"),
    // Nothing of the database goes to a temporary file.
    ("temp_store", "MEMORY", "2"),
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
    // What an edited schema names is not run, and pages are looked at before they are believed.
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
];

/// For a connection that only reads.
pub(in crate::adapters) const READER: &[Setting] = &[
    ("query_only", "ON", "1"),
    ("temp_store", "MEMORY", "2"),
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
];

/// Sets each, then reads each back.
pub(super) fn apply(
    connection: &Connection,
    path: &Path,
    kind: &Kind,
    settings: &[Setting],
) -> Result<(), DatabaseError> {
    let failed = |source| DatabaseError::sqlite(path, kind, "set up", source);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(failed)?;
    for (name, value, _) in settings {
        connection.pragma_update(None, name, value).map_err(failed)?;
    }
    assert(connection, path, kind, settings)
}

/// Reads each back.
pub(super) fn assert(
    connection: &Connection,
    path: &Path,
    kind: &Kind,
    settings: &[Setting],
) -> Result<(), DatabaseError> {
    for &(name, _, wanted) in settings {
        let found = read(connection, name).map_err(|source| DatabaseError::sqlite(path, kind, "set up", source))?;
        if found != wanted {
            let (path, wanted) = (path.to_owned(), wanted.to_owned());
            return Err(DatabaseError::Setting { what: kind.what, path, name, wanted, found });
        }
    }
    Ok(())
}

/// Asserts the mark of whose file it is, as this connection sees it.
pub(super) fn assert_whose(connection: &Connection, path: &Path, kind: &Kind) -> Result<(), DatabaseError> {
    match connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0)) {
        Ok(found) if found == kind.application_id => Ok(()),
        Ok(_) => Err(DatabaseError::foreign(path, kind, "it is the SQLite file of another program")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(DatabaseError::foreign(path, kind, "it is no SQLite file"))
        }
        Err(source) => Err(DatabaseError::sqlite(path, kind, "read", source)),
    }
}

fn read(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    let value: Value = connection.pragma_query_value(None, name, |row| row.get(0))?;
    Ok(match value {
        Value::Null => "unset".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(_) => "a blob".to_owned(),
    })
}
