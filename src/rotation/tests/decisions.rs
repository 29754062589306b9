//! `next_step`, for every state and every answer that the looks it asks for can give: total, never asking twice, and
//! never a step without its ground.

use super::preconditions::Ground;
use super::proof::Proof as Counted;
use super::*;
use crate::rotation::decide::{Query, Step, next_step};
use crate::rotation::observed::{
    KeyOwner, KeySeen, KeyStatus, KeyUse, KeysSeen, LateCopy, Observed, PlaceContent, PlacesSeen, Proof, ScanSeen,
};

/// More looks than these no decision needs.
const MOST_LOOKS: usize = 8;

#[derive(Default)]
struct Tally {
    decisions: usize,
    acts: BTreeMap<&'static str, usize>,
    blocks: BTreeMap<&'static str, usize>,
}

struct Explorer<'a> {
    now: Timestamp,
    tally: &'a mut Tally,
}

fn keys_answers(at_: Timestamp) -> Vec<KeysSeen> {
    let statuses = [None, Some(KeyStatus::Active), Some(KeyStatus::Inactive)];
    let key_seen = |id: &str, status: Option<KeyStatus>, created: i64| {
        status.map(|status| KeySeen { id: key(id), status, created: at(created) })
    };
    let mut answers = vec![KeysSeen { at: at_, keys: None }];
    for old in statuses {
        for new in statuses {
            // In the window of the create in doubt, out of it, or none.
            for stranger in [None, Some((KeyStatus::Active, 10)), Some((KeyStatus::Inactive, -9_999))] {
                let (status, created) = stranger.map_or((None, 0), |(status, created)| (Some(status), created));
                let keys =
                    [key_seen(OLD, old, -1_000_000), key_seen(NEW, new, 10), key_seen(STRANGER, status, created)];
                answers.push(KeysSeen { at: at_, keys: Some(keys.into_iter().flatten().collect()) });
            }
        }
    }
    answers.push(KeysSeen {
        at: at_,
        keys: Some(vec![
            KeySeen { id: key(OLD), status: KeyStatus::Expired, created: at(-1_000_000) },
            KeySeen { id: key(NEW), status: KeyStatus::Other, created: at(10) },
        ]),
    });
    answers
}

fn places_answers() -> Vec<PlacesSeen> {
    use PlaceContent::{Foreign, IdOnly, New, Old, Torn, Unreadable};
    let mixes: [&[PlaceContent]; 14] = [
        &[Old],
        &[New],
        &[Torn],
        &[Foreign],
        &[Unreadable],
        &[New, Old],
        &[New, Foreign],
        &[Old, Foreign],
        &[Torn, Old],
        &[New, Unreadable],
        &[IdOnly],
        &[IdOnly, Old],
        &[IdOnly, New],
        &[IdOnly, Foreign],
    ];
    let places = |mix: &[PlaceContent]| mix.iter().map(|shows| ("app/prod/ID".to_owned(), *shows)).collect();
    mixes.into_iter().map(|mix| PlacesSeen { places: places(mix) }).collect()
}

fn scan_answers(id: &AccessKeyId) -> Vec<ScanSeen> {
    let entries = || vec!["other/prod/COPY".to_owned()];
    let scan = |named: Vec<String>, unreadable| ScanSeen { named: BTreeMap::from([(id.clone(), named)]), unreadable };
    vec![scan(vec![], vec![]), scan(entries(), vec![]), scan(vec![], entries()), scan(entries(), entries())]
}

impl Explorer<'_> {
    /// Every world that answers the look.
    fn answers(
        &self,
        known: &Observed,
        hand: InMemoryFacts,
        rotation: &Rotation,
        look: &Query,
    ) -> Vec<(Observed, InMemoryFacts)> {
        let proofs = || {
            let text = || "no".to_owned();
            [Proof::Passed, Proof::TimedOut(text()), Proof::SomebodyElse(text()), Proof::Denied(text())]
        };
        match look {
            Query::Keys => {
                assert!(known.keys.is_none(), "asked for the keys again");
                let with = |keys| (Observed { keys: Some(keys), ..known.clone() }, hand);
                keys_answers(self.now).into_iter().map(with).collect()
            }
            Query::Places => {
                assert!(known.places.is_none(), "asked for the places again");
                let acknowledged = rotation.made().is_some_and(|made| made.fingerprint().is_some());
                let with = |places: PlacesSeen| {
                    let found = places.any(PlaceContent::New) || places.any(PlaceContent::Torn);
                    let new_secret = hand.new_secret || found;
                    (
                        (found || places.any(PlaceContent::IdOnly)) && !acknowledged,
                        (Observed { places: Some(places), ..known.clone() }, InMemoryFacts { new_secret, ..hand }),
                    )
                };
                // Without a fingerprint no place can be seen to hold the new secret.
                let possible = places_answers().into_iter().map(with).filter(|(impossible, _)| !impossible);
                possible.map(|(_, answer)| answer).collect()
            }
            Query::Scan(id) => {
                assert!(known.scan.as_ref().is_none_or(|scan| !scan.named.contains_key(id)), "asked to scan again");
                let with = |scan: ScanSeen, copies: Vec<LateCopy>| {
                    (Observed { scan: Some(scan), copies, ..known.clone() }, hand)
                };
                let copy = || LateCopy { place: late_copies::copy(), store: StoreIdentity::new("one").expect("valid") };
                let named = |scan: &ScanSeen| *id == key(OLD) && !scan.naming(id).is_empty();
                let with_copies = scan_answers(id).into_iter().filter(named).map(|scan| with(scan, vec![copy()]));
                scan_answers(id).into_iter().map(|scan| with(scan, Vec::new())).chain(with_copies).collect()
            }
            Query::NewPair => {
                assert!(known.new_pair.is_none() && hand.new_secret, "asked for a proof again, or for nothing in hand");
                proofs().map(|proof| (Observed { new_pair: Some(proof), ..known.clone() }, hand)).into()
            }
            Query::StoredPair => {
                assert!(known.stored_pair.is_none() && hand.new_secret, "asked for a proof again, or of nothing");
                proofs().map(|proof| (Observed { stored_pair: Some(proof), ..known.clone() }, hand)).into()
            }
            Query::LastUsed(id) => {
                assert!(!known.last_used.contains_key(id), "asked for the last use again");
                let used = [None, Some(self.now.minus(Duration::from_secs(10))), Some(at(-9_999))];
                let with = |used: Option<Timestamp>| {
                    let mut known = known.clone();
                    known.last_used.insert(id.clone(), used.map(KeyUse::at));
                    (known, hand)
                };
                used.map(with).into()
            }
            Query::Owner(id) => {
                assert!(!known.owners.contains_key(id), "asked for the owner again");
                let with = |owner: KeyOwner| {
                    let mut known = known.clone();
                    known.owners.insert(id.clone(), owner);
                    (known, hand)
                };
                let unclear = || KeyOwner::Unclear("AccessDenied".to_owned());
                let renamed = || KeyOwner::User(UserName::new("another/name").expect("valid"));
                // What is refused for one key is refused for the other, and what is answered is answered.
                let answers = match known.owners.values().next() {
                    None => vec![renamed(), KeyOwner::NoSuchKey, unclear()],
                    Some(KeyOwner::Unclear(_)) => vec![unclear()],
                    Some(KeyOwner::NoSuchKey | KeyOwner::User(_)) => vec![renamed(), KeyOwner::NoSuchKey],
                };
                answers.into_iter().map(with).collect()
            }
        }
    }

    fn explore(&mut self, rotation: &Rotation, hand: InMemoryFacts, known: &Observed, looks: usize) {
        let step = next_step(rotation, hand, known, self.now);
        let Step::Observe(look) = &step else { return self.decided(rotation, hand, known, &step) };
        assert!(looks < MOST_LOOKS, "no end of looks: {look:?} in {:?}", rotation.state);
        for (known, hand) in self.answers(known, hand, rotation, look) {
            self.explore(rotation, hand, &known, looks + 1);
        }
    }

    fn decided(&mut self, rotation: &Rotation, hand: InMemoryFacts, known: &Observed, step: &Step) {
        self.tally.decisions += 1;
        let now = self.now;
        let story = || format!("{step:?}\nby {rotation:#?}\nwith {hand:?}\nknowing {known:#?}\nat {now:?}");
        let ground = Ground { rotation, hand, known, now: self.now };
        match step {
            Step::Execute(intent) => {
                *self.tally.acts.entry(intent.name()).or_default() += 1;
                if let Err(fact) = ground.allows(intent) {
                    panic!("not so: {fact}\n{}", story());
                }
                apply(rotation, &Event::Intended(intent.clone()))
                    .unwrap_or_else(|error| panic!("{error}\n{}", story()));
            }
            Step::Record(event) => {
                if let Err(fact) = ground.shows(event) {
                    panic!("not so: {fact}\n{}", story());
                }
                let next = apply(rotation, event).unwrap_or_else(|error| panic!("{error}\n{}", story()));
                self.noted(&next, hand, known, event, story);
            }
            Step::Wait { until, .. } => {
                let listed = known.keys.as_ref().map_or(self.now, |keys| keys.at);
                assert!(*until > self.now.min(listed), "a wait for nothing\n{}", story());
                let longest = LONG + rotation.opened.policy.settle + Duration::from_secs(2);
                assert!(*until <= self.now.plus(longest), "a wait without end\n{}", story());
            }
            Step::Observe(_) => unreachable!("that is no decision"),
            Step::Retry { .. } => {
                let unreadable = known.places.as_ref().is_some_and(|places| places.any(PlaceContent::Unreadable));
                assert!(unreadable, "everything could be seen\n{}", story());
            }
            Step::Idle => {
                let at_rest = matches!(rotation.state, State::Blocked { .. } | State::Closed { .. });
                assert!(at_rest, "there is something to do\n{}", story());
            }
        }
    }

    /// A noted fact leads to another step: in a world that does not change, `next_step` does not note facts for ever.
    fn noted(
        &mut self,
        next: &Rotation,
        hand: InMemoryFacts,
        known: &Observed,
        event: &Event,
        story: impl Fn() -> String,
    ) {
        match event {
            Event::Blocked(reason) => {
                *self.tally.blocks.entry(reason.name()).or_default() += 1;
                assert_eq!(next_step(next, hand, known, self.now), Step::Idle, "blocked, and not at rest\n{}", story());
            }
            Event::Unblocked => {
                let then = next_step(next, hand, known, self.now);
                assert!(!matches!(then, Step::Record(Event::Blocked(_)) | Step::Idle), "ping-pong\n{}", story());
            }
            Event::LookedOnce { .. } => {
                let first = next.first_sighting.as_ref().expect("it is on record");
                let again = known.keys.clone().expect("keys are looked at twice, nothing else");
                let owners = known.owners.clone();
                // Too early, then in time: the same look.
                let mut explore = |at: Timestamp| {
                    let (keys, owners) = (Some(KeysSeen { at, ..again.clone() }), owners.clone());
                    let known = Observed { keys, owners, ..Observed::default() };
                    let mut later = Explorer { now: at.max(self.now), tally: self.tally };
                    later.explore(next, hand, &known, 0);
                };
                let settled = |moment: Timestamp| moment.plus(next.opened.policy.settle + Duration::from_secs(1));
                explore(settled(first.at.max(at(TIMED_OUT_AT))));
                let step = next_step(next, hand, known, self.now);
                assert!(
                    next.opened.policy.settle.is_zero() || !matches!(step, Step::Record(Event::LookedOnce { .. })),
                    "one look is noted once\n{}",
                    story()
                );
            }
            Event::LateKeySeen { .. } => {
                let then = next_step(next, hand, known, self.now);
                assert!(!matches!(then, Step::Record(Event::LateKeySeen { .. })), "reported twice\n{}", story());
            }
            Event::Renamed { .. } => {
                let then = next_step(next, hand, known, self.now);
                assert!(!matches!(then, Step::Record(Event::Renamed { .. })), "renamed twice\n{}", story());
            }
            Event::SinkLeft { .. } => {
                let then = next_step(next, hand, known, self.now);
                assert!(!matches!(then, Step::Record(Event::SinkLeft { .. })), "left twice\n{}", story());
            }
            Event::Withheld(_) => {
                let then = next_step(next, hand, known, self.now);
                assert!(!matches!(then, Step::Record(Event::Withheld(_))), "withheld twice\n{}", story());
            }
            Event::Opened(_)
            | Event::Intended(_)
            | Event::Done(_)
            | Event::NotDone(_)
            | Event::Disowned { .. }
            | Event::PlacesAdded { .. }
            | Event::PlacesLeft { .. }
            | Event::Asked(_)
            | Event::Deferred { .. }
            | Event::Ended { .. } => {}
        }
    }
}

fn hands(rotation: &Rotation) -> Vec<InMemoryFacts> {
    let hand = |new_secret, old_values| InMemoryFacts { new_secret, old_values, ..empty_hand() };
    match rotation.made() {
        Some(made) if made.fingerprint().is_some() => vec![hand(false, false), hand(true, false), hand(true, true)],
        Some(_) | None => vec![hand(false, false)],
    }
}

/// Before, between and after the times at which something is due, but not before what is on record.
fn nows(rotation: &Rotation) -> &'static [i64] {
    if rotation.made().is_none() { &[50, 5_000] } else { &[250, 5_000] }
}

fn explore_all(policy: &Policy, tally: &mut Tally) {
    for plain in unblocked(policy) {
        for (what, record) in records() {
            let mut rotation = plain.clone();
            record(&mut rotation);
            if what != "nothing" && rotation == plain {
                continue;
            }
            let mut rotations = vec![rotation];
            // Of the block `next_step` reads the reason only to compare it.
            if ["nothing", "abort asked", "new key named"].contains(&what) {
                rotations.push(blocked(&rotations[0], BlockReason::TooManyCreates));
                rotations.push(blocked(&rotations[0], BlockReason::UnclaimedKeys { keys: vec![], why: String::new() }));
            }
            for rotation in rotations {
                for hand in hands(&rotation) {
                    for now in nows(&rotation) {
                        Explorer { now: at(*now), tally }.explore(&rotation, hand, &Observed::default(), 0);
                    }
                }
            }
        }
    }
}

#[test]
fn no_step_is_taken_without_its_ground_whatever_the_world_shows() {
    // T1. Each effect is decided on often enough to mean something; of blocks there are no more than ways to them.
    let acts: BTreeSet<_> = intents().iter().map(Intent::name).collect();
    let windows: Vec<_> = acts.iter().copied().collect();
    let mut counted = Counted::of("T1", "every state by all that may be seen: each decision has its ground", &windows);
    let mut tally = Tally::default();
    for policy in policies() {
        explore_all(&policy, &mut tally);
    }
    assert!(tally.decisions > 100_000, "only {} decisions", tally.decisions);
    assert_eq!(tally.acts.keys().copied().collect::<BTreeSet<_>>(), acts, "every effect is proposed somewhere");
    let blocks: BTreeSet<_> = tally.blocks.keys().copied().collect();
    assert_eq!(blocks, reasons().iter().map(BlockReason::name).collect(), "every block is found somewhere");
    tally.acts.iter().for_each(|(act, times)| counted.hit(act, *times as u64));
    tally.blocks.iter().for_each(|(block, times)| counted.count(block, *times as u64));
    (0..tally.decisions).for_each(|_| counted.case());
    counted.conclude();
}
