//! Reads every entry, a part at a time, so that a large store is never in memory at once.

use std::ops::ControlFlow;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rusqlite::TransactionBehavior;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::error::{StoreError, call_kind, failed_to};
use super::index::Index;
use super::kind::KIND;
use super::open::Inner;
use super::table::{self, Row, Written};
use crate::adapters::sqlite;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Reading, Readings};
use crate::types::name::{EntryName, StoreName};

/// How many sealed bytes are in a part, about.
const PART: usize = 512 * 1024;

/// The number of parts that are read before the caller takes them.
pub(super) const READ_AHEAD: usize = 2;

impl Inner {
    /// Gives each part to `take`, until it returns `false`. All parts show the store at one moment. The pass has a
    /// connection of its own, so writers need not wait for its end.
    pub(super) fn read_parts(&self, mut take: impl FnMut(Readings) -> bool) -> Result<(), StoreError> {
        self.check_still_there()?;
        let mut connection = sqlite::open_read_only(&self.path, &KIND)?;
        self.check_still_there()?;
        let failed = |error| self.failed("read", error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        let index = Index::read(&self.sealer, &transaction);
        let mut index = index.map_err(|error| self.unversioned("read", error))?;
        let (mut rows, mut size) = (Vec::new(), 0);
        let read = table::each(&transaction, |row| {
            size += row.sealed.len();
            rows.push(row);
            if size < PART {
                return ControlFlow::Continue(());
            }
            size = 0;
            match self.part(std::mem::take(&mut rows), &mut index).map(&mut take) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        });
        if let ControlFlow::Break(ended) = read.map_err(failed)? {
            return ended;
        }
        let mut last = self.part(rows, &mut index)?;
        let removed = index.without_row(&self.sealer, &transaction);
        for (name, written) in removed.map_err(|error| self.unversioned("read", error))? {
            last.push((self.entry(name)?, self.reading(None, &Ok(Some(written)))));
        }
        take(last);
        Ok(())
    }

    /// Unseals these rows.
    fn part(&self, rows: Vec<Row>, index: &mut Index) -> Result<Readings, StoreError> {
        let known = &*index;
        let unsealed = rows.into_par_iter().map(|row| {
            let found = known.find(&row.name).map_err(|error| self.unversioned("read", error));
            let place = found.as_ref().ok().copied().flatten();
            let written = found.map(|found| found.map(|found| Written { version: found.version, previous: None }));
            let entry = self.entry(row.name.clone())?;
            let reading = self.reading(Some(row), &written);
            Ok((place, (entry, reading)))
        });
        let unsealed: Vec<_> = unsealed.collect::<Result<_, StoreError>>()?;
        let mut part = Vec::with_capacity(unsealed.len());
        for (place, reading) in unsealed {
            index.has_row(place);
            part.push(reading);
        }
        Ok(part)
    }

    pub(super) fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, StoreError> {
        let mut all = Vec::new();
        self.read_parts(|part| {
            all.extend(part);
            true
        })?;
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }
}

/// A pass over all entries that another thread makes.
pub(super) struct Pass {
    pub(super) store: StoreName,
    pub(super) parts: Receiver<Readings>,
    /// The thread, until its result has been taken.
    pub(super) reading: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Pass {
    /// The next part. `None`: the pass has read everything.
    pub(super) async fn next(&mut self) -> Option<Result<Readings, CallError>> {
        if let Some(part) = self.parts.recv().await {
            return Some(Ok(part));
        }
        // The channel also closes if the thread fails or panics. Entries that were not read must not count as missing.
        match self.reading.take()?.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(CallError::new(call_kind(&error), failed_to(&error)))),
            Err(_) => Some(Err(CallError::new(CallErrorKind::Unavailable, format!("{} gave no answer", self.store)))),
        }
    }
}
