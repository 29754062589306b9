//! The lock of the journal: one `run` or `resume` at a time. It is an OS lock on a file beside the journal, which
//! ends with the process. SQLite's own `locking_mode` would exclude readers.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::adapters::private_file::{self, FileError};

/// Why the lock of the journal was not acquired. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another rotator holds the lock.
    #[error("lock the journal {}: another rotator{} holds it; wait for it, or end it", journal.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    HeldBy {
        journal: PathBuf,
        /// The other process, if it has written its id already.
        pid: Option<u32>,
    },
    /// The lock file is not trusted or not available.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The right to write a journal while this value exists. The lock file itself stays: after a removal two processes
/// could lock two files of one name.
#[derive(Debug)]
#[must_use = "dropping this releases the lock"]
pub struct JournalLock {
    _file: File,
}

impl JournalLock {
    /// Acquires the lock of `journal`; creates a missing folder.
    ///
    /// # Errors
    /// [`LockError::HeldBy`], without waiting, if another process, or another handle of this one, holds the lock.
    pub fn acquire(journal: &Path) -> Result<Self, LockError> {
        let path = lock_path(&private_file::locate_or_create_folder(journal)?);
        let mut file = private_file::open_or_create(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::HeldBy { journal: journal.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(FileError::io(&path, "lock")(source).into()),
        }
        write_pid(&mut file).map_err(FileError::io(&path, "write"))?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn lock_path(journal: &Path) -> PathBuf {
    private_file::with_suffix(journal, ".lock")
}
