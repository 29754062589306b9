//! The writer thread. Changes that are queued during a commit are in the next transaction; a caller gets its answer
//! after the commit.
//!
//! The first failed transaction is the last one: it is unknown whether it reached the disk, and a repeated fsync may
//! succeed for lost data. Every later change is refused, and the next start reads what is on the disk.
//!
//! A file that was deleted can still be written. So a change counts only if the journal still has its name after the commit.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::changes::{Change, Stopped};
use super::queries::{KIND, storage_error};
use crate::adapters::FileError;
use crate::adapters::sqlite::{self, DatabaseError};
use crate::journal::store::StorageError;
use crate::types::error_text::with_causes;

/// The maximum number of changes in one transaction.
const MOST_AT_ONCE: usize = 512;

/// From how many changes in a transaction the next one waits for [`GATHERING`].
const MANY: usize = 8;

/// How long changes are gathered while many rotations are under way. A transaction takes about as long on a fast disk, and
/// writes each changed page whatever the number of changes in it: with this pause there are half as many transactions, and
/// a run at a latency of 0 ms takes a twentieth less CPU. After a transaction with few changes none waits.
const GATHERING: Duration = Duration::from_millis(1);

struct Job {
    change: Change,
    answer: oneshot::Sender<Result<(), StorageError>>,
}

/// The thread and its queue.
pub(super) struct Writer {
    // `None` only during a drop.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
    changes: AtomicU64,
}

impl Writer {
    pub(super) fn start(path: Arc<Path>, connection: Connection) -> Result<Self, DatabaseError> {
        let (jobs, queue) = mpsc::channel();
        let commits = Arc::new(AtomicU64::new(0));
        let mut state = State::new(Arc::clone(&path), connection, Arc::clone(&commits))?;
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || state.serve(&queue, || thread::sleep(GATHERING)))
            .map_err(FileError::io(&path, "start a thread for"))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), commits, changes: AtomicU64::new(0) })
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Returns when the change is durable, or refused.
    pub(super) async fn write(&self, change: Change) -> Result<(), StorageError> {
        let ended = || StorageError::failed("the journal's writer has ended; start rotator again");
        let (answer, heard) = oneshot::channel();
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.jobs.as_ref().ok_or_else(ended)?.send(Job { change, answer }).map_err(|_| ended())?;
        heard.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Writer {
    /// Waits until all queued changes are committed and the connection is closed.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its answers, so the callers know.
            drop(thread.join());
        }
        let (changes, commits) = (self.changes.load(Ordering::Relaxed), self.commits());
        tracing::debug!(changes, commits, "the journal is closed");
    }
}

struct State {
    path: Arc<Path>,
    connection: Connection,
    /// The numbers of the device and of the file.
    file: (u64, u64),
    commits: Arc<AtomicU64>,
    /// Why no more changes are accepted.
    broken: Option<String>,
}

impl State {
    fn new(path: Arc<Path>, connection: Connection, commits: Arc<AtomicU64>) -> Result<Self, DatabaseError> {
        let file = sqlite::file_at(&path)?.ok_or_else(|| DatabaseError::missing(&path, &KIND))?;
        Ok(Self { path, connection, file, commits, broken: None })
    }

    /// `pause` is called before a transaction if the one before it had many changes.
    fn serve(&mut self, queue: &Receiver<Job>, pause: impl Fn()) {
        let mut many = false;
        while let Ok(first) = queue.recv() {
            if many {
                pause();
            }
            let mut jobs = vec![first];
            jobs.extend(queue.try_iter().take(MOST_AT_ONCE - 1));
            many = jobs.len() >= MANY;
            let (changes, answers): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.change, job.answer)).unzip();
            let results = self.write(&changes);
            for (answer, result) in answers.into_iter().zip(results) {
                // The caller may have stopped waiting; the line is written nevertheless.
                drop(answer.send(result));
            }
        }
    }

    fn write(&mut self, changes: &[Change]) -> Vec<Result<(), StorageError>> {
        if let Some(why) = &self.broken {
            let message = format!("{why}; nothing more was written after that");
            return changes.iter().map(|_| Err(StorageError::failed(message.clone()))).collect();
        }
        let failure = match self.commit(changes) {
            Ok(results) => return results,
            Err(failure) => failure,
        };
        let message = with_causes(&failure.error);
        if failure.lasting {
            self.broken = Some(message.clone());
        }
        changes.iter().map(|_| Err(StorageError::failed(message.clone()))).collect()
    }

    /// Commits all changes in one transaction. A refused change has written nothing, so the others continue.
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Result<(), StorageError>>, Failed> {
        let path = Arc::clone(&self.path);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            // The transaction has not begun: a lock that another process holds for long is not a permanent failure.
            .map_err(|source| Failed {
                lasting: !sqlite::is_locked(&source),
                error: storage_error(&path, "write", source),
            })?;
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let result = change.perform(&transaction);
            results.push(match result {
                Ok(()) => Ok(()),
                Err(Stopped::No(error)) => Err(error),
                Err(Stopped::Broken(error)) => return Err(Failed { lasting: true, error: error.at(&path) }),
            });
        }
        transaction
            .commit()
            .map_err(|source| Failed { lasting: true, error: storage_error(&path, "commit a change to", source) })?;
        if !sqlite::file_at(&path).is_ok_and(|there| there == Some(self.file)) {
            return Err(Failed { lasting: true, error: StorageError::failed(deleted(&path)) });
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }
}

fn deleted(path: &Path) -> String {
    format!(
        "the journal {} was deleted or replaced while this rotator was using it, so nothing more is changed in IAM or in a \
         store; put the journal back from a backup, or see docs/operations.md#a-lost-journal",
        path.display()
    )
}

struct Failed {
    lasting: bool,
    error: StorageError,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use super::*;
    use crate::adapters::private_file;
    use crate::adapters::sqlite;
    use crate::adapters::sqlite_journal::{overview, queries};
    use crate::journal::store::RotationFilter;
    use crate::types::name::CampaignId;
    use crate::types::time::Timestamp;

    struct Fixture {
        _folder: tempfile::TempDir,
        path: Arc<Path>,
    }

    /// A new journal's file and a connection that writes it.
    fn fixture() -> (Fixture, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = private_file::locate(&folder.path().join("journal.db")).expect("private").expect("a folder");
        sqlite::create(&path, &KIND, |_| Ok(())).expect("made");
        let connection = sqlite::open(&path, &KIND).expect("opens");
        (Fixture { _folder: folder, path: path.into() }, connection)
    }

    fn campaign(number: u128) -> CampaignId {
        CampaignId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn begin(number: u128) -> Change {
        Change::BeginCampaign { id: campaign(number), at: Timestamp::from_unix_seconds(0) }
    }

    fn campaigns(fixture: &Fixture) -> i64 {
        let connection = sqlite::open_read_only(&fixture.path, &KIND).expect("opens");
        connection.query_row("SELECT count(*) FROM campaign", [], |row| row.get(0)).expect("read")
    }

    #[test]
    fn one_transaction_takes_what_may_be_and_leaves_out_what_may_not() {
        let (fixture, connection) = fixture();
        let mut state = State::new(Arc::clone(&fixture.path), connection, Arc::default()).expect("is there");
        let results = state.write(&[begin(1), begin(1), begin(2), Change::CloseCampaign { id: campaign(9) }, begin(3)]);
        let went: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(went, [true, false, true, false, true]);
        assert_eq!((campaigns(&fixture), state.commits.load(Ordering::Relaxed)), (3, 1));
    }

    #[test]
    fn others_are_waited_for_only_after_many_changes_at_once() {
        let (fixture, connection) = fixture();
        let mut state = State::new(Arc::clone(&fixture.path), connection, Arc::default()).expect("is there");
        let commits = Arc::clone(&state.commits);
        let (jobs, queue) = mpsc::channel();
        let send = |jobs: &Sender<Job>, number| {
            let (answer, heard) = oneshot::channel();
            jobs.send(Job { change: begin(number), answer }).expect("sent");
            heard
        };
        let written = |heard: oneshot::Receiver<Result<(), StorageError>>| {
            heard.blocking_recv().expect("answered").expect("written")
        };
        let first: Vec<_> = (1..=MANY as u128).map(|number| send(&jobs, number)).collect();
        let (meanwhile, pauses) = (Mutex::new(Some(jobs.clone())), AtomicU64::new(0));
        let pause = || {
            pauses.fetch_add(1, Ordering::Relaxed);
            if let Some(jobs) = meanwhile.lock().expect("sound").take() {
                drop([send(&jobs, 101), send(&jobs, 102)]);
            }
        };
        thread::scope(|scope| {
            let state = &mut state;
            scope.spawn(move || state.serve(&queue, pause));
            first.into_iter().for_each(written);
            // The first one waits for others, the second one comes alone.
            written(send(&jobs, 100));
            written(send(&jobs, 103));
            drop(jobs);
        });
        assert_eq!((commits.load(Ordering::Relaxed), pauses.load(Ordering::Relaxed)), (3, 1));
        assert_eq!(campaigns(&fixture), MANY as i64 + 4);
    }

    #[tokio::test]
    async fn a_full_disk_is_final() {
        let (fixture, connection) = fixture();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("read");
        connection.pragma_update(None, "max_page_count", pages).expect("set");
        let writer = Writer::start(Arc::clone(&fixture.path), connection).expect("starts");
        writer.write(begin(1)).await.expect("there is room");
        let large = Change::NoteCampaign { id: campaign(1), notes: "x".repeat(100_000) };
        let error = writer.write(large).await.expect_err("the disk is full");
        assert!(error.to_string().contains("full") && error.to_string().contains("journal.db"), "{error}");
        let later = writer.write(begin(2)).await.expect_err("it would fit, and yet");
        assert!(later.to_string().contains("nothing more was written"), "{later}");
        drop(writer);
        assert_eq!(campaigns(&fixture), 1);
    }

    #[tokio::test]
    async fn a_commit_that_fails_is_final() {
        let (fixture, connection) = fixture();
        // A foreign key that is looked at in COMMIT and not before.
        connection
            .execute_batch(
                "CREATE TABLE broken (n INTEGER REFERENCES broken_parent (n) DEFERRABLE INITIALLY DEFERRED);
                 CREATE TABLE broken_parent (n INTEGER PRIMARY KEY);
                 CREATE TRIGGER break_commit AFTER UPDATE OF closed ON campaign BEGIN INSERT INTO broken VALUES (1); END",
            )
            .expect("made");
        let writer = Writer::start(Arc::clone(&fixture.path), connection).expect("starts");
        writer.write(begin(1)).await.expect("written");
        let (failed, together) =
            tokio::join!(writer.write(Change::CloseCampaign { id: campaign(1) }), writer.write(begin(2)));
        failed.expect_err("it was not committed");
        drop(together);
        writer.write(begin(3)).await.expect_err("nothing more after that");
        assert_eq!(writer.commits(), u64::try_from(campaigns(&fixture)).expect("a count"));
    }

    /// An intent in a file without a name is lost with the process.
    #[tokio::test]
    async fn a_journal_that_is_deleted_or_replaced_takes_no_more_changes() {
        for replaced in [false, true] {
            let (fixture, connection) = fixture();
            let writer = Writer::start(Arc::clone(&fixture.path), connection).expect("starts");
            writer.write(begin(1)).await.expect("written");
            let moved = fixture.path.with_extension("old");
            fs::rename(&fixture.path, &moved).expect("renamed");
            if replaced {
                fs::copy(&moved, &fixture.path).expect("copied");
            }
            let error = writer.write(begin(2)).await.expect_err("the file has another name");
            assert!(error.to_string().contains("was deleted or replaced"), "{error}");
            fs::rename(&moved, &fixture.path).expect("renamed");
            writer.write(begin(3)).await.expect_err("nothing more after that");
        }
    }

    #[tokio::test]
    async fn a_lock_held_too_long_is_not_final() {
        let (fixture, connection) = fixture();
        connection.pragma_update(None, "busy_timeout", 20).expect("set");
        let other = sqlite::open(&fixture.path, &KIND).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let writer = Writer::start(Arc::clone(&fixture.path), connection).expect("starts");
        let error = writer.write(begin(1)).await.expect_err("locked");
        assert!(error.to_string().contains("locked by another process"), "{error}");
        other.execute_batch("ROLLBACK").expect("unlocked");
        writer.write(begin(1)).await.expect("written");
    }

    #[tokio::test]
    async fn the_queue_is_written_before_the_writer_ends() {
        let (fixture, connection) = fixture();
        let writer = Writer::start(Arc::clone(&fixture.path), connection).expect("starts");
        let heard: Vec<_> = (0..50)
            .map(|number| {
                let (answer, heard) = oneshot::channel();
                let job = Job { change: begin(number), answer };
                writer.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).expect("sent");
                heard
            })
            .collect();
        drop(writer);
        for heard in heard {
            heard.await.expect("answered").expect("written");
        }
        assert_eq!(campaigns(&fixture), 50);
    }

    #[test]
    fn status_asks_indexes_and_not_a_million_rows() {
        let (_fixture, connection) = fixture();
        for (which, index) in [
            (RotationFilter::Open, "rotation_open"),
            (RotationFilter::Campaign(campaign(1)), "rotation_campaign"),
            (RotationFilter::AbortedOf(campaign(1)), "rotation_campaign"),
            (RotationFilter::WatchedAfter(Timestamp::from_unix_seconds(0)), "rotation_watched"),
        ] {
            assert_asks(&connection, queries::summaries_sql(which), index);
        }
        assert_asks(&connection, overview::OPEN, "rotation_open");
    }

    /// The rows have the JSON, and a page of the file has two of them.
    #[test]
    fn status_reads_the_index_of_open_rotations_and_not_their_rows() {
        let (_fixture, connection) = fixture();
        let root: i64 = connection
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'rotation'", [], |row| row.get(0))
            .expect("a table");
        let mut statement = connection.prepare(&format!("EXPLAIN {}", overview::OPEN)).expect("valid");
        let steps = statement.query_map([], |row| Ok((row.get(1)?, row.get(2)?, row.get(3)?))).expect("asked");
        let steps: Vec<(String, i64, i64)> = steps.collect::<Result<_, _>>().expect("read");
        assert!(steps.iter().any(|(step, ..)| step == "OpenRead"), "the steps are read wrongly: {steps:?}");
        let opened = |(step, _, page): &&(String, i64, i64)| step == "OpenRead" && *page == root;
        let Some((_, table, _)) = steps.iter().find(opened) else { return };
        let of_rows = |(step, cursor, _): &&(String, i64, i64)| step == "Column" && cursor == table;
        assert_eq!(steps.iter().filter(of_rows).count(), 0, "{steps:?}");
    }

    fn assert_asks(connection: &Connection, sql: &str, index: &str) {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = connection.prepare(&sql).expect("valid");
        let plan: String = statement.raw_query().next().expect("asked").expect("a row").get("detail").expect("read");
        assert!(plan.contains(index), "{sql}: {plan}");
    }
}
