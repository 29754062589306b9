//! The options of the engine, from the command line and the present configuration. No rotation freezes them.

use std::sync::Arc;
use std::time::Duration;

use crate::rotation::record::Rotation;
use crate::types::name::RotationId;

/// The target of log lines about a denied call. The block of its rotation says the same.
pub const REFUSALS: &str = "rotator::engine::refusals";

/// What a watcher hears.
#[derive(Debug)]
pub enum Progress<'a> {
    /// This many rotations are about to be opened. Those `at_once` delete their old key as soon as every place holds the
    /// new pair.
    Due { keys: usize, at_once: usize },
    /// A rotation has changed, or goes on after it was put off.
    Changed(&'a Rotation),
    /// A call for a rotation was refused, and is tried again after this time.
    PutOff(RotationId, Duration),
    /// The next scan for the keys that are to be removed begins after this time.
    Gathering(Duration),
    /// A call to this account or store begins.
    Asked(&'a str),
    /// It has ended: with an answer, or without one for this reason.
    Ended(&'a str, Option<&'a str>),
}

/// Hears of the progress of a run, to show it on a terminal.
pub type Watcher = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

pub struct EngineOptions {
    /// The number of calls in flight to all accounts, and to all stores.
    pub concurrency: usize,
    /// The number of calls of one operation in a second.
    pub rate: Option<f64>,
    pub call_timeout: Duration,
    /// Whether the run waits for later moments instead of leaving rotations in flight.
    pub wait: bool,
    /// With `wait`: the least time between the beginnings of two scans of all entries. A long scan is followed by a
    /// longer pause.
    pub scan_interval: Duration,
    /// Patterns of entries that the operator allows to stay unread.
    pub unread_ok: globset::GlobSet,
    pub watcher: Option<Watcher>,
}

impl EngineOptions {
    /// How many keys a survey asks about at once. More than the calls in flight, so that no slot is idle, and few, because
    /// each takes memory while it waits.
    pub(super) fn keys_asked_about_at_once(&self) -> usize {
        self.concurrency.max(1) * 4
    }
}
