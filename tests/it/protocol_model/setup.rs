//! The parameters of an exploration: the numbers of users and rotators, the kind of store, the policy and the limits on
//! faults.

use std::time::Duration;

use rotator::rotation::policy::{Policy, Unclaimed};

/// The layout of a user's pair in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One place, both halves written at once.
    Atomic,
    /// One place of two entries that cannot be written at once.
    TwoEntries,
    /// As the one before, with another place in a second store.
    TwoStores,
    /// As [`Self::Atomic`], and a sink that follows the place.
    AndSink,
}

impl Layout {
    pub(super) const fn places(self) -> usize {
        match self {
            Self::Atomic | Self::TwoEntries | Self::AndSink => 1,
            Self::TwoStores => 2,
        }
    }

    pub(super) fn has_sink(self) -> bool {
        self == Self::AndSink
    }

    /// The entries as they are written: together, in order. An even number is a secret's.
    pub(super) const fn batches(self) -> &'static [&'static [u8]] {
        match self {
            Self::Atomic | Self::AndSink => &[&[0, 1]],
            Self::TwoEntries => &[&[0], &[1]],
            Self::TwoStores => &[&[0], &[1], &[2, 3]],
        }
    }

    /// The same as they are put back.
    pub(super) const fn batches_back(self) -> &'static [&'static [u8]] {
        match self {
            Self::Atomic | Self::AndSink => &[&[1, 0]],
            Self::TwoEntries => &[&[1], &[0]],
            Self::TwoStores => &[&[1], &[0], &[2, 3]],
        }
    }
}

/// The reason why the second rotator, with a journal of its own, works on the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    None,
    /// The second rotator opens a rotation itself.
    Opens,
    /// Its journal is a copy of the first one's, taken at any moment.
    Copies,
}

/// The limits on faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) crashes: u8,
    /// Replies lost (the request executed at once, late or never), and proofs that fail though the key is good.
    pub(super) losses: u8,
    /// Times that a list does not show at once what was done.
    pub(super) lags: u8,
    /// The number of times that a process pauses between an observation and an effect.
    pub(super) stalls: u8,
    /// The number of acts of an operator.
    pub(super) acts: u8,
    /// The number of times that one permission, or all of them, end for good.
    pub(super) refusals: u8,
    /// Times that a user is renamed or deleted.
    pub(super) fates: u8,
}

#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) users: usize,
    pub(super) second: Second,
    pub(super) layout: Layout,
    pub(super) policy: Policy,
    pub(super) budget: Budget,
}

pub(super) const SETTLE: Duration = Duration::from_secs(60);

/// The rules: everything at once, or with an overlap and a quarantine.
pub(super) fn policy(unclaimed: Unclaimed, waits: Duration) -> Policy {
    let unclaimed_after = SETTLE;
    Policy { overlap: waits, quarantine: waits, settle: SETTLE, unclaimed, unclaimed_after, ..Policy::default() }
}
