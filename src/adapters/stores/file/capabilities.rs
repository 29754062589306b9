//! The capabilities of this process, as the kernel knows them.

use std::fs;

/// The bits of `CapEff` (<https://man7.org/linux/man-pages/man7/capabilities.7.html>).
pub(super) const CAP_CHOWN: u32 = 0;
pub(super) const CAP_FOWNER: u32 = 3;
pub(super) const CAP_SETFCAP: u32 = 31;

/// Whether this process has a capability; `None` if that is unknown.
pub(super) fn has(capabilities: Option<u64>, capability: u32) -> Option<bool> {
    capabilities.map(|set| set >> capability & 1 == 1)
}

/// The effective capabilities of this process, from the kernel.
pub(super) fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}
