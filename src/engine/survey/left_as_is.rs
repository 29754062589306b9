//! Keys that stand whole in an entry whose form rotator cannot edit. No rotation is opened for them, and one that is due is
//! as old as any other: IAM is asked about each, and an operator is needed where it says that the key is in use.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Choice, Names};
use super::consider::{Answer, Considered, consider};
use super::found::{Survey, Taken, place_note};
use super::obstacles::Obstacles;
use super::ownership::Lists;
use crate::discovery::{Candidate, LeftAlone, WhyLeftAlone};
use crate::engine::session::Session;
use crate::journal::campaign::LeftAloneNote;
use crate::types::name::{AccessKeyId, StoreName};
use crate::types::place::{FieldRef, Place};

/// What IAM says of these keys.
#[derive(Default)]
pub(super) struct Judged {
    /// Whether each is due; one is missing that was not asked about, or about which nothing was said.
    due: BTreeMap<AccessKeyId, bool>,
    /// What they can be called.
    names: Vec<Names>,
    /// Those that `--only` leaves out.
    passed_over: BTreeSet<AccessKeyId>,
    /// What was not heard of them, where a pattern could have meant them.
    not_asked: Vec<String>,
    /// Those that the next run is to ask about again, and why.
    unconfirmed: BTreeMap<AccessKeyId, String>,
}

impl Judged {
    /// Asks about each key that may be in use and is no candidate.
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
            consider(session, lists, choice, taken, candidate, obstacles)
        });
        let answers = futures_util::future::join_all(asking).await;
        let mut judged = Self::default();
        for (candidate, considered) in found.iter().zip(answers) {
            judged.take(&candidate.key_id, considered);
        }
        judged
    }

    fn take(&mut self, id: &AccessKeyId, considered: Considered) {
        let Considered { answer, names, confirmed, passed_over, not_asked } = considered;
        self.names.push(names);
        self.not_asked.extend(not_asked);
        if passed_over {
            self.passed_over.insert(id.clone());
        }
        let due = match answer {
            Answer::Due(..) => Some(true),
            Answer::InFlight => Some(false),
            Answer::Skip(skip) if skip.recheck => {
                self.unconfirmed.insert(id.clone(), skip.message);
                None
            }
            // Due, and something else is in the way as well.
            Answer::Skip(skip) if skip.is_due() => confirmed.is_some().then_some(true),
            Answer::Skip(_) => Some(false),
        };
        self.due.extend(due.map(|due| (id.clone(), due)));
    }

    /// Takes all of it down in the survey. What can be named in a pattern.
    pub(super) fn take_down(self, choice: &Choice, left_alone: Vec<LeftAlone>, survey: &mut Survey) -> Vec<Names> {
        let mut names = Vec::new();
        for alone in left_alone {
            let of_this = Names::of_left_alone(&alone);
            // Which of its pairs are in use is not asked, and each of them may be.
            let is_full = matches!(alone.why, WhyLeftAlone::TooManyPairs);
            let due = is_full && choice.takes(&of_this) && !choice.excludes(&of_this);
            names.push(of_this);
            let note = LeftAloneNote {
                key_id: alone.key_id.clone(),
                places: alone.places.iter().map(|(store, spot)| place_note(store, spot)).collect(),
                reason: alone.why.reason(),
                message: alone.why.to_string(),
                due,
            };
            survey.left_alone.push(if is_full { note } else { self.tell(&alone, note) });
        }
        survey.unread.extend(self.not_asked);
        survey.passed_over.extend(self.passed_over);
        survey.unconfirmed.extend(self.unconfirmed);
        names.extend(self.names);
        names
    }

    /// Makes `note`, which is about `alone`, one for an operator if the key is due.
    fn tell(&self, alone: &LeftAlone, note: LeftAloneNote) -> LeftAloneNote {
        let due = alone.key_id.as_ref().filter(|_| alone.may_be_a_key_in_use()).and_then(|id| self.due.get(id));
        // Of two secrets one is wrong, also where nothing is heard of the key.
        let is_broken = matches!(alone.why, WhyLeftAlone::TwoSecrets);
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
