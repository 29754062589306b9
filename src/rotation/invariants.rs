//! The facts that hold in each state of a rotation, checked after each event.

use super::policy::MOST_CREATES;
use super::record::Rotation;
use super::state::{Phase, Provenance};

/// A fact that must hold and does not: a defect in rotator, or an edited journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in {state}: {fact}")]
pub struct BrokenFact {
    state: &'static str,
    fact: &'static str,
}

impl Rotation {
    /// Checks the facts of the state.
    ///
    /// # Errors
    /// [`BrokenFact`] names the first that does not hold.
    pub fn check_facts(&self) -> Result<(), BrokenFact> {
        let state = self.state.name();
        let claim = |holds: bool, fact: &'static str| if holds { Ok(()) } else { Err(BrokenFact { state, fact }) };
        claim(!self.opened.places.is_empty(), "a rotation has at least one place")?;
        claim(
            self.opened.places.iter().all(|place| self.opened.stores.contains_key(&place.store)),
            "every place's store has a recorded identity",
        )?;
        claim(
            self.opened.sinks.iter().all(|follower| follower.place < self.opened.places.len()),
            "every sink follows a place",
        )?;
        claim(self.sinks.len() == self.opened.sinks.len(), "every sink's state is on record")?;
        let Some(phase) = self.state.phase() else { return Ok(()) };
        if let Some(made) = phase.made() {
            claim(made.key != self.opened.old_key, "the new key is not the old key")?;
            claim(self.creates > 0, "there is no new key without a create")?;
            claim(self.creates <= MOST_CREATES, "no rotation makes more keys than it may")?;
            claim(self.new_key.as_ref() == Some(&made.key), "the new key is on record")?;
        }
        match phase {
            Phase::Opened => claim(self.new_key.is_none(), "no key of ours exists"),
            Phase::CreatedNew { made } => claim(
                made.deactivated.is_none() || made.provenance == Provenance::Inferred,
                "only a key held on evidence is deactivated first",
            ),
            Phase::StoredNew { made, .. } => {
                claim(made.fingerprint().is_some(), "what is stored was acknowledged by IAM")
            }
            Phase::DeactivatedOld { made, stored_at, deactivated_at } => {
                claim(self.without_new(made).is_none(), "every sink has the new pair")?;
                claim(made.fingerprint().is_some(), "what is stored was acknowledged by IAM")?;
                claim(stored_at <= deactivated_at, "the new pair was stored before the old key was deactivated")
            }
        }
    }
}
