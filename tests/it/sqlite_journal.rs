//! The promises of the SQLite journal beyond the contract: locks, kills, read-only folders, and one commit for many
//! lines.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rotator::adapters::sqlite_journal::{JournalLock, LockError, SqliteJournal};
use rotator::adapters::{DatabaseError, FileError};
use rotator::journal::line::Summary;
use rotator::journal::overview::{ClosedCounts, InShort, OpenRotation, Overview};
use rotator::journal::store::{JournalStore, RotationFilter};
use rotator::journal::write_ahead::replay;
use rotator::rotation::event::{Ending, Event};
use rotator::rotation::record::Rotation;
use rotator::rotation::state::State;
use rotator::types::name::CampaignId;
use rotator::types::time::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::other_process;
use crate::support::rotations::{Story, campaign_id, rotation_id};

struct Fixture {
    folder: TempDir,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    Fixture { folder, path }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Appends `count` rotations' first lines, one after the other.
async fn open_rotations(journal: &SqliteJournal, count: u64) {
    for number in 1..=count {
        let (line, after) = Story::new(rotation_id(number.into()), campaign_id(1), number).open();
        journal.append(line, &after).await.expect("appended");
    }
}

/// A journal with one rotation from end to end and one that is open, closed again.
async fn written(path: &Path) {
    let journal = SqliteJournal::open(path).expect("opens");
    open_rotations(&journal, 2).await;
    let mut story = Story::new(rotation_id(1), campaign_id(1), 1);
    story.open();
    for (line, after) in story.finish(3) {
        journal.append(line, &after).await.expect("appended");
    }
}

#[tokio::test]
async fn files_are_private_and_the_log_is_taken_in_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state/rotator/journal.db");
    let mode = |path: &Path| std::fs::metadata(path).expect("is there").mode() & 0o777;
    let lock = JournalLock::acquire(&path).expect("free");
    let journal = SqliteJournal::open(&path).expect("opens");
    open_rotations(&journal, 1).await;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&with_suffix(&path, suffix)), 0o600, "{suffix}");
    }
    assert_eq!(mode(&folder.path().join("state")), 0o700);
    assert_eq!(mode(&folder.path().join("state/rotator")), 0o700);
    drop((journal, lock));
    assert!(!with_suffix(&path, "-wal").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_queue_up_share_a_commit() {
    let fixture = fixture();
    let journal = Arc::new(SqliteJournal::open(&fixture.path).expect("opens"));
    open_rotations(&journal, 3).await;
    assert_eq!(journal.commits(), 3, "alone, each has its own");
    let appends: Vec<_> = (101..=200_u64)
        .map(|number| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let (line, after) = Story::new(rotation_id(number.into()), campaign_id(1), number).open();
                journal.append(line, &after).await
            })
        })
        .collect();
    for append in appends {
        append.await.expect("ran").expect("appended");
    }
    let commits = journal.commits() - 3;
    assert!((1..100).contains(&commits), "{commits} commits for 100 lines");
    assert_eq!(journal.summaries(RotationFilter::Open).await.expect("read").len(), 103);
}

#[tokio::test]
async fn lines_can_only_be_added() {
    let fixture = fixture();
    written(&fixture.path).await;
    let file = Connection::open(&fixture.path).expect("opens");
    let lines = |file: &Connection| -> (i64, String) {
        file.query_row("SELECT count(*), group_concat(event) FROM entry", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("read")
    };
    let before = lines(&file);
    let id = rotation_id(1);
    for sql in [
        "UPDATE entry SET event = '{}'".to_owned(),
        "UPDATE entry SET seq = seq + 100".to_owned(),
        "DELETE FROM entry".to_owned(),
        "DELETE FROM rotation".to_owned(),
        format!("INSERT OR REPLACE INTO entry VALUES ('{id}', 1, '', '{{}}')"),
        format!("INSERT INTO entry VALUES ('{id}', 99, '', '{{}}')"),
        "INSERT INTO entry VALUES ('of no rotation', 1, '', '{}')".to_owned(),
    ] {
        file.execute_batch("PRAGMA foreign_keys = ON").expect("set");
        file.execute_batch(&sql).expect_err(&sql);
        assert_eq!(lines(&file), before, "{sql}");
    }
}

/// Returns the counters that the triggers of the file have written.
fn counters(path: &Path) -> std::collections::BTreeMap<String, i64> {
    let file = Connection::open(path).expect("opens");
    let mut counted = file.prepare("SELECT state, rotations FROM counter WHERE rotations > 0").expect("SQL");
    let rows = counted.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("read");
    rows.map(|row| row.expect("read")).collect()
}

#[tokio::test]
async fn counters_follow_every_line() {
    let fixture = fixture();
    let journal = SqliteJournal::open(&fixture.path).expect("opens");
    open_rotations(&journal, 3).await;
    let mut story = Story::new(rotation_id(2), campaign_id(1), 2);
    story.open();
    for (line, after) in story.finish(7) {
        journal.append(line, &after).await.expect("appended");
        let reader = SqliteJournal::open_read_only(&fixture.path).expect("opens").expect("is there");
        let mut expected = std::collections::BTreeMap::new();
        for summary in reader.summaries(RotationFilter::All).expect("read") {
            *expected.entry(summary.rotation.state.name().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(counters(&fixture.path), expected);
    }
}

/// Compares what `status` reads from columns with a replay of the lines.
async fn assert_overview_is_the_replay(path: &Path, journal: &SqliteJournal, campaign: CampaignId) -> Overview {
    let reader = SqliteJournal::open_read_only(path).expect("opens").expect("is there");
    let overview = reader.overview().expect("read");
    let (mut open, mut closed) = (Vec::new(), ClosedCounts::default());
    for Summary { rotation: Rotation { id, .. }, .. } in reader.summaries(RotationFilter::All).expect("read") {
        let rotation = replay(id, &journal.lines(id).await.expect("read")).expect("replays");
        match rotation.state {
            State::Closed { ending } if rotation.opened.campaign == campaign => match ending {
                Ending::DeletedOld => closed.done += 1,
                Ending::Aborted => closed.aborted += 1,
                Ending::Gone => closed.gone += 1,
            },
            State::Closed { .. } => {}
            State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. } => open.push(rotation),
        }
    }
    assert_eq!(overview.counts.closed, closed);
    assert_eq!(overview.open.len(), open.len());
    for (shown, rotation) in overview.open.iter().zip(&open) {
        match shown {
            OpenRotation::Whole(summary) => assert_eq!(summary.rotation, *rotation),
            OpenRotation::InShort(shown) => {
                let expected = InShort {
                    id: rotation.id,
                    account: rotation.opened.account.clone(),
                    user: rotation.opened.user.clone(),
                    old_key: rotation.opened.old_key.clone(),
                    new_key: rotation.new_key.clone(),
                    state: rotation.state.name().to_owned(),
                    in_doubt: rotation.state.intent().map(|intent| intent.name().to_owned()),
                    waiting_until: rotation.waiting_until,
                    last_error: rotation.last_error.clone(),
                };
                assert_eq!(**shown, expected);
            }
        }
    }
    overview
}

#[tokio::test]
async fn what_status_reads_from_columns_is_what_a_replay_says() {
    let fixture = fixture();
    let journal = SqliteJournal::open(&fixture.path).expect("opens");
    journal.begin_campaign(campaign_id(1), Timestamp::from_unix_seconds(0)).await.expect("begun");
    open_rotations(&journal, 3).await;
    let mut waiting = Story::new(rotation_id(3), campaign_id(1), 3);
    waiting.open();
    for until in [None, Some(Timestamp::from_unix_seconds(1_700_000_000))] {
        let (line, after) = waiting.next(Event::Deferred { why: "not now".to_owned(), until });
        journal.append(line, &after).await.expect("appended");
    }
    let mut story = Story::new(rotation_id(2), campaign_id(1), 2);
    story.open();
    for (line, after) in story.finish(7) {
        journal.append(line, &after).await.expect("appended");
        let overview = assert_overview_is_the_replay(&fixture.path, &journal, campaign_id(1)).await;
        for open in &overview.open {
            match open {
                OpenRotation::InShort(_) => {}
                OpenRotation::Whole(summary) => {
                    assert!(matches!(summary.rotation.state, State::Blocked { .. }), "{summary:?}");
                }
            }
        }
    }
    drop(journal);
    // The row has another summary than the columns belong to, as if another version had written it.
    let file = Connection::open(&fixture.path).expect("opens");
    file.execute("UPDATE rotation SET summary = summary || ' ' WHERE open = 1", []).expect("edited");
    drop(file);
    let journal = SqliteJournal::open(&fixture.path).expect("opens");
    let overview = assert_overview_is_the_replay(&fixture.path, &journal, campaign_id(1)).await;
    assert!(overview.open.iter().all(|open| matches!(open, OpenRotation::Whole(_))), "{overview:?}");
    let file = Connection::open(&fixture.path).expect("opens");
    file.execute("UPDATE rotation SET summary = '{}' WHERE open = 1", []).expect("edited");
    let reader = SqliteJournal::open_read_only(&fixture.path).expect("opens").expect("is there");
    reader.overview().expect_err("a summary that rotator did not write is an error");
}

#[test]
fn a_second_rotator_is_refused_and_the_holder_of_the_lock_is_reported() {
    if let Some(folder) = other_process::given_folder() {
        // The other process.
        let error = JournalLock::acquire(&folder.join("journal.db")).expect_err("held");
        let LockError::HeldBy { pid, .. } = &error else { panic!("{error}") };
        assert_eq!(*pid, Some(std::os::unix::process::parent_id()), "{error}");
        return;
    }
    let fixture = fixture();
    let lock = JournalLock::acquire(&fixture.path).expect("free");
    let error = JournalLock::acquire(&fixture.path).expect_err("held by this process");
    assert!(matches!(error, LockError::HeldBy { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    let other = other_process::run(
        "sqlite_journal::a_second_rotator_is_refused_and_the_holder_of_the_lock_is_reported",
        fixture.folder.path(),
    );
    let reported = String::from_utf8_lossy(&other.stdout).into_owned() + &String::from_utf8_lossy(&other.stderr);
    assert!(other.status.success(), "{reported}");
    drop(lock);
    drop(JournalLock::acquire(&fixture.path).expect("free again"));
}

#[test]
fn a_lock_dies_with_its_process() {
    if let Some(folder) = other_process::given_folder() {
        let _lock = JournalLock::acquire(&folder.join("journal.db")).expect("free");
        kill_this_process();
    }
    let fixture = fixture();
    let other = other_process::run("sqlite_journal::a_lock_dies_with_its_process", fixture.folder.path());
    assert!(!other.status.success());
    assert!(with_suffix(&fixture.path, ".lock").exists());
    drop(JournalLock::acquire(&fixture.path).expect("free"));
}

fn kill_this_process() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("killed");
    // The signal may take a moment.
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[tokio::test]
async fn a_journal_left_by_a_kill_is_read_without_a_change() {
    if let Some(folder) = other_process::given_folder() {
        let journal = SqliteJournal::open(&folder.join("journal.db")).expect("opens");
        open_rotations(&journal, 5).await;
        kill_this_process();
    }
    let fixture = fixture();
    let name = "sqlite_journal::a_journal_left_by_a_kill_is_read_without_a_change";
    assert!(!other_process::run(name, fixture.folder.path()).status.success());
    let log = std::fs::read(with_suffix(&fixture.path, "-wal")).expect("a hot log");
    assert!(!log.is_empty());
    let before = std::fs::read(&fixture.path).expect("read");
    for _ in 0..2 {
        let reader = SqliteJournal::open_read_only(&fixture.path).expect("opens").expect("is there");
        assert_eq!(reader.summaries(RotationFilter::Open).expect("read").len(), 5);
        assert_eq!(reader.lines(rotation_id(5)).expect("read").len(), 1);
        drop(reader);
        assert_eq!(std::fs::read(&fixture.path).expect("read"), before, "status changes no byte of the journal");
        assert_eq!(std::fs::read(with_suffix(&fixture.path, "-wal")).expect("read"), log, "nor of its log");
    }
    let journal = SqliteJournal::open(&fixture.path).expect("opens for writing, too");
    assert_eq!(journal.summaries(RotationFilter::Open).await.expect("read").len(), 5);
}

#[test]
fn reading_creates_no_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["journal.db", "no/such/folder/journal.db"] {
        assert!(SqliteJournal::open_read_only(&folder.path().join(path)).expect("no error").is_none());
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[tokio::test]
async fn status_works_in_a_read_only_folder() {
    if let Some(folder) = other_process::given_folder() {
        let path = folder.join("journal.db");
        std::fs::write(folder.join("proof"), "x").expect_err("the folder is read-only");
        let reader = SqliteJournal::open_read_only(&path).expect("opens").expect("is there");
        assert_eq!(reader.summaries(RotationFilter::Open).expect("read").len(), 1);
        assert_eq!(reader.lines(rotation_id(1)).expect("read").len(), 12);
        return;
    }
    let fixture = fixture();
    written(&fixture.path).await;
    set_mode(&fixture.path, 0o444);
    set_mode(fixture.folder.path(), 0o555);
    let name = "sqlite_journal::status_works_in_a_read_only_folder";
    let other = other_process::run_without_rights(name, fixture.folder.path());
    set_mode(fixture.folder.path(), 0o755);
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
    assert!(String::from_utf8_lossy(&other.stdout).contains("1 passed"));
    let mut left: Vec<_> =
        std::fs::read_dir(fixture.folder.path()).expect("listed").map(|e| e.expect("listed").file_name()).collect();
    left.sort();
    assert_eq!(left, ["journal.db"], "nothing was made");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

#[tokio::test]
async fn reading_continues_beside_a_writer() {
    let fixture = fixture();
    let journal = SqliteJournal::open(&fixture.path).expect("opens");
    open_rotations(&journal, 1).await;
    let reader = SqliteJournal::open_read_only(&fixture.path).expect("opens").expect("is there");
    let mut story = Story::new(rotation_id(1), campaign_id(1), 1);
    story.open();
    for round in 0..20 {
        let (line, after) = story.next(Event::Deferred { why: format!("round {round}"), until: None });
        journal.append(line, &after).await.expect("appended");
        assert_eq!(reader.summary(rotation_id(1)).expect("read").expect("is there").rotation, after);
        assert_eq!(journal.summary(rotation_id(1)).await.expect("read").expect("is there").rotation, after);
    }
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_for_reading_and_writing() {
    let refused = |path: &Path| -> DatabaseError {
        let reading = SqliteJournal::open_read_only(path).err().expect("refused for reading");
        let writing = SqliteJournal::open(path).err().expect("refused for writing");
        assert_eq!(std::mem::discriminant(&reading), std::mem::discriminant(&writing), "{reading} / {writing}");
        writing
    };
    let fixture = fixture();
    written(&fixture.path).await;

    let whole = std::fs::read(&fixture.path).expect("read");
    std::fs::write(&fixture.path, &whole[..whole.len() / 2]).expect("cut");
    let error = refused(&fixture.path);
    assert!(matches!(error, DatabaseError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
    std::fs::write(&fixture.path, &whole).expect("whole again");

    let file = Connection::open(&fixture.path).expect("opens");
    file.pragma_update(None, "user_version", 99).expect("set");
    drop(file);
    assert!(matches!(refused(&fixture.path), DatabaseError::Newer { found: 99, .. }));
    std::fs::write(&fixture.path, &whole).expect("whole again");

    let link = fixture.folder.path().join("link.db");
    symlink(&fixture.path, &link).expect("linked");
    assert!(matches!(refused(&link), DatabaseError::File(FileError::Symlink { .. })));

    set_mode(fixture.folder.path(), 0o777);
    assert!(matches!(refused(&fixture.path), DatabaseError::File(FileError::Ownership(_))));
    assert!(matches!(JournalLock::acquire(&fixture.path), Err(LockError::File(FileError::Ownership(_)))));
    set_mode(fixture.folder.path(), 0o700);

    symlink(fixture.folder.path().join("elsewhere"), with_suffix(&fixture.path, ".lock")).expect("linked");
    assert!(matches!(JournalLock::acquire(&fixture.path), Err(LockError::File(FileError::Symlink { .. }))));
    SqliteJournal::open(&fixture.path).expect("and in good order it opens");
}

#[tokio::test]
async fn a_row_that_rotator_did_not_write_is_an_error_and_not_a_guess() {
    let fixture = fixture();
    written(&fixture.path).await;
    let file = Connection::open(&fixture.path).expect("opens");
    file.execute("UPDATE rotation SET summary = '{}' WHERE open = 1", []).expect("edited");
    drop(file);
    let reader = SqliteJournal::open_read_only(&fixture.path).expect("opens").expect("is there");
    let error = reader.summaries(RotationFilter::Open).expect_err("nonsense");
    assert!(error.to_string().contains("journal.db"), "{error}");
}

#[tokio::test]
async fn a_hot_log_in_a_read_only_folder_is_said_and_not_left_out() {
    const NAME: &str = "sqlite_journal::a_hot_log_in_a_read_only_folder_is_said_and_not_left_out";
    if let Some(folder) = other_process::given_folder() {
        let path = folder.join("journal.db");
        if !path.exists() {
            // The first is in the file, the second in its log only.
            open_rotations(&SqliteJournal::open(&path).expect("opens"), 1).await;
            let journal = SqliteJournal::open(&path).expect("opens");
            let (line, after) = Story::new(rotation_id(2), campaign_id(1), 2).open();
            journal.append(line, &after).await.expect("appended");
            kill_this_process();
        }
        let opened = SqliteJournal::open_read_only(&path);
        if with_suffix(&path, "-shm").exists() {
            let reader = opened.expect("the index is there").expect("so is the journal");
            assert_eq!(reader.summaries(RotationFilter::Open).expect("read").len(), 2);
        } else {
            let error = opened.err().expect("the log cannot be read without one");
            assert!(matches!(error, DatabaseError::SealedFolder { .. }), "{error}");
        }
        return;
    }
    let fixture = fixture();
    assert!(!other_process::run(NAME, fixture.folder.path()).status.success(), "killed");
    for keep_index in [true, false] {
        if !keep_index {
            std::fs::remove_file(with_suffix(&fixture.path, "-shm")).expect("removed");
        }
        for suffix in if keep_index { &["", "-wal", "-shm"][..] } else { &["", "-wal"] } {
            set_mode(&with_suffix(&fixture.path, suffix), 0o444);
        }
        set_mode(fixture.folder.path(), 0o555);
        let other = other_process::run_without_rights(NAME, fixture.folder.path());
        set_mode(fixture.folder.path(), 0o755);
        assert!(other.status.success(), "{keep_index}: {}", String::from_utf8_lossy(&other.stderr));
        assert!(String::from_utf8_lossy(&other.stdout).contains("1 passed"));
    }
}
