//! Opens an SQLite file for the journal or the embedded store: it belongs to rotator, it is complete, and its
//! settings are applied. This module does not know what the tables mean.
//!
//! A new file is completed under a temporary name first. So an empty or truncated file is never a new one, and is
//! refused as a loss. Nothing is repaired.

mod error;
mod kind;
mod settings;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::private_file::{self, Draft, FileError, Others, with_suffix};
pub use error::DatabaseError;
pub(super) use error::is_locked;
pub(super) use kind::Kind;
use settings::{READER, WRITER};

/// The maximum size of a database that is checked completely when it is opened for writing; SQLite checks the pages
/// of a larger one when it reads them.
const CHECKED_WHOLE: u64 = 64 * 1024 * 1024;

/// The first release without the WAL-reset bug (<https://www.sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Whether the file exists, after a check of the file and those that belong to it, without a change. `path` is a
/// result of [`private_file::locate`].
pub(super) fn exists(path: &Path, kind: &Kind) -> Result<bool, DatabaseError> {
    let log = private_file::inspect(&with_suffix(path, "-wal"), Others::MayNotWrite)?;
    private_file::inspect(&with_suffix(path, "-shm"), Others::MayNotWrite)?;
    private_file::inspect(&with_suffix(path, "-journal"), Others::MayNotWrite)?;
    let Some(file) = private_file::inspect(path, Others::MayNotWrite)? else {
        return match log {
            // A new file would adopt the content of the lost one's log.
            Some(_) => Err(DatabaseError::lost(path, kind, with_suffix(path, "-wal"))),
            None => Ok(false),
        };
    };
    if file.len() == 0 {
        return Err(DatabaseError::damaged(path, kind, "it is empty"));
    }
    check_head(path, kind, file.len(), log.is_some_and(|log| log.len() > 0))?;
    Ok(true)
}

/// The numbers of the device and of the file at `path`, if there is one. An open file can still be written after it was
/// deleted or replaced, and then these numbers differ from those of before.
pub(super) fn file_at(path: &Path) -> Result<Option<(u64, u64)>, FileError> {
    Ok(private_file::inspect(path, Others::MayNotWrite)?.map(|file| (file.dev(), file.ino())))
}

/// Checks that the file, or a new one, and those that belong to it can be written. SQLite itself would open a file
/// that cannot be written for reading, and leave read-only files beside it.
pub(super) fn check_writable(path: &Path, kind: &Kind) -> Result<(), DatabaseError> {
    let beside = ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(path, suffix));
    let present = beside.into_iter().filter(|file| file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
    for sealed in std::iter::once(private_file::folder_of(path).to_owned()).chain(present) {
        if !private_file::is_writable(&sealed)? {
            return Err(DatabaseError::ReadOnly { what: kind.what, path: path.to_owned(), sealed });
        }
    }
    Ok(())
}

/// Checks the header of the file before it is opened: opening applies the log, even that of another program.
///
/// The check uses SQLite in its immutable mode, which reads only the file itself. Closing a `File` of it would
/// release every POSIX lock that this process has on the file
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
fn check_head(path: &Path, kind: &Kind, size: u64, has_log: bool) -> Result<(), DatabaseError> {
    let failed = |source| DatabaseError::sqlite(path, kind, "open", source);
    let looked = connect_immutable(path).map_err(failed).and_then(|connection| {
        settings::assert_whose(&connection, path, kind)?;
        connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).map_err(failed)
    });
    match looked {
        // SQLite treats a truncated page at the end as a whole one.
        Ok(page) if !has_log && size.checked_rem(page.unsigned_abs()) != Some(0) => {
            Err(DatabaseError::damaged(path, kind, "its last page is cut short"))
        }
        Ok(_) => Ok(()),
        // After a crash during a checkpoint, the file is complete only together with its log.
        Err(DatabaseError::Damaged { .. }) if has_log => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates the file, unless another process has created it; `fill` adds the first rows.
pub(super) fn create(
    path: &Path,
    kind: &Kind,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), DatabaseError> {
    let (draft, _) = Draft::beside(path)?;
    let failed = |source| DatabaseError::sqlite(path, kind, "create", source);
    let mut connection = connect(draft.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    settings::apply(&connection, path, kind, WRITER)?;
    connection.pragma_update(None, "application_id", kind.application_id).map_err(failed)?;
    migrate(&mut connection, path, kind)?;
    fill(&connection).map_err(failed)?;
    take_in_log(&connection).map_err(failed)?;
    connection.close().map_err(|(_, source)| failed(source))?;
    draft.publish(path)?;
    Ok(())
}

/// Moves the log into the file. Closing the last connection would do so, too, but would hide a failure: on a full
/// disk the file could get its name without the content of its log.
fn take_in_log(connection: &Connection) -> rusqlite::Result<()> {
    let all =
        |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?);
    if connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], all)? {
        return Ok(());
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    Err(rusqlite::Error::SqliteFailure(busy, Some("its log could not be taken in".to_owned())))
}

/// Opens the file for reading and writing, migrates it to this version, and asserts every setting.
pub(super) fn open(path: &Path, kind: &Kind) -> Result<Connection, DatabaseError> {
    if !exists(path, kind)? {
        return Err(DatabaseError::missing(path, kind));
    }
    let failed = |source| DatabaseError::sqlite(path, kind, "open", source);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // This check precedes any setting, since a newer version may need other settings.
    settings::assert_whose(&connection, path, kind)?;
    check_version(&connection, path, kind)?;
    settings::apply(&connection, path, kind, WRITER)?;
    settings::apply(&connection, path, kind, kind.more_settings)?;
    check_whole(&connection, path, kind)?;
    (kind.inspect)(&connection, path)?;
    migrate(&mut connection, path, kind)?;
    Ok(connection)
}

/// Opens the file for reading only, without a change to it. SQLite may create `-shm` and `-wal` beside it; if the
/// folder is read-only and the log is empty, the file is opened as immutable.
pub(super) fn open_read_only(path: &Path, kind: &Kind) -> Result<Connection, DatabaseError> {
    open_read_only_if_present(path, kind)?.ok_or_else(|| DatabaseError::missing(path, kind))
}

/// Does what [`open_read_only`] does; `None` if the file does not exist.
pub(super) fn open_read_only_if_present(path: &Path, kind: &Kind) -> Result<Option<Connection>, DatabaseError> {
    if exists(path, kind)? { open_present(path, kind).map(Some) } else { Ok(None) }
}

fn open_present(path: &Path, kind: &Kind) -> Result<Connection, DatabaseError> {
    let log = private_file::inspect(&with_suffix(path, "-wal"), Others::MayNotWrite)?;
    let log_is_empty = log.is_none_or(|log| log.len() == 0);
    // New files would get the mode of the database, and block a user who may write it later.
    let sealed = !private_file::is_writable(private_file::folder_of(path))? || !private_file::is_writable(path)?;
    let opened =
        if sealed && log_is_empty { connect_immutable(path) } else { connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) };
    let connection = opened.map_err(|source| DatabaseError::sqlite(path, kind, "open", source))?;
    let looked = check_version(&connection, path, kind);
    if sealed && !log_is_empty && matches!(looked, Err(DatabaseError::Sqlite { .. })) {
        return Err(DatabaseError::SealedFolder { what: kind.what, path: path.to_owned() });
    }
    if looked? < kind.read_from {
        return Err(DatabaseError::Older { what: kind.what, path: path.to_owned() });
    }
    settings::apply(&connection, path, kind, READER)?;
    settings::assert_whose(&connection, path, kind)?;
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // NO_MUTEX: Rust restricts a connection to one thread at a time already.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Connection::open_with_flags(path, flags)
}

fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    use std::os::unix::ffi::OsStrExt;

    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1");
    connect(Path::new(&uri), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// The version of the file, which must be known.
fn check_version(connection: &Connection, path: &Path, kind: &Kind) -> Result<usize, DatabaseError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(DatabaseError::SqliteTooOld { found: rusqlite::version() });
    }
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| DatabaseError::sqlite(path, kind, "read", source))?;
    let known = kind.migrations.len();
    match usize::try_from(version) {
        Ok(found) if found <= known => Ok(found),
        Ok(_) | Err(_) => Err(DatabaseError::Newer { what: kind.what, path: path.to_owned(), found: version, known }),
    }
}

fn check_whole(connection: &Connection, path: &Path, kind: &Kind) -> Result<(), DatabaseError> {
    let size = private_file::inspect(path, Others::MayNotWrite)?.map_or(0, |file| file.len());
    if size > CHECKED_WHOLE {
        return Ok(());
    }
    let found: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|source| DatabaseError::sqlite(path, kind, "check", source))?;
    if found == "ok" { Ok(()) } else { Err(DatabaseError::damaged(path, kind, &found)) }
}

/// Applies the missing migrations, each in one transaction with its number.
fn migrate(connection: &mut Connection, path: &Path, kind: &Kind) -> Result<(), DatabaseError> {
    let failed = |source| DatabaseError::sqlite(path, kind, "migrate", source);
    for (index, sql) in kind.migrations.iter().enumerate() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // This is read inside the transaction: another process may have applied the migration in the meantime.
        if check_version(&transaction, path, kind)? == index {
            transaction.execute_batch(sql).map_err(failed)?;
            transaction.pragma_update(None, "user_version", index as i64 + 1).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
