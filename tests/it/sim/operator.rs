//! The interference of an operator while rotator works, the failures that it excuses, and the names of the users.

use super::faults::Interference;
use super::kinds;
use super::state::{By, SimState};

impl SimState {
    pub(crate) fn interfere(&mut self, user: &str, interference: Interference) {
        self.hit("an operator interfered");
        self.changed.insert(user.to_owned());
        match interference {
            Interference::CopiesOldKey | Interference::Reverts | Interference::Overwrites => {
                self.writes(user, interference)
            }
            Interference::CreatesAndUses => self.creates(user, By::Stranger, true, false),
            Interference::CreatesAndNotes => self.creates(user, By::Stranger, false, true),
            // Under `reclaim` such a key may be taken for a lost one of ours; under `report` never.
            Interference::CreatesIdle => {
                let by = if self.reclaims { By::Lookalike } else { By::Stranger };
                self.creates(user, by, false, false);
            }
            Interference::DeletesOld => self.deletes(user, By::Stored),
            Interference::DeletesNew => self.deletes(user, By::Rotator),
            Interference::ReactivatesOld => {
                let now = self.now;
                let old = self.users.get_mut(user).into_iter().flatten().find(|key| key.by == By::Stored);
                if let Some(old) = old.filter(|key| !key.active) {
                    (old.active, old.changed) = (true, now);
                }
            }
            Interference::DeletesUser => {
                self.users.remove(user);
                self.theirs(user).fault = true;
            }
            Interference::MakesUserAgain => {
                self.users.remove(user);
                self.theirs(user).fault = true;
                *self.made_again.entry(user.to_owned()).or_default() += 1;
                let now = self.now / 1000 * 1000;
                self.add_key(user, By::Stranger, now);
            }
            Interference::RenamesUser => self.renames(user),
        }
    }

    fn renames(&mut self, user: &str) {
        if self.users.contains_key(user) {
            self.hit(kinds::RENAMED);
            self.renamed.insert(user.to_owned(), format!("{user}-renamed"));
        }
    }

    /// The user that is called so now.
    pub(crate) fn called(&self, name: &str) -> Option<String> {
        let renamed = self.renamed.iter().find(|(_, now)| *now == name).map(|(user, _)| user.clone());
        renamed.or_else(|| (!self.renamed.contains_key(name)).then(|| name.to_owned()))
    }

    /// Whom rotator means, whatever that user is called now.
    pub(crate) fn whose(&self, name: &str) -> String {
        self.called(name).unwrap_or_else(|| name.to_owned())
    }

    /// The present name of the user.
    pub(crate) fn name_of(&self, user: &str) -> String {
        self.renamed.get(user).cloned().unwrap_or_else(|| user.to_owned())
    }

    /// Stays when the user is renamed; a user that was made again has another.
    pub(crate) fn unique_id(&self, user: &str) -> String {
        let letters: String = user.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect();
        format!("AIDA{letters}x{}", self.made_again.get(user).copied().unwrap_or_default())
    }

    fn writes(&mut self, user: &str, interference: Interference) {
        let Some(reader) = self.readers.iter().find(|reader| reader.user == user).cloned() else { return };
        let keys = self.users.get(&reader.user).cloned().unwrap_or_default();
        let Some(old) = keys.iter().find(|key| key.by == By::Stored) else {
            self.theirs(user).fault = true;
            return;
        };
        self.counts_a_write(user, interference);
        let Some(store) = self.stores.get_mut(&reader.store) else { return };
        let mut put = |entry: &str, bytes: Vec<u8>| {
            let slot = store.entries.entry(entry.to_owned()).or_default();
            *slot = (slot.0 + 1, bytes);
        };
        if interference == Interference::Reverts {
            put(&reader.id, old.id.clone().into_bytes());
            put(&reader.secret, format!("{}\n", old.secret).into_bytes());
        } else if interference == Interference::Overwrites {
            put(&reader.secret, b"something else\n".to_vec());
        } else {
            put(&format!("notes/for/{}", old.id), format!("the key is {}", old.id).into_bytes());
        }
        let (now, is_off) = (self.now, !old.active);
        let theirs = self.theirs(user);
        theirs.unseen = true;
        // From here on the operator is responsible for the broken pair.
        theirs.fault |= is_off || interference == Interference::Overwrites;
        *(if interference == Interference::CopiesOldKey { &mut theirs.other } else { &mut theirs.place }) = Some(now);
    }

    fn creates(&mut self, user: &str, by: By, uses: bool, notes: bool) {
        let now = self.now;
        if self.users.get(user).is_none_or(|keys| keys.len() >= 2) {
            return;
        }
        if self.doubted.contains(user) {
            self.hit("a stranger's key beside a create in doubt");
        }
        let id = self.add_key(user, by, now / 1000 * 1000).id;
        let key = self.find(&id).expect("just added");
        key.made = now;
        key.used = uses.then_some(now);
        let reader = self.readers.iter().find(|reader| reader.user == user);
        let store = reader.and_then(|reader| self.stores.get_mut(&reader.store));
        if let (true, Some(store)) = (notes, store) {
            store.entries.insert("notes/of/theirs".to_owned(), (1, format!("our key is {id}").into_bytes()));
        }
    }

    fn deletes(&mut self, user: &str, by: By) {
        let Some(keys) = self.users.get_mut(user) else { return };
        let before = keys.len();
        keys.retain(|key| key.by != by);
        let fewer = keys.len() < before;
        self.theirs(user).fault |= fewer;
    }
}
