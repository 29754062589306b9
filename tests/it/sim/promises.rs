//! The promises of `docs/design/promises.md`, as far as the state of the simulation shows them.

use rotator::journal::line::Summary;
use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::event::Ending;
use rotator::rotation::policy::{MOST_CREATES, Unclaimed};
use rotator::rotation::record::Rotation;
use rotator::rotation::state::State;

use super::schedule::{Setup, user_name};
use super::state::{By, Effect, Key, Reader, SINK, SimState, Store};

/// Of so few users everything is checked after every change.
const FEW: usize = 8;

impl SimState {
    /// The pair that a reader finds; `None` if the store has no pair.
    pub(super) fn pair(&self, reader: &Reader) -> Option<(&str, &str)> {
        let store = self.stores.get(&reader.store)?;
        let text = |entry: &str| {
            let (_, bytes) = store.entries.get(entry)?;
            std::str::from_utf8(bytes).ok()
        };
        if reader.id != reader.secret {
            return Some((text(&reader.id)?.trim(), text(&reader.secret)?.trim()));
        }
        let mut words = text(&reader.id)?.split('"').skip(3).step_by(4);
        Some((words.next()?, words.next()?))
    }

    /// Whether rotator or an operator is responsible for a broken pair.
    fn is_excused(&self, reader: &Reader) -> bool {
        self.is_their_fault(&reader.user) || self.has_unseen(&reader.user)
    }

    /// After every change: what it may have broken, and now and then everything.
    pub(crate) fn check(&mut self, after: &str) {
        let mut broken = Vec::new();
        let (mut torn, mut unready, mut late_ids) = (0, 0, 0);
        let changed = std::mem::take(&mut self.changed);
        self.checks += 1;
        let all = self.users.len() < FEW || self.checks.is_multiple_of(50);
        let concerns = |user: &String| all || changed.contains(user);
        for reader in self.readers.iter().filter(|reader| concerns(&reader.user)) {
            let Some((id, secret)) = self.pair(reader) else {
                broken.push(format!("P1: {} holds no pair, after {after}", reader.id));
                continue;
            };
            let keys = || self.users.get(&reader.user).into_iter().flatten();
            if let Some(key) = keys().find(|key| key.active && key.id == id && key.secret == secret) {
                unready += u64::from(self.visibility.unaccepted.hold(self.now - key.made));
                continue;
            }
            let ours =
                |what: fn(&Key) -> &str, text: &str| keys().any(|key| what(key) == text && key.by == By::Rotator);
            let half = ours(|key| &key.secret, secret);
            // A write of the id that landed after the old secret was put back: no store without compare-and-set refuses it.
            let late_id = ours(|key| &key.id, id) && keys().any(|key| key.secret == secret && key.by == By::Stored);
            let is_torn = |store: &Store| !store.atomic && (half || late_id && !store.compare_and_set);
            if self.stores.get(&reader.store).is_some_and(is_torn) {
                torn += 1;
                late_ids += u64::from(!half);
            } else if !self.is_excused(reader) {
                broken.push(format!("P1: {} holds {id}, which does not authenticate, after {after}", reader.id));
            }
        }
        for (store, entry, value) in &self.others {
            let now = self.stores.get(store).and_then(|store| store.entries.get(entry));
            if now.is_none_or(|(_, now)| now != value) {
                broken.push(format!("what another program keeps in {entry} was changed, after {after}"));
            }
        }
        for (user, keys) in self.users.iter().filter(|(user, _)| concerns(user)) {
            if keys.len() > 2 {
                broken.push(format!("P4: {user} has {} keys after {after}", keys.len()));
            }
        }
        self.broken.append(&mut broken);
        if torn > 0 {
            self.hit("torn pair");
        }
        if late_ids > 0 {
            self.hit("a late id beside the old secret");
        }
        if unready > 0 {
            self.hit("stored, active, and not accepted for a moment");
        }
    }

    /// Before an effect of rotator's own: what it must have proved by now.
    pub(crate) fn check_ground(&mut self, effect: &Effect) {
        match effect {
            Effect::Write { store, batch } => {
                let before = |entry: &str| self.stores.get(store).and_then(|store| store.entries.get(entry));
                let brings = |key: &&Key, text: &str| text.contains(&key.secret) || text.contains(&key.id);
                let mut broken = Vec::new();
                for (entry, _, value) in batch {
                    let after = String::from_utf8_lossy(value);
                    let before = before(entry).map(|(_, bytes)| String::from_utf8_lossy(bytes)).unwrap_or_default();
                    let new = self.users.values().flatten().filter(|key| key.by == By::Rotator);
                    let unproved = new.filter(|key| brings(key, &after) && !brings(key, &before));
                    // A stored pair has been proved that number of times; a fence after it needs the last answer only.
                    let is_stored = |key: &&Key| self.facts.stored.values().any(|(_, stored)| *stored == key.id);
                    let least = |key: &&Key| if is_stored(key) { 1 } else { self.confirmations };
                    for key in unproved.filter(|key| key.proved < least(key)) {
                        broken.push(format!("section 7: {} was stored before it had answered", key.id));
                    }
                }
                self.broken.append(&mut broken);
            }
            Effect::WriteSink { user, id, .. } => {
                let places = self.readers.iter().filter(|reader| reader.user == *user && reader.store != SINK);
                let others = places.filter(|reader| self.pair(reader).is_none_or(|(stored, _)| stored != id));
                if let Some(reader) = others.into_iter().find(|reader| !self.is_excused(reader)) {
                    let broken = format!("a sink was written before {}, which it follows", reader.id);
                    self.broken.push(broken);
                }
            }
            Effect::Delete { id, .. } | Effect::Status { id, active: false, .. } => self.check_removal(&id.clone()),
            Effect::Create { user } => {
                let unproved = |key: &&Key| key.by == By::Stored && key.proved == 0;
                let user = self.whose(user);
                if let Some(key) = self.users.get(&user).into_iter().flatten().find(unproved) {
                    let broken = format!("a key was made to replace {}, whose pair had not answered", key.id);
                    self.broken.push(broken);
                }
            }
            Effect::Status { active: true, .. } => {}
        }
    }

    /// P3: the old key is removed only after the pair in every place has authenticated as the user.
    fn check_removal(&mut self, id: &str) {
        let is_old = self.users.values().flatten().any(|key| key.id == id && key.by == By::Stored);
        let Some((user, _)) = self.users.iter().find(|(_, keys)| is_old && keys.iter().any(|key| key.id == id)) else {
            return;
        };
        let readers = self.readers.iter().filter(|reader| reader.user == *user && !self.is_excused(reader));
        let unproved = |reader: &&Reader| {
            let stored = self.pair(reader).map(|(id, _)| id.to_owned());
            !self.users.values().flatten().any(|key| Some(&key.id) == stored.as_ref() && key.proved > 0)
        };
        if let Some(reader) = readers.clone().find(unproved) {
            let broken = format!("P3: {id} was to go before what {} holds had answered", reader.id);
            self.broken.push(broken);
        }
    }

    /// A rotation that is closed as `deleted-old` or `gone` has no old key any more, even if its user was renamed.
    pub(crate) fn wrong_conclusion(&self, rotation: &Rotation) -> Option<String> {
        let State::Closed { ending: ending @ (Ending::DeletedOld | Ending::Gone) } = rotation.state else {
            return None;
        };
        let (user, old) = (&rotation.opened.user, rotation.opened.old_key.as_str());
        let is_there = self.users.values().flatten().any(|key| key.id == old);
        is_there.then(|| format!("a conclusion: {user} closed as {ending:?}, and the old key is there"))
    }

    /// Whether there are enough faults for each key that a rotation may create.
    fn may_spoil_every_create(&self, setup: &Setup) -> bool {
        self.faults.at.len() + self.faults.of.len() + setup.troubles.len() >= MOST_CREATES as usize
    }

    /// Checks the promises after the end of all rotations.
    pub(crate) fn check_the_end(&mut self, setup: &Setup, all: &[Summary]) {
        let mut broken: Vec<String> =
            all.iter().filter_map(|summary| self.wrong_conclusion(&summary.rotation)).collect();
        for (user, keys) in &self.users {
            // Compares names, not positions: an operator may have deleted earlier users.
            let strangers = usize::from(setup.stranger.is_some_and(|number| *user == user_name(number)));
            let disturbed =
                *user == self.first_user && (setup.interference.is_some() || setup.hidden_note) || setup.disturbs(user);
            let of_user = || all.iter().filter(|summary| self.whose(summary.rotation.opened.user.as_str()) == *user);
            let late: Vec<_> = keys.iter().filter(|key| key.by == By::Late).collect();
            let mut states = of_user().map(|summary| &summary.rotation.state);
            if let Some(block) = states.find(|state| matches!(state, State::Blocked { .. })) {
                let reports = setup.policy.unclaimed == Unclaimed::Report;
                let worn_out = matches!(block, State::Blocked { reason: BlockReason::TooManyCreates, .. })
                    && self.may_spoil_every_create(setup);
                if strangers == 0 && late.is_empty() && !disturbed && !reports && !worn_out {
                    broken.push(format!("P6: {user} is blocked, and there was no other writer"));
                }
                continue;
            }
            if disturbed {
                continue;
            }
            let reported = |key: &&&Key| {
                of_user().any(|rotation| rotation.rotation.late_keys.iter().any(|seen| seen.as_str() == key.id))
            };
            if let Some(key) = late.iter().find(|key| !reported(key)) {
                broken.push(format!("the end: {user} has the late key {}, which was not reported", key.id));
            }
            if keys.len() != 1 + strangers + late.len() {
                broken.push(format!("the end: {user} has {} keys", keys.len()));
            }
            let rotated = keys.iter().any(|key| key.by == By::Rotator);
            let in_the_way = strangers > 0 || setup.wrong_pair.is_some_and(|number| *user == user_name(number));
            if rotated == in_the_way && late.is_empty() {
                broken.push(format!("the end: {user} was {}rotated", if rotated { "" } else { "not " }));
            }
        }
        let blocked: Vec<String> = all
            .iter()
            .filter(|summary| matches!(summary.rotation.state, State::Blocked { .. }))
            .map(|summary| self.whose(summary.rotation.opened.user.as_str()))
            .collect();
        for reader in self.readers.iter().filter(|reader| !self.is_excused(reader)) {
            let keys = || self.users.get(&reader.user).into_iter().flatten();
            let whole = |(id, secret)| keys().any(|key| key.id == id && key.secret == secret);
            if !blocked.contains(&reader.user) && !self.pair(reader).is_some_and(whole) {
                broken.push(format!("the end: {} holds half a pair", reader.id));
            }
        }
        for store in self.stores.values() {
            for (entry, (version, bytes)) in &store.entries {
                if entry.ends_with("MY_SECRET") && (bytes != b"keep me" || *version != 1) {
                    broken.push(format!("the end: {entry} was changed"));
                }
                let last: &[u8] = if entry.ends_with("config.json") { b" , \"more\": [1,2] }" } else { b"\n" };
                let spliced = entry.ends_with("SECRET_ACCESS_KEY") || entry.ends_with("config.json");
                if spliced && !bytes.ends_with(last) {
                    broken.push(format!("the end: {entry} lost a byte"));
                }
            }
        }
        self.broken.extend(broken);
    }
}
