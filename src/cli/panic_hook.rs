//! What a panic says: where, and what to do next. Never its text or its payload, which may hold anything.

use std::io::Write;

/// From now on, panics of every thread are told so.
pub fn say_only_where() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "rotator: a defect{place}; what was in flight is in the journal: `rotator status` shows it, `rotator resume` goes on"
        );
    }));
}
