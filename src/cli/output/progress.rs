//! One line on a terminal that says what is being done; overwritten by the next, wiped at the end.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::terminal::printable;
use crate::engine::session::Watcher;
use crate::types::name::RotationId;

/// Back to the line's start, and wipe what follows.
const WIPE: &str = "\r\u{1b}[K";

/// Shows each change.
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
        let (user, state) = (printable(rotation.opened.user.as_str()).into_owned(), rotation.standing.name());
        show(&format!("{WIPE}{closed} of {all} closed; {user}: {state}"));
    })
}

/// Takes the line away.
pub fn wipe() {
    show(WIPE);
}

fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
