//! T12, the disk: full, limited, closed, or with something else where the journal should be. Each ends in a clear
//! error and harms nothing; once the obstacle is removed, `resume` or `run` finishes.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::scenario::{Kept, Scenario, sound};
use crate::support::program::{Ended, ROTATOR, Running, sandbox_with_slashes};
use crate::support::proof::{Proof, is_full};
use crate::support::root;

/// Larger than anything that one rotation writes.
const ENOUGH: u64 = 1024 * 1024;

/// The user without rights.
const NOBODY: u32 = 65_534;

/// A run that could not write ended by our own doing, and said why if it did not finish.
fn ended_clearly(ended: &Ended) -> Result<(), String> {
    let reported = ended.code == Some(0) || !(ended.stderr.is_empty() && ended.stdout.is_empty());
    let sensible = matches!(ended.code, Some(0 | 1 | 3));
    if reported && sensible { Ok(()) } else { Err(format!("not to end like this: {ended:?}")) }
}

/// Sizes from `from` in steps until `play` says that it was enough.
fn every_size(proof: &mut Proof, from: u64, step: u64, play: impl Fn(u64) -> Result<Ended, String>) {
    let mut size = from;
    loop {
        let ended = play(size).unwrap_or_else(|how| panic!("{size} bytes: {how}"));
        proof.case();
        proof.count(if ended.code == Some(0) { "there was room" } else { "there was no room" }, 1);
        if ended.code == Some(0) {
            return;
        }
        size += step;
        assert!(size < ENOUGH, "{size} bytes are not enough: {ended:?}");
    }
}

#[test]
fn rotator_recovers_from_every_limit_of_the_file_size() {
    let sandbox = sandbox_with_slashes();
    let mut proof = Proof::of("T12 limit", "RLIMIT_FSIZE at every size until a run fits", &[]);
    every_size(&mut proof, 0, if is_full() { 512 } else { 4096 }, |size| {
        let scenario = Scenario::new(&sandbox, Kept::TwoEntries);
        let limit = format!("--fsize={size}");
        let ended = sound(Running::start(scenario.program.command("prlimit", &[&limit, ROTATOR, "run", "-q"])))?;
        ended_clearly(&ended)?;
        scenario.recovers()?;
        Ok(ended)
    });
    proof.conclude();
}

/// `run` in a tmpfs of `$1` bytes that only these processes see, then, with room, `resume` until it is settled.
const FULL_DISK: &str = r#"
mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" || exit 90
"$3" run -q; ran=$?
mount -o remount,size=8m "$2" || exit 91
tries=0
"$3" resume -q; resumed=$?
while [ $resumed -eq 3 ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; "$3" resume -q; resumed=$?; done
[ $resumed -eq 0 ] || { echo "resume ended with $resumed" >&2; exit 92; }
exit $ran
"#;

/// Needs root, to mount in a namespace of its own. In a user namespace the folders of the real root would belong to an
/// unknown user, and rotator refuses to work below such folders.
#[test]
fn whenever_the_disk_is_full_it_recovers_needs_mount() {
    if !root::can("mount a small file system") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let mut proof = Proof::of("T12 full disk", "the journal on a tmpfs of 64 KiB and more", &[]);
    every_size(&mut proof, 64 * 1024, if is_full() { 4 * 1024 } else { 12 * 1024 }, |size| {
        let mut scenario = Scenario::new(&sandbox, Kept::TwoEntries);
        let small = scenario.path("small");
        std::fs::create_dir(&small).expect("made");
        scenario.program.set("ROTATOR_JOURNAL", &small.join("journal.db").display().to_string());
        let (size, small) = (size.to_string(), small.display().to_string());
        let args = ["--mount", "sh", "-c", FULL_DISK, "sh", &size, &small, ROTATOR];
        scenario.program.set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let ended = sound(Running::start(scenario.program.command("unshare", &args)))?;
        let no_mount = "a tmpfs cannot be mounted, or has no name space of its own";
        assert!(!(ended.code == Some(90) || ended.stderr.contains("unshare failed")), "{no_mount}: {ended:?}");
        ended_clearly(&ended)?;
        scenario.settled()?;
        Ok(ended)
    });
    proof.conclude();
}

/// Runs rotator as an ordinary user, because file permissions do not bind root.
fn without_rights(scenario: &Scenario, args: &[&str]) -> Result<Ended, String> {
    let mut command = scenario.program.command(ROTATOR, args);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    sound(Running::start(command))
}

/// Gives the folders with the files in them to another user, as root alone can.
fn give(folders: &[&Path], user: u32) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for folder in folders {
        for file in std::fs::read_dir(folder).expect("listed") {
            chown(file.expect("listed").path(), Some(user), Some(user)).expect("given");
        }
        chown(folder, Some(user), Some(user)).expect("given");
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

#[test]
fn in_a_folder_that_is_read_only_it_changes_nothing_and_says_so() {
    let sandbox = sandbox_with_slashes();
    let mut proof =
        Proof::of("T12 read-only", "the journal's folder is read-only, before a run and in the middle", &[]);
    for in_flight in [false, true] {
        let mut scenario = Scenario::new(&sandbox, Kept::TwoEntries);
        let state = scenario.path("state");
        std::fs::create_dir(&state).expect("made");
        scenario.program.set("ROTATOR_JOURNAL", &state.join("journal.db").display().to_string());
        let home = scenario.program.folder().to_owned();
        let folders = [home.as_path(), state.as_path()];
        // No user opens a store of another one, and neither does root.
        let seen = |scenario: &Scenario| {
            give(&folders, 0);
            let seen = (scenario.keys(), scenario.stored().expect("stored").id);
            give(&folders, NOBODY);
            seen
        };
        give(&folders, NOBODY);
        if in_flight {
            // The reply to the create is lost, so its outcome is unknown.
            let fault = rotator::sandbox::Fault::new(rotator::sandbox::FaultKind::LostReplyAfter);
            sandbox.arm(fault.on(rotator::sandbox::Action::CreateAccessKey));
            assert_eq!(without_rights(&scenario, &["run", "-q"]).expect("sound").code, Some(3));
        }
        let before = seen(&scenario);
        set_mode(&state, 0o500);
        for args in [&["run", "-q"][..], &["resume", "-q"]] {
            let ended = without_rights(&scenario, args).expect("sound");
            assert!(matches!(ended.code, Some(1 | 3)) || (!in_flight && args[0] == "resume"), "{args:?}: {ended:?}");
            assert!(ended.code == Some(0) || ended.stderr.contains("state"), "it names the folder: {ended:?}");
            assert_eq!(seen(&scenario), before, "{args:?} changed something");
            proof.case();
        }
        assert_eq!(without_rights(&scenario, &["status"]).expect("sound").code, Some(0));
        set_mode(&state, 0o700);
        give(&folders, 0);
        scenario.recovers().expect("it recovers");
    }
    proof.conclude();
}

/// An obstacle, and the functions that create and remove it.
type Obstacle = (&'static str, fn(&Scenario), fn(&Scenario));

fn remove(path: &Path) {
    std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path)).expect("removed");
}

fn link(scenario: &Scenario, name: &str, target: &str) {
    symlink(scenario.path(target), scenario.path(name)).expect("linked");
}

const OBSTACLES: [Obstacle; 11] = [
    (
        "the journal is a link to a file",
        |scenario| {
            std::fs::write(scenario.path("elsewhere"), "another file").expect("written");
            link(scenario, "journal.db", "elsewhere");
        },
        |scenario| remove(&scenario.path("journal.db")),
    ),
    (
        "the journal is a link to nothing",
        |scenario| link(scenario, "journal.db", "none"),
        |scenario| {
            remove(&scenario.path("journal.db"));
        },
    ),
    (
        "its log is a link",
        |scenario| link(scenario, "journal.db-wal", "none"),
        |scenario| remove(&scenario.path("journal.db-wal")),
    ),
    (
        "its index is a link",
        |scenario| link(scenario, "journal.db-shm", "none"),
        |scenario| remove(&scenario.path("journal.db-shm")),
    ),
    (
        "its lock is a link",
        |scenario| link(scenario, "journal.db.lock", "none"),
        |scenario| {
            remove(&scenario.path("journal.db.lock"));
        },
    ),
    (
        "it is a folder",
        |scenario| std::fs::create_dir(scenario.path("journal.db")).expect("made"),
        |scenario| remove(&scenario.path("journal.db")),
    ),
    (
        "it is a pipe",
        |scenario| make_pipe(&scenario.path("journal.db")),
        |scenario| remove(&scenario.path("journal.db")),
    ),
    (
        "its lock is a pipe",
        |scenario| make_pipe(&scenario.path("journal.db.lock")),
        |scenario| {
            remove(&scenario.path("journal.db.lock"));
        },
    ),
    (
        "anybody may write in the folder",
        |scenario| set_mode(scenario.program.folder(), 0o777),
        |scenario| {
            set_mode(scenario.program.folder(), 0o700);
        },
    ),
    (
        "anybody may write the store",
        |scenario| set_mode(&scenario.path("store.db"), 0o666),
        |scenario| {
            set_mode(&scenario.path("store.db"), 0o600);
        },
    ),
    (
        "anybody may read the store's key",
        |scenario| set_mode(&scenario.path("store.db.key"), 0o644),
        |scenario| {
            set_mode(&scenario.path("store.db.key"), 0o600);
        },
    ),
];

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success(), "mkfifo {}", path.display());
}

#[test]
fn an_obstacle_is_named_and_left_unchanged() {
    let sandbox = sandbox_with_slashes();
    let mut proof =
        Proof::of("T12 obstacles", "links, pipes, folders and modes where the journal or the store is", &[]);
    for (what, put, take) in OBSTACLES {
        let scenario = Scenario::new(&sandbox, Kept::TwoEntries);
        let before = scenario.keys();
        put(&scenario);
        let ended = scenario.rotator(&["run", "-q"]).unwrap_or_else(|how| panic!("{what}: {how}"));
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        assert!(ended.stderr.contains(&scenario.program.folder().display().to_string()), "{what}: {ended:?}");
        assert_eq!(scenario.keys(), before, "{what}");
        for file in ["elsewhere", "none"] {
            let content = std::fs::read_to_string(scenario.path(file)).ok();
            assert!(
                content.is_none_or(|content| content == "another file"),
                "{what}: {file} was written through a link"
            );
        }
        take(&scenario);
        let ended = scenario.rotator(&["run", "-q"]).unwrap_or_else(|how| panic!("{what}: {how}"));
        assert_eq!(ended.code, Some(0), "{what}, gone: {ended:?}");
        scenario.settled().unwrap_or_else(|how| panic!("{what}: {how}"));
        assert!(scenario.is_rotated(), "{what}");
        proof.case();
    }
    proof.conclude();
}
