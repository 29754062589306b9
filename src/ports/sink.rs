//! The interface of a sink: a target that takes a pair and cannot be read.

use std::time::Duration;

use async_trait::async_trait;

use super::call::CallError;
use crate::journal::write_ahead::Journaled;
use crate::rotation::effect::WriteSink;
use crate::types::failure::Failure;
use crate::types::name::{EntryName, SinkName, StoreIdentity};
use crate::types::secret::SecretKey;

/// A pair for a sink.
#[derive(Debug)]
pub struct SinkWrite<'a> {
    /// The entry that holds the id of the pair. A sink that serves several entries derives its own names from this name.
    pub follows: &'a EntryName,
    /// The secret. The effect has the id of its key.
    pub secret: &'a SecretKey,
}

/// A target that can be written and never read.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &SinkName;

    /// For how long after the request a write may still take effect, even if the sender has ended.
    fn lands_within(&self) -> Duration;

    /// Returns the identity of the sink.
    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Writes the pair and replaces the present value. A success means that the sink holds the pair; a reply that cannot be
    /// understood is `Failure::Unknown`.
    async fn write(&self, order: Journaled<WriteSink>, write: SinkWrite<'_>) -> Result<(), Failure>;
}
