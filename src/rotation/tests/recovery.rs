//! The recovery table (`docs/design/recovery.md`), a crash story for each row: what was in doubt, what is seen, what is
//! concluded.

mod late;
mod put_back;
mod renamed;

use super::*;
use crate::rotation::decide::{Query, Step, next_step};
use crate::rotation::observed::{
    KeyOwner, KeySeen, KeyStatus, KeyUse, KeysSeen, Observed, PlaceContent, PlacesSeen, ScanSeen,
};

/// `settle` and the second that AWS's dates may leave out.
const SETTLE: i64 = 61;

/// A rotation in doubt, and what is seen of the world.
struct Story {
    rotation: Rotation,
    hand: InMemoryFacts,
    known: Observed,
    now: i64,
}

/// In doubt over `intent`, in the phase of this number (see `phases`).
fn in_doubt_over(phase: usize, intent: &Intent) -> Story {
    let settled = settled(phases()[phase].clone(), &Policy::default());
    let rotation = in_doubt(&settled, intent).expect("it may be intended there");
    Story { rotation, hand: empty_hand(), known: Observed::default(), now: 10_000 }
}

fn create_in_doubt() -> Story {
    in_doubt_over(0, &intents()[0])
}

fn new_key(created: i64) -> (&'static str, KeyStatus, i64) {
    (NEW, KeyStatus::Active, created)
}

impl Story {
    fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.rotation.opened.policy);
        self
    }

    fn listed(mut self, now: i64, keys: &[(&str, KeyStatus, i64)]) -> Self {
        let seen = |(id, status, created): &(&str, KeyStatus, i64)| KeySeen {
            id: key(id),
            status: *status,
            created: at(*created),
        };
        self.now = now;
        self.known.keys = Some(KeysSeen { at: at(now), keys: Some(keys.iter().map(seen).collect()) });
        self
    }

    fn no_user(mut self, now: i64) -> Self {
        self.now = now;
        self.known.keys = Some(KeysSeen { at: at(now), keys: None });
        self
    }

    /// IAM says this of both keys of the rotation, where it is asked.
    fn owned(mut self, owner: &KeyOwner) -> Self {
        let ids = self.rotation.own_keys().cloned().collect::<Vec<_>>();
        self.known.owners.extend(ids.into_iter().map(|id| (id, owner.clone())));
        self
    }

    /// The first look was noted; the second shows the same.
    fn again_at(mut self, now: i64) -> Self {
        let Step::Record(look @ Event::LookedOnce { .. }) = self.step() else {
            panic!("no first look: {:?}", self.step())
        };
        self.rotation = apply(&self.rotation, &look).expect("legal");
        self.now = now;
        self.known.keys = self.known.keys.map(|keys| KeysSeen { at: at(now), ..keys });
        self
    }

    fn places(mut self, shows: &[PlaceContent]) -> Self {
        let places = shows.iter().enumerate().map(|(number, shows)| (format!("place {number}"), *shows)).collect();
        self.known.places = Some(PlacesSeen { places });
        self
    }

    fn named_by(mut self, id: &str, entries: &[&str]) -> Self {
        let scan = self.known.scan.get_or_insert_with(ScanSeen::default);
        scan.named.insert(key(id), entries.iter().map(|entry| (*entry).to_owned()).collect());
        self
    }

    fn unreadable(mut self, entry: &str) -> Self {
        self.known.scan.get_or_insert_with(ScanSeen::default).unreadable.push(entry.to_owned());
        self
    }

    fn last_used(mut self, id: &str, used: Option<i64>) -> Self {
        self.known.last_used.insert(key(id), used.map(|used| KeyUse::at(at(used))));
        self
    }

    fn hand(mut self, new_secret: bool, old_values: bool) -> Self {
        self.hand = InMemoryFacts { new_secret, old_values, ..self.hand };
        self
    }

    fn step(&self) -> Step {
        next_step(&self.rotation, self.hand, &self.known, at(self.now))
    }

    fn concludes(&self, event: &Event) {
        assert_eq!(self.step(), Step::Record(event.clone()));
        apply(&self.rotation, event).expect("the table allows it");
    }

    fn waits_until(&self, when: i64) {
        let Step::Wait { until, .. } = self.step() else { panic!("no wait: {:?}", self.step()) };
        assert_eq!(until, at(when));
    }

    fn looks_again(&self) {
        assert!(matches!(self.step(), Step::Record(Event::LookedOnce { .. })), "{:?}", self.step());
    }

    fn is_blocked(&self, name: &str) {
        let Step::Record(Event::Blocked(reason)) = self.step() else { panic!("no block: {:?}", self.step()) };
        assert_eq!(reason.name(), name);
    }
}

const OLD_KEY: (&str, KeyStatus, i64) = (OLD, KeyStatus::Active, -1_000_000);

fn not_done() -> Event {
    Event::NotDone(NotDone::Seen)
}

mod create_new {
    use super::*;

    fn found() -> Story {
        create_in_doubt().listed(10_000, &[OLD_KEY, new_key(5)]).again_at(10_000 + SETTLE)
    }

    #[test]
    fn killed_before_the_request_went_out() {
        let story = create_in_doubt().listed(40, &[OLD_KEY]);
        story.looks_again();
        // Not listed proves nothing before the call has timed out and IAM has settled.
        story.again_at(89).waits_until(40 + SETTLE);
        create_in_doubt().listed(1, &[OLD_KEY]).again_at(70).waits_until(TIMED_OUT_AT + SETTLE);
        create_in_doubt().listed(40, &[OLD_KEY]).again_at(101).concludes(&not_done());
    }

    #[test]
    fn the_attempt_that_seems_not_to_have_happened_stays_watched() {
        let story = create_in_doubt().listed(40, &[OLD_KEY]).again_at(101);
        let next = apply(&story.rotation, &not_done()).expect("legal");
        assert_eq!(next.creates, 1, "it is spent");
        assert_eq!(next.watched_until(), Some(at(16 * 60)));
        assert!(next.lost_creates[0].may_have_made(&key(NEW), at(15 * 60)));
        assert!(!next.lost_creates[0].may_have_made(&key(NEW), at(17 * 60)), "no signature is good for so long");
        assert!(!next.lost_creates[0].may_have_made(&key(OLD), at(0)), "it was there before");
    }

    #[test]
    fn its_late_child_is_told_and_never_taken() {
        let story = create_in_doubt().listed(40, &[OLD_KEY]).again_at(101);
        let mut late = Story { rotation: apply(&story.rotation, &not_done()).expect("legal"), ..story };
        late.known = Observed::default();
        late = late.listed(600, &[OLD_KEY, new_key(590)]).again_at(600 + SETTLE);
        let told = Event::LateKeySeen { key: key(NEW) };
        late.concludes(&told);
        late.rotation = apply(&late.rotation, &told).expect("legal");
        late.is_blocked("unclaimed-keys");
    }

    #[test]
    fn the_reply_was_lost_and_the_key_bears_every_mark() {
        let story = found();
        assert_eq!(story.step(), Step::Observe(Query::LastUsed(key(NEW))));
        let story = story.last_used(NEW, None);
        assert_eq!(story.step(), Step::Observe(Query::Scan(key(NEW))));
        story.named_by(NEW, &[]).concludes(&Event::Done(Outcome::FoundCreated { key: key(NEW) }));
    }

    #[test]
    fn the_policy_wants_such_a_key_reported() {
        let report = |policy: &mut Policy| policy.unclaimed = Unclaimed::Report;
        found().policy(report).last_used(NEW, None).named_by(NEW, &[]).is_blocked("unclaimed-keys");
    }

    #[test]
    fn somebody_made_a_key_at_another_time() {
        for created in [-3, TIMED_OUT_AT + 61] {
            let story = create_in_doubt().listed(10_000, &[OLD_KEY, new_key(created)]).again_at(11_000);
            story.is_blocked("unclaimed-keys");
        }
        for created in [-2, TIMED_OUT_AT + 60] {
            let story = create_in_doubt().listed(10_000, &[OLD_KEY, new_key(created)]).again_at(11_000);
            assert_eq!(story.step(), Step::Observe(Query::LastUsed(key(NEW))), "inside the window");
        }
    }

    #[test]
    fn somebody_made_a_key_in_that_very_minute_and_uses_it() {
        found().last_used(NEW, Some(20)).is_blocked("unclaimed-keys");
    }

    #[test]
    fn somebody_made_a_key_in_that_very_minute_and_stored_it() {
        found().last_used(NEW, None).named_by(NEW, &["other/prod/ID"]).is_blocked("unclaimed-keys");
    }

    #[test]
    fn an_entry_that_may_name_the_key_cannot_be_read() {
        found().last_used(NEW, None).named_by(NEW, &[]).unreadable("other/prod/ID").is_blocked("unreadable");
    }

    #[test]
    fn two_keys_turned_up_where_one_was_asked_for() {
        let both = [OLD_KEY, new_key(5), (STRANGER, KeyStatus::Active, 5)];
        create_in_doubt().listed(10_000, &both).again_at(11_000).is_blocked("unclaimed-keys");
    }

    #[test]
    fn a_person_has_spoken_for_the_strangers_key() {
        for asked in
            [OperatorRequest::KeepKey { key: key(STRANGER) }, OperatorRequest::DeleteKey { key: key(STRANGER) }]
        {
            let mut story = create_in_doubt();
            story.rotation = apply(&story.rotation, &Event::Asked(asked)).expect("open");
            let story = story.listed(10_000, &[OLD_KEY, (STRANGER, KeyStatus::Active, 5)]).again_at(11_000);
            story.concludes(&not_done());
        }
    }

    #[test]
    fn the_list_changed_between_the_two_looks() {
        let story = create_in_doubt().listed(10_000, &[OLD_KEY]).again_at(10_001);
        story.listed(11_000, &[OLD_KEY, new_key(5)]).looks_again();
    }

    #[test]
    fn the_user_was_deleted_meanwhile() {
        let story = create_in_doubt().no_user(10_000).owned(&KeyOwner::NoSuchKey);
        story.again_at(11_000).concludes(&not_done());
    }
}

mod store_new {
    use PlaceContent::{Foreign, New, Old, Torn, Unreadable};

    use super::*;

    fn story() -> Story {
        in_doubt_over(1, &Intent::StoreNew)
    }

    #[test]
    fn the_store_is_down() {
        assert!(matches!(story().places(&[New, Unreadable]).step(), Step::Retry { .. }));
    }

    #[test]
    fn killed_after_the_write_and_before_the_reply() {
        story().places(&[New, New]).concludes(&Event::Done(Outcome::Stored { at: at(10_000) }));
    }

    #[test]
    fn killed_between_two_places_and_between_two_entries() {
        // The secret is read back; `next_step` rolls forward.
        for shows in [[New, Old], [Torn, Old], [Torn, New]] {
            story().hand(true, false).places(&shows).concludes(&not_done());
        }
    }

    #[test]
    fn killed_before_the_write() {
        let story = story().places(&[Old, Old]);
        story.concludes(&not_done());
        // The secret is lost: the fence, then a look, then the discard.
        let rotation = apply(&story.rotation, &not_done()).expect("legal");
        let story = Story { rotation, ..story };
        assert_eq!(story.step(), Step::Execute(Intent::FenceStore));
    }

    #[test]
    fn killed_between_two_places_and_somebody_wrote_the_other() {
        story().hand(true, false).places(&[New, Foreign]).is_blocked("changed-elsewhere");
    }

    #[test]
    fn the_second_half_failed_and_the_first_can_be_put_back() {
        let story = story().hand(true, true).places(&[New, Foreign]);
        story.concludes(&not_done());
        let story = Story { rotation: apply(&story.rotation, &not_done()).expect("legal"), ..story };
        assert_eq!(story.step(), Step::Observe(Query::Keys), "the old key has to work still");
        let story = story.listed(10_000, &[OLD_KEY, new_key(5)]);
        assert_eq!(story.step(), Step::Execute(Intent::RestoreOld));
    }

    #[test]
    fn killed_before_the_write_and_somebody_wrote() {
        // No place holds anything of ours: nothing is left to decide, the new key is discarded.
        let story = story().places(&[Old, Foreign]);
        story.concludes(&not_done());
        let mut rotation = apply(&story.rotation, &not_done()).expect("legal");
        for event in [Event::Intended(Intent::FenceStore), Event::Done(Outcome::Fenced { at: at(9_000) })] {
            rotation = apply(&rotation, &event).expect("legal");
        }
        let story = Story { rotation, ..story }.listed(10_000, &[OLD_KEY, new_key(5)]).named_by(NEW, &[]);
        let Step::Execute(Intent::DiscardNew { then: AfterDiscard::Abort, why, .. }) = story.step() else {
            panic!("{:?}", story.step())
        };
        assert!(why.contains("place 1"), "{why}");
    }
}

#[test]
fn killed_while_the_old_pair_was_put_back() {
    use PlaceContent::{New, Old, Unreadable};
    let story = || in_doubt_over(1, &Intent::RestoreOld).hand(true, false);
    story().places(&[Old, New]).concludes(&not_done());
    assert!(matches!(story().places(&[Old, Unreadable]).step(), Step::Retry { .. }));
}

#[test]
fn killed_while_the_fence_was_put_up() {
    in_doubt_over(1, &Intent::FenceStore).concludes(&not_done());
}

/// One row each: the effect, where it is in doubt, whose status it changes, to what, and the outcome.
fn deactivations() -> Vec<(Intent, usize, &'static str, KeyStatus, Outcome)> {
    let (seen, inactive) = (at(10_000), KeyStatus::Inactive);
    vec![
        (Intent::DeactivateOld, 5, OLD, inactive, Outcome::OldDeactivated { at: seen }),
        (Intent::DeactivateNew { key: key(NEW) }, 3, NEW, inactive, Outcome::NewDeactivated { at: seen }),
    ]
}

#[test]
fn a_reactivation_in_doubt_is_repeated_whatever_a_list_shows() {
    for (intent, phase, id) in [(Intent::ReactivateOld, 11, OLD), (Intent::ReactivateNew { key: key(NEW) }, 4, NEW)] {
        for status in [KeyStatus::Active, KeyStatus::Inactive] {
            // A list that shows it active may be from before our own deactivation.
            in_doubt_over(phase, &intent).listed(10_000, &[(id, status, 0)]).concludes(&not_done());
        }
        in_doubt_over(phase, &intent).listed(10_000, &[]).concludes(&not_done());
    }
}

#[test]
fn the_status_was_changed_and_the_reply_lost() {
    for (intent, phase, id, status, outcome) in deactivations() {
        // What agrees with us is believed at once.
        in_doubt_over(phase, &intent).listed(10_000, &[(id, status, 0)]).concludes(&Event::Done(outcome));
    }
}

#[test]
fn the_status_was_not_changed_or_iam_does_not_show_it_yet() {
    for (intent, phase, id, status, _) in deactivations() {
        let other = if status == KeyStatus::Active { KeyStatus::Inactive } else { KeyStatus::Active };
        let story = || in_doubt_over(phase, &intent).listed(10_000, &[(id, other, 0)]);
        story().looks_again();
        story().again_at(10_000 + SETTLE - 1).waits_until(10_000 + SETTLE);
        story().again_at(10_000 + SETTLE).concludes(&not_done());
    }
}

#[test]
fn the_key_is_gone_whose_status_was_to_be_changed() {
    for (intent, phase, ..) in deactivations() {
        let story = || in_doubt_over(phase, &intent).listed(10_000, &[]).owned(&KeyOwner::NoSuchKey);
        story().looks_again();
        story().again_at(10_000 + SETTLE).concludes(&not_done());
    }
}

fn deletes() -> Vec<(Intent, usize, &'static str, Outcome)> {
    let discard = |then| Intent::DiscardNew { key: key(NEW), then, why: "because".to_owned() };
    let discarded = |then| Outcome::NewDiscarded { then };
    let (again, abort) = (AfterDiscard::CreateAgain, AfterDiscard::Abort);
    let named = Intent::DeleteNamed { key: key(STRANGER) };
    vec![
        (Intent::DeleteOld, 5, OLD, Outcome::OldDeleted),
        (Intent::DeleteOld, 11, OLD, Outcome::OldDeleted),
        (discard(again), 1, NEW, discarded(again)),
        (discard(abort), 1, NEW, discarded(abort)),
        (discard(again), 9, NEW, discarded(again)),
        (named, 0, STRANGER, Outcome::NamedDeleted { key: key(STRANGER) }),
    ]
}

#[test]
fn the_key_was_deleted_and_the_reply_lost() {
    for (intent, phase, id, outcome) in deletes() {
        // The user's other key tells that it is the same user.
        let other = if id == OLD { NEW } else { OLD };
        let story = || in_doubt_over(phase, &intent).listed(10_000, &[(other, KeyStatus::Active, 0)]);
        story().looks_again();
        story().again_at(10_000 + SETTLE - 1).waits_until(10_000 + SETTLE);
        story().again_at(10_000 + SETTLE).concludes(&Event::Done(outcome.clone()));
        if id == STRANGER {
            continue;
        }
        let story = in_doubt_over(phase, &intent).no_user(10_000).owned(&KeyOwner::NoSuchKey);
        story.again_at(10_000 + SETTLE).concludes(&Event::Done(outcome));
    }
}

#[test]
fn the_key_was_not_deleted_and_its_ground_is_proved_afresh() {
    for (intent, phase, id, _) in deletes() {
        let keys = [OLD_KEY, (id, KeyStatus::Active, 0)];
        let story = in_doubt_over(phase, &intent).listed(10_000, &keys);
        story.concludes(&not_done());
        let rotation = apply(&story.rotation, &not_done()).expect("legal");
        let afresh = next_step(&rotation, empty_hand(), &Observed::default(), at(10_000));
        assert!(!matches!(afresh, Step::Execute(Intent::DeleteOld | Intent::DiscardNew { .. })), "{afresh:?}");
    }
}
