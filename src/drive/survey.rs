//! What there is to do: every entry is read, keys are found, IAM confirms each. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::accounts::Account;
use super::bars::{Bars, NotOurs, Searched, fixed, search};
use super::confirm::{Confirmed, confirm};
use super::owner::Owner;
use super::pace::Operation;
use super::sinks::{InSinks, followers, forsaken};
use super::world::World;
use super::writable::Answers;
use crate::discovery::{Candidate, Place, Spot, StoredEntry, WhyLeftAlone, discover, read_pair};
use crate::journal::entry::{LeftAloneNote, PlaceNote};
use crate::ports::call::CallError;
use crate::ports::secret_store::Reading;
use crate::rotation::known::{KeySeen, KeyStatus, KeysSeen};
use crate::rotation::name::{AccessKeyId, AccountId, EntryName, RotationId, StoreName, UserName};
use crate::rotation::policy::{Policy, SpareKey, words};
use crate::rotation::secret::{Fingerprint, SecretKey};
use crate::rotation::sink::Follower;

/// What the operator chose to rotate.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Whose keys.
    pub owner: Owner,
    /// Rotate only what matches one of these; `None`: everything.
    pub only: Option<globset::GlobSet>,
    /// Never what matches one of these.
    pub exclude: globset::GlobSet,
    /// How old a key must be.
    pub older_than: Duration,
    /// The rules for a rotation.
    pub policy: Policy,
}

/// A key that IAM confirmed and that is due.
#[derive(Debug, Clone)]
pub struct Due {
    /// The id that its rotation will have.
    pub id: RotationId,
    /// Of its secret as it stands now.
    pub old_secret: Option<Fingerprint>,
    /// Of which account.
    pub account: AccountId,
    /// Whose.
    pub user: UserName,
    /// The key.
    pub key: KeySeen,
    /// Its secret as it stands now, for the proof of the pair; overwritten when the last copy of this is dropped.
    pub secret: Option<Arc<SecretKey>>,
    /// Where its pair stands.
    pub places: Vec<Place>,
    /// The sinks that follow these places.
    pub sinks: Vec<Follower>,
}

/// What a survey found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Keys to rotate, by user.
    pub due: Vec<Due>,
    /// What is left alone, and why.
    pub left_alone: Vec<LeftAloneNote>,
    /// Of these, the keys that the next run is to look at again: IAM contradicts itself about them.
    pub unconfirmed: Vec<AccessKeyId>,
    /// How many entries each store has.
    pub entries: BTreeMap<StoreName, usize>,
}

/// Keys that the journal knows.
#[derive(Debug, Default)]
pub struct Taken {
    /// Old and new keys of rotations in flight.
    pub in_flight: BTreeSet<AccessKeyId>,
    /// Users that have one, by account.
    pub users: BTreeSet<(AccountId, UserName)>,
    /// Keys that sinks were given last.
    pub in_sinks: InSinks,
    /// Keys that a campaign made which was open when this run began.
    pub made_lately: BTreeSet<AccessKeyId>,
}

fn place_note(store: &StoreName, spot: &Spot) -> PlaceNote {
    PlaceNote { store: store.to_string(), entry: spot.entry.to_string(), location: spot.location.to_string() }
}

/// A pair's place as the JSON document shows it: where its id stands, then where its secret does, if elsewhere.
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

/// A candidate that is not to be opened, and whether a person is needed.
pub(super) struct Not {
    reason: &'static str,
    message: String,
    due: bool,
    look_again: bool,
}

impl Not {
    pub(super) fn left(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: false, look_again: false }
    }

    pub(super) fn look_again(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: false, look_again: true }
    }

    pub(super) fn needs_a_person(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: true, look_again: false }
    }

    fn about(self, candidate: &Candidate) -> LeftAloneNote {
        LeftAloneNote {
            key_id: Some(candidate.key_id.clone()),
            places: place_notes(&candidate.places),
            reason: self.reason.to_owned(),
            message: self.message,
            due: self.due,
        }
    }
}

/// Reads every entry, finds the keys and asks IAM about each.
///
/// # Errors
/// A store that cannot be read at all: what is in it may be a copy of anything.
pub async fn survey(world: &World, choice: &Choice, taken: &Taken) -> Result<Survey, CallError> {
    let mut survey = Survey::default();
    let Everything { entries, not_ours, mut unread, count } = read_everything(world).await?;
    survey.entries = count;
    let findings = discover(&entries);
    let names: Vec<_> = unread.iter().map(|(store, entry, _)| (store.clone(), entry.clone())).collect();
    let Searched { elsewhere, unopened } = search(world, &entries, &names, &findings.candidates);
    unread.extend(unopened.into_iter().map(|(store, entry, why)| (store, entry, why.to_string())));
    let may_name_any = report_unread(world, &unread, &mut survey);
    let read = |candidate| read_secret(&entries, candidate);
    let secrets: Vec<_> = findings.candidates.iter().map(read).collect();
    drop(entries);
    for alone in findings.left_alone {
        survey.left_alone.push(LeftAloneNote {
            key_id: alone.key_id,
            places: alone.places.iter().map(|(store, spot)| place_note(store, spot)).collect(),
            reason: alone.why.reason().to_owned(),
            message: alone.why.to_string(),
            due: matches!(alone.why, WhyLeftAlone::TwoSecrets),
        });
    }
    let asking = findings.candidates.iter().map(|candidate| {
        let elsewhere = elsewhere.get(&candidate.key_id);
        let bars = Bars { elsewhere, unread: &may_name_any, fixed: fixed(world, &not_ours, candidate) };
        consider(world, choice, taken, candidate, bars)
    });
    let answers = futures_util::future::join_all(asking).await;
    let to_open = findings.candidates.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Ok(Some(_))));
    let writable = Answers::of_candidates(world, to_open.map(|(candidate, _)| candidate)).await;
    let mut by_user: BTreeMap<(AccountId, UserName), Vec<Due>> = BTreeMap::new();
    for ((candidate, answer), secret) in findings.candidates.iter().zip(answers).zip(secrets) {
        let checked = answer.and_then(|found| match found {
            Some(found) => writable.check(world, candidate).map(|()| Some(found)),
            None => Ok(None),
        });
        match checked {
            Ok(Some((Confirmed { account, user, key, .. }, sinks))) => {
                let (whose, places) = ((account.clone(), user.clone()), candidate.places.clone());
                let id = RotationId::from_uuid(Uuid::now_v7());
                let old_secret = secret.as_ref().and_then(|secret| secret.fingerprint(id));
                let secret = secret.map(Arc::new);
                let due = Due { id, old_secret, account, user, key, secret, places, sinks };
                by_user.entry(whose).or_default().push(due);
            }
            Ok(None) => {}
            Err(not) => {
                if not.look_again {
                    survey.unconfirmed.push(candidate.key_id.clone());
                }
                survey.left_alone.push(not.about(candidate));
            }
        }
    }
    survey.due.extend(by_user.into_values().flatten());
    Ok(survey)
}

/// All entries of all stores.
#[derive(Default)]
struct Everything {
    entries: Vec<StoredEntry>,
    not_ours: NotOurs,
    /// Those that could not be read, and why.
    unread: Vec<(StoreName, EntryName, String)>,
    /// How many each store has.
    count: BTreeMap<StoreName, usize>,
}

async fn read_everything(world: &World) -> Result<Everything, CallError> {
    let mut all = Everything::default();
    for store in &world.ports.stores {
        let listed = world.pace.read(Operation::Store, || store.read_all()).await?;
        all.count.insert(store.name().clone(), listed.len());
        for (name, reading) in listed {
            let read = match reading {
                // What failed for a moment only holds nothing back.
                Reading::Unreadable(why) => {
                    let again = world.pace.read(Operation::Store, || store.read(std::slice::from_ref(&name))).await;
                    match again.ok().and_then(|mut again| again.pop()) {
                        Some(read @ (Reading::Value { .. } | Reading::NotOurs { .. })) => read,
                        Some(Reading::Missing | Reading::Unreadable(_)) | None => Reading::Unreadable(why),
                    }
                }
                read @ (Reading::Value { .. } | Reading::NotOurs { .. } | Reading::Missing) => read,
            };
            match read {
                Reading::Value { value, .. } => {
                    all.entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::NotOurs { value, why, .. } => {
                    all.not_ours.insert((store.name().clone(), name.clone()), why);
                    all.entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::Missing => {}
                Reading::Unreadable(why) => all.unread.push((store.name().clone(), name, why)),
            }
        }
    }
    Ok(all)
}

/// Reports each entry that could not be read; those that may name any key, for people.
fn report_unread(world: &World, unread: &[(StoreName, EntryName, String)], survey: &mut Survey) -> Vec<String> {
    let mut may_name_any = Vec::new();
    for (store, entry, why) in unread {
        let location = "whole value".to_owned();
        let place = PlaceNote { store: store.to_string(), entry: entry.to_string(), location };
        let counts = if world.manner.unread_ok.is_match(entry.as_str()) {
            "`unread_ok` says that it names no key"
        } else {
            may_name_any.push(format!("{} ({why})", world.describe(store, entry)));
            "it counts as one that may name any key"
        };
        survey.left_alone.push(LeftAloneNote {
            key_id: None,
            places: vec![place],
            reason: "unreadable".to_owned(),
            message: format!("it cannot be read ({why}); {counts}"),
            due: false,
        });
    }
    may_name_any
}

/// `Ok(None)`: a rotation in flight has it.
async fn consider(
    world: &World,
    choice: &Choice,
    taken: &Taken,
    candidate: &Candidate,
    bars: Bars<'_>,
) -> Result<Option<(Confirmed, Vec<Follower>)>, Not> {
    let id = &candidate.key_id;
    if taken.in_flight.contains(id) {
        return Ok(None);
    }
    let matches = |globs: &globset::GlobSet| {
        globs.is_match(id.as_str())
            || candidate.places.iter().any(|place| {
                let scope = place.id.entry.scope();
                let user = choice.owner.of(place);
                globs.is_match(scope)
                    || globs.is_match(place.id.entry.as_str())
                    || globs.is_match(place.secret.entry.as_str())
                    || user.is_some_and(|user| globs.is_match(user.as_str()))
            })
    };
    if matches(&choice.exclude) || choice.only.as_ref().is_some_and(|only| !matches(only)) {
        return Err(Not::left("excluded", "left out by --only or --exclude"));
    }
    if world.signs_with(id) {
        return Err(Not::left("own-key", "rotator itself signs with this key"));
    }
    if choice.older_than.is_zero() && taken.made_lately.contains(id) {
        return Err(Not::left("made-lately", "a campaign that was not complete when this run began has made it"));
    }
    let (account, confirmed) = confirm(world, &choice.owner, candidate).await?;
    let Confirmed { user, key, keys, .. } = &confirmed;
    if key.status != KeyStatus::Active {
        let message = format!("it is {}: a new one would enable what someone switched off", key.status.name());
        return Err(Not::left("inactive", message));
    }
    let age = keys.at.since(key.created);
    if age < choice.older_than {
        let message = format!("it is {} old, and due at {}", words(age), words(choice.older_than));
        return Err(Not::left("not-due", message));
    }
    if taken.users.contains(&(confirmed.account.clone(), user.clone())) {
        let message = format!("a rotation of another key of {user} is in flight");
        return Err(Not::needs_a_person("user-in-flight", message));
    }
    if let Some(entries) = bars.elsewhere {
        let message = format!(
            "{} also names it, in a form that cannot be rewritten: its old key could never be removed; change that \
             entry first",
            entries.join(", ")
        );
        return Err(Not::needs_a_person("named-elsewhere", message));
    }
    if let [first, others @ ..] = bars.unread {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let message = format!(
            "{first}{more} cannot be read and may name it, and its old key could not be removed then: have it made \
             readable, or cover it by `[policy] unread_ok` if it holds no key"
        );
        return Err(Not::needs_a_person("unreadable-elsewhere", message));
    }
    if let Some(why) = bars.fixed {
        let message = format!("{why}: have it rotated there, by hand or by what does so, or leave it out by --exclude");
        return Err(Not::needs_a_person("read-only", message));
    }
    let sinks = followers(world, &candidate.places).map_err(|why| {
        let message = format!("{why}; a new key could not be brought there: mend the sink, or take it out of [[sink]]");
        Not::needs_a_person("sink-unavailable", message)
    })?;
    if let Some(why) = forsaken(world, &taken.in_sinks, id, &candidate.places) {
        return Err(Not::needs_a_person("sink-forsaken", why));
    }
    room(account, choice, user, keys, id).await?;
    Ok(Some((confirmed, sinks)))
}

/// The secret as it stands now; every place of a candidate holds the same.
fn read_secret(entries: &[StoredEntry], candidate: &Candidate) -> Option<SecretKey> {
    let place = candidate.places.first()?;
    let value_of = |name: &EntryName| {
        let found = entries.iter().find(|entry| entry.store == place.store && entry.name == *name);
        found.map(|entry| &entry.value)
    };
    read_pair(place, value_of).ok().map(|pair| pair.secret)
}

/// IAM allows a user two keys; the second place has to be free.
async fn room(
    account: &Account,
    choice: &Choice,
    user: &UserName,
    keys: &KeysSeen,
    id: &AccessKeyId,
) -> Result<(), Not> {
    let Some(spare) = keys.keys.iter().flatten().find(|key| key.id != *id) else { return Ok(()) };
    let deletable = choice.policy.spare_key == SpareKey::DeleteInactive && spare.status == KeyStatus::Inactive;
    if deletable && keys.ids().len() == 2 {
        return Ok(());
    }
    let last_used = || account.ports.iam.last_used(&spare.id);
    let used = account.pace.read(Operation::GetAccessKeyLastUsed, last_used).await;
    let used = match used {
        Ok(Some(used)) => used.used.map_or_else(|| "never used".to_owned(), |used| format!("last used {}", used.at)),
        Ok(None) | Err(_) => "last use unknown".to_owned(),
    };
    let message = format!(
        "user {user} has two keys already, and IAM allows no third; the spare is {} ({}, created {}, {used}): delete it \
         if nothing needs it (aws iam delete-access-key --user-name {user} --access-key-id {}), or set `[policy] \
         spare_key = \"delete-inactive\"` and deactivate it",
        spare.id,
        spare.status.name(),
        spare.created,
        spare.id
    );
    Err(Not::needs_a_person("two-keys", message))
}
