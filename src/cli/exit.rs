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
    /// Something goes on by itself: it waits, failed for now, or is due and not opened yet; run it again.
    InFlight,
    /// Nothing goes on by itself, and something needs an operator: a blocked rotation, a due key that cannot be opened.
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

/// What counts towards the exit code of `run`, `resume` and `status --exit-code`: each thing once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocked rotations.
    pub blocked: usize,
    /// Keys that need an operator, and whose rotation is not blocked: there is none, or it keeps failing.
    pub stuck: usize,
    /// Rotations that wait for a stated time.
    pub waiting: usize,
    /// Rotations that failed for now.
    pub failed: usize,
    /// Due keys that wait to be opened, which needs no operator.
    pub unopened: usize,
}

impl Tally {
    /// How many things need an operator.
    #[must_use]
    pub const fn needs_operator(self) -> usize {
        self.blocked + self.stuck
    }

    /// The code. What goes on by itself stands above what needs an operator, so that a loop around `run` leaves nothing
    /// half done; with `waiting_ok` it is the other way round, and what waits for a stated time is as good as done.
    #[must_use]
    pub const fn exit(self, waiting_ok: bool) -> Exit {
        let failed = self.failed + self.unopened > 0;
        let needs_operator = self.needs_operator() > 0;
        if waiting_ok && needs_operator {
            Exit::NeedsPerson
        } else if failed || (self.waiting > 0 && !waiting_ok) {
            Exit::InFlight
        } else if needs_operator {
            Exit::NeedsPerson
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
    fn what_goes_on_comes_first_unless_waiting_is_all_right() {
        let some = [0, 1];
        for blocked in some {
            for stuck in some {
                for waiting in some {
                    for failed in some {
                        for unopened in some {
                            let tally = Tally { blocked, stuck, waiting, failed, unopened };
                            let operator = blocked + stuck > 0;
                            let expected = match (waiting + failed + unopened > 0, operator) {
                                (true, _) => Exit::InFlight,
                                (false, true) => Exit::NeedsPerson,
                                (false, false) => Exit::Done,
                            };
                            assert_eq!(tally.exit(false), expected, "{tally:?}");
                            let expected = match (operator, failed + unopened > 0) {
                                (true, _) => Exit::NeedsPerson,
                                (false, true) => Exit::InFlight,
                                (false, false) => Exit::Done,
                            };
                            assert_eq!(tally.exit(true), expected, "{tally:?}");
                        }
                    }
                }
            }
        }
        assert_eq!(Tally { blocked: 2, stuck: 3, ..Tally::default() }.needs_operator(), 5);
    }
}
