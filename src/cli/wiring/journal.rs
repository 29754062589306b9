//! The journal of the command line: held by the one process that writes it, or opened for reading.

use std::path::Path;
use std::sync::Arc;

use crate::adapters::sqlite_journal::{JournalLock, LockError, SqliteJournal, SyncReader};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::engine::report::with_causes;
use crate::journal::clock::Clock;
use crate::journal::store::StorageError;
use crate::journal::write_ahead::Journal;

/// The journal, held: no other rotator writes it while this lives.
pub struct HeldJournal {
    /// The journal.
    pub journal: Journal,
    _lock: JournalLock,
}

/// Takes the journal's lock and opens it, making it where there is none.
///
/// # Errors
/// Exit code 5 if another process has it, 1 if it cannot be used.
pub fn hold(path: &Path, clock: &Arc<dyn Clock>) -> Result<HeldJournal, CliError> {
    SqliteJournal::check_writable(path).map_err(|error| journal_failed(&error))?;
    let lock = JournalLock::acquire(path).map_err(|error| match &error {
        LockError::HeldBy { .. } => CliError {
            message: error.to_string(),
            hint: "`rotator status` shows what it is doing".to_owned(),
            exit: Exit::Busy,
            is_about_credentials: false,
        },
        LockError::File(_) => journal_failed(&error),
    })?;
    let journal = SqliteJournal::open(path).map_err(|error| journal_failed(&error))?;
    Ok(HeldJournal { journal: Journal::new(Arc::new(journal), Arc::clone(clock)), _lock: lock })
}

/// The journal for reading only; `None` where there is none yet.
///
/// # Errors
/// Exit code 1 if there is one that cannot be read.
pub fn read(path: &Path) -> Result<Option<SyncReader>, CliError> {
    SqliteJournal::open_read_only(path).map_err(|error| journal_failed(&error))
}

fn journal_failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(with_causes(error), "nothing was changed; `rotator doctor` checks the rest")
}

/// What a failing read or write of the open journal means for the command.
#[must_use]
pub fn storage_failed(error: &StorageError) -> CliError {
    CliError::failed(format!("the journal failed: {}", with_causes(error)), "mend the cause, then `rotator resume`")
}
