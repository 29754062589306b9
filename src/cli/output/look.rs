//! How results for an operator are laid out.

use super::columns::Paint;
use super::times::Times;

/// The layout of text on stdout.
#[derive(Debug, Clone)]
pub struct Look {
    pub paint: Paint,
    /// The columns of the terminal. `None`: lines are not folded, since a program or a file takes them.
    pub width: Option<usize>,
    /// Whether the tables have the ids of rotations and keys.
    pub wide: bool,
    pub times: Times,
    /// The process that holds the journal and works on what is in flight, if it is another one.
    pub at_work: Option<u32>,
}

impl Look {
    /// When the commands that are shown work, if another process holds the journal: until then each of them is refused.
    #[must_use]
    pub fn once_it_has_ended(&self) -> Option<String> {
        self.at_work.map(|process| format!("once the rotator that is at work (pid {process}) has ended"))
    }
}
