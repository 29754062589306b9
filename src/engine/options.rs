//! How the engine behaves: what the command line and the configuration of the day set, and no rotation freezes.

use std::sync::Arc;
use std::time::Duration;

use crate::rotation::record::Rotation;

/// Hears of every change of a rotation, to show progress on a terminal.
pub type Watcher = Arc<dyn Fn(&Rotation) + Send + Sync>;

/// How the engine is to behave; not frozen in any rotation.
pub struct EngineOptions {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls a second of one operation.
    pub rate: Option<f64>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Whether to wait for times to come instead of leaving rotations in flight.
    pub wait: bool,
    /// With `wait`: how far apart scans of all entries begin at least. A scan that takes long is followed by a longer pause.
    pub scan_interval: Duration,
    /// Patterns of entries that may stay unread (the operator's word).
    pub unread_ok: globset::GlobSet,
    pub watcher: Option<Watcher>,
}
