//! A reader of the store that authenticates with the pair that it finds, all the time: it checks P1 at every moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::rig::{Iam, Rig, pairs_in};
use crate::support::program::values_in;

/// A thread that reads and authenticates until it is stopped.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64, String>>>,
}

impl Reader {
    /// Reads the store of this rig, with `pause` between two sweeps.
    pub(super) fn of(rig: &Rig, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (iam, folder, users) = (Arc::clone(&rig.iam), rig.program.folder().to_owned(), rig.users.clone());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut tried = 0;
            while !stopped.load(Ordering::Relaxed) {
                tried += sweep(iam.as_ref(), &folder, &users)?;
                std::thread::sleep(pause);
            }
            Ok(tried)
        });
        Self { stop, thread: Some(thread) }
    }

    /// The number of pairs that the reader tried, or the pair that failed.
    pub(super) fn end(mut self) -> Result<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("there until now");
        thread.join().unwrap_or_else(|_| Err("the store could not be read".to_owned()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A failed test drops the reader, and its findings with it.
            let _ = thread.join();
        }
    }
}

/// Tries every pair once. The reader itself is not atomic: a refused pair counts only if the store holds the very same
/// pair when it is read again.
fn sweep(iam: &dyn Iam, folder: &Path, users: &[String]) -> Result<u64, String> {
    let mut tried = 0;
    for (user, pair) in pairs_in(&values_in(folder), users)? {
        tried += 1;
        if iam.accepts(&pair) {
            continue;
        }
        let again = pairs_in(&values_in(folder), users)?;
        if again[&user].id == pair.id && again[&user].secret == pair.secret {
            return Err(format!("a reader of the store was refused with the pair {} of {user}", pair.id));
        }
    }
    Ok(tried)
}
