//! The journal of the command line: held by the one process that writes it, or open for reading.

use std::path::Path;
use std::sync::Arc;

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

/// Whether there is a journal.
///
/// # Errors
/// Exit code 1 if the file is not a journal, or others may write it.
pub fn is_present(path: &Path) -> Result<bool, CliError> {
    SqliteJournal::is_present(path).map_err(|error| journal_failed(&error))
}

/// Opens the journal for reading; `None` if it does not exist yet.
///
/// # Errors
/// Exit code 1 if the journal cannot be read.
pub fn read(path: &Path) -> Result<Option<SyncReader>, CliError> {
    SqliteJournal::open_read_only(path).map_err(|error| journal_failed(&error))
}

/// The error of a command about the rotation `name` where there is no journal.
pub fn none_yet(path: &Path, name: &str) -> CliError {
    CliError::usage(
        format!("there is no rotation {name}: there is no journal yet at {}", path.display()),
        "if the journal is elsewhere, name it with --journal FILE, with ROTATOR_JOURNAL or with `journal` in rotator.toml",
    )
}

fn journal_failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(format!("failed to {}", with_causes(error)), format!("nothing was changed{DOCTOR_FOR_THE_REST}"))
}

/// The error of a command for a failing read or write of the open journal.
#[must_use]
pub fn storage_failed(error: &StorageError) -> CliError {
    CliError::failed(with_causes(error), "fix the cause, then run `rotator resume`")
}
