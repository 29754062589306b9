//! The message of a panic: the location and what to do next. It never contains the payload, which may contain a
//! secret.

use std::io::Write;

/// Installs the hook for the panics of all threads.
pub fn say_only_where() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "rotator: a defect{place}; what was in flight is in the journal: `rotator status` shows it, `rotator resume` continues"
        );
    }));
}
