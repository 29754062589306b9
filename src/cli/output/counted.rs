//! How many keys a search has found, as `plan` and `doctor` count them.

use crate::cli::output::document::PlanDocument;
use crate::discovery::SkipReason;
use crate::engine::survey::Survey;
use crate::types::time::Timestamp;

/// Says of this number of keys that a run has to ask AWS again. Empty: of none.
#[must_use]
pub fn unsaid(number: usize) -> String {
    match number {
        0 => String::new(),
        1 => "AWS did not say enough about 1 key".to_owned(),
        number => format!("AWS did not say enough about {number} keys"),
    }
}

/// The keys of a plan by what happens to them. A key may be counted as one for an operator beside another number.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted {
    pub due: usize,
    /// Due, and not opened in this run because of the limit.
    pub held_back: usize,
    pub unused: usize,
    pub needs_operator: usize,
    /// Keys that may be due: the next run asks AWS again.
    pub unsaid: usize,
    /// When each of the keys that are not due yet will be.
    pub not_due: Vec<Timestamp>,
}

impl Counted {
    /// The keys of this plan, which was made of this survey.
    #[must_use]
    pub fn of(plan: &PlanDocument, survey: &Survey) -> Self {
        let skipped = &plan.skipped;
        Self {
            due: plan.due.len(),
            held_back: plan.held_back.len(),
            unused: skipped.iter().filter(|note| note.reason == SkipReason::Unused.name()).count(),
            needs_operator: skipped.iter().filter(|note| note.needs_operator).count(),
            unsaid: survey.unconfirmed.len(),
            not_due: skipped.iter().filter_map(|note| note.confirmed.as_ref()?.due_at).collect(),
        }
    }

    /// The numbers in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let rest = [
            ("held back by the limit", self.held_back),
            ("not due yet", self.not_due.len()),
            ("unused", self.unused),
            ("for an operator", self.needs_operator),
            ("unknown to be due, since AWS did not say enough", self.unsaid),
        ];
        let rest = rest.iter().filter(|(_, number)| *number > 0);
        let rest: String = rest.map(|(what, number)| format!(", {what}: {number}")).collect();
        format!("keys due: {}{rest}", self.due)
    }
}
