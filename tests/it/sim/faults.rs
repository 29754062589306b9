//! Which touch of the world goes wrong, and how.

use std::collections::BTreeMap;

/// How a touch goes wrong.
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
    /// The request is held somewhere and executed this many seconds later; no answer comes.
    Late(u32),
    /// The other side asks to slow down.
    Throttled,
}

impl Fault {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostBefore,
        Self::LostAfter,
        Self::Late(5),
        Self::Late(400),
        Self::Throttled,
    ];
}

/// Faults by the number of the touch they strike.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(pub(crate) BTreeMap<usize, Fault>);

/// What a person does to the entries while rotator works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interference {
    /// Writes the first user's old id into an entry of its own.
    CopiesOldKey,
    /// Puts the first user's old pair back.
    Reverts,
    /// Writes something else over the first user's secret.
    Overwrites,
}

impl Interference {
    /// Every kind.
    pub(crate) const ALL: [Self; 3] = [Self::CopiesOldKey, Self::Reverts, Self::Overwrites];
}
