//! The control of T13: the same crate's SQLite, recorded and cut the same way. With WAL and `synchronous=NORMAL` it
//! must lose commits that it acknowledged, or the cuts prove nothing; with FULL, which is what we ship, none.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::recording::{self, Call};
use super::replay::{self, Disk, Op};
use crate::support::other_process;
use crate::support::proof::{self, Draw, Proof};

const IN_CI: u64 = 200;
const IN_FULL: u64 = 2_000;

/// The number of rows that the program commits, each in a transaction of its own.
const ROWS: i64 = 40;

/// The other process reads in its folder's name which setting it is to write with.
const LEVELS: [&str; 2] = ["NORMAL", "FULL"];

/// Commits rows, and acknowledges each by making a folder of its number: no file, so nothing of it is dropped.
fn commit_and_acknowledge(folder: &Path) {
    let level = LEVELS.into_iter().find(|level| folder.ends_with(level)).expect("a level");
    // Where the recording begins.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let connection = Connection::open(folder.join("rows.db")).expect("opens");
    connection.pragma_update(None, "journal_mode", "WAL").expect("set");
    connection.pragma_update(None, "synchronous", level).expect("set");
    connection.execute_batch("CREATE TABLE one (n INTEGER PRIMARY KEY) STRICT").expect("made");
    for row in 1..=ROWS {
        connection.execute("INSERT INTO one VALUES (?1)", [row]).expect("committed");
        std::fs::create_dir(folder.join(format!("acknowledged-{row}"))).expect("acknowledged");
    }
}

/// Returns the operations of the program, and the position before which each row was acknowledged.
fn recorded(level: &str) -> (tempfile::TempDir, PathBuf, Vec<Op>, Vec<usize>) {
    let parent = tempfile::tempdir().expect("a folder");
    let (folder, trace) = (parent.path().join(level), parent.path().join("trace"));
    std::fs::create_dir(&folder).expect("made");
    let whole = recording::whole(&format!("mkdir,{}", replay::CALLS));
    let mut tracer = vec!["strace", "-f", "-qq", "-o", trace.to_str().expect("text")];
    tracer.extend(whole.iter().map(String::as_str));
    let name = "storage_faults::power_control::with_normal_commits_are_lost_and_with_full_none";
    let output = other_process::run_under(&tracer, name, &folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut ops, mut acknowledged) = (Vec::new(), Vec::new());
    for call in &recording::read(&trace) {
        if is_acknowledgement(call) {
            acknowledged.push(ops.len());
        }
        ops.extend(replay::op(call, &folder));
    }
    assert_eq!(acknowledged.len() as i64, ROWS, "the recording is whole");
    (parent, folder, ops, acknowledged)
}

fn is_acknowledgement(call: &Call) -> bool {
    call.name == "mkdir" && call.succeeded() && call.all_text().contains("/acknowledged-")
}

/// Returns the number of acknowledged rows that are lost after a cut at `at`.
fn lost(folder: &Path, ops: &[Op], acknowledged: &[usize], at: usize, draw: &mut Draw) -> i64 {
    let mut disk = Disk::empty(folder);
    ops[..at].iter().for_each(|op| disk.play(op));
    let left = tempfile::tempdir().expect("a folder");
    disk.write_what_is_left(left.path(), draw);
    let promised = acknowledged.iter().filter(|before| **before <= at).count() as i64;
    let count = |connection: Connection| connection.query_row("SELECT count(*) FROM one", [], |row| row.get(0));
    // A database that is not there, or whose table is not, has lost all its rows; one that cannot be read, too.
    let rows: i64 = Connection::open(left.path().join("rows.db")).and_then(count).unwrap_or(0);
    (promised - rows).max(0)
}

#[test]
fn with_normal_commits_are_lost_and_with_full_none() {
    if let Some(folder) = other_process::given_folder() {
        return commit_and_acknowledge(&folder);
    }
    let mut proof = Proof::of("T13 control", "SQLite alone, cut the same way", &["NORMAL lost acknowledged commits"]);
    let cases = proof::cases(IN_CI, IN_FULL);
    for level in LEVELS {
        let (_parent, folder, ops, acknowledged) = recorded(level);
        for case in 0..cases {
            let draw = &mut Draw::new(proof::seed(), case);
            let at = draw.below(ops.len() as u64 + 1) as usize;
            let lost = lost(&folder, &ops, &acknowledged, at, draw);
            let reported =
                format!("{level}, case {case} of seed {}: {lost} acknowledged commits are lost", proof::seed());
            assert!(level == "NORMAL" || lost == 0, "{reported}");
            proof.case();
            proof.hit("NORMAL lost acknowledged commits", u64::from(lost > 0));
        }
    }
    proof.conclude();
}
