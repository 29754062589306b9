//! The write-ahead rule as the kernel sees it: the intent of each `CreateAccessKey` is written to the journal's log and
//! synced before the call, and the log is synced again between its reply and the write to the store.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::program::{Program, ROTATOR, sandbox_with_slashes, user_with_entries};
use crate::support::root;

#[test]
fn the_journal_is_synced_before_the_create_and_before_the_store() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let has_strace = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(has_strace, "strace is not installed: scripts/test installs what the tests need");
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    user_with_entries(&sandbox, "app1/production", &mut entries);
    let program = Program::at(&sandbox);
    program.import(&entries);
    let trace = program.folder().join("trace");
    let calls = "trace=fsync,fdatasync,sendto,write,writev,pwrite64";
    let args = ["-f", "-y", "-s", "5000", "-e", calls, "-o", trace.to_str().expect("text"), ROTATOR, "run"];
    let output = program.command("strace", &args).output().expect("strace runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let lines: Vec<String> =
        String::from_utf8_lossy(&std::fs::read(&trace).expect("a trace")).lines().map(str::to_owned).collect();
    let synced =
        |line: &String| (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains("journal.db-wal");
    let sent = |line: &String, action: &str| line.contains(&format!("Action={action}"));
    let create = lines.iter().position(|line| sent(line, "CreateAccessKey")).expect("a create was sent");
    // A sync of another line proves nothing: it has to follow the write of this intent.
    let intended =
        |line: &String| line.contains("pwrite64(") && line.contains("journal.db-wal") && line.contains("create-new");
    let intent = lines[..create].iter().rposition(intended).expect("the intent is written before the create is sent");
    assert!(lines[intent..create].iter().any(synced), "no sync between the intent and the create");
    let stored = lines[create..]
        .iter()
        .position(|line| line.contains("pwrite64(") && line.contains("store.db-wal"))
        .expect("the store was written");
    assert!(lines[create..create + stored].iter().any(synced), "no sync between the create and the store");
}
