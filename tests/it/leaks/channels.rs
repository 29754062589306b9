//! Every channel out of the process: each descriptor, temporary files, cores, and the arguments and the environment of
//! its children. In each of them the search finds a planted secret, in each form.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};
use rustix::process::{Pid, Signal, kill_process};

use super::forms::FORMS;
use super::trawl::{Guarded, Trawl, talkative};
use crate::support::program::{Program, ROTATOR, sandbox_with_slashes, user_with_entries};
use crate::support::proof::Proof;
use crate::support::root;

const PLANTED: &str = "nvVYkMZ+c0Zr5cI/3pQWmYq8tLzXgE7hA1sDfJ2B";

/// Every call that writes, in hexadecimal, whole.
const WATCH_WRITES: [&str; 9] = [
    "-f",
    "-qq",
    "-xx",
    "-s",
    "10000000",
    "-e",
    "trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg",
    "-e",
    "signal=none",
];

/// Runs a program under strace, and keeps all that it wrote, to whatever it wrote it.
fn keep_writes(trawl: &mut Trawl, program: &Program, name: &str, args: &[&str]) {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let path = log.path().display().to_string();
    let args = [&WATCH_WRITES[..], &["-o", &path], args].concat();
    let output = program.command("strace", &args).output().expect("this test needs strace");
    assert!(output.status.code().is_some_and(|code| code == 0 || code == 3), "{output:?}");
    let text = std::fs::read_to_string(log.path()).expect("strace writes text");
    let mut written = Vec::new();
    let mut calls = 0;
    for line in text.lines().filter(|line| line.contains('"')) {
        // Between the quotes there is nothing but `\x41`; parts of one call follow each other without a break.
        for bytes in line.split('"').skip(1).step_by(2) {
            written.extend(bytes.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")));
        }
        written.push(b'\n');
        calls += 1;
    }
    assert!(calls > 0, "nothing was written: {text}");
    trawl.keep(name, written);
}

#[test]
fn nothing_that_is_written_anywhere_holds_a_secret() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let mut proof = Proof::of("T17", "every byte written to any descriptor", &[]);
    let sandbox = sandbox_with_slashes();
    let mut guarded = Guarded::with_admin_of(&sandbox);
    let mut entries = BTreeMap::new();
    for number in 0..4 {
        let pair = user_with_entries(&sandbox, &format!("app{number}/production"), &mut entries);
        guarded.guard(format!("first secret {number}"), &pair.secret);
    }
    let program = talkative(Program::at(&sandbox));
    program.import(&entries);
    sandbox.arm(Fault::new(FaultKind::Truncate(520)).on(Action::CreateAccessKey).for_user("app1/production"));
    let mut trawl = Trawl::default();
    for args in [&["run", "-vvv", "--overlap", "1h"][..], &["resume", "-vvv"], &["plan"], &["doctor"]] {
        keep_writes(&mut trawl, &program, &format!("writes of {args:?}"), &[&[ROTATOR], args].concat());
        guarded.guard_store(&program);
    }
    assert!(trawl.bytes() > 100_000, "a journal and logs were written");
    assert_eq!(trawl.search(&guarded.sought()), Vec::<String>::new());
    proof.case();
    proof.count("bytes written", trawl.bytes());
    proof.count("secrets sought", guarded.len() as u64);
    proof.conclude();
}

/// The children that rotator starts: a `credential_process`, which says what it was given.
#[test]
fn children_are_given_no_secret() {
    let sandbox = sandbox_with_slashes();
    let mut guarded = Guarded::default();
    let mut entries = BTreeMap::new();
    let pair = user_with_entries(&sandbox, "app/production", &mut entries);
    guarded.guard("the first secret", &pair.secret);
    let admin = sandbox.admin();
    let mut program = talkative(Program::at(&sandbox));
    program.import(&entries);
    let key = std::fs::read_to_string(program.folder().join("store.db.key")).expect("a key");
    guarded.guard("the store's key", &key);
    let home = program.folder().to_owned();
    let answer = serde_json::json!({
        "Version": 1, "AccessKeyId": admin.id.as_str(), "SecretAccessKey": admin.secret.expose()
    });
    std::fs::write(home.join("answer"), answer.to_string()).expect("written");
    let script = "#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline >>\"$HOME/child-was-given\"\ncat \"$HOME/answer\"\n";
    std::fs::write(home.join("give"), script).expect("written");
    let config = format!("[profile giver]\ncredential_process = /bin/sh {}\n", home.join("give").display());
    std::fs::write(home.join("aws-config"), config).expect("written");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        program.unset(name);
    }
    program.set("AWS_CONFIG_FILE", &home.join("aws-config").display().to_string());
    program.set("AWS_PROFILE", "giver");
    program.set("ROTATOR_STORE_KEY", key.trim());
    program.ends_with(0, &["run", "-vvv"]);
    guarded.guard_store(&program);
    let given = std::fs::read(home.join("child-was-given")).expect("the child was started");
    let has = |name: &str| memchr::memmem::find(&given, name.as_bytes()).is_some();
    assert!(has("AWS_PROFILE=giver") && has("/bin/sh"), "both the environment and the arguments are there");
    assert!(!has("ROTATOR_STORE_KEY") && !has("LOG_SENSITIVE_BODIES") && !has("LOG_SIGNABLE_BODY"));
    let mut trawl = Trawl::default();
    trawl.keep("what the child was given", given);
    assert_eq!(trawl.search(&guarded.sought()), Vec::<String>::new());
}

/// SIGABRT and SIGTRAP in the very moment in which a new key is in memory only.
#[tokio::test]
async fn killed_with_keys_in_hand_it_leaves_no_core() {
    let (core, named) = can_a_core_be_had();
    for signal in [Signal::ABORT, Signal::TRAP] {
        let sandbox = sandbox_with_slashes();
        let mut entries = BTreeMap::new();
        user_with_entries(&sandbox, "app/production", &mut entries);
        let program = Program::at(&sandbox);
        program.import(&entries);
        // Neither the call by which rotator asks who it is itself, nor the proof of the old pair.
        sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(3).always());
        let mut command = program.command("/bin/sh", &["-c", "ulimit -c unlimited; exec \"$0\" run", ROTATOR]);
        command.env("HOME", program.folder());
        let mut child = command.spawn().expect("started");
        tokio::time::timeout(Duration::from_secs(30), sandbox.held(1)).await.expect("a proof is held");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("limits");
        let limit = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit of cores");
        let limit: Vec<&str> = limit["Max core file size".len()..].split_whitespace().collect();
        assert_eq!(limit[..2], ["0", "0"], "soft and hard");
        kill_process(Pid::from_child(&child), signal).expect("signalled");
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert!(!status.core_dumped(), "the kernel says that it wrote a core");
        assert_eq!(cores_in(program.folder()), Vec::<String>::new());
    }
    assert!(core || !named, "a control wrote no core although cores are files here: the test proves nothing");
}

fn cores_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with("core")).collect()
}

/// Whether an ordinary process that is aborted here has its core dumped, and whether cores are files named `core…`.
fn can_a_core_be_had() -> (bool, bool) {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("Linux");
    let folder = tempfile::tempdir().expect("a folder");
    (control_core(folder.path()), pattern.starts_with("core"))
}

/// A process with [`PLANTED`] in its memory, aborted with cores allowed.
fn control_core(folder: &Path) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -c unlimited; planted=$1; kill -ABRT $$", "sh", PLANTED]).current_dir(folder);
    shell.status().expect("started").core_dumped()
}

/// A private copy of rotator for a user without rights: how `/proc` shows whether it may be looked into.
#[tokio::test]
async fn only_root_can_read_its_memory_as_root_sees_it() {
    if !root::can("run it as another user") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    user_with_entries(&sandbox, "app/production", &mut entries);
    let program = Program::at(&sandbox);
    let copy = program.folder().join("rotator");
    std::fs::copy(ROTATOR, &copy).expect("copied");
    program.import(&entries);
    let to_nobody = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).expect("needs root");
    to_nobody(program.folder());
    for entry in std::fs::read_dir(program.folder()).expect("a folder").flatten() {
        to_nobody(&entry.path());
    }
    // Neither the call by which rotator asks who it is itself, nor the proof of the old pair.
    sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(3).always());
    let mut command = program.command(&copy.display().to_string(), &["run"]);
    let mut rotator = command.uid(65_534).gid(65_534).spawn().expect("started");
    tokio::time::timeout(Duration::from_secs(30), sandbox.held(1)).await.expect("a proof is held");
    let mut sleep = Command::new("sleep").arg("60").uid(65_534).gid(65_534).spawn().expect("started");
    std::thread::sleep(Duration::from_millis(200));
    let owner = |pid: u32| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(format!("/proc/{pid}/mem")).expect("there").uid()
    };
    assert_eq!((owner(sleep.id()), owner(rotator.id())), (65_534, 0), "whose the memory of each is");
    let peek = |pid: u32| {
        let mut dd = Command::new("cat");
        dd.arg(format!("/proc/{pid}/environ")).uid(65_534).gid(65_534);
        dd.output().expect("started").status.success()
    };
    assert!(peek(sleep.id()) && !peek(rotator.id()), "its own user reads the environment of one and not of the other");
    for child in [&mut sleep, &mut rotator] {
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}

/// The planted secret, in each form, through each channel that the tests above watch.
#[test]
fn a_planted_secret_is_found_in_every_channel() {
    let mut proof = Proof::of("T17", "a planted secret in every channel and form", &["planted and found"]);
    let mut guarded = Guarded::default();
    guarded.guard("planted", PLANTED);
    let secrets = guarded.sought();
    for form in FORMS {
        let text = form.of(&PLANTED.as_bytes()[20..]);
        let sandbox_less = Program::new("http://127.0.0.1:1", &crate::support::aws::Pair::new("none", "none"));
        let folder = sandbox_less.folder();
        let mut trawl = Trawl::default();
        let speak = ["-c", "printf %s \"$1\"; printf %s \"$1\" >&2", "sh", &text];
        let ended =
            crate::support::program::Ended::of(sandbox_less.command("/bin/sh", &speak).spawn().expect("started"));
        trawl.keep_outputs(&["planted"], &ended);
        for file in ["journal.db", "journal.db-wal", "journal.db-shm", "core.1", "tmp/of-a-moment"] {
            std::fs::create_dir_all(folder.join("tmp")).expect("made");
            std::fs::write(folder.join(file), format!("\0\x01{text}\0")).expect("written");
        }
        trawl.keep_folder(folder);
        let show = ["/bin/sh", "-c", "cat /proc/$$/cmdline; P=$1 exec cat /proc/self/environ", "sh", &text];
        keep_writes(&mut trawl, &sandbox_less, "writes of a child", &show);
        let reported = format!("planted as {form:?} in ");
        let found = trawl.search(&secrets);
        let channels = found.iter().filter(|found| found.starts_with(&reported)).count() as u64;
        assert_eq!(channels, 8, "{form:?} was planted in eight channels: {found:?}");
        proof.case();
        proof.hit("planted and found", channels);
    }
    proof.conclude();
}

/// A secret in a core is found, where cores are files: the control of the test above.
#[test]
fn a_planted_secret_is_found_in_a_core_where_cores_are_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let dumped = control_core(folder.path());
    if !cores_in(folder.path()).is_empty() {
        let mut trawl = Trawl::default();
        trawl.keep_folder(folder.path());
        let mut guarded = Guarded::default();
        guarded.guard("planted", PLANTED);
        assert!(!trawl.search(&guarded.sought()).is_empty(), "the planted secret is in the core");
        assert!(dumped);
    }
}
