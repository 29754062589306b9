//! The process protects itself before it does anything else. The tests of its memory and its outputs are in `leaks`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Fault, FaultKind, Sandbox};

use crate::support::other_process;
use crate::support::program::{Ended, Program, ROTATOR, sandbox_with_slashes, user_with_entries};

/// A sandbox, and a program whose store holds one user's pair.
fn one_user() -> (Sandbox, Program) {
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    user_with_entries(&sandbox, "app/production", &mut entries);
    let program = Program::at(&sandbox);
    program.import(&entries);
    (sandbox, program)
}

/// Runs rotator through a shell, which sets things up by `before` and redirects by `after`.
fn through_shell(program: &Program, before: &str, args: &str, after: &str) -> Ended {
    let script = format!("{before}; \"$0\" {args} {after}");
    Ended::of(program.command("/bin/sh", &["-c", &script, ROTATOR]).spawn().expect("started"))
}

#[test]
fn files_and_folders_are_private_to_this_user_under_any_umask() {
    let (_sandbox, mut program) = one_user();
    let home = program.folder().to_owned();
    program.set("ROTATOR_JOURNAL", &home.join("new/folder/journal.db").display().to_string());
    let ended = through_shell(&program, "umask 000", "run --overlap 1h", "");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(through_shell(&program, "umask 000", "init own.toml", "").code, Some(0));
    let mut seen = 0;
    let mut folders = vec![home.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            let mode = fs::metadata(&path).expect("there").mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
            seen += 1;
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(seen >= 6, "only {seen} files and folders");
}

#[tokio::test]
async fn a_file_size_limit_or_a_reader_that_went_away_is_no_signal_to_die_by() {
    let (sandbox, program) = one_user();
    // Neither the call by which rotator asks who it is itself, nor the proof of the old pair.
    sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(3).always());
    let running = program.spawn(&["run"]);
    tokio::time::timeout(Duration::from_secs(30), sandbox.held(1)).await.expect("a proof is held");
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).expect("Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the signals that it ignores");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
    for signal in [rustix::process::Signal::XFSZ, rustix::process::Signal::PIPE] {
        assert!(ignored & 1 << (signal.as_raw() - 1) != 0, "{signal:?}");
    }
}

/// Neither a panic (101), nor an abort, nor a broken rotation: what was said is lost, and nothing else.
#[test]
fn an_output_that_takes_nothing_breaks_nothing() {
    for after in [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&-", "| true"] {
        let (sandbox, program) = one_user();
        let before = sandbox.keys_of("app/production");
        let ended = through_shell(&program, "true", "run -vvv --output json", after);
        assert!(ended.code.is_some_and(|code| code < 6), "{after}: {ended:?}");
        assert_eq!(ended.signal, None, "{after}");
        let after_it = sandbox.keys_of("app/production");
        assert!(after_it.len() == 1 && after_it[0].id != before[0].id, "{after}: the rotation was taken to its end");
        for args in ["--help", "man", "store list", "completions zsh", "status --all", "plan", "policy", "doctor"] {
            let ended = through_shell(&program, "true", args, after);
            assert!(ended.code.is_some_and(|code| code < 6) && ended.signal.is_none(), "{args} {after}: {ended:?}");
        }
    }
}

/// Control characters from a stored document, and from AWS, reach neither outputs nor logs as they are.
#[test]
fn control_characters_of_others_reach_no_terminal() {
    const CLEAR: &str = "\u{1b}[2J\u{9b}31m\u{202e}";
    let (sandbox, program) = one_user();
    let mut entries = BTreeMap::new();
    let pair = user_with_entries(&sandbox, "app2/production", &mut entries);
    let document = serde_json::json!({
        CLEAR: { "aws_access_key_id": pair.id, "aws_secret_access_key": pair.secret },
        "left": { CLEAR: { "aws_access_key_id": "AKIAABCDEFGHIJ234567" } },
    });
    program.import(&BTreeMap::from([("app2/production/document".to_owned(), document.to_string())]));
    let refused = ApiError::new(400, "Throttling", format!("no {CLEAR}"));
    sandbox.arm(Fault::new(FaultKind::Refuse(refused)).on(Action::CreateAccessKey));
    let strange = ApiError::new(400, &format!("Odd{CLEAR}"), CLEAR);
    sandbox.arm(Fault::new(FaultKind::Refuse(strange)).on(Action::CreateAccessKey).for_user("app2/production"));
    for args in
        [&["plan"][..], &["run", "-vvv", "--overlap", "1h"], &["status"], &["status", "--all", "--output", "json"]]
    {
        for format in ["text", "json"] {
            let ended = program.rotator(&[args, &["--log-format", format, "--color", "never"]].concat());
            for (name, said) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
                let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
                assert!(!said.contains(harmful), "{name} of {args:?}: {said:?}");
            }
        }
    }
}

#[test]
fn journal_store_and_key_are_neither_reached_through_links_nor_taken_from_others() {
    for (file, mode, words) in [
        ("journal.db", 0o666, "can be written by others"),
        ("journal.db", 0o622, "can be written by others"),
        ("store.db", 0o666, "can be written by others"),
        ("store.db", 0o602, "can be written by others"),
        ("store.db.key", 0o640, "is open to others"),
        ("store.db.key", 0o604, "is open to others"),
    ] {
        let (sandbox, program) = used();
        set_mode(&program.folder().join(file), mode);
        refused(&sandbox, &program, words);
    }
    for file in ["journal.db", "store.db", "store.db.key"] {
        let (sandbox, program) = used();
        let (path, elsewhere) = (program.folder().join(file), program.folder().join("elsewhere"));
        fs::rename(&path, &elsewhere).expect("moved");
        symlink(&elsewhere, &path).expect("linked");
        refused(&sandbox, &program, "is a symbolic link");
        let (sandbox, program) = used();
        fs::remove_file(program.folder().join(file)).expect("removed");
        symlink("/dev/null", program.folder().join(file)).expect("linked");
        refused(&sandbox, &program, "is a symbolic link");
        let (sandbox, program) = used();
        for mode in [0o777, 0o1777] {
            set_mode(program.folder(), mode);
            refused(&sandbox, &program, "can be written by others");
        }
    }
}

/// A program that has rotated once, so that it has a journal, too.
fn used() -> (Sandbox, Program) {
    let (sandbox, program) = one_user();
    program.ends_with(0, &["run"]);
    (sandbox, program)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

fn refused(sandbox: &Sandbox, program: &Program, words: &str) {
    let before = sandbox.keys_of("app/production");
    let ended = program.ends_with(1, &["run"]);
    assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    assert_eq!(sandbox.keys_of("app/production").len(), before.len());
    assert_eq!(sandbox.keys_of("app/production")[0].id, before[0].id, "no key was touched");
}

/// Starts rotator through a shell by `before`, and returns the memory in KiB that it has locked while it waits for a
/// response.
async fn locked(before: &str) -> u64 {
    let (sandbox, program) = one_user();
    // Neither the call by which rotator asks who it is itself, nor the proof of the old pair.
    sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(3).always());
    let script = format!("{before} \"$0\" run");
    let mut child = program.command("/bin/sh", &["-c", &script, ROTATOR]).spawn().expect("started");
    tokio::time::timeout(Duration::from_secs(30), sandbox.held(1)).await.expect("a proof is held");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("the locked memory");
    child.kill().expect("killed");
    child.wait().expect("ended");
    locked.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Without CAP_IPC_LOCK, with a limit as small as many systems have it.
const LITTLE: &str = "ulimit -l 64; exec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock";

/// Ends well where no limit of locked memory holds for this user.
const NO_LIMIT_HOLDS: &str =
    "ulimit -S -l 0; exec python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).mlockall(7) != 0)'";

/// Under a limit a later allocation would fail.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn memory_is_locked_where_no_limit_is_in_the_way_and_nowhere_else() {
    let can = |script: &str| {
        let ended = std::process::Command::new("/bin/sh").args(["-c", script]).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    };
    let mut tries = 0;
    for (condition, before) in [("ulimit -l unlimited", "ulimit -l unlimited; exec"), (NO_LIMIT_HOLDS, "exec")] {
        if can(condition) {
            let locked = locked(before).await;
            assert!(locked > 1024, "{before}: only {locked} KiB are locked");
            tries += 1;
        }
    }
    if tries == 0 {
        eprintln!("skipped in part: this user can lock no memory");
    }
    if !can(&format!("{LITTLE} true")) {
        eprintln!("skipped in part: a capability can be given up by root only");
        return;
    }
    assert_eq!(locked(LITTLE).await, 0);
    let (_sandbox, program) = one_user();
    let script = format!("{LITTLE} \"$0\" run");
    let ended = Ended::of(program.command("/bin/sh", &["-c", &script, ROTATOR]).spawn().expect("started"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

const PAYLOAD: &str = "hunter2-in-a-panic";

#[test]
fn a_panic_says_where_and_never_what() {
    if other_process::given_folder().is_some() {
        rotator::cli::panic_hook::say_only_where();
        let panics: [fn(); 3] = [
            || panic!("{PAYLOAD}"),
            || std::panic::panic_any(PAYLOAD.to_owned()),
            || std::fs::File::open("/nonexistent").map(drop).expect(PAYLOAD),
        ];
        for panic in panics {
            // The test's own thread must end well, and so reports nothing of it.
            let _ = std::thread::spawn(panic).join();
        }
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = other_process::command("hardening::a_panic_says_where_and_never_what", folder.path());
    let output = command.env("RUST_BACKTRACE", "full").stdin(Stdio::null()).output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(said.matches("rotator: a defect at tests/it/hardening.rs:").count(), 3, "{said}");
    assert!(!said.contains(PAYLOAD), "{said}");
}
