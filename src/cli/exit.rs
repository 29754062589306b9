//! The exit codes, and how a result leads to one of them. No other module ends the process with a number.

/// The exit code of a command. The numbers are an interface and never change after a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is in flight, and no due key was left unrotated.
    Done,
    /// A failure before or outside any rotation: a store or IAM cannot be reached, the journal fails, or a prompt was
    /// declined.
    Failed,
    /// An error of usage or configuration.
    Usage,
    /// Something continues without an operator: it waits, failed for now, or is due and not opened yet. Run the
    /// command again.
    InFlight,
    /// Nothing continues without an operator: a rotation is blocked, or a due key cannot be opened.
    NeedsOperator,
    /// Another rotator holds the journal.
    Busy,
    /// SIGHUP, for example after a dropped ssh session; the current step was finished or is in doubt.
    HungUp,
    /// SIGINT; the current step was finished or is in doubt.
    Interrupted,
    /// SIGTERM; the current step was finished or is in doubt.
    Terminated,
}

impl Exit {
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::InFlight => 3,
            Self::NeedsOperator => 4,
            Self::Busy => 5,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// What determines the exit code of `run`, `resume` and `status --exit-code`; each thing counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub blocked: usize,
    /// Keys that need an operator and have no blocked rotation: they have no rotation, or it keeps failing.
    pub stuck: usize,
    /// Rotations that wait for a known time.
    pub waiting: usize,
    pub failed: usize,
    /// Due keys that wait to be opened, which needs no operator.
    pub unopened: usize,
}

impl Tally {
    #[must_use]
    pub const fn needs_operator(self) -> usize {
        self.blocked + self.stuck
    }

    /// The exit code. What continues by itself takes precedence over what needs an operator, so that a loop around
    /// `run` leaves nothing half done. With `waiting_ok` the order is reversed, and waiting for a known time counts
    /// as done.
    #[must_use]
    pub const fn exit(self, waiting_ok: bool) -> Exit {
        let failed = self.failed + self.unopened > 0;
        let needs_operator = self.needs_operator() > 0;
        if waiting_ok && needs_operator {
            Exit::NeedsOperator
        } else if failed || (self.waiting > 0 && !waiting_ok) {
            Exit::InFlight
        } else if needs_operator {
            Exit::NeedsOperator
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
            (Exit::NeedsOperator, 4),
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
                                (false, true) => Exit::NeedsOperator,
                                (false, false) => Exit::Done,
                            };
                            assert_eq!(tally.exit(false), expected, "{tally:?}");
                            let expected = match (operator, failed + unopened > 0) {
                                (true, _) => Exit::NeedsOperator,
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
