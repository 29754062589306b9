//! Decides which id belongs to which secret, among the texts of one group. rotator does not guess: it skips
//! what can be paired in more than one way.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::field::{FieldText, Group, Unclear};
use super::key_format;
use super::label::{Half, Label, Wording};
use super::left_alone::{Ambiguity, Instead, WhyLeftAlone};
use crate::types::name::AccessKeyId;
use crate::types::place::FieldRef;

/// One text that could be half of a pair.
pub(super) struct Seen {
    pub(super) spot: FieldRef,
    /// The name of the key or variable, or of the entry, that has the text as its value.
    pub(super) name: String,
    pub(super) label: Option<Label>,
    pub(super) group: Group,
    /// What it says, where that is clear.
    pub(super) text: FieldText,
    pub(super) twice: bool,
}

/// An id and a secret that belong together.
pub(super) struct Pair {
    pub(super) id: AccessKeyId,
    pub(super) secret: Zeroizing<String>,
    pub(super) id_spot: FieldRef,
    pub(super) secret_spot: FieldRef,
    /// Whether their group also has a session token.
    pub(super) has_token: bool,
}

/// The result of pairing the texts of one group.
#[derive(Default)]
pub(super) struct Paired {
    pub(super) pairs: Vec<Pair>,
    /// Each with the spots it is about, that of an id first.
    pub(super) left_alone: Vec<(Option<AccessKeyId>, Vec<FieldRef>, WhyLeftAlone)>,
}

/// Whether the value may decide where no name does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ByValue {
    /// Within a document.
    Yes,
    /// Among entries: two entries of one environment need not belong together.
    No,
}

/// The most secrets whose positions a report names, of all that may belong to an id.
const MOST_TOLD: usize = 20;

/// The most comparisons of an id with a secret in one document, where no name says what belongs together.
const MOST_COMPARED: usize = 4_000_000;

/// The group has more texts than can be paired with a bounded amount of work.
pub(super) struct TooMuch;

/// Pairs the texts of each group, by name first. The time is linear in the number of texts.
pub(super) fn pair(mut seen: Vec<Seen>, by_value: ByValue) -> Result<Paired, TooMuch> {
    seen.retain(Seen::may_be_half);
    let mut tokens: BTreeMap<Group, BTreeSet<Vec<String>>> = BTreeMap::new();
    for token in seen.iter().filter(|seen| !seen.text().is_empty()) {
        let Some(label) = token.label_of(Half::Token) else { continue };
        tokens.entry(token.group.clone()).or_default().insert(label.stem.clone());
    }
    let open = seen.iter().map(|_| true).collect();
    let mut pool = Pool { open, seen, tokens, paired: Paired::default() };
    pool.set_unreadable_aside();
    for key in [exact_key, spelling_key, stem_key, loose_key] {
        pool.pair_by_name(key);
    }
    match by_value {
        ByValue::Yes => pool.pair_by_value()?,
        ByValue::No => pool.report_unrelated_names(),
    }
    pool.report_the_rest();
    Ok(pool.paired)
}

impl Seen {
    /// Whether it may be of interest at all.
    pub(super) fn may_be_half(&self) -> bool {
        self.label.is_some() || key_format::has_id_form(self.text()) || key_format::has_secret_form(self.text())
    }

    fn text(&self) -> &str {
        self.text.as_ref().map_or("", |text| text.as_str())
    }

    fn label_of(&self, half: Half) -> Option<&Label> {
        self.label.as_ref().filter(|label| label.half == half)
    }

    /// The id, if name and value together show that this is one: the less the name says, the more the value has to.
    fn id_by_name(&self) -> Option<AccessKeyId> {
        let label = self.label_of(Half::Id)?;
        let fits = match label.wording {
            Wording::Full | Wording::Short if label.is_certain() => true,
            Wording::Full | Wording::Short => key_format::may_be_id(self.text()),
            Wording::Bare => key_format::has_id_form(self.text()),
        };
        if fits { AccessKeyId::new(self.text()).ok() } else { None }
    }

    fn id(&self) -> Option<AccessKeyId> {
        self.id_by_name().or_else(|| self.id_by_form())
    }

    fn id_by_form(&self) -> Option<AccessKeyId> {
        if key_format::has_id_form(self.text()) { AccessKeyId::new(self.text()).ok() } else { None }
    }

    /// Whether the name says so, and the value could be half of a pair or is to be reported.
    fn is_secret_by_name(&self) -> bool {
        self.label_of(Half::Secret).is_some_and(|label| match label.wording {
            Wording::Full | Wording::Short => !self.text().is_empty(),
            Wording::Bare => key_format::has_secret_form(self.text()),
        })
    }

    /// What this is instead, if it is no secret of the key `id`.
    fn instead_of_secret(&self, id: &Self) -> Option<Instead> {
        let id = id.id();
        key_format::instead_of_secret(id.as_ref().map_or("", AccessKeyId::as_str), self.text())
    }

    fn is_certain(&self) -> bool {
        self.label.as_ref().is_some_and(Label::is_certain)
    }
}

/// What both halves of a pair have in common, from the strictest to the loosest. The loosest asks that both names are
/// certain, lest `AWS_ACCESS_KEY_ID` take another program's `SECRET_KEY`.
type Key = fn(&Label, bool) -> Option<String>;

fn exact_key(label: &Label, _: bool) -> Option<String> {
    Some(format!("{:?} {} {}", label.wording, label.spelling, label.stem.join(" ")))
}

fn spelling_key(label: &Label, _: bool) -> Option<String> {
    Some(format!("{} {}", label.spelling, label.stem.join(" ")))
}

fn stem_key(label: &Label, _: bool) -> Option<String> {
    Some(label.stem.join(" "))
}

fn loose_key(label: &Label, is_certain: bool) -> Option<String> {
    is_certain.then(|| label.loose_stem().join(" "))
}

mod by_value;

fn wording(seen: &Seen) -> Option<Wording> {
    seen.label.as_ref().map(|label| label.wording)
}

struct Pool {
    seen: Vec<Seen>,
    /// Which of `seen` nothing has been made of yet.
    open: Vec<bool>,
    /// The stems of the session tokens in each group.
    tokens: BTreeMap<Group, BTreeSet<Vec<String>>>,
    paired: Paired,
}

impl Pool {
    /// The indices of what is open and passes.
    fn which(&self, passes: impl Fn(&Seen) -> bool) -> Vec<usize> {
        self.seen
            .iter()
            .zip(&self.open)
            .enumerate()
            .filter(|(_, (seen, open))| **open && passes(seen))
            .map(|(index, _)| index)
            .collect()
    }

    fn take(&mut self, id: usize, secret: usize) {
        (self.open[id], self.open[secret]) = (false, false);
        let (half, other) = (&self.seen[id], &self.seen[secret]);
        let Some(key_id) = half.id() else { return };
        let stem = half.label_of(Half::Id).map(|label| &label.stem);
        let has_token = self.tokens.get(&half.group).is_some_and(|stems| stem.is_none_or(|stem| stems.contains(stem)));
        self.paired.pairs.push(Pair {
            id: key_id,
            secret: Zeroizing::new(other.text().to_owned()),
            id_spot: half.spot.clone(),
            secret_spot: other.spot.clone(),
            has_token,
        });
    }

    /// Skips each of the ids, together with some of the secrets that may belong to it.
    fn leave(&mut self, ids: &[usize], secrets: &[usize], why: &WhyLeftAlone) {
        for id in ids {
            self.open[*id] = false;
            let seen = &self.seen[*id];
            let mut spots = vec![seen.spot.clone()];
            spots.extend(secrets.iter().take(MOST_TOLD).map(|secret| self.seen[*secret].spot.clone()));
            // What is no id by its form may be another service's secret: not shown.
            let key_id = seen.id().filter(|id| key_format::may_be_id(id.as_str()));
            self.paired.left_alone.push((key_id, spots, why.clone()));
        }
    }

    fn leave_one(&mut self, index: usize, why: WhyLeftAlone) {
        self.leave(&[index], &[], &why);
    }

    /// What is there twice, or says different things to different readers.
    fn set_unreadable_aside(&mut self) {
        for index in self.which(|seen| seen.twice && (seen.id().is_some() || seen.is_secret_by_name())) {
            self.leave_one(index, WhyLeftAlone::Ambiguous { ambiguity: Ambiguity::DefinedTwice });
        }
        for index in self.which(|seen| seen.twice) {
            self.open[index] = false;
        }
        for index in self.which(|seen| seen.text.is_err()) {
            let seen = &self.seen[index];
            if let (true, Err(unclear)) = (seen.is_certain(), seen.text.as_ref()) {
                let half = seen.label.as_ref().map(|label| label.half);
                let why = match (unclear, half) {
                    (Unclear::Reference, Some(Half::Secret)) => {
                        WhyLeftAlone::NotASecret { instead: Instead::Reference }
                    }
                    (Unclear::Reference, Some(Half::Id)) => WhyLeftAlone::NotAKeyId,
                    (unclear, _) => WhyLeftAlone::CannotBeSpliced { why: unclear.to_string() },
                };
                self.leave_one(index, why);
            }
            self.open[index] = false;
        }
    }

    fn pair_by_name(&mut self, key: Key) {
        let mut together: BTreeMap<(Group, String), (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for index in self.which(|seen| seen.id_by_name().is_some() || seen.is_secret_by_name()) {
            let seen = &self.seen[index];
            let Some(label) = &seen.label else { continue };
            let Some(name) = key(label, seen.is_certain()) else { continue };
            let halves = together.entry((seen.group.clone(), name)).or_default();
            match label.half {
                Half::Id => halves.0.push(index),
                Half::Secret => halves.1.push(index),
                Half::Token => {}
            }
        }
        for (ids, secrets) in together.into_values() {
            match (ids.as_slice(), secrets.as_slice()) {
                ([], _) | (_, []) => {}
                ([id], [secret]) => self.take_or_leave(*id, *secret),
                _ => {
                    let ambiguity = Ambiguity::Several { ids: ids.len(), secrets: secrets.len() };
                    self.leave(&ids, &secrets, &WhyLeftAlone::Ambiguous { ambiguity });
                    secrets.iter().for_each(|secret| self.open[*secret] = false);
                }
            }
        }
    }

    /// Takes an id and a secret whose names agree. A value that is no secret is reported if its name is that of an AWS
    /// secret; under a less specific name it belongs to another program.
    fn take_or_leave(&mut self, id: usize, secret: usize) {
        let (half, other) = (&self.seen[id], &self.seen[secret]);
        match other.instead_of_secret(half) {
            None if self.may_pair(id, secret) => self.take(id, secret),
            Some(instead)
                if other.is_certain() || (instead != Instead::OtherForm && wording(half) == wording(other)) =>
            {
                self.leave(&[id], &[secret], &WhyLeftAlone::NotASecret { instead });
                self.open[secret] = false;
            }
            None | Some(_) => {}
        }
    }

    /// `SECRET_KEY` is what many programs call something else: beside an id that is not named in the same way
    /// (`ACCESS_KEY`) it has to look like a secret access key.
    fn may_pair(&self, id: usize, secret: usize) -> bool {
        let (id, secret) = (&self.seen[id], &self.seen[secret]);
        secret.is_certain() || wording(id) == wording(secret) || key_format::has_secret_form(secret.text())
    }

    /// An id and a secret by form in entries of unrelated names: likely a pair, but not said to be.
    fn report_unrelated_names(&mut self) {
        let ids = self.which(|seen| seen.id_by_name().is_none() && seen.id_by_form().is_some());
        let secrets = self.which(|seen| !seen.is_secret_by_name() && key_format::has_secret_form(seen.text()));
        if secrets.len() == 1 {
            self.leave(&ids, &secrets, &WhyLeftAlone::Ambiguous { ambiguity: Ambiguity::UnrelatedNames });
        }
    }

    fn report_the_rest(&mut self) {
        // A secret that was named as one of several has been reported.
        let reported: BTreeSet<&FieldRef> = self.paired.left_alone.iter().flat_map(|(_, spots, _)| spots).collect();
        for (seen, open) in self.seen.iter().zip(&mut self.open) {
            *open = *open && !reported.contains(&seen.spot);
        }
        let is_id = |seen: &Seen| seen.id_by_form().is_some() || (seen.is_certain() && seen.id_by_name().is_some());
        for index in self.which(is_id) {
            self.leave_one(index, WhyLeftAlone::IdWithoutSecret);
        }
        for index in self.which(|seen| seen.is_certain() && seen.label_of(Half::Id).is_some()) {
            self.leave_one(index, WhyLeftAlone::NotAKeyId);
        }
        for index in self.which(|seen| seen.is_certain() && seen.label_of(Half::Secret).is_some()) {
            let instead = key_format::instead_of_secret("", self.seen[index].text());
            let why = instead.map_or(WhyLeftAlone::SecretWithoutId, |instead| WhyLeftAlone::NotASecret { instead });
            self.leave_one(index, why);
        }
    }
}
