//! What the journal keeps: lines of rotations, and campaigns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::rotation::event::Event;
use crate::rotation::name::{AccessKeyId, CampaignId, RotationId};
use crate::rotation::policy::Timestamp;
use crate::rotation::standing::Rotation;

/// One line: append-only, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub rotation: RotationId,
    /// 1 for `opened`, then one more each.
    pub seq: u64,
    /// The local clock.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A rotation as the journal's summary keeps it, in the same transaction as its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The rotation after its last line.
    pub rotation: Rotation,
    /// That line's number.
    pub seq: u64,
    /// When it was opened, by the local clock.
    pub opened_at: Timestamp,
    /// When its last line was written, by the local clock.
    pub updated_at: Timestamp,
}

/// What one `run` set out to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// When it began, by the local clock.
    pub began_at: Timestamp,
    /// Whether it has come to its end.
    pub closed: bool,
    /// The due keys that are not opened yet, and the keys left alone, as the last `run` saw them.
    pub notes: CampaignNotes,
}

impl Campaign {
    /// The due keys that wait to be opened, of a campaign with these rotations: those that no `run` came to, and those
    /// whose rotation gave up by itself.
    pub fn still_to_open<'a>(&self, rotations: impl Iterator<Item = &'a Rotation>) -> Vec<AccessKeyId> {
        let (gave_up, served): (Vec<&Rotation>, Vec<_>) = rotations.partition(|rotation| rotation.gave_up());
        let keys = self.notes.unopened.iter().chain(gave_up.iter().map(|rotation| &rotation.opened.old_key));
        let mut keys: BTreeSet<AccessKeyId> = keys.cloned().collect();
        // A run that was killed has not taken off its list what it opened.
        for rotation in served {
            keys.remove(&rotation.opened.old_key);
        }
        keys.into_iter().collect()
    }
}

/// What a run leaves on record about keys that have no rotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignNotes {
    /// Keys that are due and wait to be opened.
    pub unopened: Vec<AccessKeyId>,
    /// Keys and entries left alone, each with its reason.
    pub left_alone: Vec<LeftAloneNote>,
}

/// A key or an entry that was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAloneNote {
    /// The key, where there is an id.
    pub key_id: Option<AccessKeyId>,
    /// Where it stands.
    pub places: Vec<PlaceNote>,
    /// A name that does not change, in kebab-case.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Whether the key was due, so that a person is needed.
    pub due: bool,
}

/// A place as the JSON document shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceNote {
    /// The store.
    pub store: String,
    /// The entry.
    pub entry: String,
    /// Where in it.
    pub location: String,
}
