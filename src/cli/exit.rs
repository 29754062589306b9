//! The exit codes: one table, and how what happened leads to a line of it. Nothing else ends the process with a number.

/// How a command ended. The numbers are an interface: never changed once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is in flight and no due key was left unrotated.
    Done,
    /// Failed before or outside any rotation: store or IAM out of reach, journal error, a declined prompt.
    Failed,
    /// Usage or configuration.
    Usage,
    /// In flight: waiting, failed for now, or ended `aborted` by itself; run it again.
    InFlight,
    /// A rotation is blocked, or a due key could not be opened: a person is needed.
    NeedsPerson,
    /// Another rotator holds the journal.
    Busy,
    /// SIGHUP, as where an ssh session drops; the step in hand was finished or is in doubt.
    HungUp,
    /// SIGINT; likewise.
    Interrupted,
    /// SIGTERM; likewise.
    Terminated,
}

impl Exit {
    /// The number for the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::InFlight => 3,
            Self::NeedsPerson => 4,
            Self::Busy => 5,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// What counts towards the exit code of `run`, `resume` and `status --exit-code`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocked rotations.
    pub blocked: usize,
    /// Due keys that a person has to see to before they can be opened.
    pub need_a_person: usize,
    /// Rotations that are not closed, blocked ones among them.
    pub in_flight: usize,
    /// Rotations that ended `aborted` by themselves.
    pub aborted: usize,
    /// Due keys that were not opened for another reason.
    pub unopened: usize,
}

impl Tally {
    /// The code: 4 wins over 3.
    #[must_use]
    pub const fn exit(self) -> Exit {
        if self.blocked + self.need_a_person > 0 {
            Exit::NeedsPerson
        } else if self.in_flight + self.aborted + self.unopened > 0 {
            Exit::InFlight
        } else {
            Exit::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let table = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::InFlight, 3),
            (Exit::NeedsPerson, 4),
            (Exit::Busy, 5),
            (Exit::HungUp, 129),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn a_person_comes_before_another_run_and_that_before_success() {
        let none = Tally::default();
        assert_eq!(none.exit(), Exit::Done);
        for one in [Tally { in_flight: 1, ..none }, Tally { aborted: 1, ..none }, Tally { unopened: 1, ..none }] {
            assert_eq!(one.exit(), Exit::InFlight, "{one:?}");
            assert_eq!(Tally { blocked: 1, ..one }.exit(), Exit::NeedsPerson, "{one:?}");
            assert_eq!(Tally { need_a_person: 1, ..one }.exit(), Exit::NeedsPerson, "{one:?}");
        }
    }
}
