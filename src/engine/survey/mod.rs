//! The survey: reads every entry, finds the keys, and lets IAM confirm each. It changes nothing.

pub mod choice;
mod consider;
mod everything;
mod found;
mod last_use;
mod left_as_is;
mod names;
pub(in crate::engine) mod obstacles;
pub mod owner_rule;
pub(in crate::engine) mod ownership;
pub mod rules;
mod second_key;
mod second_reading;
pub(in crate::engine) mod skip;
mod unused;

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt};

use self::choice::{Choice, Names, unmatched};
use self::consider::{Answer, Considered, Question, consider};
use self::everything::{Everything, left_in, read_everything};
pub use self::found::{Confirmations, ConfirmedKey, Due, MadeKeys, Survey, Taken, own_uses, place_notes};
pub use self::last_use::LastUse;
use self::left_as_is::Judged;
use self::obstacles::{Obstacles, Searched, fixed, search};
use self::ownership::{Confirmed, Lists};
pub use self::second_key::{to_delete, to_set};
use self::second_reading::SecondReading;
use crate::discovery::{Candidate, Discovered, SkipReason, Values, read_pairs};
use crate::engine::observe::writable::Answers;
use crate::engine::session::Session;
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::ports::call::CallError;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::Place;
use crate::types::secret::SecretKey;

/// Reads every entry, finds the keys and asks IAM about each.
///
/// # Errors
/// A store cannot be read. Its entries may hold a copy of any key.
pub async fn survey(session: &Session, choice: &Choice, taken: &Taken) -> Result<Survey, CallError> {
    survey_with(session, choice, taken, &|_| ()).await
}

/// Does what [`survey`] does, and calls `on_due` with each key as soon as IAM has confirmed that it is due, while it is
/// asked about other keys. The check whether the places can be written follows later.
pub(in crate::engine) async fn survey_with(
    session: &Session,
    choice: &Choice,
    taken: &Taken,
    on_due: &(dyn Fn(&Due) + Sync),
) -> Result<Survey, CallError> {
    let mut survey = Survey { in_flight: taken.in_flight.clone(), ..Survey::default() };
    let everything = read_everything(session).await?;
    let Searched { elsewhere, unopened } = search(session, &everything);
    let Everything { discovered, large, not_ours, mut unread, count } = everything;
    let Discovered { mut findings, values, mentions } = discovered;
    survey.entries = count;
    survey.unmatched_entries = session.stores.unmatched_patterns();
    findings.left_alone.extend(left_in(session, &large));
    unread.extend(unopened);
    let may_name_any = report_unread(session, &unread, &mut survey);
    let secrets = read_secrets(&values, &findings.candidates);
    drop(values);
    let mut names: Vec<Names> = taken.names.clone();
    let mut found: BTreeSet<AccessKeyId> = findings.candidates.iter().map(|found| found.key_id.clone()).collect();
    let left_alone = std::mem::take(&mut findings.left_alone);
    found.extend(left_alone.iter().filter_map(|alone| alone.key_id.clone()));
    let lists = Lists::default();
    let judged = Judged::ask(session, &lists, choice, taken, &left_alone, &findings.candidates).await;
    names.extend(judged.take_down(choice, session.aws_now(), left_alone, &mut survey));
    let asking = findings.candidates.iter().zip(secrets).map(|(candidate, secret)| {
        let elsewhere = elsewhere.get(&candidate.key_id);
        let obstacles = Obstacles { elsewhere, unread: &may_name_any, fixed: fixed(session, &not_ours, candidate) };
        let question = Question { candidate, secret, obstacles };
        // The others are due only after a second reading.
        let is_searched = mentions.of(&candidate.key_id).is_some();
        consider(session, &lists, choice, taken, question).inspect(move |one| {
            if let Answer::Due(due) = &one.answer
                && is_searched
            {
                on_due(due);
            }
        })
    });
    let answers: Vec<Considered> =
        stream::iter(asking).buffered(session.options.keys_asked_about_at_once()).collect().await;
    let due = findings.candidates.iter().zip(&answers).filter(|(_, one)| matches!(one.answer, Answer::Due(..)));
    let due: Vec<&Candidate> = due.map(|(candidate, _)| candidate).collect();
    let again = SecondReading::of(session, &mentions, &due).await?;
    let writable = Answers::of_candidates(session, due.iter().copied()).await;
    let listed =
        take_answers(session, choice, &mut survey, &mut names, &findings.candidates, answers, (&again, &writable));
    for (note, key) in second_key::notes(session, choice, taken, &listed, &found).await {
        if let Some(id) = &note.key_id {
            if choice.takes(&Names::of_id(id).of_user(&key.user)) {
                survey.chosen.insert(id.clone());
            }
            survey.skipped_keys.insert(id.clone(), key);
        }
        survey.left_alone.push(note);
    }
    survey.left_alone.sort_by(LeftAloneNote::in_order);
    survey.unmatched_only = choice.only.as_ref().map(|only| unmatched(only, &names)).unwrap_or_default();
    let of_rules = choice.rules.iter().map(|rule| &rule.keys);
    let unmatched = std::iter::once(&choice.exclude).chain(of_rules).flat_map(|patterns| unmatched(patterns, &names));
    survey.unmatched_exclude = unmatched.collect();
    survey.ended_exclusions = choice.ended_exclusions(&names, session.aws_now());
    Ok(survey)
}

/// Takes the answer about each candidate. Returns the confirmed keys whose users may have a second key to report.
fn take_answers(
    session: &Session,
    choice: &Choice,
    survey: &mut Survey,
    names: &mut Vec<Names>,
    candidates: &[Candidate],
    answers: Vec<Considered>,
    (again, writable): (&SecondReading, &Answers),
) -> Vec<Confirmed> {
    let mut listed = Vec::new();
    for (candidate, considered) in candidates.iter().zip(answers) {
        if let Some(rule) = choice.rule_of(&considered.names) {
            survey.rules.insert(candidate.key_id.clone(), rule.name());
        }
        if choice.takes(&considered.names) {
            survey.chosen.insert(candidate.key_id.clone());
        }
        names.push(considered.names);
        survey.unread.extend(considered.not_asked);
        if let Some(why) = considered.use_unknown {
            survey.use_unknown.insert(candidate.key_id.clone(), why);
        }
        if let Answer::Due(due) = &considered.answer {
            survey.confirmed.take(&due.account, &due.user, &candidate.places);
        }
        if let Some(confirmed) = &considered.confirmed {
            survey.confirmed.take(&confirmed.account, &confirmed.user, &candidate.places);
        }
        let answer = match considered.answer {
            Answer::Due(due) => match again.check(candidate).and_then(|()| writable.check(session, candidate)) {
                Ok(()) => Answer::Due(due),
                Err(skip) => {
                    survey.skipped_keys.insert(candidate.key_id.clone(), ConfirmedKey::of_due(&due));
                    Answer::Skip(skip)
                }
            },
            Answer::InFlight | Answer::Skip(_) => considered.answer,
        };
        match answer {
            Answer::InFlight => {}
            Answer::Due(due) => survey.due.push(due),
            Answer::Skip(skip) => {
                if skip.recheck {
                    survey.unconfirmed.insert(candidate.key_id.clone(), skip.message.clone());
                }
                if considered.passed_over {
                    survey.passed_over.insert(candidate.key_id.clone());
                }
                if let Some(confirmed) = &considered.confirmed {
                    let kept = confirmed.shown(skip.due_at);
                    survey.skipped_keys.insert(candidate.key_id.clone(), kept);
                }
                let whose = survey.skipped_keys.get(&candidate.key_id);
                let whose = whose.map(ConfirmedKey::whose);
                if skip.reason != SkipReason::Excluded && skip.reason != SkipReason::TwoKeys {
                    listed.extend(considered.confirmed.map(|confirmed| *confirmed));
                }
                survey.left_alone.push(skip.about(candidate, whose));
            }
        }
    }
    survey.due.sort_by(|a, b| (&a.account, &a.user).cmp(&(&b.account, &b.user)));
    listed
}

/// Reports each entry that could not be read. Returns descriptions of those that may name any key.
fn report_unread(session: &Session, unread: &[(StoreName, EntryName, String)], survey: &mut Survey) -> Vec<String> {
    let mut may_name_any = Vec::new();
    for (store, entry, why) in unread {
        survey.unread.push(session.stores.describe(store, entry));
        let location = "whole value".to_owned();
        let place = PlaceNote { store: store.to_string(), entry: entry.to_string(), location };
        let counts = if session.options.unread_ok.is_match(entry.as_str()) {
            "`unread_ok` says that it names no key"
        } else {
            may_name_any.push(format!("{} ({why})", session.stores.describe(store, entry)));
            "it counts as one that may name any key"
        };
        survey.left_alone.push(LeftAloneNote {
            key_id: None,
            places: vec![place],
            reason: SkipReason::Unreadable.into(),
            message: format!("it cannot be read ({why}); {counts}"),
            due: false,
            whose: None,
            detail: None,
        });
    }
    may_name_any
}

/// Returns the present secret of each candidate. Every place of a candidate holds the same one.
fn read_secrets(values: &Values, candidates: &[Candidate]) -> Vec<Option<SecretKey>> {
    // A candidate has at least one place.
    let places: Vec<&Place> = candidates.iter().filter_map(|candidate| candidate.places.first()).collect();
    let read = read_pairs(&places, |store, name| values.get(store, name));
    read.into_iter().map(|pair| pair.ok().map(|pair| pair.secret)).collect()
}
