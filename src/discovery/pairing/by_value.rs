//! Pairs in documents whose names do not say enough: the value shows what is an id and what may be its secret, and the
//! names must not contradict. A lone text of 40 characters beside an id is no secret of it for that alone.

use super::{Half, Label, MOST_COMPARED, Pool, Seen, TooMuch};
use crate::discovery::key_format;
use crate::discovery::label::{are_a_login, differ_in_one_word, is_about_another_secret};
use crate::discovery::left_alone::{Ambiguity, WhyLeftAlone};

impl Pool {
    /// One id and one secret that may belong together, in the smallest group around the id that has such a secret.
    pub(super) fn pair_by_value(&mut self) -> Result<(), TooMuch> {
        let ids = self.which(is_id);
        let secrets = self.which(may_be_secret);
        let mut among = Among { ids, secrets, left: MOST_COMPARED };
        let mut in_order = among.ids.clone();
        in_order.sort_by_key(|id| std::cmp::Reverse(self.seen[*id].group.depth()));
        for id in in_order {
            if self.open[id] {
                self.pair_one(id, &mut among)?;
            }
        }
        Ok(())
    }

    /// Those of them that are still open and pass.
    fn which_of(&self, some: &[usize], passes: impl Fn(&Seen) -> bool) -> Vec<usize> {
        some.iter().copied().filter(|index| self.open[*index] && passes(&self.seen[*index])).collect()
    }

    fn pair_one(&mut self, id: usize, among: &mut Among) -> Result<(), TooMuch> {
        let mut around = Some(self.seen[id].group.clone());
        while let Some(group) = around {
            among.compare(among.secrets.len())?;
            let secrets =
                self.which_of(&among.secrets, |seen| group.holds(&seen.group) && belong_together(&self.seen[id], seen));
            if secrets.is_empty() {
                around = group.outer();
                continue;
            }
            among.compare(among.ids.len().saturating_mul(secrets.len()))?;
            let rivals = self.which_of(&among.ids, |seen| {
                let mut secrets = secrets.iter().map(|secret| &self.seen[*secret]);
                group.holds(&seen.group) && secrets.any(|secret| belong_together(seen, secret))
            });
            match (rivals.as_slice(), secrets.as_slice()) {
                ([_], [secret]) => self.take(id, *secret),
                _ => {
                    let ambiguity = Ambiguity::Several { ids: rivals.len(), secrets: secrets.len() };
                    self.leave(&rivals, &secrets, &WhyLeftAlone::Ambiguous { ambiguity });
                }
            }
            return Ok(());
        }
        among.compare(among.secrets.len())?;
        self.tell_of_a_lone_secret(id, among);
        Ok(())
    }

    /// The only secret beside an id, whose name does not say that it is the id's.
    fn tell_of_a_lone_secret(&mut self, id: usize, among: &Among) {
        let half = &self.seen[id];
        let beside = self.which_of(&among.secrets, |seen| {
            half.group.holds(&seen.group)
                && key_format::has_secret_form(seen.text())
                && seen.instead_of_secret(half).is_none()
                && !is_about_another_secret(&seen.name)
        });
        let [secret] = beside.as_slice() else { return };
        let both_are_named = half.is_certain() && self.seen[*secret].is_certain();
        let ambiguity = if both_are_named { Ambiguity::NamesDisagree } else { Ambiguity::UnrelatedNames };
        if both_are_named || !is_about_another_secret(&half.name) {
            self.leave(&[id], &[*secret], &WhyLeftAlone::Ambiguous { ambiguity });
        }
    }
}

/// What is held against each other.
struct Among {
    ids: Vec<usize>,
    secrets: Vec<usize>,
    /// How often that may still be done.
    left: usize,
}

impl Among {
    fn compare(&mut self, times: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(times).ok_or(TooMuch)?;
        Ok(())
    }
}

fn may_be_secret(seen: &Seen) -> bool {
    key_format::has_secret_form(seen.text()) || (seen.label_of(Half::Secret).is_some() && seen.is_certain())
}

fn is_id(seen: &Seen) -> bool {
    seen.id_by_form().is_some() || (seen.is_certain() && seen.id_by_name().is_some())
}

/// Whether `secret` may be the secret of `id`, by its form and by what both are called.
fn belong_together(id: &Seen, secret: &Seen) -> bool {
    let is_labelled = secret.label_of(Half::Secret).is_some() && secret.is_certain();
    let is_beside = id.group == secret.group;
    let may_be = if is_beside { is_labelled || key_format::has_secret_form(secret.text()) } else { is_labelled };
    if !may_be || secret.instead_of_secret(id).is_some() {
        return false;
    }
    if is_about_another_secret(&id.name) || is_about_another_secret(&secret.name) {
        return is_beside && are_a_login(&id.name, &secret.name);
    }
    match (id.is_certain(), is_labelled) {
        // Their names were compared within one group before.
        (true, true) => !is_beside && loose_stem(id) == loose_stem(secret),
        (true, false) => false,
        (false, true) => is_beside && id.label.is_none(),
        (false, false) => is_beside && differ_in_one_word(&id.name, &secret.name),
    }
}

fn loose_stem(seen: &Seen) -> Option<Vec<&str>> {
    seen.label.as_ref().map(Label::loose_stem)
}
