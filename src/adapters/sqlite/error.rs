//! Why an SQLite file of ours cannot be opened.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::Kind;
use crate::adapters::FileError;

/// Why a database file cannot be opened. Each says which file, what is wrong and what to do; none has changed
/// anything.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file, its log or its folder is not to be trusted, or cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such file.
    #[error("the {what} {} does not exist: {how_made}", path.display())]
    Missing {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do.
        how_made: &'static str,
    },
    /// The file is gone and its write-ahead log is not.
    #[error("the {what} {} is missing, and {} which belongs to it is still there: {remedy}", path.display(), wal.display())]
    Lost {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its log.
        wal: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// It belongs to something else.
    #[error("{} is not a {what} of rotator: {found}; it stays as it is, name another file", path.display())]
    Foreign {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// It was ours and is not whole.
    #[error("the {what} {} is damaged: {found}; it stays as it is, {remedy}", path.display())]
    Damaged {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// How it shows.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A newer rotator wrote it.
    #[error("the {what} {} has version {found}, and this rotator knows {known} at most: use the newer one", path.display())]
    Newer {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: usize,
    },
    /// A newer rotator wrote something in it that this one does not know.
    #[error("the {what} {} was written by a newer rotator: {how}; use that version, nothing was changed", path.display())]
    NewerContent {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is not known.
        how: String,
    },
    /// An older rotator wrote it, and we may only read.
    #[error("the {what} {} was written by an older rotator: `rotator resume` brings it up to date", path.display())]
    Older {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Its log has to be read, and SQLite may not make the index for it.
    #[error("the {what} {} is in use or was left by a crash, and its folder is read-only: ask as a user who may write there", path.display())]
    SealedFolder {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// It is to be written, and its permissions or its disk do not allow that.
    #[error("the {what} {} cannot be written: {} is read-only; run `chmod u+w` on it, or use another", path.display(), sealed.display())]
    ReadOnly {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The file itself, its folder, or a file that belongs to it.
        sealed: PathBuf,
    },
    /// A setting that durability rests on did not take.
    #[error("the {what} {} cannot be relied on: its setting {name} is {found} and has to be {wanted}; put it on a local disk", path.display())]
    Setting {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// SQLite's name for it.
        name: &'static str,
        /// What it has to be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The library that is linked in loses data.
    #[error("this rotator was built with SQLite {found}, which can lose data: build it with 3.51.3 or newer")]
    SqliteTooOld {
        /// Its version.
        found: &'static str,
    },
    /// Another process has it locked.
    #[error("the {what} {} is locked by another process: end that one, then try again", path.display())]
    Busy {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// SQLite says no.
    #[error("the {what} {} could not be {done}: check the disk and the file's permissions", path.display())]
    Sqlite {
        /// "journal" or "store".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// "opened", "read", in the past tense.
        done: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

/// Whether another process held a lock for longer than SQLite waits. `SQLITE_PROTOCOL` says so of the locks of the
/// write-ahead log: they are held for microseconds, and for longer only by a process that stands still
/// (<https://www.sqlite.org/rescode.html#protocol>).
pub(in crate::adapters) fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

impl DatabaseError {
    pub(in crate::adapters) fn sqlite(path: &Path, kind: &Kind, done: &'static str, source: rusqlite::Error) -> Self {
        let code = source.sqlite_error_code();
        if matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
            return Self::damaged(path, kind, &source.to_string());
        }
        if is_locked(&source) {
            return Self::Busy { what: kind.what, path: path.to_owned() };
        }
        Self::Sqlite { what: kind.what, path: path.to_owned(), done, source }
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
