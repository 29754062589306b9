//! What the journal keeps of a campaign, and of the keys that have no rotation.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::discovery::SkipReason;
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::KeyStatus;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, AccountId, CampaignId, RotationId, UserName};
use crate::types::time::Timestamp;

/// What one `run` set out to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// When it began, by the local clock.
    pub began_at: Timestamp,
    /// Whether it has ended.
    pub closed: bool,
    /// The due keys that are not opened yet, and the skipped keys, as the last `run` saw them.
    pub notes: CampaignNotes,
}

impl Campaign {
    /// The due keys that wait to be opened, of a campaign with these rotations. These are the keys that no `run` has
    /// tried, and those whose rotation gave up by itself and which no `run` has looked at since.
    pub fn still_to_open<'a>(&self, rotations: impl Iterator<Item = &'a Rotation>) -> Vec<AccessKeyId> {
        let (gave_up, served): (Vec<&Rotation>, Vec<_>) = rotations.partition(|rotation| rotation.gave_up());
        let fresh = gave_up.iter().filter(|rotation| !self.notes.looked_at.contains(&rotation.id));
        let keys = self.notes.unopened.iter().chain(fresh.map(|rotation| &rotation.opened.old_key));
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
    /// Keys that are due and wait to be opened, which needs no operator.
    pub unopened: Vec<AccessKeyId>,
    /// The skipped keys and entries, each with its reason.
    pub left_alone: Vec<LeftAloneNote>,
    /// Keys whose rotation failed when it was tried last; handed on from campaign to campaign.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failing: BTreeMap<AccessKeyId, Failing>,
    /// Rotations of this campaign that gave up, and whose key a later `run` has judged afresh.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub looked_at: BTreeSet<RotationId>,
    /// Keys that were tried and left to an operator, and when they were tried last; handed on from campaign to campaign.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tried: BTreeMap<AccessKeyId, Timestamp>,
}

impl CampaignNotes {
    /// Whether this rotation continues without an operator.
    #[must_use]
    pub fn goes_on_by_itself(&self, rotation: &Rotation) -> bool {
        let is_stuck = match rotation.state {
            State::Settled { .. } | State::InDoubt { .. } => self.keeps_failing(&rotation.opened.old_key),
            State::Blocked { .. } | State::Closed { .. } => true,
        };
        !is_stuck
    }

    /// Whether this key fails run after run.
    #[must_use]
    pub fn keeps_failing(&self, key: &AccessKeyId) -> bool {
        self.failing.get(key).is_some_and(Failing::keeps_failing)
    }
}

/// How long a key has to fail until an operator is asked, and how long rotator then waits between two creates for it.
const A_DAY: Duration = Duration::from_secs(86_400);

/// In how many runs a key has to fail until an operator is asked.
const RUNS_UNTIL_IT_KEEPS_FAILING: u32 = 3;

/// How a key has failed, run after run. Times are AWS's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// In how many runs in a row.
    pub runs: u32,
    /// When it failed first.
    pub first: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// When a rotation last gave up after it made a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Why it failed last.
    pub why: String,
}

impl Failing {
    /// Whether it fails for so long that waiting does not help: an operator is needed.
    #[must_use]
    pub fn keeps_failing(&self) -> bool {
        self.runs >= RUNS_UNTIL_IT_KEEPS_FAILING && self.last.since(self.first) >= A_DAY
    }

    /// Whether another rotation may be opened: of a key that keeps failing, one a day.
    #[must_use]
    pub fn may_be_opened(&self, now: Timestamp) -> bool {
        // A create that is dated later than now was dated by a clock that was wrong.
        !self.keeps_failing() || self.created.is_none_or(|at| now < at || now.since(at) >= A_DAY)
    }
}

/// A key or an entry that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAloneNote {
    /// The key, where there is an id.
    pub key_id: Option<AccessKeyId>,
    /// The places of the key, or the entry.
    pub places: Vec<PlaceNote>,
    /// Why it is skipped.
    pub reason: NotedReason,
    /// For the operator.
    pub message: String,
    /// Whether the key was due, so that an operator is needed.
    pub due: bool,
    /// The account and the user of the key, if IAM has confirmed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<(AccountId, UserName)>,
    /// What the message says, in fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<NoteDetail>,
}

impl LeftAloneNote {
    /// The key, if the next `run` asks again whether it is due: AWS did not say enough about it. A key that `--only` leaves out
    /// of a run may wait to be opened, too, and is known.
    #[must_use]
    pub fn unsaid(&self) -> Option<&AccessKeyId> {
        self.key_id.as_ref().filter(|_| !self.due && self.reason != SkipReason::Excluded)
    }

    /// The order of notes on every screen: by user and account, then those whose user is not known. Of one user, a key that a
    /// store holds is before one that none holds. Ids decide last: they are random.
    #[must_use]
    pub fn in_order(&self, other: &Self) -> Ordering {
        let place = |note: &PlaceNote| [note.store.clone(), note.entry.clone(), note.location.clone()];
        let whose = self.whose.as_ref().map(|(account, user)| (user, account));
        let whose_other = other.whose.as_ref().map(|(account, user)| (user, account));
        (whose.is_none(), whose, self.places.is_empty())
            .cmp(&(whose_other.is_none(), whose_other, other.places.is_empty()))
            .then_with(|| self.places.first().map(place).cmp(&other.places.first().map(place)))
            .then_with(|| self.key_id.cmp(&other.key_id))
    }
}

/// What a note is about, in fields: a screen says in short what is about one key, and once what holds for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum NoteDetail {
    /// The user has another key, and IAM allows no third.
    OtherKey(OtherKey),
    /// No other program has used the key for longer than `unused_for`.
    Unused {
        /// When the key was created.
        created: Timestamp,
        /// The last use by another program than rotator.
        used: UsedBefore,
        /// The last use, if that is rotator's own proof.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own_proof: Option<Timestamp>,
    },
    /// A call about the key failed, which tells nothing of the key.
    FailedCall {
        /// The action, as a policy names it.
        action: String,
        /// Whether AWS denies the call to the credentials in use.
        denied: bool,
    },
    /// What a later build of rotator has written.
    #[serde(other)]
    Unknown,
}

/// The other key of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Its status in IAM.
    pub status: KeyStatus,
    /// When it was created.
    pub created: Timestamp,
    /// The last use by another program than rotator. `None`: not known.
    pub last_use: Option<UsedBefore>,
    /// Whether a request of rotator that got no answer may have deactivated it.
    pub may_be_deactivated_by_rotator: bool,
}

/// The reason of a note. A later build of rotator may have written a reason that this build does not know, and the notes
/// must stay readable then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NotedReason {
    /// A reason that this build knows.
    Known(SkipReason),
    /// The name of any other reason, as the journal has it.
    Unknown(String),
}

impl NotedReason {
    /// Returns the public name of the reason.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(reason) => reason.name(),
            Self::Unknown(name) => name,
        }
    }
}

impl NotedReason {
    /// Returns the reason, if this build knows it.
    #[must_use]
    pub const fn known(&self) -> Option<SkipReason> {
        match self {
            Self::Known(reason) => Some(*reason),
            Self::Unknown(_) => None,
        }
    }
}

impl From<SkipReason> for NotedReason {
    fn from(reason: SkipReason) -> Self {
        Self::Known(reason)
    }
}

impl PartialEq<SkipReason> for NotedReason {
    fn eq(&self, other: &SkipReason) -> bool {
        match self {
            Self::Known(reason) => reason == other,
            Self::Unknown(_) => false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_failing_after_three_runs_over_a_day_and_then_has_one_create_a_day() {
        let first = Timestamp::from_unix_seconds(1_700_000_000);
        let hours = |hours: u64| first.plus(Duration::from_secs(hours * 3600));
        let failing = |runs, last| Failing { runs, first, last, created: Some(last), why: String::new() };
        assert!(!failing(2, hours(30)).keeps_failing(), "two runs may be an outage");
        assert!(!failing(9, hours(23)).keeps_failing(), "however many there are in a day");
        assert!(failing(3, hours(24)).keeps_failing());
        assert!(failing(9, hours(23)).may_be_opened(hours(23)));
        let keeps = failing(3, hours(24));
        assert!(!keeps.may_be_opened(hours(47)));
        assert!(keeps.may_be_opened(hours(48)));
        assert!(keeps.may_be_opened(hours(1)), "a date in the future holds nothing");
        assert!(Failing { created: None, ..keeps }.may_be_opened(hours(24)), "no key was made");
    }

    #[test]
    fn a_reason_of_a_later_build_is_kept_under_its_name() {
        let later = r#"{"unopened":[],"left_alone":[{"key_id":null,"places":[],"reason":"of-a-later-build","message":"m","due":true},{"key_id":null,"places":[],"reason":"made-lately","message":"m","due":false}]}"#;
        let notes: CampaignNotes = serde_json::from_str(later).expect("read");
        let names: Vec<&str> = notes.left_alone.iter().map(|note| note.reason.name()).collect();
        assert_eq!(names, ["of-a-later-build", "recently-rotated"]);
        assert!(notes.left_alone[1].reason == SkipReason::RecentlyRotated);
        assert_eq!(serde_json::to_string(&notes).expect("text"), later);
    }

    #[test]
    fn a_detail_of_a_later_build_is_no_obstacle() {
        let later = r#"{"key_id":null,"places":[],"reason":"iam-failed","message":"m","due":true,"detail":{"about":"of-a-later-build","more":[1]}}"#;
        let note: LeftAloneNote = serde_json::from_str(later).expect("read");
        assert_eq!(note.detail, Some(NoteDetail::Unknown));
    }

    #[test]
    fn notes_are_in_the_order_of_their_users() {
        let note = |user: Option<&str>, key: char| LeftAloneNote {
            key_id: AccessKeyId::new(format!("AKIAABCDEFGHIJKLMNO{key}")).ok(),
            places: Vec::new(),
            reason: SkipReason::TwoKeys.into(),
            message: String::new(),
            due: true,
            whose: user
                .map(|user| (AccountId::new("123456789012").expect("valid"), UserName::new(user).expect("valid"))),
            detail: None,
        };
        let ordered = [note(Some("alice"), 'C'), note(Some("bob"), 'A'), note(Some("bob"), 'B'), note(None, 'A')];
        let mut notes = [3, 1, 2, 0].map(|at: usize| ordered[at].clone());
        notes.sort_by(LeftAloneNote::in_order);
        assert_eq!(notes, ordered);
        // The ids are random.
        let place = |entry: &str| PlaceNote {
            store: "s".to_owned(),
            entry: entry.to_owned(),
            location: "whole value".to_owned(),
        };
        let at = |entry: &str, note: LeftAloneNote| LeftAloneNote { places: vec![place(entry)], ..note };
        let ordered = [
            at("a/b/c", note(Some("bob"), 'Z')),
            note(Some("bob"), 'A'),
            at("d/e/f", note(None, 'Y')),
            at("g/h/i", note(None, 'X')),
        ];
        let mut notes = [3, 1, 2, 0].map(|at: usize| ordered[at].clone());
        notes.sort_by(LeftAloneNote::in_order);
        assert_eq!(notes, ordered);
    }

    #[test]
    fn notes_of_an_earlier_build_are_read() {
        let notes: CampaignNotes = serde_json::from_str(r#"{"unopened":[],"left_alone":[]}"#).expect("read");
        assert_eq!(notes, CampaignNotes::default());
        assert_eq!(serde_json::to_string(&notes).expect("text"), r#"{"unopened":[],"left_alone":[]}"#);
    }
}
