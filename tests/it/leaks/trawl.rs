//! Collects every output of the program for the search. This file has no tests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;

use rotator::sandbox::Sandbox;

use super::forms::Secrets;
use crate::support::program::{Ended, Program, ROTATOR};

/// The verbosity and the format of the log.
pub(super) const LOUDNESS: [&[&str]; 10] = [
    &["-q"],
    &[],
    &["-v"],
    &["-vv"],
    &["-vvv"],
    &["-q", "--log-format", "json"],
    &["--log-format", "json"],
    &["-v", "--log-format", "json"],
    &["-vv", "--log-format", "json"],
    &["-vvv", "--log-format", "json"],
];

/// Everything in the environment that could make the SDK, the HTTP client or Rust tell more.
pub(super) fn talkative(program: Program) -> Program {
    program
        .with("RUST_LOG", "trace")
        .with("RUST_BACKTRACE", "full")
        .with("LOG_SENSITIVE_BODIES", "1")
        .with("LOG_SIGNABLE_BODY", "1")
}

/// The secrets that must not be seen, each with a name.
#[derive(Default)]
pub(super) struct Guarded(BTreeMap<String, String>);

impl Guarded {
    pub(super) fn with_admin_of(sandbox: &Sandbox) -> Self {
        let mut guarded = Self::default();
        guarded.guard("the operator's own secret", sandbox.admin().secret.expose());
        guarded
    }

    /// One more, under a name. Known secrets stay known by their first name.
    pub(super) fn guard(&mut self, name: impl Into<String>, secret: &str) {
        self.0.entry(secret.trim().to_owned()).or_insert_with(|| name.into());
    }

    /// Adds every text of the store that has the form of a secret.
    pub(super) fn guard_store(&mut self, program: &Program) {
        self.guard_store_but(program, "-");
    }

    /// As [`Self::guard_store`], but for the entries whose names begin so.
    pub(super) fn guard_store_but(&mut self, program: &Program, but: &str) {
        let outside = |letter: char| !letter.is_ascii_alphanumeric() && !"+/".contains(letter);
        for (entry, value) in program.values().into_iter().filter(|(entry, _)| !entry.starts_with(but)) {
            for secret in value.split(outside).filter(|word| word.len() >= 40) {
                self.guard(format!("a secret of {entry}"), secret);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sought(&self) -> Secrets {
        Secrets::new(self.0.iter().map(|(secret, name)| (name.clone(), secret.as_str())))
    }
}

/// The outputs, by their channel.
#[derive(Default)]
pub(super) struct Trawl {
    found: BTreeMap<String, Vec<u8>>,
}

impl Trawl {
    /// Keeps some bytes. Names are numbered, so that none is lost.
    pub(super) fn keep(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.found.insert(format!("{} {name}", self.found.len()), bytes.into());
    }

    /// Keeps both outputs of a child.
    pub(super) fn keep_outputs(&mut self, args: &[&str], ended: &Ended) {
        self.keep(&format!("stdout of {args:?}"), ended.stdout.as_bytes());
        self.keep(&format!("stderr of {args:?}"), ended.stderr.as_bytes());
    }

    /// Whether something of that name was kept.
    pub(super) fn has(&self, name: &str) -> bool {
        self.found.keys().any(|kept| kept.ends_with(name))
    }

    /// Keeps every file below a folder.
    pub(super) fn keep_folder(&mut self, folder: &Path) {
        self.keep_folder_but(folder, &[]);
    }

    /// As [`Self::keep_folder`], without what the test itself put there.
    pub(super) fn keep_folder_but(&mut self, folder: &Path, own: &[&str]) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if own.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                self.keep_folder_but(&path, own);
            } else if let Ok(bytes) = std::fs::read(&path) {
                self.keep(&path.display().to_string(), bytes);
            }
        }
    }

    /// Runs rotator and keeps what it says.
    pub(super) fn run(&mut self, program: &Program, loudness: &[&str], args: &[&str]) -> Ended {
        self.run_with(program, loudness, args, b"")
    }

    /// As [`Self::run`], with this on stdin.
    pub(super) fn run_with(&mut self, program: &Program, loudness: &[&str], args: &[&str], stdin: &[u8]) -> Ended {
        let args = [args, loudness].concat();
        let mut child = program.command(ROTATOR, &args).stdin(Stdio::piped()).spawn().expect("started");
        // A command that reads no stdin may have ended before.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin);
        let ended = Ended::of(child);
        self.keep_outputs(&args, &ended);
        ended
    }

    /// The number of outputs.
    pub(super) fn len(&self) -> u64 {
        self.found.len() as u64
    }

    /// The number of bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.found.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Returns where any of the secrets is, and in which form.
    pub(super) fn search(&self, secrets: &Secrets) -> Vec<String> {
        let mut reported = Vec::new();
        for (name, bytes) in &self.found {
            let found = secrets.found_in(bytes).into_iter();
            reported.extend(found.map(|(secret, form)| format!("{secret} as {form:?} in {name}")));
        }
        reported
    }
}

/// Returns the writable memory of a process.
pub(super) struct Memory {
    pub(super) mappings: u64,
    pub(super) bytes: u64,
    pub(super) found: Vec<String>,
}

/// Searches every mapping of a process that is readable and writable: heap, stacks, data. Needs root, since the
/// process does not let anybody else look.
pub(super) fn search_memory(pid: u32, secrets: &Secrets) -> Memory {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("this test needs root: it reads a process");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("this test needs root: it reads a process's memory");
    let mut seen = Memory { mappings: 0, bytes: 0, found: Vec::new() };
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (start, end) = (address(start), address(end));
        let mut bytes = vec![0; usize::try_from(end - start).expect("it fits")];
        // Reserved memory that was never used cannot be read, and contains nothing.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        seen.mappings += 1;
        seen.bytes += end - start;
        let whose = line.split_whitespace().nth(5).unwrap_or("without a name");
        let found = secrets.found_in(&bytes);
        seen.found.extend(found.into_iter().map(|(secret, form)| format!("{secret} as {form:?} in {whose} ({line})")));
        if holds_a_reply(&bytes) {
            seen.found.push(format!("IAM's reply to a create in {whose} ({line})"));
        }
        // This process is searched too when it plants something: no copy of ours may stay.
        bytes.fill(0);
    }
    assert!(seen.mappings > 5 && seen.bytes > 1_000_000, "only {} bytes were read: the wrong process", seen.bytes);
    seen
}

/// Whether IAM's reply to a create of any key is there, even a truncated reply.
fn holds_a_reply(bytes: &[u8]) -> bool {
    const TAG: &[u8] = b"<SecretAccessKey>";
    memchr::memmem::find_iter(bytes, TAG).any(|at| {
        let after = bytes[at + TAG.len()..].iter();
        after.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)).count() >= 8
    })
}
