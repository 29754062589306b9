//! What a request may do yet whose reply was lost: it was seen not to be done, and is executed after all.

use PlaceContent::{IdOnly, New, Old, Torn};

use super::*;
use crate::rotation::observed::Proof;

/// In doubt over `intent`, which is then seen not to be done.
fn lost(phase: usize, intent: &Intent) -> Story {
    let story = in_doubt_over(phase, intent);
    Story { rotation: apply(&story.rotation, &not_done()).expect("legal"), ..story }
}

fn discard() -> Intent {
    Intent::DiscardNew { key: key(NEW), then: AfterDiscard::Abort, why: "because".to_owned() }
}

impl Story {
    fn then(mut self, event: &Event) -> Self {
        self.rotation = apply(&self.rotation, event).expect("legal");
        self
    }

    fn looked_twice(self) -> Self {
        let now = self.now;
        self.again_at(now + SETTLE)
    }
}

#[test]
fn a_key_whose_delete_was_lost_is_stored_nowhere() {
    // It authenticates still; the delete is executed a minute after the store has it.
    let story = lost(1, &discard()).hand(true, false).places(&[Old]).listed(10_000, &[OLD_KEY, new_key(5)]);
    assert!(in_doubt(&story.rotation, &Intent::StoreNew).is_none(), "the table does not allow it");
    assert!(matches!(story.named_by(NEW, &[]).step(), Step::Execute(Intent::DiscardNew { .. })));
    let half = lost(1, &discard()).hand(true, false).places(&[Torn]).listed(10_000, &[OLD_KEY, new_key(5)]);
    half.is_blocked("new-key-discarded");
}

#[test]
fn the_old_key_stays_while_a_delete_of_the_new_one_may_be_executed() {
    // An abort after the places held the new pair; then another writer put the new pair back.
    let aborting = in_doubt_over(10, &Intent::FenceStore).then(&Event::Done(Outcome::Fenced { at: at(9_000) }));
    let story =
        aborting.then(&Event::Asked(OperatorRequest::Abort)).then(&Event::Intended(discard())).then(&not_done());
    let story = story.then(&Event::Asked(OperatorRequest::DeleteKey { key: key(OLD) }));
    assert!(in_doubt(&story.rotation, &Intent::DeactivateOld).is_none(), "the table does not allow it");
    story.places(&[New]).listed(10_000, &[OLD_KEY, new_key(5)]).is_blocked("new-key-discarded");
}

#[test]
fn the_new_pair_is_not_written_where_the_old_one_may_still_land() {
    let story = lost(1, &Intent::RestoreOld).hand(true, false).places(&[Old]);
    assert!(in_doubt(&story.rotation, &Intent::StoreNew).is_none(), "the table does not allow it");
    assert_eq!(story.step(), Step::Execute(Intent::FenceStore));
    let fenced = [Event::Intended(Intent::FenceStore), Event::Done(Outcome::Fenced { at: at(20_000) })];
    let story = fenced.iter().fold(story, Story::then);
    story.waits_until(20_000);
    assert_eq!(Story { now: 20_000, ..story }.step(), Step::Observe(Query::NewPair));
}

#[test]
fn nothing_is_put_back_to_an_old_pair_that_works_no_more() {
    let story =
        || lost(1, &Intent::StoreNew).then(&Event::Asked(OperatorRequest::Abort)).hand(true, true).places(&[New, Old]);
    let works = story().listed(10_000, &[OLD_KEY, new_key(5)]);
    assert_eq!(works.step(), Step::Execute(Intent::RestoreOld));
    for keys in [&[(OLD, KeyStatus::Inactive, -1_000_000), new_key(5)][..], &[new_key(5)]] {
        assert_eq!(story().listed(10_000, keys).step(), Step::Observe(Query::NewPair), "forward is the only way");
    }
}

#[test]
fn an_id_that_landed_beside_the_old_secret_goes_back_where_nobody_has_the_new_one() {
    let story = || lost(1, &Intent::StoreNew).hand(false, false).places(&[IdOnly, Old]);
    assert_eq!(story().listed(10_000, &[OLD_KEY, new_key(5)]).step(), Step::Execute(Intent::RestoreOld));
    let gone = story().listed(10_000, &[(OLD, KeyStatus::Inactive, -1_000_000), new_key(5)]);
    assert!(
        matches!(gone.step(), Step::Record(Event::Blocked(BlockReason::ChangedElsewhere { .. }))),
        "{:?}",
        gone.step()
    );
    let in_hand = story().hand(true, false).listed(10_000, &[OLD_KEY, new_key(5)]);
    assert_eq!(in_hand.step(), Step::Observe(Query::NewPair), "with the secret the way is forward");
}

#[test]
fn an_abort_waits_until_the_old_key_has_outlived_its_lost_delete() {
    for phase in [5, 11] {
        let story = lost(phase, &Intent::DeleteOld).then(&Event::Asked(OperatorRequest::Abort));
        let story = if phase == 11 {
            let back = [Event::Intended(Intent::ReactivateOld), Event::Done(Outcome::OldReactivated { at: at(9_000) })];
            back.iter().fold(story, Story::then)
        } else {
            story
        };
        let fenced = [Event::Intended(Intent::FenceStore), Event::Done(Outcome::Fenced { at: at(9_000) })];
        let story = fenced.iter().fold(story, Story::then);
        let story = story.places(&[Old]).named_by(NEW, &[]).listed(10_000, &[OLD_KEY, new_key(5)]).looked_twice();
        // A signature is good for 15 minutes, and one more.
        story.waits_until(10_000 + 16 * 60);
        let story = story.listed(10_000 + 16 * 60, &[OLD_KEY, new_key(5)]);
        assert!(matches!(story.step(), Step::Execute(Intent::DiscardNew { .. })), "{:?}", story.step());
    }
}

/// The new key was deleted during the write, and the reply to one place's write was lost. This process writes back the
/// old pair from its memory; an operator is needed without that memory, or if the old key is inactive.
#[test]
fn the_half_that_was_written_is_of_a_key_that_is_gone() {
    let story = |old_values| {
        let rotation = settled(phases()[1].clone(), &Policy::default());
        let story = Story { rotation, hand: empty_hand(), known: Observed::default(), now: 10_000 };
        let mut story = story.hand(true, old_values).places(&[PlaceContent::Torn, PlaceContent::Old]);
        story.known.new_pair = Some(Proof::TimedOut("InvalidClientTokenId".to_owned()));
        story
    };
    assert_eq!(story(true).step(), Step::Observe(Query::Keys), "the old key has to work still");
    assert_eq!(story(true).listed(10_000, &[OLD_KEY]).step(), Step::Execute(Intent::RestoreOld));
    story(true).listed(10_000, &[(OLD, KeyStatus::Inactive, -1_000_000)]).is_blocked("stored-pair-fails");
    story(false).listed(10_000, &[OLD_KEY]).is_blocked("stored-pair-fails");
}
