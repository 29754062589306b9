//! The reads and writes of rotations, one after the other. Writes that arrive while another transaction is committed are
//! in the next one, all together: a thousand rotations at once need a few dozen transactions and not two thousand.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use super::error::StoreError;
use super::open::Inner;
use super::queue::{self, Serving, WaitingWrite, Work};
use super::table::{self, TransactionError, WriteError, Written};
use super::versions::{Versions, is_last};

/// The maximum number of writes in one transaction.
const MOST_AT_ONCE: usize = 256;

/// The versions of the entries of one piece of work, as they were before it, in its order. `None`: it leaves the entry.
type Before = Vec<Option<Written>>;

impl Inner {
    /// Does the work in one transaction with all other work that waits.
    pub(super) async fn write(self: &Arc<Self>, work: Work) -> Result<(), WriteError> {
        let (answer, serving) = queue::add_write(&self.queue, work);
        self.start(serving);
        // The answer is dropped if the thread panics or never starts. The thread may have been
        // doing this work.
        answer.await.unwrap_or_else(|_| Err(self.defect()))
    }

    /// Reads when it is its turn. `None`: the thread panicked or did not start.
    pub(super) async fn queued<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(self);
        let (answer, serving) = queue::add_read(&self.queue, move || read(&inner));
        self.start(serving);
        answer.await.ok()
    }

    /// Starts the thread that has the duty.
    fn start(self: &Arc<Self>, serving: Option<Serving>) {
        if let Some(serving) = serving {
            let inner = Arc::clone(self);
            // It answers each caller itself.
            drop(tokio::task::spawn_blocking(move || inner.serve(serving)));
        }
    }

    /// Does all that waits.
    pub(super) fn serve(&self, mut serving: Serving) {
        while let Some(waiting) = serving.take(MOST_AT_ONCE) {
            for read in waiting.reads {
                // Only the caller of a read that panics gets no answer.
                drop(panic::catch_unwind(AssertUnwindSafe(read)));
            }
            if waiting.writes.is_empty() {
                continue;
            }
            match self.connection.lock() {
                Ok(mut connection) => self.perform(&mut connection, waiting.writes),
                // After a panic no thread can use the connection any more.
                Err(_) => waiting.writes.into_iter().for_each(|write| drop(write.answer.send(Err(self.defect())))),
            }
        }
    }

    fn defect(&self) -> WriteError {
        WriteError::Uncertain(StoreError::Poisoned { path: self.path.clone() })
    }

    fn perform(&self, connection: &mut Connection, together: Vec<WaitingWrite>) {
        let work: Vec<&Work> = together.iter().map(|waiting| &waiting.work).collect();
        let results = match self.commit(connection, &work) {
            Ok(results) => results,
            Err(TransactionError::NotCommitted(error)) if work.len() == 1 => vec![Err(WriteError::NotWritten(error))],
            // What failed may be about one of them only.
            Err(TransactionError::NotCommitted(_)) => {
                let alone = |work: &&Work| match self.commit(connection, &[work]) {
                    Ok(mut results) => results.pop().unwrap_or(Ok(())),
                    Err(TransactionError::NotCommitted(error)) => Err(WriteError::NotWritten(error)),
                    Err(TransactionError::Commit(error)) => Err(self.uncertain(&error)),
                };
                work.iter().map(alone).collect()
            }
            Err(TransactionError::Commit(error)) => work.iter().map(|_| Err(self.uncertain(&error))).collect(),
        };
        for (waiting, result) in together.into_iter().zip(results) {
            // The caller may have stopped waiting; its work is done nevertheless.
            drop(waiting.answer.send(result));
        }
    }

    fn uncertain(&self, error: &rusqlite::Error) -> WriteError {
        let code = error.sqlite_error().copied();
        let code = code.unwrap_or_else(|| rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR));
        let same = rusqlite::Error::SqliteFailure(code, Some(error.to_string()));
        WriteError::Uncertain(self.failed("commit a change to", same))
    }

    /// Does all the work in one transaction. A refused piece has written nothing, so the others go on.
    fn commit(
        &self,
        connection: &mut Connection,
        together: &[&Work],
    ) -> Result<Vec<Result<(), WriteError>>, TransactionError> {
        self.check_still_there()?;
        self.transact(connection, |inner, transaction, versions, at| {
            let mut results = Vec::with_capacity(together.len());
            for work in together {
                results.push(match inner.check(transaction, versions, work) {
                    Ok(before) => {
                        inner.apply(transaction, versions, work, &before, at)?;
                        Ok(())
                    }
                    Err(refused) => Err(refused),
                });
            }
            Ok(results)
        })
    }

    /// Checks whether the work may be done. Writes nothing.
    fn check(
        &self,
        transaction: &Transaction<'_>,
        versions: &mut Versions<'_>,
        work: &Work,
    ) -> Result<Before, WriteError> {
        match work {
            Work::Replace(batch) => batch
                .iter()
                .enumerate()
                .map(|(index, write)| {
                    let row = table::one(transaction, &write.entry).map_err(|error| self.failed("read", error))?;
                    let before = self.written(versions, write.entry.as_str())?;
                    let is_as_read =
                        row.is_some_and(|row| row.version.to_string() == write.replaces.0 && is_last(&row, before));
                    // A second write of the same entry finds the version of the first one.
                    let is_second = batch[..index].iter().any(|earlier| earlier.entry == write.entry);
                    if is_as_read && !is_second { Ok(before) } else { Err(WriteError::Stale(write.entry.clone())) }
                })
                .collect(),
            Work::Forget(entries) => {
                let written = entries.iter().map(|entry| self.written(versions, entry.as_str()));
                Ok(written.collect::<Result<_, _>>()?)
            }
        }
    }

    fn apply(
        &self,
        transaction: &Transaction<'_>,
        versions: &mut Versions<'_>,
        work: &Work,
        before: &[Option<Written>],
        at: &str,
    ) -> Result<(), StoreError> {
        let written = |error| self.failed("write", error);
        match work {
            Work::Replace(batch) => {
                for (write, before) in batch.iter().zip(before) {
                    let row = self.seal(versions, &write.entry, &write.value)?;
                    table::replace(transaction, &row, at).map_err(written)?;
                    let previous = before.and_then(|before| before.previous.or(Some(before.version)));
                    self.note(versions, &write.entry, Some(Written { version: row.version, previous }))?;
                }
            }
            Work::Forget(entries) => {
                for (entry, before) in entries.iter().zip(before) {
                    let Some(before) = *before else { continue };
                    table::forget_previous(transaction, entry).map_err(written)?;
                    self.note(versions, entry, Some(Written { previous: None, ..before }))?;
                }
            }
        }
        Ok(())
    }
}
