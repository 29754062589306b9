//! What a survey found, and what it has to know from the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::choice::{Names, RuleName, Unmatched};
use super::last_use::LastUse;
use crate::engine::error::CampaignError;
use crate::engine::executor::fact_age::Span;
use crate::engine::sinks::{InSinks, in_sinks};
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::journal::line::Summary;
use crate::journal::store::{JournalStore, SharedStore};
use crate::rotation::observed::{KeySeen, KeysSeen};
use crate::rotation::own_use::OwnUses;
use crate::rotation::policy::Policy;
use crate::rotation::record::Rotation;
use crate::rotation::sink::Follower;
use crate::types::name::{AccessKeyId, AccountId, EntryName, RotationId, StoreName, UserName};
use crate::types::place::{FieldRef, Place};
use crate::types::secret::{Fingerprint, SecretKey};
use crate::types::time::Timestamp;

/// A key that IAM confirmed and that is due.
#[derive(Debug, Clone)]
pub struct Due {
    /// The id that its rotation will have.
    pub id: RotationId,
    /// The fingerprint of its present secret.
    pub old_secret: Option<Fingerprint>,
    pub account: AccountId,
    pub user: UserName,
    pub key: KeySeen,
    /// All keys of the user, and when they were listed.
    pub(in crate::engine) listed: (KeysSeen, Span),
    /// Its last use, if IAM was asked for it and answered.
    pub last_use: Option<LastUse>,
    /// Its present secret, for the proof of the pair. It is overwritten when the last reference is dropped.
    pub secret: Option<Arc<SecretKey>>,
    pub places: Vec<Place>,
    pub sinks: Vec<Follower>,
    /// The rule that decides about the key.
    pub rule: Option<RuleName>,
    /// The policy of its rotation.
    pub policy: Policy,
}

impl Due {
    /// Keeps the key list only; the secret is overwritten.
    pub(in crate::engine) fn into_listed(self) -> (KeysSeen, Span) {
        self.listed
    }
}

/// A key that the stores hold and IAM has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedKey {
    pub account: AccountId,
    pub user: UserName,
    /// The creation time of the key in IAM.
    pub created: Timestamp,
    /// When its age will make it due, if it is not due yet.
    pub due_at: Option<Timestamp>,
    /// Its last use, if IAM was asked for it and answered.
    pub last_use: Option<LastUse>,
}

impl ConfirmedKey {
    /// The account and the user.
    pub(super) fn whose(&self) -> (AccountId, UserName) {
        (self.account.clone(), self.user.clone())
    }

    pub(super) fn of_due(due: &Due) -> Self {
        Self {
            account: due.account.clone(),
            user: due.user.clone(),
            created: due.key.created,
            due_at: None,
            last_use: due.last_use.clone(),
        }
    }
}

/// What a survey found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Keys to rotate, by user. There may be a hundred thousand, so a sort moves pointers only.
    pub due: Vec<Box<Due>>,
    /// Keys that are due as well, and that a limit holds back.
    pub held_back: Vec<Box<Due>>,
    /// The keys and entries that are skipped.
    pub left_alone: Vec<LeftAloneNote>,
    /// The skipped keys that the next run checks again, because IAM contradicts itself about them. Each has the reason.
    pub unconfirmed: BTreeMap<AccessKeyId, String>,
    /// The skipped keys that `only` leaves out of this run.
    pub passed_over: BTreeSet<AccessKeyId>,
    /// The keys that `only` takes, due or not; without `only` every key.
    pub chosen: BTreeSet<AccessKeyId>,
    /// Keys of rotations in flight.
    pub(super) in_flight: BTreeSet<AccessKeyId>,
    /// Patterns of `only` that match no key.
    pub(super) unmatched_only: Vec<Unmatched>,
    /// Patterns of `exclude` and of rules that match no key.
    pub(super) unmatched_exclude: Vec<Unmatched>,
    /// Patterns in the configuration of stores that match no entry, as messages.
    pub(super) unmatched_entries: Vec<String>,
    /// The rules that decide about keys.
    pub rules: BTreeMap<AccessKeyId, RuleName>,
    /// Warnings about exclusions that have ended.
    pub(super) ended_exclusions: Vec<String>,
    /// The due keys whose last use is not known although `unused_for` is set, each with the reason.
    pub(super) use_unknown: BTreeMap<AccessKeyId, String>,
    /// What could not be read, and keys about which AWS did not answer. A pattern may mean one of them.
    pub(in crate::engine) unread: Vec<String>,
    /// How many entries each store has.
    pub entries: BTreeMap<StoreName, usize>,
    /// The users whose keys IAM confirmed, due or not, and the entries that hold their pairs.
    pub confirmed: Confirmations,
    /// The skipped keys that IAM confirmed.
    pub skipped_keys: BTreeMap<AccessKeyId, ConfirmedKey>,
}

/// The confirmed users, and the entries that hold their pairs.
#[derive(Debug, Clone, Default)]
pub struct Confirmations {
    pub users: BTreeSet<(AccountId, UserName)>,
    pub entries: BTreeSet<(StoreName, EntryName)>,
}

impl Confirmations {
    pub(super) fn take(&mut self, account: &AccountId, user: &UserName, places: &[Place]) {
        self.users.insert((account.clone(), user.clone()));
        self.take_places(places);
    }

    /// Adds the entries of these places.
    pub fn take_places(&mut self, places: &[Place]) {
        for place in places {
            self.entries.extend(place.entries().into_iter().map(|entry| (place.store.clone(), entry.clone())));
        }
    }
}

impl Survey {
    /// Checks that each pattern of `only` matches a key.
    ///
    /// # Errors
    /// [`CampaignError::NothingMatches`] if a pattern does not match.
    pub fn check_only(&self) -> Result<(), CampaignError> {
        if self.unmatched_only.is_empty() {
            return Ok(());
        }
        Err(CampaignError::NothingMatches { patterns: self.unmatched_only.clone(), unread: self.unread.clone() })
    }

    /// Returns warnings for the operator. They do not stop the run.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unmatched = self.unmatched_exclude.iter().map(|Unmatched { pattern, origin, nearest }| {
            let nearest = nearest.as_ref().map(|name| format!("; the nearest name is {name}")).unwrap_or_default();
            format!("`{pattern}` of {origin} matches no key that was found{nearest}")
        });
        unmatched
            .chain(self.unmatched_entries.iter().cloned())
            .chain(self.ended_exclusions.iter().cloned())
            .chain(self.use_unknown())
    }

    /// Warns that `unused_for` leaves none of these keys alone.
    fn use_unknown(&self) -> Option<String> {
        let (key, why) = self.use_unknown.first_key_value()?;
        let more = match self.use_unknown.len() - 1 {
            0 => String::new(),
            more => format!(" and of {more} more"),
        };
        Some(format!("unused_for does not count for keys whose last use is not known: that of {key}{more} ({why})"))
    }

    /// Returns the keys that are due, that are passed over, or that have a rotation.
    pub(in crate::engine) fn keys(&self) -> BTreeSet<AccessKeyId> {
        let due = self.due.iter().map(|due| &due.key.id);
        due.chain(self.unconfirmed.keys()).chain(&self.passed_over).chain(&self.in_flight).cloned().collect()
    }
}

/// Reads from the journal what rotator did with keys. Only some users need the answers.
#[async_trait]
pub trait MadeKeys: Send + Sync {
    /// Returns the ids of the keys, or a message.
    async fn made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, String>;

    /// Returns rotator's own uses of a key, or a message.
    async fn own_uses(&self, user: &UserName, key: &AccessKeyId) -> Result<OwnUses, String>;

    /// Returns the keys that a lost request may have deactivated, or a message.
    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, String>;
}

#[async_trait]
impl MadeKeys for SharedStore {
    async fn made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, String> {
        self.keys_made_for(user).await.map_err(|error| error.to_string())
    }

    async fn own_uses(&self, user: &UserName, key: &AccessKeyId) -> Result<OwnUses, String> {
        let closed = self.closed_rotations_of(user, key).await.map_err(|error| error.to_string())?;
        Ok(own_uses(key, &closed))
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, String> {
        JournalStore::may_turn_inactive(&**self).await.map_err(|error| error.to_string())
    }
}

/// Collects rotator's own uses of a key from its closed rotations, the oldest first.
#[must_use]
pub fn own_uses(key: &AccessKeyId, closed: &[Summary]) -> OwnUses {
    let mut uses = OwnUses::default();
    for Summary { rotation, opened_at, updated_at, .. } in closed {
        uses.take(key, rotation, *opened_at, *updated_at);
    }
    uses
}

/// What a survey has to know from the journal.
#[derive(Default)]
pub struct Taken {
    /// Old and new keys of rotations in flight.
    pub in_flight: BTreeSet<AccessKeyId>,
    /// Users with a rotation in flight, by account.
    pub users: BTreeSet<(AccountId, UserName)>,
    /// The names of the rotations that were in flight when this run began.
    pub names: Vec<Names>,
    /// Keys that sinks were given last.
    pub in_sinks: InSinks,
    /// Keys that a campaign made which was open when this run began.
    pub made_by_campaign: BTreeSet<AccessKeyId>,
    /// What [`Taken::may_be_deactivated`] has read.
    pub(super) may_turn_inactive: tokio::sync::OnceCell<BTreeSet<AccessKeyId>>,
    /// Reads the keys that any rotation made. `None`: there is no journal yet.
    pub made: Option<Arc<dyn MadeKeys>>,
}

impl Taken {
    /// Collects the facts of the journal: the `open` rotations, `all` rotations if sinks are configured, and the keys that an
    /// open campaign made.
    pub fn from_journal(
        open: &[Summary],
        all: &[Summary],
        made_by_campaign: impl IntoIterator<Item = AccessKeyId>,
        made: Arc<dyn MadeKeys>,
    ) -> Self {
        let mut taken = Self {
            in_sinks: in_sinks(all.iter().map(|summary| &summary.rotation)),
            made_by_campaign: made_by_campaign.into_iter().collect(),
            made: Some(made),
            ..Self::default()
        };
        open.iter().for_each(|summary| taken.take(&summary.rotation));
        taken
    }

    /// Returns whether a lost request of any rotation, open or closed, may have deactivated the key. Only a user with an
    /// inactive spare key needs the answer, which every rotation of the journal is searched for, once.
    pub(super) async fn may_be_deactivated(&self, key: &AccessKeyId) -> Result<bool, String> {
        let Some(journal) = &self.made else { return Ok(false) };
        let keys = self.may_turn_inactive.get_or_try_init(|| journal.may_turn_inactive()).await?;
        Ok(keys.contains(key))
    }

    fn take(&mut self, rotation: &Rotation) {
        self.in_flight.insert(rotation.opened.old_key.clone());
        self.in_flight.extend(rotation.new_key.clone());
        self.users.insert((rotation.opened.account.clone(), rotation.opened.user.clone()));
        self.names.push(Names::of_rotation(rotation));
    }
}

pub(super) fn place_note(store: &StoreName, spot: &FieldRef) -> PlaceNote {
    PlaceNote { store: store.to_string(), entry: spot.entry.to_string(), location: spot.location.to_string() }
}

/// Returns places as the JSON document shows them: the place of the id, then that of the secret, if it is another one.
#[must_use]
pub fn place_notes(places: &[Place]) -> Vec<PlaceNote> {
    let mut notes = Vec::new();
    for place in places {
        notes.push(place_note(&place.store, &place.id));
        if place.secret != place.id {
            notes.push(place_note(&place.store, &place.secret));
        }
    }
    notes
}
