//! The versions of journal lines and of the journal file decide which rotator may continue a journal.

use std::path::Path;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::journal::overview::OpenRotation;
use rotator::journal::store::{JournalStore, RotationFilter};
use rotator::journal::write_ahead::replay;
use rotator::rotation::event::Event;
use rotator::sandbox::{Action, ApiError, Fault, FaultKind};
use rusqlite::Connection;

use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};
use crate::support::rotations::{Story, campaign_id, rotation_id};

const USER: &str = "app1/production";

/// A journal with one open rotation, closed again.
async fn one_open(path: &Path) {
    let journal = SqliteJournal::open(path).expect("opens");
    let mut story = Story::new(rotation_id(1), campaign_id(1), 1);
    let (line, after) = story.open();
    journal.append(line, &after).await.expect("appended");
    let (line, after) = story.next(Event::Deferred { why: "not now".to_owned(), until: None });
    journal.append(line, &after).await.expect("appended");
}

/// The changes that a newer version may make to the journal of an open rotation: a description, and the SQL.
const NEWER: [(&str, &str); 6] = [
    (
        "a newer format",
        r#"INSERT INTO entry SELECT id, seq + 1, updated_at, '{"format":99,"event":"unblocked"}' FROM rotation"#,
    ),
    (
        "an unknown event",
        r#"INSERT INTO entry SELECT id, seq + 1, updated_at, '{"format":2,"event":"moved-house"}' FROM rotation"#,
    ),
    (
        "an unknown intent",
        r#"INSERT INTO entry SELECT id, seq + 1, updated_at, '{"format":2,"event":"intended","intent":"write-elsewhere"}' FROM rotation"#,
    ),
    (
        "an unknown condition of an intent",
        r#"INSERT INTO entry SELECT id, seq + 1, updated_at, '{"event":"intended","intent":"delete-old","unless":"used"}' FROM rotation"#,
    ),
    (
        "an unknown rule of the frozen policy",
        r#"DROP TRIGGER entry_never_changed; UPDATE entry SET event = json_set(event, '$.policy.only_if', 1) WHERE seq = 1"#,
    ),
    ("an unknown field of the summary", r#"UPDATE rotation SET summary = json_set(summary, '$.hands', 2)"#),
];

#[tokio::test]
async fn a_journal_that_a_newer_rotator_wrote_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    one_open(&path).await;
    let whole = std::fs::read(&path).expect("read");
    for (what, sql) in NEWER {
        Connection::open(&path).expect("opens").execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
        let before = std::fs::read(&path).expect("read");
        let error = SqliteJournal::open(&path).err().unwrap_or_else(|| panic!("{what} is not noticed"));
        let text = error.to_string();
        assert!(text.contains("newer rotator") && text.contains("nothing was changed"), "{what}: {text}");
        assert!(text.contains("use that version") && !text.contains("backup"), "{what}: {text}");
        assert_eq!(std::fs::read(&path).expect("read"), before, "{what}: not a byte was changed");
        std::fs::write(&path, &whole).expect("as it was");
    }
    SqliteJournal::open(&path).expect("and as it was it opens");
}

#[test]
fn a_command_refuses_such_a_journal_and_changes_nothing() {
    let sandbox = sandbox_with_slashes();
    let mut entries = std::collections::BTreeMap::new();
    user_with_entries(&sandbox, USER, &mut entries);
    let program = Program::at(&sandbox);
    program.import(&entries);
    let refused = Fault::new(FaultKind::Refuse(ApiError::new(409, "LimitExceeded", "not now")));
    sandbox.arm(refused.on(Action::CreateAccessKey).always());
    program.ends_with(3, &["run"]);
    sandbox.disarm_all();
    let path = program.folder().join("journal.db");
    let whole = std::fs::read(&path).expect("read");
    for (what, sql) in NEWER {
        Connection::open(&path).expect("opens").execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
        let before = std::fs::read(&path).expect("read");
        for args in [["run", "-q"], ["resume", "-q"]] {
            let ended = program.ends_with(1, &args);
            assert!(ended.stderr.contains("newer rotator"), "{what}: {ended:?}");
        }
        assert_eq!(std::fs::read(&path).expect("read"), before, "{what}: not a byte was changed");
        assert_eq!(sandbox.keys_of(USER).len(), 1, "{what}");
        // Reading is no better: what it showed would be half of it.
        let ended = program.ends_with(if what == "an unknown field of the summary" { 1 } else { 0 }, &["status", "-q"]);
        assert!(ended.code == Some(0) || ended.stderr.contains("newer rotator"), "{what}: {ended:?}");
        std::fs::write(&path, &whole).expect("as it was");
    }
    program.ends_with(0, &["run"]);
}

#[tokio::test]
async fn earlier_builds_refuse_a_present_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    one_open(&path).await;
    let file = Connection::open(&path).expect("opens");
    // All that those builds look at.
    let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    assert_eq!(version, 4);
    for column in ["event FROM entry", "summary FROM rotation"] {
        let text: String = file.query_row(&format!("SELECT {column}"), [], |row| row.get(0)).expect("read");
        assert!(text.starts_with(r#"{"format":2,"#), "{column}: {text}");
    }
}

#[tokio::test]
async fn a_journal_of_the_first_version_is_read_and_continued() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    one_open(&path).await;
    let file = Connection::open(&path).expect("opens");
    file.execute_batch(
        "DROP TRIGGER entry_never_changed;
         UPDATE entry SET event = json_remove(event, '$.format');
         UPDATE rotation SET summary = json_remove(summary, '$.format');
         DROP INDEX rotation_open;
         CREATE INDEX rotation_open ON rotation (number) WHERE open = 1;
         DROP TABLE closed_counter;
         DROP TRIGGER closed_counted;
         DROP TRIGGER closed_recounted;
         ALTER TABLE rotation DROP COLUMN waiting_until;
         ALTER TABLE rotation DROP COLUMN last_error;
         ALTER TABLE rotation DROP COLUMN shown_bytes;
         PRAGMA user_version = 1;",
    )
    .expect("as the first version wrote it");
    drop(file);
    let before = std::fs::read(&path).expect("read");
    let reader = SqliteJournal::open_read_only(&path).expect("opens").expect("is there");
    let summaries = reader.summaries(RotationFilter::Open).expect("read");
    let whole = vec![OpenRotation::Whole(Box::new(summaries[0].clone()))];
    assert_eq!(reader.overview().expect("read").open, whole);
    drop(reader);
    assert_eq!(std::fs::read(&path).expect("read"), before, "reading changes nothing");
    let journal = SqliteJournal::open(&path).expect("opens");
    let lines = journal.lines(rotation_id(1)).await.expect("read");
    assert_eq!(lines.len(), 2);
    assert_eq!(replay(rotation_id(1), &lines).expect("replays"), summaries[0].rotation);
    let reader = SqliteJournal::open_read_only(&path).expect("opens").expect("is there");
    assert_eq!(reader.overview().expect("read").open, whole, "its columns are still empty");
}

#[tokio::test]
async fn a_journal_with_the_first_index_of_open_rotations_is_read_and_continued() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    one_open(&path).await;
    let overview = || SqliteJournal::open_read_only(&path).expect("opens").expect("is there").overview().expect("read");
    let shown = overview();
    assert!(matches!(shown.open[..], [OpenRotation::InShort(_)]), "{shown:?}");
    let first = "CREATE INDEX rotation_open ON rotation (number) WHERE open = 1";
    let file = Connection::open(&path).expect("opens");
    let index = || file.query_row("SELECT sql FROM sqlite_schema WHERE name = 'rotation_open'", [], |row| row.get(0));
    let present: String = index().expect("read");
    file.execute_batch(&format!("DROP INDEX rotation_open; {first}; PRAGMA user_version = 3")).expect("as it was");
    let before = std::fs::read(&path).expect("read");
    assert_eq!(overview(), shown);
    assert_eq!(std::fs::read(&path).expect("read"), before, "reading changes nothing");
    drop(SqliteJournal::open(&path).expect("opens"));
    assert_eq!(index().expect("read"), present);
    assert_eq!(overview(), shown);
}
