//! The contract of every journal storage, run against each of them. No test here knows which storage it has.

use std::sync::Arc;
use std::time::Duration;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::discovery::SkipReason;
use rotator::journal::campaign::{Campaign, CampaignNotes, LeftAloneNote, PlaceNote};
use rotator::journal::line::Line;
use rotator::journal::overview::{CampaignCounts, ClosedCounts};
use rotator::journal::store::{JournalStore, RotationFilter, StorageError};
use rotator::rotation::event::{Ending, Event, Opened};
use rotator::rotation::record::Rotation;
use rotator::types::name::{AccessKeyId, RotationId, UserName};

use crate::support::memory_journal::MemoryJournal;
use crate::support::rotations::{Story, campaign_id, key_id, moment, rotation_id};

/// A storage under test, and how to open it again after the process ended.
trait Subject: Send {
    fn store(&self) -> &dyn JournalStore;
    fn reopen(self) -> Self;
}

struct Memory(Arc<MemoryJournal>);

impl Subject for Memory {
    fn store(&self) -> &dyn JournalStore {
        &*self.0
    }

    fn reopen(self) -> Self {
        self
    }
}

struct Sqlite {
    folder: tempfile::TempDir,
    journal: SqliteJournal,
}

impl Sqlite {
    fn open(folder: tempfile::TempDir) -> Self {
        let journal = SqliteJournal::open(&folder.path().join("state/journal.db")).expect("opens");
        Self { folder, journal }
    }
}

impl Subject for Sqlite {
    fn store(&self) -> &dyn JournalStore {
        &self.journal
    }

    fn reopen(self) -> Self {
        let Self { folder, journal } = self;
        drop(journal);
        Self::open(folder)
    }
}

macro_rules! contract {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Memory(std::sync::Arc::new(super::MemoryJournal::new()))).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Sqlite::open(tempfile::tempdir().expect("a folder"))).await;
            })*
        }
    };
}

contract! {
    lines_come_back_in_order_and_exactly
    a_line_that_does_not_follow_is_a_conflict
    a_conflict_of_one_harms_no_other
    a_line_of_another_rotation_is_refused
    summaries_say_where_each_rotation_stands
    a_closed_rotation_is_watched_until_a_lost_create_is_over
    campaigns_are_kept
    a_campaign_knows_the_keys_it_made
    what_is_counted_of_a_campaign
    the_closed_rotations_of_a_key_are_found
    keys_are_found_by_the_name_that_their_user_has_now
    keys_that_a_lost_request_may_deactivate_are_kept_after_the_end
    an_empty_journal_answers
}

async fn append(store: &dyn JournalStore, (line, after): (Line, Rotation)) -> Result<(), StorageError> {
    store.append(line, &after).await
}

async fn append_all(store: &dyn JournalStore, lines: Vec<(Line, Rotation)>) -> Vec<Line> {
    let mut kept = Vec::new();
    for (line, after) in lines {
        kept.push(line.clone());
        append(store, (line, after)).await.expect("appended");
    }
    kept
}

/// A story that is open in the journal.
async fn begun(store: &dyn JournalStore, number: u64) -> Story {
    let mut story = Story::new(rotation_id(number.into()), campaign_id(1), number);
    append(store, story.open()).await.expect("appended");
    story
}

async fn ids(store: &dyn JournalStore, which: RotationFilter) -> Vec<RotationId> {
    store.summaries(which).await.expect("read").into_iter().map(|summary| summary.rotation.id).collect()
}

async fn lines_come_back_in_order_and_exactly(subject: impl Subject) {
    let mut stories = [Story::new(rotation_id(2), campaign_id(1), 2), Story::new(rotation_id(1), campaign_id(1), 1)];
    let mut kept = [Vec::new(), Vec::new()];
    // Interleaved, the greater id first.
    let opened: Vec<_> = stories.iter_mut().map(Story::open).collect();
    for (kept, line) in kept.iter_mut().zip(opened) {
        kept.extend(append_all(subject.store(), vec![line]).await);
    }
    let rest: Vec<_> = stories.iter_mut().map(|story| story.finish(7)).collect();
    for (kept, lines) in kept.iter_mut().zip(rest) {
        kept.extend(append_all(subject.store(), lines).await);
    }
    let subject = subject.reopen();
    for (story, kept) in stories.iter().zip(kept) {
        assert_eq!(subject.store().lines(story.rotation.id).await.expect("read"), kept);
        let replayed = rotator::journal::write_ahead::replay(story.rotation.id, &kept).expect("adds up");
        assert_eq!(replayed, story.rotation);
    }
    assert_eq!(ids(subject.store(), RotationFilter::All).await, [rotation_id(2), rotation_id(1)], "oldest first");
}

async fn a_line_that_does_not_follow_is_a_conflict(subject: impl Subject) {
    let mut story = begun(subject.store(), 1).await;
    let good = story.next(Event::Deferred { why: "first".to_owned(), until: None });
    let with_seq = |seq| (Line { seq, ..good.0.clone() }, good.1.clone());
    let before = subject.store().summary(rotation_id(1)).await.expect("read");
    for seq in [0, 1, 3, u64::MAX] {
        let result = append(subject.store(), with_seq(seq)).await;
        assert!(matches!(&result, Err(StorageError::Conflict { seq: found, .. }) if *found == seq), "{result:?}");
    }
    let stranger =
        Story::new(rotation_id(2), campaign_id(1), 2).next(Event::Deferred { why: String::new(), until: None });
    let result = append(subject.store(), (Line { seq: 2, ..stranger.0 }, stranger.1)).await;
    assert!(matches!(result, Err(StorageError::Conflict { .. })), "it was never opened: {result:?}");

    assert_eq!(subject.store().summary(rotation_id(1)).await.expect("read"), before, "a conflict leaves no trace");
    assert_eq!(subject.store().lines(rotation_id(1)).await.expect("read").len(), 1);
    assert_eq!(ids(subject.store(), RotationFilter::All).await, [rotation_id(1)]);
    append(subject.store(), good.clone()).await.expect("the right one still goes");
    assert!(matches!(append(subject.store(), good).await, Err(StorageError::Conflict { .. })), "but not twice");
}

async fn a_conflict_of_one_harms_no_other(subject: impl Subject) {
    let store = subject.store();
    let mut appends = Vec::new();
    for number in 1..=4 {
        let (line, after) = begun(store, number).await.next(Event::Deferred { why: "again".to_owned(), until: None });
        let seq = if number == 2 { 9 } else { line.seq };
        appends.push((Line { seq, ..line }, after));
    }
    // Polled together, so that a storage that groups them has all in hand.
    let (a, b, c, d) = tokio::join!(
        append(store, appends.remove(0)),
        append(store, appends.remove(0)),
        append(store, appends.remove(0)),
        append(store, appends.remove(0)),
    );
    assert!(matches!(b, Err(StorageError::Conflict { seq: 9, .. })), "{b:?}");
    for result in [a, c, d] {
        result.expect("it was in order");
    }
    for (number, lines) in [(1, 2), (2, 1), (3, 2), (4, 2)] {
        assert_eq!(store.lines(rotation_id(number)).await.expect("read").len(), lines, "rotation {number}");
    }
}

async fn a_line_of_another_rotation_is_refused(subject: impl Subject) {
    let (line, _) = Story::new(rotation_id(1), campaign_id(1), 1).open();
    let (_, other) = Story::new(rotation_id(2), campaign_id(1), 2).open();
    let result = append(subject.store(), (line, other)).await;
    assert!(matches!(result, Err(StorageError::Failed { .. })), "{result:?}");
    assert!(ids(subject.store(), RotationFilter::All).await.is_empty());
}

async fn summaries_say_where_each_rotation_stands(subject: impl Subject) {
    let mut story = Story::new(rotation_id(1), campaign_id(5), 1);
    append(subject.store(), story.open()).await.expect("appended");
    begun(subject.store(), 2).await;
    for (line, after) in story.finish(3) {
        let (seq, at) = (line.seq, line.at);
        append(subject.store(), (line, after.clone())).await.expect("appended");
        let summary = subject.store().summary(rotation_id(1)).await.expect("read").expect("is there");
        assert_eq!(summary.rotation, after);
        assert_eq!((summary.seq, summary.opened_at, summary.updated_at), (seq, moment(1), at));
        let open = if after.is_closed() { vec![rotation_id(2)] } else { vec![rotation_id(1), rotation_id(2)] };
        assert_eq!(ids(subject.store(), RotationFilter::Open).await, open);
    }
    let subject = subject.reopen();
    assert_eq!(ids(subject.store(), RotationFilter::Open).await, [rotation_id(2)]);
    assert_eq!(ids(subject.store(), RotationFilter::All).await, [rotation_id(1), rotation_id(2)]);
    assert_eq!(ids(subject.store(), RotationFilter::Campaign(campaign_id(5))).await, [rotation_id(1)]);
    assert_eq!(ids(subject.store(), RotationFilter::Campaign(campaign_id(6))).await, []);
    assert_eq!(ids(subject.store(), RotationFilter::AbortedOf(campaign_id(5))).await, [], "it ended otherwise");
    assert_eq!(subject.store().open_ids().await.expect("read"), [rotation_id(2)]);
    assert_eq!(subject.store().summary(rotation_id(3)).await.expect("read"), None);
}

async fn a_closed_rotation_is_watched_until_a_lost_create_is_over(subject: impl Subject) {
    let mut quiet = begun(subject.store(), 1).await;
    let ended = quiet.next(Event::Ended { ending: Ending::Gone, why: "gone".to_owned() });
    append(subject.store(), ended).await.expect("appended");
    let mut story = begun(subject.store(), 2).await;
    let mut until = None;
    for (line, after) in story.finish(3) {
        until = after.watched_until().or(until);
        let (just_before, closed) = (until.map(|until| until.minus(Duration::from_nanos(1))), after.is_closed());
        append(subject.store(), (line, after)).await.expect("appended");
        if let Some(moment) = just_before {
            let expected = if closed { vec![rotation_id(2)] } else { vec![] };
            assert_eq!(ids(subject.store(), RotationFilter::WatchedAfter(moment)).await, expected);
        }
    }
    let until = until.expect("its first create was lost");
    assert_eq!(ids(subject.store(), RotationFilter::WatchedAfter(until)).await, []);
}

async fn campaigns_are_kept(subject: impl Subject) {
    let store = subject.store();
    store.begin_campaign(campaign_id(2), moment(1)).await.expect("begun");
    store.begin_campaign(campaign_id(1), moment(2)).await.expect("begun");
    let note = LeftAloneNote {
        key_id: None,
        places: vec![PlaceNote { store: "s".to_owned(), entry: "a/b/c'".to_owned(), location: "{\"x\"}".to_owned() }],
        reason: SkipReason::OwnerUnknown.into(),
        message: "unknown
key — ☂"
            .to_owned(),
        due: true,
        whose: None,
        detail: None,
    };
    let notes = CampaignNotes { unopened: vec![key_id(4)], left_alone: vec![note], ..CampaignNotes::default() };
    store.note_campaign(campaign_id(1), CampaignNotes::default()).await.expect("noted");
    store.note_campaign(campaign_id(1), notes.clone()).await.expect("noted");
    let expected = Campaign { id: campaign_id(1), began_at: moment(2), closed: false, notes };
    assert_eq!(store.last_campaign().await.expect("read"), Some(expected.clone()), "the last that began");
    store.close_campaign(campaign_id(1)).await.expect("closed");
    let subject = subject.reopen();
    let store = subject.store();
    assert_eq!(store.last_campaign().await.expect("read"), Some(Campaign { closed: true, ..expected }));

    assert!(store.begin_campaign(campaign_id(2), moment(3)).await.is_err(), "it has begun");
    assert!(store.close_campaign(campaign_id(9)).await.is_err(), "it never began");
    assert!(store.note_campaign(campaign_id(9), CampaignNotes::default()).await.is_err(), "it never began");
}

async fn a_campaign_knows_the_keys_it_made(subject: impl Subject) {
    let mut story = begun(subject.store(), 1).await;
    append_all(subject.store(), story.finish(31)).await;
    begun(subject.store(), 2).await;
    let mut other = Story::new(rotation_id(3), campaign_id(2), 3);
    append(subject.store(), other.open()).await.expect("appended");
    append_all(subject.store(), other.finish(33)).await;
    let subject = subject.reopen();
    assert_eq!(subject.store().keys_made_by(campaign_id(1)).await.expect("read"), [key_id(31)]);
    assert_eq!(subject.store().keys_made_by(campaign_id(2)).await.expect("read"), [key_id(33)]);
    assert_eq!(subject.store().keys_made_by(campaign_id(3)).await.expect("read"), []);
}

/// The key of an unopened rotation counts, unless a rotation of the campaign has served it since.
async fn what_is_counted_of_a_campaign(subject: impl Subject) {
    let store = subject.store();
    for number in [1, 2] {
        store.begin_campaign(campaign_id(number), moment(1)).await.expect("begun");
    }
    append_all(store, begun(store, 1).await.finish(31)).await;
    let ended = begun(store, 2).await.next(Event::Ended { ending: Ending::Gone, why: "gone".to_owned() });
    append(store, ended).await.expect("appended");
    let ended = begun(store, 3).await.next(Event::Ended { ending: Ending::Aborted, why: "aborted".to_owned() });
    append(store, ended).await.expect("appended");
    begun(store, 4).await;
    let mut other = Story::new(rotation_id(5), campaign_id(2), 5);
    append(store, other.open()).await.expect("appended");
    append_all(store, other.finish(35)).await;
    let subject = subject.reopen();
    let counts = async |unopened: Vec<AccessKeyId>, number, closed| {
        let notes = CampaignNotes { unopened, ..CampaignNotes::default() };
        let campaign = Campaign { id: campaign_id(number), began_at: moment(1), closed, notes };
        let CampaignCounts { closed: ClosedCounts { done, aborted, gone }, unopened, .. } =
            subject.store().counts_of(&campaign).await.expect("read");
        (done, aborted, gone, unopened)
    };
    // The key of rotation 3, which gave up, waits as well.
    assert_eq!(counts(vec![key_id(1), key_id(8), key_id(9)], 1, false).await, (1, 1, 1, 3));
    assert_eq!(counts(vec![key_id(8)], 1, true).await, (1, 1, 1, 0), "a closed campaign opens none");
    assert_eq!(counts(vec![key_id(8)], 2, false).await, (1, 0, 0, 1));
    assert_eq!(counts(Vec::new(), 3, false).await, (0, 0, 0, 0));
    let wanted = [5, 9, 1].map(rotation_id);
    let found = subject.store().summaries_of(&wanted).await.expect("read");
    assert_eq!(found.iter().map(|summary| summary.rotation.id).collect::<Vec<_>>(), [5, 1].map(rotation_id));
}

async fn keys_are_found_by_the_name_that_their_user_has_now(subject: impl Subject) {
    let mut story = begun(subject.store(), 1).await;
    let named = |name: &str| UserName::new(name).expect("valid");
    let renamed = story.next(Event::Renamed { user: named("till") });
    append(subject.store(), renamed).await.expect("appended");
    append_all(subject.store(), story.finish(31)).await;
    let subject = subject.reopen();
    assert_eq!(subject.store().keys_made_for(&named("till")).await.expect("read"), [key_id(31)]);
    assert_eq!(subject.store().keys_made_for(&named("app1/prödüction")).await.expect("read"), []);
    let summary = subject.store().summary(rotation_id(1)).await.expect("read").expect("there");
    assert_eq!(summary.rotation.opened.user, named("till"));
}

async fn the_closed_rotations_of_a_key_are_found(subject: impl Subject) {
    let mut story = begun(subject.store(), 1).await;
    let user = story.rotation.opened.user.clone();
    append_all(subject.store(), story.finish(31)).await;
    let mut open = Story::new(rotation_id(2), campaign_id(1), 1);
    append(subject.store(), open.open()).await.expect("appended");
    let subject = subject.reopen();
    let other = UserName::new("till").expect("valid");
    for (user, key, found) in [(&user, 31, 1), (&user, 1, 1), (&user, 5, 0), (&other, 31, 0)] {
        let rotations = subject.store().closed_rotations_of(user, &key_id(key)).await.expect("read");
        assert_eq!(rotations.len(), found, "{user} {key}");
        assert!(rotations.iter().all(|summary| summary.rotation.id == rotation_id(1)));
    }
}

async fn keys_that_a_lost_request_may_deactivate_are_kept_after_the_end(subject: impl Subject) {
    let mut other = begun(subject.store(), 1).await;
    append_all(subject.store(), other.finish(32)).await;
    assert_eq!(subject.store().may_turn_inactive().await.expect("read"), [].into());
    let mut story = Story::new(rotation_id(7), campaign_id(1), 7);
    let opened = Opened { may_turn_inactive: [key_id(40)].into(), ..story.rotation.opened.clone() };
    story.rotation = Rotation::open(rotation_id(7), opened);
    append(subject.store(), story.open()).await.expect("appended");
    append_all(subject.store(), story.finish(31)).await;
    let subject = subject.reopen();
    assert_eq!(subject.store().may_turn_inactive().await.expect("read"), [key_id(40)].into());
}

async fn an_empty_journal_answers(subject: impl Subject) {
    let subject = subject.reopen();
    assert_eq!(subject.store().last_campaign().await.expect("read"), None);
    assert_eq!(subject.store().lines(rotation_id(1)).await.expect("read"), []);
    assert_eq!(ids(subject.store(), RotationFilter::All).await, []);
}
