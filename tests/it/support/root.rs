//! Skips tests that need root for an ordinary user, and reports that.

/// Whether this is root. If not, the running test is named as skipped, with what only root can do.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn can(what_only_root_can: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let thread = std::thread::current();
        eprintln!("{}: skipped, since only root can {what_only_root_can}", thread.name().unwrap_or("a test"));
    }
    is_root
}
