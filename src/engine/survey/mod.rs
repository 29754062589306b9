//! What there is to do: every entry is read, keys are found, IAM confirms each. Changes nothing.

pub mod choice;
pub(in crate::engine) mod consider;
mod left_as_is;
pub(in crate::engine) mod obstacles;
pub mod owner_rule;
pub(in crate::engine) mod ownership;
mod second_key;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use self::choice::{Choice, Names, Unmatched, unmatched};
use self::consider::{Answer, consider};
use self::left_as_is::Judged;
use self::obstacles::{LargeEntry, NotOurs, Obstacles, Searched, fixed, search};
use self::ownership::{Confirmed, Lists};
use crate::discovery::{Candidate, LeftAlone, SkipReason, StoredEntry, discover, left_in_large, read_pairs};
use crate::engine::campaign::CampaignError;
use crate::engine::observe::large::WhileTimeIsLeft;
use crate::engine::observe::writable::Answers;
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::engine::sinks::{InSinks, in_sinks};
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::journal::line::Summary;
use crate::journal::store::SharedStore;
use crate::ports::call::CallError;
use crate::ports::secret_store::Reading;
use crate::rotation::observed::KeySeen;
use crate::rotation::record::Rotation;
use crate::rotation::sink::Follower;
use crate::types::name::{AccessKeyId, AccountId, EntryName, RotationId, StoreName, UserName};
use crate::types::place::{FieldRef, Place};
use crate::types::secret::{Fingerprint, SecretKey};

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
    /// Of these, the keys that the next run is to look at again: IAM contradicts itself about them. Each with the reason.
    pub unconfirmed: BTreeMap<AccessKeyId, String>,
    /// Of these, the keys that `--only` leaves out of this run.
    pub passed_over: BTreeSet<AccessKeyId>,
    /// Keys of rotations in flight.
    in_flight: BTreeSet<AccessKeyId>,
    /// Patterns of `--only` that match no key.
    unmatched_only: Vec<Unmatched>,
    /// Patterns of `--exclude` that match no key.
    unmatched_exclude: Vec<Unmatched>,
    /// What could not be read or asked about: a pattern may have meant it.
    pub(in crate::engine) unread: Vec<String>,
    /// How many entries each store has.
    pub entries: BTreeMap<StoreName, usize>,
    /// The users whose keys IAM confirmed, due or not, and the entries that hold their pairs.
    pub confirmed: Confirmations,
}

/// Whose keys a survey found, and where.
#[derive(Debug, Default)]
pub struct Confirmations {
    /// The users, by account.
    pub users: BTreeSet<(AccountId, UserName)>,
    /// The entries that hold their pairs.
    pub entries: BTreeSet<(StoreName, EntryName)>,
}

impl Confirmations {
    fn take(&mut self, confirmed: &Confirmed, places: &[Place]) {
        self.users.insert((confirmed.account.clone(), confirmed.user.clone()));
        self.take_places(places);
    }

    /// Also these entries.
    pub fn take_places(&mut self, places: &[Place]) {
        for place in places {
            self.entries.extend(place.entries().into_iter().map(|entry| (place.store.clone(), entry.clone())));
        }
    }
}

impl Survey {
    /// Whether each pattern of `--only` matches a key.
    ///
    /// # Errors
    /// [`CampaignError::NothingMatches`] if one does not.
    pub fn check_only(&self) -> Result<(), CampaignError> {
        if self.unmatched_only.is_empty() {
            return Ok(());
        }
        Err(CampaignError::NothingMatches { patterns: self.unmatched_only.clone(), unread: self.unread.clone() })
    }

    /// What an operator should know, and what holds nothing up.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.unmatched_exclude.iter().map(|Unmatched { pattern, nearest }| {
            let nearest = nearest.as_ref().map(|name| format!("; the nearest name is {name}")).unwrap_or_default();
            format!("`{pattern}` of --exclude matches no key that was found{nearest}")
        })
    }

    /// The keys that are due, that are passed over, and that have a rotation.
    pub(in crate::engine) fn keys(&self) -> BTreeSet<AccessKeyId> {
        let due = self.due.iter().map(|due| &due.key.id);
        due.chain(self.unconfirmed.keys()).chain(&self.passed_over).chain(&self.in_flight).cloned().collect()
    }
}

/// What the journal knows of the keys that rotator made for a user.
#[async_trait]
pub trait MadeKeys: Send + Sync {
    /// Their ids; for people, why they cannot be told.
    async fn made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, String>;
}

#[async_trait]
impl MadeKeys for SharedStore {
    async fn made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, String> {
        self.keys_made_for(user).await.map_err(|error| error.to_string())
    }
}

/// What the journal knows.
#[derive(Default)]
pub struct Taken {
    /// Old and new keys of rotations in flight.
    pub in_flight: BTreeSet<AccessKeyId>,
    /// Users that have one, by account.
    pub users: BTreeSet<(AccountId, UserName)>,
    /// What the rotations that were in flight when this run began can be called.
    pub names: Vec<Names>,
    /// Keys that sinks were given last.
    pub in_sinks: InSinks,
    /// Keys that a campaign made which was open when this run began.
    pub made_by_campaign: BTreeSet<AccessKeyId>,
    /// Keys that any rotation made; none where there is no journal yet.
    pub made: Option<Arc<dyn MadeKeys>>,
}

impl Taken {
    /// Gathers it from what was read of the journal: the `open` rotations, `all` of them where sinks are configured, and
    /// the keys that an open campaign made.
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

    fn take(&mut self, rotation: &Rotation) {
        self.in_flight.insert(rotation.opened.old_key.clone());
        self.in_flight.extend(rotation.new_key.clone());
        self.users.insert((rotation.opened.account.clone(), rotation.opened.user.clone()));
        self.names.push(Names::of_rotation(rotation));
    }
}

pub(in crate::engine) fn place_note(store: &StoreName, spot: &FieldRef) -> PlaceNote {
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

/// What the large values name. The search reports one that cannot be opened.
fn left_in(session: &Session, large: &[LargeEntry]) -> Vec<LeftAlone> {
    let mut left_alone = Vec::new();
    for LargeEntry { store, name, value } in large {
        if let Ok(value) = value.open() {
            left_alone.extend(left_in_large(store, name, &WhileTimeIsLeft::new(&*value, session)));
        }
    }
    left_alone
}

/// Reads every entry, finds the keys and asks IAM about each.
///
/// # Errors
/// A store that cannot be read at all: what is in it may be a copy of anything.
pub async fn survey(session: &Session, choice: &Choice, taken: &Taken) -> Result<Survey, CallError> {
    let mut survey = Survey { in_flight: taken.in_flight.clone(), ..Survey::default() };
    let Everything { entries, large, not_ours, mut unread, count } = read_everything(session).await?;
    survey.entries = count;
    let mut findings = discover(&entries);
    findings.left_alone.extend(left_in(session, &large));
    let unread_names: Vec<_> = unread.iter().map(|(store, entry, _)| (store.clone(), entry.clone())).collect();
    let Searched { elsewhere, unopened } = search(session, &entries, &large, &unread_names, &findings.candidates);
    unread.extend(unopened);
    let may_name_any = report_unread(session, &unread, &mut survey);
    let secrets = read_secrets(&entries, &findings.candidates);
    drop(entries);
    let mut names: Vec<Names> = taken.names.clone();
    let mut found: BTreeSet<AccessKeyId> = findings.candidates.iter().map(|found| found.key_id.clone()).collect();
    let left_alone = std::mem::take(&mut findings.left_alone);
    found.extend(left_alone.iter().filter_map(|alone| alone.key_id.clone()));
    let lists = Lists::default();
    let judged = Judged::ask(session, &lists, choice, taken, &left_alone, &findings.candidates).await;
    names.extend(judged.take_down(choice, left_alone, &mut survey));
    let asking = findings.candidates.iter().map(|candidate| {
        let elsewhere = elsewhere.get(&candidate.key_id);
        let obstacles = Obstacles { elsewhere, unread: &may_name_any, fixed: fixed(session, &not_ours, candidate) };
        consider(session, &lists, choice, taken, candidate, obstacles)
    });
    let answers = futures_util::future::join_all(asking).await;
    let to_open = findings.candidates.iter().zip(&answers).filter(|(_, one)| matches!(one.answer, Answer::Due(..)));
    let writable = Answers::of_candidates(session, to_open.map(|(candidate, _)| candidate)).await;
    let mut by_user: BTreeMap<(AccountId, UserName), Vec<Due>> = BTreeMap::new();
    let mut listed = Vec::new();
    for ((candidate, considered), secret) in findings.candidates.iter().zip(answers).zip(secrets) {
        names.push(considered.names);
        survey.unread.extend(considered.not_asked);
        if let Answer::Due(confirmed, _) = &considered.answer {
            survey.confirmed.take(confirmed, &candidate.places);
        }
        if let Some(confirmed) = &considered.confirmed {
            survey.confirmed.take(confirmed, &candidate.places);
        }
        let answer = match considered.answer {
            Answer::Due(confirmed, sinks) => match writable.check(session, candidate) {
                Ok(()) => Answer::Due(confirmed, sinks),
                Err(skip) => Answer::Skip(skip),
            },
            Answer::InFlight | Answer::Skip(_) => considered.answer,
        };
        match answer {
            Answer::InFlight => {}
            Answer::Due(Confirmed { account, user, key, .. }, sinks) => {
                let (whose, places) = ((account.clone(), user.clone()), candidate.places.clone());
                let id = RotationId::from_uuid(Uuid::now_v7());
                let old_secret = secret.as_ref().and_then(|secret| secret.fingerprint(id));
                let secret = secret.map(Arc::new);
                let due = Due { id, old_secret, account, user, key, secret, places, sinks };
                by_user.entry(whose).or_default().push(due);
            }
            Answer::Skip(skip) => {
                if skip.recheck {
                    survey.unconfirmed.insert(candidate.key_id.clone(), skip.message.clone());
                }
                if considered.passed_over {
                    survey.passed_over.insert(candidate.key_id.clone());
                }
                if skip.reason != SkipReason::Excluded && skip.reason != SkipReason::TwoKeys {
                    listed.extend(considered.confirmed);
                }
                survey.left_alone.push(skip.about(candidate));
            }
        }
    }
    survey.due.extend(by_user.into_values().flatten());
    survey.left_alone.extend(second_key::notes(session, choice, taken, &listed, &found).await);
    survey.unmatched_only = choice.only.as_ref().map(|only| unmatched(only, &names)).unwrap_or_default();
    survey.unmatched_exclude = unmatched(&choice.exclude, &names);
    Ok(survey)
}

/// All entries of all stores.
#[derive(Default)]
struct Everything {
    entries: Vec<StoredEntry>,
    large: Vec<LargeEntry>,
    not_ours: NotOurs,
    /// Those that could not be read, and why.
    unread: Vec<(StoreName, EntryName, String)>,
    /// How many each store has.
    count: BTreeMap<StoreName, usize>,
}

async fn read_everything(session: &Session) -> Result<Everything, CallError> {
    let mut all = Everything::default();
    for store in &session.ports.stores {
        let listed = session.limiter.read(Operation::Store, || store.read_all()).await?;
        all.count.insert(store.name().clone(), listed.len());
        for (name, reading) in listed {
            let read = match reading {
                // What failed for a moment only holds nothing back.
                Reading::Unreadable(why) => {
                    let again =
                        session.limiter.read(Operation::Store, || store.read(std::slice::from_ref(&name))).await;
                    match again.ok().and_then(|mut again| again.pop()) {
                        Some(read @ (Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_))) => read,
                        Some(Reading::Missing | Reading::Unreadable(_)) | None => Reading::Unreadable(why),
                    }
                }
                read @ (Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_) | Reading::Missing) => read,
            };
            match read {
                Reading::Value { value, .. } => {
                    all.entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::Managed { value, why, .. } => {
                    all.not_ours.insert((store.name().clone(), name.clone()), why);
                    all.entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::Large(value) => all.large.push(LargeEntry { store: store.name().clone(), name, value }),
                Reading::Missing => {}
                Reading::Unreadable(why) => all.unread.push((store.name().clone(), name, why)),
            }
        }
    }
    Ok(all)
}

/// Reports each entry that could not be read; those that may name any key, for people.
fn report_unread(session: &Session, unread: &[(StoreName, EntryName, String)], survey: &mut Survey) -> Vec<String> {
    let mut may_name_any = Vec::new();
    for (store, entry, why) in unread {
        survey.unread.push(session.describe(store, entry));
        let location = "whole value".to_owned();
        let place = PlaceNote { store: store.to_string(), entry: entry.to_string(), location };
        let counts = if session.options.unread_ok.is_match(entry.as_str()) {
            "`unread_ok` says that it names no key"
        } else {
            may_name_any.push(format!("{} ({why})", session.describe(store, entry)));
            "it counts as one that may name any key"
        };
        survey.left_alone.push(LeftAloneNote {
            key_id: None,
            places: vec![place],
            reason: SkipReason::Unreadable,
            message: format!("it cannot be read ({why}); {counts}"),
            due: false,
        });
    }
    may_name_any
}

/// Each candidate's secret as it stands now; every place of a candidate holds the same.
fn read_secrets(entries: &[StoredEntry], candidates: &[Candidate]) -> Vec<Option<SecretKey>> {
    let values: BTreeMap<_, _> = entries.iter().map(|entry| ((&entry.store, &entry.name), &entry.value)).collect();
    // A candidate has a place at least.
    let places: Vec<&Place> = candidates.iter().filter_map(|candidate| candidate.places.first()).collect();
    let read = read_pairs(&places, |store, name| values.get(&(store, name)).copied());
    read.into_iter().map(|pair| pair.ok().map(|pair| pair.secret)).collect()
}
