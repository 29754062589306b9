//! rotator under `strace`: the command line, and what the recording says.

use std::path::{Path, PathBuf};

use super::scenario::Scenario;
use crate::support::program::{ROTATOR, Running};

/// From here on it is rotator's own code that calls; before, the dynamic loader and the runtime's start.
const OWN_CODE_BEGINS: &str = "umask(";

/// Longer than anything that SQLite writes at once.
const LONGEST: &str = "70000";

/// One system call that was recorded.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    thread: String,
    arguments: String,
    /// The text after ` = `, which is empty for an interrupted call.
    result: String,
}

impl Call {
    /// Whether it did what it was asked to do.
    pub(super) fn succeeded(&self) -> bool {
        !self.result.is_empty() && !self.result.starts_with('-') && !self.result.starts_with('?')
    }

    /// The `n`-th argument, as written.
    pub(super) fn argument(&self, n: usize) -> &str {
        self.arguments.split(", ").nth(n).unwrap_or_default()
    }

    /// The first file that it names, or that its descriptor is of.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.paths().into_iter().next()
    }

    /// Every file that it names: in quotes, or after a descriptor in `<>`.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let quoted = self.arguments.split('"').skip(1).step_by(2);
        let annotated = self.arguments.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
        // `AT_FDCWD</folder>` precedes a path.
        let named: Vec<&str> = if self.arguments.contains('"') && self.arguments.starts_with("AT_FDCWD") {
            quoted.collect()
        } else {
            annotated.chain(quoted).collect()
        };
        named.into_iter().filter_map(text).filter(|text| text.starts_with('/')).map(PathBuf::from).collect()
    }

    /// Whether it concerns a connection.
    pub(super) fn is_of_a_socket(&self) -> bool {
        self.name == "socket" || self.arguments.contains("<socket:") || self.arguments.contains("<TCP:")
    }

    /// The bytes in its first string.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let quoted = self.arguments.split('"').nth(1).expect("a string");
        let (_, after) = self.arguments.rsplit_once('"').expect("it ends");
        assert!(!after.starts_with("..."), "the recording cuts what is written");
        bytes(quoted)
    }

    /// All its strings, one after the other.
    pub(super) fn all_text(&self) -> String {
        let strings = self.arguments.split('"').skip(1).step_by(2);
        String::from_utf8_lossy(&strings.flat_map(bytes).collect::<Vec<_>>()).into_owned()
    }

    /// The arguments after its first string.
    pub(super) fn arguments_after_string(&self) -> impl Iterator<Item = &str> {
        let (_, after) = self.arguments.rsplit_once('"').expect("a string");
        after.split(", ").skip(1)
    }

    /// The thread that made it.
    pub(super) fn thread(&self) -> &str {
        &self.thread
    }
}

/// Returns the bytes of a string that `strace -xx` wrote; a string without escapes is returned unchanged.
fn bytes(quoted: &str) -> Vec<u8> {
    if !quoted.contains("\\x") {
        return quoted.as_bytes().to_vec();
    }
    quoted.split("\\x").skip(1).map(|hex| u8::from_str_radix(hex, 16).expect("two digits")).collect()
}

fn text(quoted: &str) -> Option<String> {
    String::from_utf8(bytes(quoted)).ok()
}

/// Reads a recording; what happened before rotator's own code is left out.
pub(super) fn read(trace: &Path) -> Vec<Call> {
    let recorded = std::fs::read_to_string(trace).expect("a recording");
    let mut calls: Vec<Call> = Vec::new();
    let mut own = false;
    for line in recorded.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        own |= rest.starts_with(OWN_CODE_BEGINS);
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let name = resumed.split(' ').next().unwrap_or_default();
            let result = result_of(resumed);
            let open = calls.iter_mut().rev().find(|call| call.thread == thread && call.name == name);
            if let Some(call) = open.filter(|call| call.result.is_empty()) {
                call.result = result;
            }
        } else if let Some((name, arguments)) = rest.split_once('(') {
            let begun = !rest.ends_with("<unfinished ...>");
            let result = if begun { result_of(rest) } else { String::new() };
            if own && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_') {
                let arguments = arguments.rsplit_once(") = ").map_or(arguments, |(before, _)| before);
                let (thread, arguments) =
                    (thread.to_owned(), arguments.trim_end_matches(" <unfinished ...>").to_owned());
                calls.push(Call { name: name.to_owned(), thread, arguments, result });
            }
        }
    }
    calls
}

fn result_of(line: &str) -> String {
    line.rsplit_once(" = ").map(|(_, result)| result.to_owned()).unwrap_or_default()
}

/// Whether a call was refused by `strace` and not by the system.
pub(super) fn has_injection(trace: &Path) -> bool {
    std::fs::read_to_string(trace).expect("a recording").contains("(INJECTED)")
}

/// Runs rotator's `run` under `strace` with these options, which records to the file `trace` of its folder.
pub(super) fn run_under_strace(scenario: &Scenario, options: &[&str]) -> Running {
    let trace = scenario.path("trace");
    let mut args = vec!["-f", "-qq", "-o", trace.to_str().expect("text")];
    args.extend(options);
    if !options.iter().any(|option| option.contains("signal=")) {
        // Only the traced calls stop the process, where else each one would. A signal that `strace` sends would be lost.
        args.push("--seccomp-bpf");
    }
    args.extend([ROTATOR, "run", "-q"]);
    Running::start(scenario.program.command("strace", &args))
}

/// Returns the options with which a recording contains whole writes and the names of descriptors. `umask` marks the
/// beginning.
pub(super) fn whole(calls: &str) -> [String; 6] {
    ["-y", "-xx", "-s", LONGEST, "-e", &format!("trace=umask,{calls}")].map(str::to_owned)
}
