//! The SQLite settings that rotator relies on: set, read back and asserted.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};

use super::error::DatabaseError;
use super::kind::{Kind, Setting};

/// The settings of a writing connection.
pub(in crate::adapters) const WRITER: &[Setting] = &[
    // Only WAL with FULL is fast and lost nothing in simulated power failures.
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    // On macOS only this fsync reaches the disk.
    ("fullfsync", "ON", "1"),
    ("checkpoint_fullfsync", "ON", "1"),
    ("foreign_keys", "ON", "1"),
    // Temporary data stays in memory.
    ("temp_store", "MEMORY", "2"),
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
    // Functions in a modified schema are not run, and pages are checked when they are read.
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
];

/// The settings of a read-only connection.
pub(in crate::adapters) const READER: &[Setting] = &[
    ("query_only", "ON", "1"),
    ("temp_store", "MEMORY", "2"),
    ("mmap_size", "0", "0"),
    ("busy_timeout", "5000", "5000"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
];

/// Sets each setting, then reads it back.
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

/// Reads each setting back.
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

/// Asserts the application id, as this connection reads it.
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
