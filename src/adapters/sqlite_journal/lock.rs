//! One `run` or `resume` at a time: an OS lock beside the journal, held for the process's life and gone with it,
//! however it ends. (SQLite's own `locking_mode` would shut readers out.)

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::lock_path;
use crate::adapters::FileError;
use crate::adapters::private_file;
use crate::planted::{self, Planted};

/// Why the journal's lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another rotator has it.
    #[error("another rotator{} holds the journal {}: wait for it, or end it", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), journal.display())]
    HeldBy {
        /// The journal.
        journal: PathBuf,
        /// That process, where it has said so yet.
        pid: Option<u32>,
    },
    /// The lock file cannot be trusted or had.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The right to write a journal, for as long as this lives. The lock file itself stays: removing it would let two
/// processes hold two files of one name.
#[derive(Debug)]
#[must_use = "the lock goes when this is dropped"]
pub struct JournalLock {
    _file: File,
}

impl JournalLock {
    /// Takes the lock of the journal at `journal`, making the folder if it is missing.
    ///
    /// # Errors
    /// [`LockError::HeldBy`] at once if another process, or another handle of this one, has it.
    pub fn acquire(journal: &Path) -> Result<Self, LockError> {
        let path = lock_path(&private_file::locate_or_create_folder(journal)?);
        let mut file = private_file::open_or_create(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if planted::is(Planted::NoLock) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::HeldBy { journal: journal.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(FileError::io(&path, "locked")(source).into()),
        }
        write_pid(&mut file).map_err(FileError::io(&path, "written"))?;
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
