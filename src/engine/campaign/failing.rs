//! Keys that fail in several runs in a row: how the failures are recorded, and when the keys need an operator.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::discovery::SkipReason;
use crate::engine::account_label::called;
use crate::engine::report::Went;
use crate::journal::campaign::{CampaignNotes, Failing, LeftAloneNote, PlaceNote};
use crate::journal::line::Summary;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::time::Timestamp;

use crate::engine::survey::{Due, Survey, place_notes};

/// Records the result of one run for each of its keys.
pub(super) fn take_down(
    failing: &mut BTreeMap<AccessKeyId, Failing>,
    went: &BTreeMap<AccessKeyId, Went>,
    now: Timestamp,
) {
    for (key, went) in went {
        let Went::Failed { why, gave_up_a_key } = went else {
            failing.remove(key);
            continue;
        };
        let first = Failing { runs: 0, first: now, last: now, created: None, why: String::new() };
        let of_key = failing.entry(key.clone()).or_insert(first);
        of_key.runs = of_key.runs.saturating_add(1);
        of_key.first = of_key.first.min(now);
        of_key.last = now;
        of_key.why.clone_from(why);
        if *gave_up_a_key {
            of_key.created = Some(now);
        }
    }
}

/// How long IAM may contradict itself about a key before the key needs an operator. IAM is eventually consistent,
/// usually within seconds.
const CONTRADICTS_FOR: Duration = Duration::from_secs(15 * 60);

/// Marks the keys for which IAM named a user, and did not list them for that user during all that time, as keys that
/// need an operator.
pub(super) fn ask_about_contradictions(survey: &mut Survey, failing: &BTreeMap<AccessKeyId, Failing>, now: Timestamp) {
    for note in survey.left_alone.iter_mut().filter(|note| note.reason == SkipReason::NotListedYet) {
        let Some(key) = &note.key_id else { continue };
        let before = failing.get(key).filter(|before| before.why == note.message);
        let Some(Failing { first, .. }) = before.filter(|before| now.since(before.first) >= CONTRADICTS_FOR) else {
            continue;
        };
        survey.unconfirmed.remove(key);
        note.due = true;
        note.message = format!(
            "{}, since {first}: see what `aws iam list-access-keys` shows for that user, and correct the entry or [owner], \
             or leave the key out by --exclude; each run looks at it again",
            note.message
        );
    }
}

/// The note of a due key that keeps failing, and of which no rotation is opened now.
pub(super) fn held_back(due: &Due, failing: &Failing) -> LeftAloneNote {
    let whose = Some((due.account.clone(), due.user.clone()));
    note(&due.key.id, place_notes(&due.places), whose, failing, None)
}

/// Words the note of a key that keeps failing.
fn note(
    key: &AccessKeyId,
    places: Vec<PlaceNote>,
    whose: Option<(AccountId, UserName)>,
    failing: &Failing,
    open: Option<&Rotation>,
) -> LeftAloneNote {
    let next = match open {
        Some(rotation) => format!(
            "{} is open: remove the cause, then `rotator resume {key}`, or give it up: `rotator abort {key}`",
            called(rotation)
        ),
        None => {
            "rotator tries it again, with one new key a day at most: remove the cause, then `rotator run`, or leave \
                 the key out by --exclude"
                .to_owned()
        }
    };
    let Failing { runs, first, why, .. } = failing;
    LeftAloneNote {
        key_id: Some(key.clone()),
        places,
        reason: SkipReason::KeepsFailing.into(),
        message: format!("it has failed in {runs} runs since {first}, last with: {why}; {next}"),
        due: true,
        whose,
        detail: None,
    }
}

/// Moves the keys that keep failing from those that continue by themselves to those that need an operator.
pub(super) fn ask_an_operator(notes: &mut CampaignNotes, open: &[Summary]) {
    let keeps: BTreeMap<AccessKeyId, Failing> = notes
        .failing
        .iter()
        .filter(|(_, failing)| failing.keeps_failing())
        .map(|(k, f)| (k.clone(), f.clone()))
        .collect();
    notes.left_alone.retain(|note| {
        note.reason != SkipReason::KeepsFailing || note.key_id.as_ref().is_some_and(|key| keeps.contains_key(key))
    });
    for (key, failing) in keeps {
        let rotation = open.iter().map(|summary| &summary.rotation).find(|rotation| rotation.opened.old_key == key);
        notes.unopened.retain(|unopened| *unopened != key);
        let is_its = |note: &LeftAloneNote| note.key_id.as_ref() == Some(&key);
        let before = notes.left_alone.iter().position(is_its).map(|at| notes.left_alone.remove(at));
        if rotation.is_some_and(|rotation| matches!(rotation.state, State::Blocked { .. })) {
            continue;
        }
        let (places, whose) = match (rotation.map(|rotation| &rotation.opened), before) {
            (Some(opened), _) => (place_notes(&opened.places), Some((opened.account.clone(), opened.user.clone()))),
            (None, Some(note)) => (note.places, note.whose),
            (None, None) => (Vec::new(), None),
        };
        notes.left_alone.push(note(&key, places, whose, &failing, rotation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(letter: char) -> AccessKeyId {
        AccessKeyId::new(format!("AKIAABCDEFGHIJKLMNO{letter}")).expect("valid")
    }

    fn failed(why: &str, gave_up_a_key: bool) -> Went {
        Went::Failed { why: why.to_owned(), gave_up_a_key }
    }

    #[test]
    fn failures_add_up_until_it_goes_well() {
        let mut failing = BTreeMap::new();
        let at = |hours: u64| Timestamp::from_unix_seconds(1_700_000_000).plus(Duration::from_secs(hours * 3600));
        take_down(&mut failing, &[(key('A'), failed("one", true)), (key('B'), Went::Well)].into(), at(0));
        take_down(&mut failing, &[(key('A'), failed("two", false))].into(), at(12));
        take_down(&mut failing, &BTreeMap::new(), at(18));
        let expected =
            |runs, last, why: &str| Failing { runs, first: at(0), last, created: Some(at(0)), why: why.to_owned() };
        assert_eq!(failing, [(key('A'), expected(2, at(12), "two"))].into());
        take_down(&mut failing, &[(key('A'), failed("three", false))].into(), at(25));
        assert!(failing[&key('A')].keeps_failing());

        let mut notes =
            CampaignNotes { unopened: vec![key('A'), key('B')], failing: failing.clone(), ..Default::default() };
        ask_an_operator(&mut notes, &[]);
        ask_an_operator(&mut notes, &[]);
        assert_eq!(notes.unopened, [key('B')], "it holds no campaign open");
        let said: Vec<_> = notes.left_alone.iter().map(|note| (note.reason.name(), note.due)).collect();
        assert_eq!(said, [("keeps-failing", true)]);
        assert!(
            notes.left_alone[0].message.contains("3 runs") && notes.left_alone[0].message.contains("last with: three")
        );

        take_down(&mut notes.failing, &[(key('A'), Went::Well)].into(), at(26));
        ask_an_operator(&mut notes, &[]);
        assert_eq!((notes.failing.len(), notes.left_alone.len()), (0, 0));
    }
}
