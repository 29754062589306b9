//! Why an operation on one of rotator's SQLite files failed.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::adapters::private_file::FileError;

/// Why an operation on a database file failed. Each message follows "failed to" and names the file, the cause and what
/// to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file, its log or its folder is not trusted or not available.
    #[error(transparent)]
    File(#[from] FileError),
    #[error("open the {what} {}: it does not exist; {how_made}", path.display())]
    Missing {
        /// "journal" or "store".
        what: &'static str,
        path: PathBuf,
        how_made: &'static str,
    },
    /// The file is missing, and its write-ahead log exists.
    #[error("open the {what} {}: it is missing, and {}, which belongs to it, is still there; {remedy}", path.display(), wal.display())]
    Lost { what: &'static str, path: PathBuf, wal: PathBuf, remedy: &'static str },
    /// The file belongs to another program.
    #[error("open {}: it is not a {what} of rotator ({found}); nothing was changed, name another file", path.display())]
    Foreign {
        what: &'static str,
        path: PathBuf,
        /// What the file is instead.
        found: &'static str,
    },
    /// The file is one of rotator's and is damaged.
    #[error("use the {what} {}: it is damaged ({found}); {remedy}", path.display())]
    Damaged {
        what: &'static str,
        path: PathBuf,
        /// The sign of the damage.
        found: String,
        remedy: &'static str,
    },
    /// A newer rotator wrote the file.
    #[error("open the {what} {}: it has version {found}, and this rotator knows {known} at most; use the newer one", path.display())]
    Newer {
        what: &'static str,
        path: PathBuf,
        /// The version of the file.
        found: i64,
        /// The latest version that this rotator knows.
        known: usize,
    },
    /// The file contains something that only a newer rotator knows.
    #[error("open the {what} {}: it was written by a newer rotator ({how}); nothing was changed, use that version", path.display())]
    NewerContent {
        what: &'static str,
        path: PathBuf,
        /// What is unknown.
        how: String,
    },
    /// An older rotator wrote the file, and this connection is read-only.
    #[error("read the {what} {}: it was written by an older rotator; `rotator resume` brings it up to date", path.display())]
    Older { what: &'static str, path: PathBuf },
    /// The log has to be read, and SQLite cannot create its index.
    #[error("read the {what} {}: it is in use or was left by a crash, and its folder is read-only; use an account that may write there", path.display())]
    SealedFolder { what: &'static str, path: PathBuf },
    /// The permissions or the disk do not allow writing.
    #[error("write the {what} {}: {} is read-only; run `chmod u+w` on it, or use another", path.display(), sealed.display())]
    ReadOnly {
        what: &'static str,
        path: PathBuf,
        /// The file itself, its folder, or a file that belongs to it.
        sealed: PathBuf,
    },
    /// A setting that durability depends on was not applied.
    #[error("set up the {what} {}: its setting {name} is {found} and has to be {wanted}; put the file on a local disk", path.display())]
    Setting {
        what: &'static str,
        path: PathBuf,
        /// SQLite's name of the setting.
        name: &'static str,
        wanted: String,
        found: String,
    },
    /// The linked SQLite library can lose data.
    #[error("use SQLite {found}, which can lose data; build rotator with SQLite 3.51.3 or newer")]
    SqliteTooOld {
        /// The version of the library.
        found: &'static str,
    },
    /// Another process has locked the file.
    #[error("write the {what} {}: it is locked by another process; end that process, then try again", path.display())]
    Busy { what: &'static str, path: PathBuf },
    /// SQLite returned an error.
    #[error("{operation} the {what} {}: {source}; check the disk and the permissions of the file", path.display())]
    Sqlite {
        what: &'static str,
        path: PathBuf,
        /// The operation, as a verb such as "open".
        operation: &'static str,
        source: rusqlite::Error,
    },
}

/// Whether another process held a lock for longer than SQLite waits. `SQLITE_PROTOCOL` reports this for the locks of
/// the write-ahead log: they are held for microseconds, unless a process is stopped
/// (<https://www.sqlite.org/rescode.html#protocol>).
pub(in crate::adapters) fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}
