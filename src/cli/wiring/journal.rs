//! The journal of the command line: held by the one process that writes it, or open for reading.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::adapters::sqlite_journal::{JournalLock, LockError, SqliteJournal, SyncReader};
use crate::cli::error::{CliError, DOCTOR_FOR_THE_REST};
use crate::cli::exit::Exit;
use crate::journal::clock::Clock;
use crate::journal::store::StorageError;
use crate::journal::write_ahead::Journal;
use crate::types::error_text::with_causes;

/// The journal and its lock. No other rotator writes the journal while this value exists.
pub struct HeldJournal {
    pub journal: Journal,
    _lock: JournalLock,
}

/// Takes the lock of the journal and opens it, or makes it if it is missing.
///
/// # Errors
/// Exit code 5 if another process holds the lock, 1 if the journal cannot be used.
pub fn hold(path: &Path, clock: &Arc<dyn Clock>) -> Result<HeldJournal, CliError> {
    SqliteJournal::check_writable(path).map_err(|error| journal_failed(&error))?;
    let lock = JournalLock::acquire(path).map_err(|error| match &error {
        LockError::HeldBy { .. } => CliError {
            message: format!("failed to {error}"),
            hint: "`rotator status` shows what it is doing".to_owned(),
            exit: Exit::Busy,
            is_about_credentials: false,
            is_in_document: false,
        },
        LockError::File(_) => journal_failed(&error),
    })?;
    let journal = SqliteJournal::open(path).map_err(|error| journal_failed(&error))?;
    Ok(HeldJournal { journal: Journal::new(Arc::new(journal), Arc::clone(clock)), _lock: lock })
}

/// Opens the journal for reading; `None` if it does not exist yet.
///
/// # Errors
/// Exit code 1 if the journal cannot be read.
pub fn read(path: &Path) -> Result<Option<SyncReader>, CliError> {
    SqliteJournal::open_read_only(path).map_err(|error| journal_failed(&error))
}

/// The other process that holds the lock of the journal, if one does. Asked for by commands that only read.
#[must_use]
pub fn held_by(path: &Path) -> Option<u32> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let file = File::open(name).ok()?;
    let mut text = String::new();
    (&file).take(32).read_to_string(&mut text).ok()?;
    let number: u32 = text.trim().parse().ok()?;
    // The file stays when its process ends. To try the lock could keep another rotator from taking it at that moment, so
    // it is tried only where a process of this number exists.
    let process = Pid::from_raw(i32::try_from(number).ok()?)?;
    let exists = !matches!(rustix::process::test_kill_process(process), Err(Errno::SRCH));
    (exists && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))).then_some(number)
}

fn journal_failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(format!("failed to {}", with_causes(error)), format!("nothing was changed{DOCTOR_FOR_THE_REST}"))
}

/// The error of a command for a failing read or write of the open journal.
#[must_use]
pub fn storage_failed(error: &StorageError) -> CliError {
    CliError::failed(with_causes(error), "fix the cause, then run `rotator resume`")
}
