//! The lock of the journal: one `run` or `resume` at a time. It is an OS lock on a file beside the journal, which
//! ends with the process. SQLite's own `locking_mode` would exclude readers.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

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

/// How often the lock is tried, and the pause between two tries. [`JournalLock::holder`] has the lock for an instant.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

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
    /// [`LockError::HeldBy`], after some milliseconds, if another process, or another handle of this one, holds the lock.
    pub fn acquire(journal: &Path) -> Result<Self, LockError> {
        Self::acquire_within(journal, || sleep(PAUSE))
    }

    fn acquire_within(journal: &Path, pause: impl Fn()) -> Result<Self, LockError> {
        let path = lock_path(&private_file::locate_or_create_folder(journal)?);
        let mut file = private_file::open_or_create(&path)?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left > 0 => pause(),
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::HeldBy { journal: journal.to_owned(), pid: read_pid(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(FileError::io(&path, "lock")(source).into()),
            }
        }
        write_pid(&mut file).map_err(FileError::io(&path, "write"))?;
        Ok(Self { _file: file })
    }

    /// The number of the process that holds the lock, if one does and has written it. In a container this is the number
    /// that it has there.
    #[must_use]
    pub fn holder(journal: &Path) -> Option<u32> {
        let mut file = File::open(lock_path(journal)).ok()?;
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| read_pid(&mut file))?
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_look_at_the_holder_keeps_nobody_from_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("journal.db");
        assert_eq!(JournalLock::holder(&journal), None);
        let held = JournalLock::acquire(&journal).expect("free");
        assert_eq!(JournalLock::holder(&journal), Some(std::process::id()));
        drop(held);
        assert_eq!(JournalLock::holder(&journal), None, "the lock file is still there, but it is not locked");
        // A look in progress ends during the first pause.
        let look = File::open(lock_path(&journal)).expect("is there");
        look.try_lock_shared().expect("free");
        let look = Cell::new(Some(look));
        let lock = JournalLock::acquire_within(&journal, || drop(look.take())).expect("free after the look");
        drop(lock);
        let held = JournalLock::acquire(&journal).expect("free");
        let pauses = Cell::new(0);
        JournalLock::acquire_within(&journal, || pauses.set(pauses.get() + 1)).expect_err("held");
        assert_eq!(pauses.get(), TRIES - 1);
        drop(held);
    }
}
