//! A small pure world: IAM, the places and one more entry of a store, and an operator. No port, no engine: what is tested
//! in it is the machine alone.

use super::*;
use crate::rotation::decide::{Query, Step, next_step};
use crate::rotation::observed::{
    InMemoryFacts, KeySeen, KeyStatus, KeyUse, KeysSeen, LateCopy, Observed, PlaceContent, PlacesSeen, Proof,
};

/// More steps than these no visit needs.
const MOST_STEPS: usize = 300;
/// As the engine: then the rotation is left in flight until the next run.
const MOST_FAILURES: u32 = 6;

/// What may go wrong with one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The other side says no.
    Refused(RefusalKind),
    /// The request is lost on its way.
    LostBefore,
    /// It is done, and the reply is lost.
    LostAfter,
    /// Killed before the request was sent.
    CrashBefore,
    /// Killed before the reply was on record.
    CrashAfter,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub now: i64,
    /// What the user is called.
    pub user: UserName,
    /// Whether another user has the user's former name.
    pub name_is_taken: bool,
    /// `None`: there is no such user.
    pub keys: Option<BTreeMap<AccessKeyId, (KeyStatus, i64)>>,
    pub used: BTreeMap<AccessKeyId, i64>,
    pub places: Vec<PlaceContent>,
    /// What each sink holds.
    pub sinks: Vec<AccessKeyId>,
    /// Writes of sinks with an unknown outcome: which sink, whose pair, until when each may take effect.
    pub on_their_way: Vec<(usize, AccessKeyId, i64)>,
    /// Keys that an entry names which is no place.
    pub elsewhere: BTreeSet<AccessKeyId>,
    /// Copies of the old pair that are no places.
    pub copies: Vec<Place>,
    pub unreadable: bool,
    pub wrong_identity: bool,
    /// The secret of the new key is in memory.
    pub in_hand: bool,
    pub old_values: bool,
    /// One store takes the new pair, the other refuses it: a failure that the door calls unknown.
    pub writes_half: bool,
    /// Killed after every create.
    pub loses_creates: bool,
    /// Rights that are missing, by name.
    pub denied: BTreeSet<&'static str>,
    /// The old key is used whenever IAM is asked.
    pub used_without_end: bool,
    /// A refusal for lack of a right, just heard.
    pub heard: Option<Denied>,
    /// By the number of the effect.
    pub faults: BTreeMap<usize, Fault>,
    pub effects: usize,
    /// Every step, with its time.
    pub told: Vec<(i64, Step)>,
}

/// How a visit ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    Closed(Ending),
    Blocked(BlockReason),
    Failing(String),
}

impl World {
    pub(super) fn new(places: &[PlaceContent]) -> Self {
        Self {
            now: 10_000,
            user: opened(Policy::default()).user,
            name_is_taken: false,
            keys: Some(BTreeMap::from([(key(OLD), (KeyStatus::Active, -1_000_000))])),
            used: BTreeMap::new(),
            places: places.to_vec(),
            sinks: Vec::new(),
            on_their_way: Vec::new(),
            elsewhere: BTreeSet::new(),
            copies: Vec::new(),
            unreadable: false,
            wrong_identity: false,
            in_hand: false,
            old_values: false,
            writes_half: false,
            loses_creates: false,
            denied: BTreeSet::new(),
            used_without_end: false,
            heard: None,
            faults: BTreeMap::new(),
            effects: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn status(&self, id: &AccessKeyId) -> Option<KeyStatus> {
        self.keys.as_ref()?.get(id).map(|(status, _)| *status)
    }

    pub(super) fn set(&mut self, id: &AccessKeyId, status: KeyStatus) {
        if let Some(seen) = self.keys.as_mut().and_then(|keys| keys.get_mut(id)) {
            seen.0 = status;
        }
    }

    fn any(&self, shows: PlaceContent) -> bool {
        self.places.contains(&shows)
    }

    /// P1, for places that hold whole pairs.
    fn every_place_works(&self, made: Option<&AccessKeyId>) -> bool {
        self.places.iter().all(|shows| match shows {
            PlaceContent::Old => self.status(&key(OLD)) == Some(KeyStatus::Active),
            PlaceContent::New => made.is_some_and(|made| self.status(made) == Some(KeyStatus::Active)),
            PlaceContent::Torn | PlaceContent::IdOnly | PlaceContent::Foreign | PlaceContent::Unreadable => true,
        })
    }

    fn names(&self, id: &AccessKeyId, made: Option<&AccessKeyId>) -> Vec<String> {
        let in_place = self.places.iter().any(|shows| match shows {
            PlaceContent::Old | PlaceContent::Torn => *id == key(OLD),
            PlaceContent::New | PlaceContent::IdOnly => Some(id) == made,
            PlaceContent::Foreign | PlaceContent::Unreadable => false,
        });
        let here = in_place.then(|| "app/prod/ID".to_owned());
        let copy = *id == key(OLD) && !self.copies.is_empty();
        here.into_iter().chain((copy || self.elsewhere.contains(id)).then(|| "other/prod/COPY".to_owned())).collect()
    }

    /// Visits the rotation, again and again while it waits, until it is closed, blocked or fails.
    pub(super) fn drive(&mut self, rotation: &mut Rotation) -> Left {
        self.drive_until(rotation, |_| false).expect("no end but its own")
    }

    /// The same, until `enough` holds.
    pub(super) fn drive_until(&mut self, rotation: &mut Rotation, enough: impl Fn(&Rotation) -> bool) -> Option<Left> {
        let mut known = Observed::default();
        let mut failures = 0;
        for _ in 0..MOST_STEPS {
            if enough(rotation) {
                return None;
            }
            self.in_hand &= is_acknowledged(rotation);
            let call_timeout = Duration::from_secs(30);
            let hand = InMemoryFacts { new_secret: self.in_hand, old_values: self.old_values, call_timeout };
            let step = next_step(rotation, hand, &known, at(self.now));
            self.told.push((self.now, step.clone()));
            match step {
                Step::Idle => match &rotation.state {
                    State::Closed { ending } => return Some(Left::Closed(*ending)),
                    State::Blocked { reason, .. } => return Some(Left::Blocked(reason.clone())),
                    State::Settled { .. } | State::InDoubt { .. } => panic!("at rest in the open: {self:#?}"),
                },
                Step::Observe(look) => match self.refused_look(rotation, &look) {
                    // As the engine, at the second refusal.
                    Some(denied) => return Some(self.block(rotation, denied)),
                    None => self.look(rotation, &look, &mut known),
                },
                Step::Record(event) => {
                    known = Observed::default();
                    self.follow(rotation, &event);
                    *rotation = apply(rotation, &event).unwrap_or_else(|error| panic!("{error} {self:#?}"));
                }
                Step::Wait { until, .. } => {
                    known = Observed::default();
                    // Minutes may pass between two runs, and the next run has nothing of the memory of this one.
                    self.now = (self.now + 1).max(until.as_unix_seconds() - at(0).as_unix_seconds());
                    self.land();
                }
                Step::Retry { why } => {
                    known = Observed::default();
                    failures += 1;
                    if failures >= MOST_FAILURES {
                        return Some(Left::Failing(why));
                    }
                }
                Step::Execute(intent) => {
                    known = Observed::default();
                    failures = if self.act(rotation, &intent) { 0 } else { failures + 1 };
                    let create = matches!(intent, Intent::CreateNew { .. });
                    if let Some(denied) = self.heard.take().filter(|_| create || self.is_denied(&intent)) {
                        return Some(self.block(rotation, denied));
                    }
                    if failures >= MOST_FAILURES {
                        return Some(Left::Failing(format!("{} fails", intent.name())));
                    }
                }
            }
        }
        panic!("this never ends: {self:#?}\n{rotation:#?}");
    }

    fn look(&mut self, rotation: &Rotation, look: &Query, known: &mut Observed) {
        let made = rotation.made().map(|made| &made.key);
        match look {
            Query::Keys => {
                let seen = |(id, (status, created)): (&AccessKeyId, &(KeyStatus, i64))| KeySeen {
                    id: id.clone(),
                    status: *status,
                    created: at(*created),
                };
                let keys = self.keys.as_ref().map(|keys| keys.iter().map(seen).collect());
                let keys = match self.is_user_of(rotation) {
                    true => keys,
                    false => self.name_is_taken.then(Vec::new),
                };
                known.keys = Some(KeysSeen { at: at(self.now), keys });
            }
            Query::Places => {
                self.in_hand |=
                    is_acknowledged(rotation) && (self.any(PlaceContent::New) || self.any(PlaceContent::Torn));
                let places = self.places.iter().map(|shows| ("app/prod/ID".to_owned(), *shows)).collect();
                known.places = Some(PlacesSeen { places });
            }
            Query::Scan(id) => {
                let scan = known.scan.get_or_insert_default();
                scan.named.insert(id.clone(), self.names(id, made));
                if *id == key(OLD) {
                    let store = StoreIdentity::new("one").expect("valid");
                    let copy = |place: &Place| LateCopy { place: place.clone(), store: store.clone() };
                    known.copies = self.copies.iter().map(copy).collect();
                }
                scan.unreadable = if self.unreadable { vec!["other/prod/BROKEN".to_owned()] } else { Vec::new() };
            }
            Query::NewPair | Query::StoredPair => {
                let active = made.and_then(|made| self.status(made)) == Some(KeyStatus::Active);
                let proof = match (self.wrong_identity, active) {
                    _ if self.denied.contains(Operation::GetCallerIdentity.name()) => Proof::Denied("no".to_owned()),
                    (true, true) => Proof::SomebodyElse("bob".to_owned()),
                    (false, true) => Proof::Passed,
                    // Worded anew each time, as AWS does.
                    (_, false) => Proof::TimedOut(format!("request {}: InvalidClientTokenId", self.told.len())),
                };
                *(if *look == Query::NewPair { &mut known.new_pair } else { &mut known.stored_pair }) = Some(proof);
            }
            Query::LastUsed(id) => {
                let mut used = self.used.get(id).map(|used| KeyUse::at(at(*used)));
                if self.used_without_end && *id == key(OLD) {
                    let (service, region) = (Some("s3".to_owned()), Some("eu-west-1".to_owned()));
                    used = Some(KeyUse { at: at(self.now - 60), service, region });
                }
                known.last_used.insert(id.clone(), used);
            }
            Query::Owner(id) => {
                known.owners.insert(id.clone(), self.owner_of(id));
            }
        }
    }

    /// Carries out an effect, through the very events of the door. Whether it was done and heard of.
    fn act(&mut self, rotation: &mut Rotation, intent: &Intent) -> bool {
        let lost = self.loses_creates && matches!(intent, Intent::CreateNew { .. });
        let fault = self.faults.get(&self.effects).copied().or(lost.then_some(Fault::CrashAfter));
        self.effects += 1;
        self.note(rotation, Event::Intended(intent.clone()));
        let crash = matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfter));
        let reply = match fault {
            Some(Fault::LostBefore | Fault::CrashBefore) => {
                if let Intent::WriteSink { sink, key, until, .. } = intent {
                    let until = until.as_unix_seconds() - at(0).as_unix_seconds();
                    self.on_their_way.push((*sink, key.clone(), until));
                }
                None
            }
            None if self.is_denied(intent) => Some(Err(no(self.kind_of_denial(intent)))),
            Some(Fault::Refused(kind)) => Some(Err(Refusal::new(kind, "no"))),
            Some(Fault::LostAfter | Fault::CrashAfter) => {
                let _lost = self.happen(rotation, intent);
                None
            }
            None if self.writes_half && *intent == Intent::StoreNew => {
                self.places[0] = PlaceContent::New;
                self.old_values = true;
                None
            }
            None => Some(self.happen(rotation, intent)),
        };
        if crash || (fault.is_some() && matches!(intent, Intent::CreateNew { .. })) {
            (self.in_hand, self.old_values) = (false, false);
        }
        match reply {
            Some(Ok(outcome)) => {
                self.note(rotation, Event::Done(outcome));
                true
            }
            Some(Err(refusal)) => {
                let is_locked = refusal.kind == RefusalKind::Locked;
                if (is_locked || refusal.kind == RefusalKind::Denied) && *intent != Intent::StoreNew {
                    let denied = Denied::of_effect(rotation, intent, "no");
                    self.heard = denied.map(|denied| if is_locked { denied.by_a_lock() } else { denied });
                }
                self.note(rotation, Event::NotDone(NotDone::Refused(refusal)));
                false
            }
            // After a crash another process continues.
            None => crash,
        }
    }

    /// A write of a sink lands as late as it may.
    fn land(&mut self) {
        for (sink, id, until) in std::mem::take(&mut self.on_their_way) {
            if until > self.now {
                self.on_their_way.push((sink, id, until));
                continue;
            }
            let works = self.status(&id) == Some(KeyStatus::Active);
            assert!(works || !self.sink_works(sink), "P1: the pair of {id} landed late in a sink: {self:#?}");
            self.sinks[sink] = id;
        }
    }

    fn sink_works(&self, sink: usize) -> bool {
        self.status(&self.sinks[sink]) == Some(KeyStatus::Active)
    }

    pub(super) fn note(&self, rotation: &mut Rotation, event: Event) {
        *rotation = apply(rotation, &event).unwrap_or_else(|error| panic!("{error} {self:#?}"));
    }

    /// The effect itself, and the promises checked around it.
    fn happen(&mut self, rotation: &Rotation, intent: &Intent) -> Result<Outcome, Refusal> {
        let made = rotation.made().map(|made| made.key.clone());
        let told = std::mem::take(&mut self.told);
        let before = self.clone();
        self.told = told;
        let reply = self.change(rotation, intent);
        let made = if let Ok(Outcome::Created { key, .. }) = &reply { Some(key.clone()) } else { made };
        let worked = before.every_place_works(made.as_ref());
        assert!(!worked || self.every_place_works(made.as_ref()), "P1: {intent:?} broke a place: {before:#?}");
        for (number, state) in rotation.sinks.iter().enumerate().filter(|(_, state)| !state.left) {
            let worked = before.sink_works(number);
            assert!(!worked || self.sink_works(number), "P1: {intent:?} broke the sink {state:?}: {before:#?}");
        }
        for (id, _) in before.keys.iter().flatten() {
            if self.status(id).is_none() {
                let spare = rotation.opened.policy.spare_key == SpareKey::DeleteInactive;
                let ours = *id == key(OLD)
                    || Some(id) == made.as_ref()
                    || rotation.named.contains(id)
                    || (spare && before.status(id) == Some(KeyStatus::Inactive));
                assert!(ours, "P2: {intent:?} deleted {id}: {before:#?}");
                let named = before.names(id, made.as_ref());
                assert!(named.is_empty() && !before.unreadable, "P3: {intent:?}, {named:?} name it: {before:#?}");
            }
        }
        let count = |world: &Self| world.keys.as_ref().map_or(0, BTreeMap::len);
        assert!(count(self) <= 2 || count(self) <= count(&before), "P4: {intent:?} made a third key");
        reply
    }

    fn change(&mut self, rotation: &Rotation, intent: &Intent) -> Result<Outcome, Refusal> {
        let (now, made) = (at(self.now), rotation.made().map(|made| &made.key));
        let is_of_iam = match intent {
            Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore | Intent::WriteSink { .. } => false,
            Intent::CreateNew { .. }
            | Intent::DeactivateOld
            | Intent::ReactivateOld
            | Intent::DeleteOld
            | Intent::DeactivateNew { .. }
            | Intent::ReactivateNew { .. }
            | Intent::DiscardNew { .. }
            | Intent::DeleteNamed { .. } => true,
        };
        if is_of_iam && (self.keys.is_none() || !self.is_user_of(rotation)) {
            return self.change_of_another(intent);
        }
        match intent {
            Intent::CreateNew { .. } => {
                let fresh = key(&format!("AKIANEWNEWNEWNEWNEW{}", self.effects));
                let Some(keys) = self.keys.as_mut() else { return Err(no(RefusalKind::NoSuchEntity)) };
                if keys.len() >= 2 {
                    return Err(no(RefusalKind::LimitExceeded));
                }
                keys.insert(fresh.clone(), (KeyStatus::Active, self.now));
                self.in_hand = true;
                return Ok(Outcome::Created { key: fresh, fingerprint: fingerprint(), at: now });
            }
            Intent::StoreNew => {
                assert!(self.in_hand, "nothing to store");
                self.replace(&[PlaceContent::Old, PlaceContent::Torn, PlaceContent::IdOnly], PlaceContent::New);
                self.old_values = true;
            }
            Intent::RestoreOld => {
                self.replace(&[PlaceContent::New, PlaceContent::Torn, PlaceContent::IdOnly], PlaceContent::Old);
            }
            Intent::FenceStore => {}
            Intent::WriteSink { sink, key, .. } => self.sinks[*sink] = key.clone(),
            Intent::DeactivateOld | Intent::ReactivateOld => {
                self.switch(&key(OLD), matches!(intent, Intent::ReactivateOld))?;
            }
            Intent::DeactivateNew { key } | Intent::ReactivateNew { key } => {
                self.switch(key, matches!(intent, Intent::ReactivateNew { .. }))?;
            }
            Intent::DeleteOld => self.delete(&key(OLD)),
            Intent::DiscardNew { key, .. } => {
                assert_eq!(Some(key), made);
                self.delete(key);
            }
            Intent::DeleteNamed { key } => self.delete(key),
        }
        Ok(Outcome::of_intent(intent, now).expect("a create has returned above"))
    }

    fn replace(&mut self, from: &[PlaceContent], to: PlaceContent) {
        for shows in &mut self.places {
            if from.contains(shows) {
                *shows = to;
            }
        }
    }

    fn switch(&mut self, id: &AccessKeyId, active: bool) -> Result<(), Refusal> {
        if self.status(id).is_none() {
            return Err(no(RefusalKind::NoSuchEntity));
        }
        self.set(id, if active { KeyStatus::Active } else { KeyStatus::Inactive });
        Ok(())
    }

    /// That there is no such key is success.
    fn delete(&mut self, id: &AccessKeyId) {
        if let Some(keys) = self.keys.as_mut() {
            keys.remove(id);
        }
    }
}

fn is_acknowledged(rotation: &Rotation) -> bool {
    rotation.made().is_some_and(|made| made.fingerprint().is_some())
}

fn no(kind: RefusalKind) -> Refusal {
    Refusal::new(kind, "no")
}
