//! The kinds of SQLite files, and how their errors are worded.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::error::{DatabaseError, is_locked};

/// A PRAGMA: its name, the value to set, and the value to read back.
pub(in crate::adapters) type Setting = (&'static str, &'static str, &'static str);

/// The kind of a database file.
#[derive(Debug)]
pub(in crate::adapters) struct Kind {
    /// The noun for messages, such as "journal".
    pub(in crate::adapters) what: &'static str,
    /// What to do if the file is lost or damaged, for messages.
    pub(in crate::adapters) remedy: &'static str,
    /// What to do if the file is missing, for messages.
    pub(in crate::adapters) how_made: &'static str,
    /// SQLite's mark of the owner of a file, in bytes 68 to 71.
    pub(in crate::adapters) application_id: i32,
    /// The SQL from each version to the next, in order.
    pub(in crate::adapters) migrations: &'static [&'static str],
    /// The oldest version that can be read unchanged; an older file has to be migrated first.
    pub(in crate::adapters) read_from: usize,
    /// Refuses content that only a newer version can continue, before anything is changed.
    pub(in crate::adapters) inspect: fn(&Connection, &Path) -> Result<(), DatabaseError>,
    /// What every writing connection sets in addition to [`WRITER`].
    pub(in crate::adapters) more_settings: &'static [Setting],
}

impl DatabaseError {
    pub(in crate::adapters) fn sqlite(
        path: &Path,
        kind: &Kind,
        operation: &'static str,
        source: rusqlite::Error,
    ) -> Self {
        let code = source.sqlite_error_code();
        if matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
            return Self::damaged(path, kind, &source.to_string());
        }
        if is_locked(&source) {
            return Self::Busy { what: kind.what, path: path.to_owned() };
        }
        Self::Sqlite { what: kind.what, path: path.to_owned(), operation, source }
    }

    pub(in crate::adapters) fn missing(path: &Path, kind: &Kind) -> Self {
        Self::Missing { what: kind.what, path: path.to_owned(), how_made: kind.how_made }
    }

    pub(in crate::adapters) fn damaged(path: &Path, kind: &Kind, found: &str) -> Self {
        Self::Damaged { what: kind.what, path: path.to_owned(), found: found.to_owned(), remedy: kind.remedy }
    }

    pub(super) fn foreign(path: &Path, kind: &Kind, found: &'static str) -> Self {
        Self::Foreign { what: kind.what, path: path.to_owned(), found }
    }

    pub(super) fn lost(path: &Path, kind: &Kind, wal: PathBuf) -> Self {
        Self::Lost { what: kind.what, path: path.to_owned(), wal, remedy: kind.remedy }
    }
}
