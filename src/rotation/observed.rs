//! What was seen of the world since the last event: the ground that `next_step` and `reconcile` decide on.
//!
//! Every look is fresh: the engine forgets all of it whenever an event is journaled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::name::{AccessKeyId, StoreIdentity, UserName};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// A key's status. AWS knows `Active`, `Inactive` and `Expired`
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyMetadata.html>); what else it may say one day
/// is kept as [`KeyStatus::Other`] and treated as not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStatus {
    /// It authenticates.
    Active,
    /// It does not, until it is made active.
    Inactive,
    /// It does not.
    Expired,
    /// A status that this version does not know.
    Other,
}

impl KeyStatus {
    /// For the operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Expired => "expired",
            Self::Other => "in a status that this version of rotator does not know",
        }
    }
}

/// One key as `ListAccessKeys` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySeen {
    /// Its id.
    pub id: AccessKeyId,
    /// Its status.
    pub status: KeyStatus,
    /// When it was created.
    pub created: Timestamp,
}

/// A user's keys as `ListAccessKeys` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysSeen {
    /// AWS's clock when it answered.
    pub at: Timestamp,
    /// The keys; `None`: there is no such user.
    pub keys: Option<Vec<KeySeen>>,
}

impl KeysSeen {
    /// The key with this id, if it is listed.
    #[must_use]
    pub fn find(&self, id: &AccessKeyId) -> Option<&KeySeen> {
        self.keys.as_ref()?.iter().find(|key| key.id == *id)
    }

    /// The ids listed.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<AccessKeyId> {
        self.keys.iter().flatten().map(|key| key.id.clone()).collect()
    }
}

/// What a place shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceContent {
    /// The old id, with a secret that is not the new one.
    Old,
    /// The new id and the new secret.
    New,
    /// The old id and the new secret: a write of two entries was cut in half.
    Torn,
    /// The new id and the old secret: the old pair was put back, and a write of the new id landed after that, in a store
    /// that cannot refuse it.
    IdOnly,
    /// Neither pair.
    Foreign,
    /// It cannot be read now.
    Unreadable,
}

/// One reading of every place, in the plan's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacesSeen {
    /// What each shows, with its name for the operator.
    pub places: Vec<(String, PlaceContent)>,
}

impl PlacesSeen {
    /// Whether every place shows this.
    #[must_use]
    pub fn all(&self, shows: PlaceContent) -> bool {
        self.places.iter().all(|(_, seen)| *seen == shows)
    }

    /// Whether any place shows this.
    #[must_use]
    pub fn any(&self, shows: PlaceContent) -> bool {
        self.places.iter().any(|(_, seen)| *seen == shows)
    }

    /// The places that show anything else, for the operator.
    #[must_use]
    pub fn which_not(&self, shows: PlaceContent) -> Vec<String> {
        self.places.iter().filter(|(_, seen)| *seen != shows).map(|(name, _)| name.clone()).collect()
    }

    /// The places that show this, for the operator.
    #[must_use]
    pub fn which(&self, shows: PlaceContent) -> Vec<String> {
        self.places.iter().filter(|(_, seen)| *seen == shows).map(|(name, _)| name.clone()).collect()
    }
}

/// One reading of every entry of every store, begun after the last event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanSeen {
    /// Which entries name which of the keys asked about.
    pub named: BTreeMap<AccessKeyId, Vec<String>>,
    /// The names of the entries that could not be read and that `unread_ok` does not cover. Names only: what a store
    /// answered is worded anew each time, and equal scans are to be equal.
    pub unreadable: Vec<String>,
}

impl ScanSeen {
    /// The entries that name the key.
    #[must_use]
    pub fn naming(&self, key: &AccessKeyId) -> &[String] {
        self.named.get(key).map_or(&[], Vec::as_slice)
    }
}

/// A copy of the old pair that is no place of its rotation, because its entry was unreadable or absent when the
/// rotation was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateCopy {
    /// The place that holds the copy.
    pub place: Place,
    /// What its store says it is.
    pub store: StoreIdentity,
}

/// The result of proving a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It answered as the expected user and account, as often as was asked.
    Passed,
    /// It did not within the time allowed; what was answered last.
    TimedOut(String),
    /// It answered as another user.
    SomebodyElse(String),
    /// STS refuses it for lack of a right, twice, `settle` apart: that says nothing of the pair.
    Denied(String),
}

/// One use of a key, as `GetAccessKeyLastUsed` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// When.
    pub at: Timestamp,
    /// At which service, by AWS's own short name (`s3`, `sts`), where IAM says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// In which region, where IAM says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl KeyUse {
    /// A use of which only the time is known.
    #[must_use]
    pub const fn at(at: Timestamp) -> Self {
        Self { at, service: None, region: None }
    }

    /// Whether STS was called, as every proof does.
    #[must_use]
    pub fn is_of_sts(&self) -> bool {
        self.service.as_deref() == Some("sts")
    }
}

/// Who has a key, as `GetAccessKeyLastUsed` names its user and that user's own list bears it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// IAM lists the key for this user.
    User(UserName),
    /// IAM has no such key.
    NoSuchKey,
    /// The owner is unknown: the question is refused, as real IAM also does where there is no such key, or the answers do
    /// not agree. For the operator.
    Unclear(String),
}

/// All that was seen since the last event.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The user's keys.
    pub keys: Option<KeysSeen>,
    /// The places.
    pub places: Option<PlacesSeen>,
    /// Every entry.
    pub scan: Option<ScanSeen>,
    /// Copies of the old pair that the scan for the old key found outside the places, whole and such that the new pair can
    /// be written to them.
    pub copies: Vec<LateCopy>,
    /// Places that hold the old pair now and held the new one before. Another writer wrote after rotator, whose own write
    /// is on record without its end.
    pub put_back: Vec<String>,
    /// The new pair in hand, tried at AWS.
    pub new_pair: Option<Proof>,
    /// The new pair as read back from each place, tried at AWS.
    pub stored_pair: Option<Proof>,
    /// When keys were last used; `None`: never.
    pub last_used: BTreeMap<AccessKeyId, Option<KeyUse>>,
    /// Who has which key.
    pub owners: BTreeMap<AccessKeyId, KeyOwner>,
}

/// What this process has, beside what it sees.
#[derive(Debug, Clone, Copy)]
pub struct InMemoryFacts {
    /// The new secret is in memory.
    pub new_secret: bool,
    /// The old values of places that we wrote are in memory.
    pub old_values: bool,
    /// How long a `CreateAccessKey` may take before its call is given up.
    pub call_timeout: Duration,
}
