//! The queue of the writes that wait for the connection.

use std::sync::mpsc::SyncSender;

use super::table::WriteError;
use crate::ports::secret_store::Write;
use crate::types::name::EntryName;

/// A write that waits for the connection.
pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) answer: SyncSender<Result<(), WriteError>>,
}

/// What a rotation changes: all of it or nothing.
pub(super) enum Work {
    /// Writes the batch, if every entry has the version that the batch replaces.
    Replace(Vec<Write>),
    /// Forgets the values before the rotation.
    Forget(Vec<EntryName>),
}
