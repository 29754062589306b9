//! A progress line on the terminal, which the next one overwrites and the end of the command erases.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::terminal::printable;
use crate::engine::options::Watcher;
use crate::types::name::RotationId;

/// Moves the cursor to the start of the line and clears the rest.
const WIPE: &str = "\r\u{1b}[K";

/// A watcher that shows each change of a rotation.
#[must_use]
pub fn watcher() -> Watcher {
    #[derive(Default)]
    struct Seen {
        all: BTreeSet<RotationId>,
        closed: BTreeSet<RotationId>,
    }
    let seen = Mutex::new(Seen::default());
    Arc::new(move |rotation| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.all.insert(rotation.id);
        if rotation.is_closed() {
            seen.closed.insert(rotation.id);
        }
        let (closed, all) = (seen.closed.len(), seen.all.len());
        let (user, state) = (printable(rotation.opened.user.as_str()).into_owned(), rotation.state.name());
        show(&format!("{WIPE}{closed} of {all} closed; {user}: {state}"));
    })
}

/// Erases the line.
pub fn wipe() {
    show(WIPE);
}

fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
