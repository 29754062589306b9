//! Runs one test of this binary again in another process: for locks, kills and other users.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

const FOLDER: &str = "ROTATOR_TEST_FOLDER";

/// The folder that the first process gave, if this is the other one.
pub(crate) fn given_folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// Runs the test `name` (its whole path) as another process that finds `folder` by [`given_folder`].
pub(crate) fn run(name: &str, folder: &Path) -> Output {
    command(name, folder).output().expect("started")
}

/// As [`run`], as a user who has no rights here: root may do anything, so a test of permissions proves nothing.
pub(crate) fn run_without_rights(name: &str, folder: &Path) -> Output {
    let mut command = command(name, folder);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.output().expect("started")
}

/// As [`run`], under a tracer with these arguments.
pub(crate) fn run_under(tracer: &[&str], name: &str, folder: &Path) -> Output {
    let mut under = Command::new(tracer[0]);
    let command = command(name, folder);
    under.args(&tracer[1..]).arg(command.get_program()).args(command.get_args()).env(FOLDER, folder);
    under.output().expect("started")
}

/// The command of another process that runs the test `name`.
pub(crate) fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("known"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command
}
