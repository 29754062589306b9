//! Keys with their secret in an entry whose form rotator cannot edit. No rotation is opened for such a key, but it
//! becomes as old as any other. IAM is asked about each, and a key that is in use and due needs an operator.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use super::choice::{Choice, Names};
use super::consider::{Answer, Considered, Question, consider};
use super::found::{ConfirmedKey, Survey, Taken, place_note};
use super::obstacles::Obstacles;
use super::ownership::Lists;
use crate::discovery::{Candidate, LeftAlone, SkipReason, WhyLeftAlone};
use crate::engine::session::Session;
use crate::journal::campaign::LeftAloneNote;
use crate::types::name::{AccessKeyId, StoreName};
use crate::types::place::{FieldRef, Place};
use crate::types::time::Timestamp;

/// The answers of IAM about these keys.
#[derive(Default)]
pub(super) struct Judged {
    /// Whether each key is due. A key without an answer is missing.
    due: BTreeMap<AccessKeyId, bool>,
    /// The keys that no program uses, each with the message.
    unused: BTreeMap<AccessKeyId, String>,
    /// The names of the keys in a pattern.
    names: Vec<Names>,
    /// The keys that `only` takes.
    chosen: BTreeSet<AccessKeyId>,
    /// The keys that `only` leaves out.
    passed_over: BTreeSet<AccessKeyId>,
    /// Messages about keys without an answer that a pattern may mean.
    not_asked: Vec<String>,
    /// What IAM said about the keys that it confirmed.
    confirmed: BTreeMap<AccessKeyId, ConfirmedKey>,
    /// The keys that the next run checks again, with the reason.
    unconfirmed: BTreeMap<AccessKeyId, String>,
}

impl Judged {
    /// Asks about each key that may be in use and is not a candidate.
    pub(super) async fn ask(
        session: &Session,
        lists: &Lists,
        choice: &Choice,
        taken: &Taken,
        left_alone: &[LeftAlone],
        candidates: &[Candidate],
    ) -> Self {
        let known: BTreeSet<&AccessKeyId> = candidates.iter().map(|candidate| &candidate.key_id).collect();
        let mut found: BTreeMap<AccessKeyId, Vec<Place>> = BTreeMap::new();
        for alone in left_alone.iter().filter(|alone| alone.may_be_a_key_in_use()) {
            let Some(id) = alone.key_id.as_ref().filter(|id| !known.contains(id)) else { continue };
            let place = |(store, spot): &(StoreName, FieldRef)| Place {
                store: store.clone(),
                id: spot.clone(),
                secret: spot.clone(),
            };
            found.entry(id.clone()).or_default().extend(alone.places.iter().map(place));
        }
        let found: Vec<Candidate> = found.into_iter().map(|(key_id, places)| Candidate { key_id, places }).collect();
        let asking = found.iter().map(|candidate| {
            let obstacles = Obstacles { elsewhere: None, unread: &[], fixed: None };
            // No rotation is opened for the key, so its secret is not needed.
            consider(session, lists, choice, taken, Question { candidate, secret: None, obstacles })
        });
        let answers: Vec<Considered> =
            stream::iter(asking).buffered(session.options.keys_asked_about_at_once()).collect().await;
        let mut judged = Self::default();
        for (candidate, considered) in found.iter().zip(answers) {
            judged.take(choice, &candidate.key_id, considered);
        }
        judged
    }

    fn take(&mut self, choice: &Choice, id: &AccessKeyId, considered: Considered) {
        let Considered { answer, names, confirmed, passed_over, not_asked, use_unknown: _ } = considered;
        if choice.takes(&names) {
            self.chosen.insert(id.clone());
        }
        self.names.push(names);
        self.not_asked.extend(not_asked);
        if passed_over {
            self.passed_over.insert(id.clone());
        }
        let kept = match (&answer, &confirmed) {
            (Answer::Due(due), _) => Some(ConfirmedKey::of_due(due)),
            (Answer::Skip(skip), Some(confirmed)) => Some(confirmed.shown(skip.due_at)),
            (Answer::Skip(_), None) | (Answer::InFlight, _) => None,
        };
        self.confirmed.extend(kept.map(|kept| (id.clone(), kept)));
        let due = match answer {
            Answer::Due(..) => Some(true),
            Answer::InFlight => Some(false),
            Answer::Skip(skip) if skip.recheck => {
                self.unconfirmed.insert(id.clone(), skip.message);
                None
            }
            // The key is due, and something else prevents its rotation as well.
            Answer::Skip(skip) if skip.is_due() => confirmed.is_some().then_some(true),
            Answer::Skip(skip) if skip.reason == SkipReason::Unused => {
                self.unused.insert(id.clone(), skip.message);
                Some(false)
            }
            Answer::Skip(_) => Some(false),
        };
        self.due.extend(due.map(|due| (id.clone(), due)));
    }

    /// Records all findings in the survey. Returns the names that a pattern can match.
    pub(super) fn take_down(
        self,
        choice: &Choice,
        now: Timestamp,
        left_alone: Vec<LeftAlone>,
        survey: &mut Survey,
    ) -> Vec<Names> {
        let mut names = Vec::new();
        for alone in left_alone {
            let of_this = Names::of_left_alone(&alone);
            // Each pair in the value may be in use, and IAM is not asked about them.
            let is_full = matches!(alone.why, WhyLeftAlone::TooManyPairs);
            let is_excluded = choice.excludes(&of_this) || choice.excluding_rule(&of_this, now).is_some();
            let is_chosen = choice.takes(&of_this);
            let due = is_full && is_chosen && !is_excluded;
            survey.chosen.extend(alone.key_id.clone().filter(|_| is_chosen));
            names.push(of_this);
            let note = LeftAloneNote {
                key_id: alone.key_id.clone(),
                places: alone.places.iter().map(|(store, spot)| place_note(store, spot)).collect(),
                reason: alone.why.reason().into(),
                message: alone.why.to_string(),
                due,
                whose: alone.key_id.as_ref().and_then(|key| self.confirmed.get(key)).map(ConfirmedKey::whose),
                detail: None,
            };
            survey.left_alone.push(if is_full { note } else { self.tell(&alone, note) });
        }
        survey.unread.extend(self.not_asked);
        survey.chosen.extend(self.chosen);
        survey.passed_over.extend(self.passed_over);
        survey.unconfirmed.extend(self.unconfirmed);
        survey.skipped_keys.extend(self.confirmed);
        names.extend(self.names);
        names
    }

    /// Marks the note about `alone` as one that needs an operator, if the key is due.
    fn tell(&self, alone: &LeftAlone, note: LeftAloneNote) -> LeftAloneNote {
        let due = alone.key_id.as_ref().filter(|_| alone.may_be_a_key_in_use()).and_then(|id| self.due.get(id));
        // One of two secrets is wrong, even if IAM gave no answer about the key.
        let is_broken = matches!(alone.why, WhyLeftAlone::TwoSecrets);
        let unused = alone.key_id.as_ref().filter(|_| due.is_some()).and_then(|id| self.unused.get(id));
        if let Some(why) = unused {
            return LeftAloneNote {
                reason: SkipReason::Unused.into(),
                message: format!("{}; {why}", note.message),
                due: false,
                ..note
            };
        }
        match (due, &alone.key_id) {
            (Some(true), Some(id)) if !is_broken => LeftAloneNote {
                due: true,
                message: format!(
                    "{}; IAM lists the key as active and it is due: rotate it by hand, bring it into a form that rotator \
                     can edit, or leave it out with --exclude {id}",
                    note.message
                ),
                ..note
            },
            (due, _) => LeftAloneNote { due: is_broken && due.copied().unwrap_or(true), ..note },
        }
    }
}
