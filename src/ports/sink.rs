//! What the engine asks of a sink: to take a pair. It cannot be asked what it holds.

use std::time::Duration;

use async_trait::async_trait;

use super::call::CallError;
use crate::journal::write_ahead::Journaled;
use crate::rotation::effect::WriteSink;
use crate::types::failure::Failure;
use crate::types::name::{EntryName, SinkName, StoreIdentity};
use crate::types::secret::SecretKey;

/// What is written to a sink.
#[derive(Debug)]
pub struct SinkWrite<'a> {
    /// The entry that it follows: where the pair's id stands. A sink that serves several makes its own names of it.
    pub follows: &'a EntryName,
    /// The secret. Its key is the effect's.
    pub secret: &'a SecretKey,
}

/// Somewhere a pair can be written and never read.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The name it was configured by.
    fn name(&self) -> &SinkName;

    /// For how long after it was sent a write may land, whatever becomes of whoever sent it.
    fn lands_within(&self) -> Duration;

    /// Which sink it is.
    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Writes the pair, over whatever is there. What is acknowledged is held; a reply that cannot be understood is
    /// `Failure::Unknown`.
    async fn write(&self, order: Journaled<WriteSink>, write: SinkWrite<'_>) -> Result<(), Failure>;
}
