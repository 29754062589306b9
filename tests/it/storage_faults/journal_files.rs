//! T12, the journal's files: foreign, newer, cut, corrupt, or older than what happened since. Each is refused with a
//! message, or leads to a question, or to the right end; never to a panic, an outage, or a deletion without ground.

use std::path::Path;

use rotator::sandbox::Sandbox;
use rusqlite::Connection;

use super::power::{Recorded, record, sends_of_a_run};
use super::replay::Op;
use super::scenario::{Kept, Scenario};
use crate::support::program::{Ended, sandbox_with_slashes};
use crate::support::proof::{self, Draw, Proof};
use crate::support::root;

/// The number of tries of a waiting rotation: a damaged time may be a thousand years ahead.
const TRIES: usize = 5;

/// A run that was killed at some point, and the journal's files as they were then.
struct Killed {
    scenario: Scenario,
    files: Vec<(String, Vec<u8>)>,
    keys: Vec<String>,
    stored: String,
}

impl Killed {
    /// Killed just before the `until`-th call is sent.
    fn before(sandbox: &Sandbox, until: u64) -> Self {
        let scenario = Scenario::new(sandbox, Kept::TwoEntries);
        record(&scenario, Some(until)).unwrap_or_else(|how| panic!("{how}"));
        let read = |name: &str| std::fs::read(scenario.path(name)).ok().map(|content| (name.to_owned(), content));
        let files = ["journal.db", "journal.db-wal"].into_iter().filter_map(read).collect();
        let (keys, stored) = (scenario.keys(), scenario.stored().expect("stored").id);
        Self { scenario, files, keys, stored }
    }

    fn content(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(other, _)| other == name).expect("it was there").1
    }

    fn put_back(&self) {
        remove_journal(&self.scenario);
        for (name, content) in &self.files {
            put(&self.scenario.path(name), content);
        }
    }

    fn is_untouched(&self) -> bool {
        self.scenario.keys() == self.keys && self.scenario.stored().is_ok_and(|pair| pair.id == self.stored)
    }
}

fn put(path: &Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = std::fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("opens");
    std::io::Write::write_all(&mut file, content).expect("written");
}

fn remove_journal(scenario: &Scenario) {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        // The file may be missing.
        drop(std::fs::remove_file(scenario.path(name)));
    }
}

/// Returns the result of `resume` (finished, refused, in question or waiting) after checking that no user was harmed.
fn harmless(scenario: &Scenario) -> Result<(&'static str, Ended), String> {
    let mut ended = scenario.rotator(&["resume", "-q"])?;
    for _ in 1..TRIES {
        if ended.code == Some(3) {
            std::thread::sleep(std::time::Duration::from_millis(100));
            ended = scenario.rotator(&["resume", "-q"])?;
        }
    }
    scenario.accepted().map_err(|how| format!("{how}; resume: {ended:?}"))?;
    Ok((outcome(&ended)?, ended))
}

fn outcome(ended: &Ended) -> Result<&'static str, String> {
    match ended.code {
        Some(0) => Ok("finished"),
        Some(1) if !ended.stderr.is_empty() => Ok("refused"),
        Some(3) if !ended.stdout.is_empty() => Ok("waits"),
        Some(4) if ended.stdout.contains("rotator ") => Ok("in question"),
        _ => Err(format!("not to end like this: {ended:?}")),
    }
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_not_changed() {
    let sandbox = sandbox_with_slashes();
    let scenario = Scenario::new(&sandbox, Kept::TwoEntries);
    assert_eq!(scenario.rotator(&["run", "-q"]).expect("sound").code, Some(0));
    let before = scenario.keys();
    let path = scenario.path("journal.db");
    let version = |version: i64| {
        let connection = Connection::open(&path).expect("opens");
        connection.pragma_update(None, "user_version", version).expect("set");
        drop(connection);
        std::fs::read(&path).expect("read")
    };
    let foreign = || {
        let other = scenario.path("other.db");
        Connection::open(&other).expect("opens").execute_batch("CREATE TABLE one (n)").expect("made");
        std::fs::read(other).expect("read")
    };
    let mut proof = Proof::of("T12 foreign", "files that are no journal of ours", &[]);
    for (what, content, words) in [
        ("empty", Vec::new(), "damaged"),
        ("a diary", b"dear diary".to_vec(), "not a journal"),
        ("another program's", foreign(), "not a journal"),
        ("the store", std::fs::read(scenario.path("store.db")).expect("read"), "not a journal"),
        ("newer", version(99), "use the newer one"),
        ("of no version", version(-1), "use the newer one"),
    ] {
        remove_journal(&scenario);
        put(&path, &content);
        for args in [&["run", "-q"][..], &["resume", "-q"], &["status"], &["plan"]] {
            let ended = scenario.rotator(args).unwrap_or_else(|how| panic!("{what}: {how}"));
            assert_eq!(ended.code, Some(1), "{what}, {args:?}: {ended:?}");
            assert!(ended.stderr.contains(words), "{what}, {args:?}: {ended:?}");
            assert_eq!(std::fs::read(&path).expect("read"), content, "{what}: {args:?} changed it");
            assert_eq!(scenario.keys(), before, "{what}, {args:?}");
            proof.case();
        }
    }
    proof.conclude();
}

/// Puts each damaged form of a killed run's journal in place, resumes, and puts it back; where that finished the
/// rotation, the next form gets a run of its own.
fn each_damage(proof: &mut Proof, sandbox: &Sandbox, cases: u64, damage: impl Fn(&Killed, u64) -> Option<String>) {
    let [create, delete] = sends_of_a_run(sandbox, false);
    for until in [create + 1, delete] {
        let mut killed = Killed::before(sandbox, until);
        for case in 0..cases {
            killed.put_back();
            let Some(what) = damage(&killed, case) else { break };
            let outcome = harmless(&killed.scenario);
            let (outcome, ended) = outcome.unwrap_or_else(|how| panic!("killed before call {until}, {what}: {how}"));
            if outcome == "refused" && !killed.is_untouched() {
                // The damage was found late; the steps before it succeeded.
                killed.scenario.settled().unwrap_or_else(|how| panic!("{what}: refused half way, {how}: {ended:?}"));
            }
            proof.case();
            proof.count(outcome, 1);
            if !killed.is_untouched() {
                killed = Killed::before(sandbox, until);
            }
        }
    }
}

#[test]
fn a_truncated_journal_harms_no_user() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let step = if proof::is_full() { 512 } else { 4 * 1024 + 512 };
    let mut proof = Proof::of("T12 cut", "the journal or its log cut at many lengths", &[]);
    for name in ["journal.db", "journal.db-wal"] {
        each_damage(&mut proof, &sandbox, u64::MAX, |killed, case| {
            let content = killed.content(name);
            let length = case as usize * step;
            put(&killed.scenario.path(name), content.get(..length)?);
            Some(format!("{name} cut at {length} of {}", content.len()))
        });
    }
    proof.conclude();
}

#[test]
fn a_journal_with_a_flipped_byte_harms_no_user() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let mut proof = Proof::of("T12 flipped", "a byte of the journal or its log flipped", &[]);
    let cases = proof::cases(30, 200);
    for name in ["journal.db", "journal.db-wal"] {
        each_damage(&mut proof, &sandbox, cases, |killed, case| {
            let mut content = killed.content(name).to_vec();
            let draw = &mut Draw::new(proof::seed(), case);
            // Half of them in the head, where each byte has a meaning.
            let length = if case % 2 == 0 { 256.min(content.len()) } else { content.len() };
            let at = draw.below(length as u64) as usize;
            content[at] ^= 1 << draw.below(8);
            put(&killed.scenario.path(name), &content);
            Some(format!("{name}, byte {at} flipped to {:#04x}, case {case}", content[at]))
        });
    }
    // The same where the log has been taken in: pages of the file itself, which no checksum guards.
    each_damage(&mut proof, &sandbox, cases, |killed, case| {
        let path = killed.scenario.path("journal.db");
        let connection = Connection::open(&path).expect("opens");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("taken in");
        drop(connection);
        let mut content = std::fs::read(&path).expect("read");
        let draw = &mut Draw::new(proof::seed(), case);
        // Only bytes that hold something: most of a page is empty.
        let full: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
        let at = *draw.one_of(&full);
        content[at] ^= 1 << draw.below(8);
        put(&path, &content);
        Some(format!("journal.db without its log, byte {at} flipped to {:#04x}, case {case}", content[at]))
    });
    proof.conclude();
}

/// The journal's files as they were after the first `ops` calls, with or without the log.
fn older(recorded: &Recorded, ops: usize, with_log: bool, scenario: &Scenario) {
    let mut disk = recorded.before.clone();
    recorded.ops[..ops].iter().for_each(|op| disk.play(op));
    let copy = tempfile::tempdir().expect("a folder");
    disk.write_all(copy.path());
    remove_journal(scenario);
    let wanted = |name: &str| name == "journal.db" || (with_log && name == "journal.db-wal");
    super::scenario::copy_files(copy.path(), scenario.program.folder(), wanted);
}

/// The calls of a run after which the journal may differ, with its log or without: each sync, and the end.
fn forms(recorded: &Recorded, with_log: bool) -> Vec<usize> {
    let is_form = |path: &Path| path.ends_with("journal.db") || (with_log && path.ends_with("journal.db-wal"));
    let synced = |op: &Op| matches!(op, Op::Sync(path) | Op::Link { to: path, .. } if is_form(path));
    let forms = (0..recorded.ops.len()).filter(|at| synced(&recorded.ops[*at])).map(|at| at + 1);
    forms.chain([recorded.ops.len()]).collect()
}

#[test]
fn a_journal_restored_from_any_older_copy_harms_no_user() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let [create, delete] = sends_of_a_run(&sandbox, false);
    let mut proof = Proof::of("T12 older", "every prefix of a run's journal restored, with and without its log", &[]);
    for until in [Some(create + 1), Some(delete), None] {
        for with_log in [true, false] {
            for number in 0.. {
                let scenario = Scenario::new(&sandbox, Kept::TwoEntries);
                let recorded = record(&scenario, until).unwrap_or_else(|how| panic!("{how}"));
                let Some(ops) = forms(&recorded, with_log).get(number).copied() else { break };
                older(&recorded, ops, with_log, &scenario);
                let reported = format!("killed before {until:?}, form {number}, with its log: {with_log}");
                let (outcome, _) = harmless(&scenario).unwrap_or_else(|how| panic!("{reported}: {how}"));
                proof.count(outcome, 1);
                // A later `run` may find what the journal does not know of; it does no harm either.
                scenario.rotator(&["run", "-q"]).unwrap_or_else(|how| panic!("{reported}, then run: {how}"));
                scenario.accepted().unwrap_or_else(|how| panic!("{reported}, then run: {how}"));
                proof.case();
            }
        }
    }
    proof.conclude();
}
