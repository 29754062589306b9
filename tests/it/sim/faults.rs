//! The faults: a call that fails, a service that is down for a while, an operator who interferes.

use std::collections::BTreeMap;

/// The operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Append,
    Create,
    ChangeStatus,
    Delete,
    Write,
    WriteSink,
    ListKeys,
    LastUsed,
    Caller,
    WhoIs,
    StoreIdentity,
    ReadAll,
    ReadPlaces,
}

impl Op {
    /// Whether it changes something, on record or in the world: a crash beside it leaves a state that no other leaves.
    pub(crate) const fn is_effect(self) -> bool {
        match self {
            Self::Append | Self::Create | Self::ChangeStatus | Self::Delete | Self::Write | Self::WriteSink => true,
            Self::ListKeys
            | Self::LastUsed
            | Self::Caller
            | Self::WhoIs
            | Self::StoreIdentity
            | Self::ReadAll
            | Self::ReadPlaces => false,
        }
    }

    /// Whether it is asked of a store or a sink.
    pub(crate) const fn is_of_a_store(self) -> bool {
        match self {
            Self::Write | Self::WriteSink | Self::StoreIdentity | Self::ReadAll | Self::ReadPlaces => true,
            Self::Append
            | Self::Create
            | Self::ChangeStatus
            | Self::Delete
            | Self::ListKeys
            | Self::LastUsed
            | Self::Caller
            | Self::WhoIs => false,
        }
    }
}

/// The fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before it.
    CrashBefore,
    /// The process dies after it, before it hears the answer.
    CrashAfter,
    /// The request is lost.
    LostBefore,
    /// The answer is lost.
    LostAfter,
    /// The request is held and executed this many seconds later, without a response.
    Late(u32),
    /// The other side asks to slow down.
    Throttled,
    /// The other side says that this is not allowed.
    Denied,
    /// rotator's own credentials are not accepted.
    Credentials,
}

impl Fault {
    /// Every kind that passes.
    pub(crate) const ALL: [Self; 8] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostBefore,
        Self::LostAfter,
        Self::Late(5),
        Self::Late(400),
        Self::Late(890),
        Self::Throttled,
    ];
}

/// Faults by the number of the touch they strike, and by the how-manieth touch of its kind it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) at: BTreeMap<usize, Fault>,
    pub(crate) of: BTreeMap<(Op, usize), Fault>,
}

impl Faults {
    /// Each of these calls fails.
    pub(crate) fn at<const N: usize>(faults: [(usize, Fault); N]) -> Self {
        Self { at: BTreeMap::from(faults), of: BTreeMap::new() }
    }
}

/// Something that is out of order for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The store of this number does not answer.
    StoreDown(usize),
    /// The first user's note cannot be read.
    Unreadable,
    /// STS says that a pair belongs to another user.
    SomebodyElse,
    /// STS lets no pair ask who it is.
    Forbids,
    /// STS accepts no pair.
    AcceptsNone,
    /// The store of this number says that it has written, and has not.
    Lies(usize),
}

/// A trouble and how long it lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting {
    pub(crate) trouble: Trouble,
    /// The number of the first touch that meets it.
    pub(crate) from: usize,
    /// The number of calls until the trouble ends.
    pub(crate) touches: usize,
}

impl Lasting {
    pub(crate) const fn is_on(&self, touch: usize) -> bool {
        self.from <= touch && !self.is_over(touch)
    }

    pub(crate) const fn is_over(&self, touch: usize) -> bool {
        touch >= self.from + self.touches
    }
}

/// The act of an operator on the first user while rotator works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interference {
    /// Writes the old id into an entry of its own.
    CopiesOldKey,
    /// Puts the old pair back.
    Reverts,
    /// Writes something else over the secret.
    Overwrites,
    /// Makes a key and uses it at once.
    CreatesAndUses,
    /// Makes a key and notes its id in an entry of its own.
    CreatesAndNotes,
    /// Makes a key and does nothing with it.
    CreatesIdle,
    /// Deletes the old key.
    DeletesOld,
    /// Deletes the key that rotator made.
    DeletesNew,
    /// Makes the old key active again.
    ReactivatesOld,
    DeletesUser,
    /// Gives the user another name.
    RenamesUser,
    /// Deletes the user, and makes one of the same name with another key.
    MakesUserAgain,
}

impl Interference {
    /// The faults that are played at every call.
    pub(crate) const ALL: [Self; 12] = [
        Self::CopiesOldKey,
        Self::Reverts,
        Self::Overwrites,
        Self::CreatesAndUses,
        Self::CreatesAndNotes,
        Self::CreatesIdle,
        Self::DeletesOld,
        Self::DeletesNew,
        Self::ReactivatesOld,
        Self::DeletesUser,
        Self::RenamesUser,
        Self::MakesUserAgain,
    ];
}
