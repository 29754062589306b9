//! Another user of this host, in a process of its own, so that the kernel enforces the permissions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{other_process, root};

/// The other user, and its group.
pub(crate) const ATTACKER: u32 = 65_534;

/// The attacker ends by itself after this time, if the test is killed.
const LONGEST: Duration = Duration::from_secs(120);

/// The other user, who does the same again and again; killed when dropped.
pub(crate) struct Attacker(Child);

impl Attacker {
    /// Runs the test `name` as the other user, in which [`attack`] is to be called, and waits until it has begun. `None`,
    /// with a message, where this is not root: the other user would have the same rights.
    pub(crate) fn start(name: &str, folder: &Path) -> Option<Self> {
        if !root::can("play two users") {
            return None;
        }
        let began = sign(folder);
        let signs = began.parent().expect("a folder");
        fs::create_dir(signs).expect("made");
        fs::set_permissions(signs, fs::Permissions::from_mode(0o777)).expect("set");
        let mut command = other_process::command(name, folder);
        let child = command.uid(ATTACKER).gid(ATTACKER).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let attacker = Self(child.expect("started"));
        let asked = Instant::now();
        while !began.exists() {
            assert!(asked.elapsed() < Duration::from_secs(60), "the attacker does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(attacker)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the process of the other user: does the same until it is killed, or until it says `false`.
pub(crate) fn attack(folder: &Path, mut once: impl FnMut() -> bool) {
    let began = Instant::now();
    fs::write(sign(folder), "").expect("written");
    while began.elapsed() < LONGEST && once() {}
}

fn sign(folder: &Path) -> PathBuf {
    folder.join("signs/began")
}
