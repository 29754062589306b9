//! Executes requests on the simulated state, at once or late.

use super::faults::Op;
use super::kinds;
use super::state::{By, Effect, Held, Key, Reader, SINK, SimState, in_sink};

/// The code of the answer that there is no such user.
pub(super) const NO_USER: &str = "NoSuchUser";

/// When a request was sent, and whether an operator wrote after the reads that it relies on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) at: i64,
    pub(crate) overtaken: bool,
}

impl SimState {
    pub(super) fn execute(&mut self, Held { effect, sender, sent, overtaken, .. }: Held) {
        self.tell(|| format!("  late: {effect:?}").chars().take(90).collect());
        let (is_write, gone_on) = (matches!(effect, Effect::Write { .. }), sender != self.process);
        if matches!(effect, Effect::WriteSink { .. }) {
            self.hit("late write to a sink");
        }
        let creating = if let Effect::Create { user } = &effect { Some(self.whose(user)) } else { None };
        let result = self.have(effect, Sent { at: sent, overtaken }, true);
        if let (Some(user), Ok(Some(key))) = (creating, &result) {
            if !self.doubted.contains(&user) {
                self.hit("late create after reconcile");
            }
            if let Some(key) = self.find(&key.id) {
                key.by = By::Late;
            }
        }
        if is_write && gone_on {
            self.hit(if result.is_ok() { "late write after resume" } else { "late write refused after resume" });
        }
        self.check("a late request");
    }

    /// Has an effect that is heard of; a create perhaps twice, and the second one's answer is heard.
    pub(crate) fn has_it(&mut self, effect: Effect, sent: Sent) -> Result<Option<Key>, &'static str> {
        let nth = self.of_op.get(&Op::Create).copied().unwrap_or_default();
        if matches!(effect, Effect::Create { .. }) && self.resent.contains(&nth) {
            self.hit(kinds::SENT_TWICE);
            if let Effect::Create { user } = &effect {
                // Whose the second key is only an operator can say.
                self.hindered.insert(user.clone(), i64::MAX);
            }
            let _ = self.have(effect.clone(), sent, false);
        }
        self.have(effect, sent, false)
    }

    /// Whether what changes a key does not know it yet.
    fn is_too_young(&mut self, id: &str) -> bool {
        let (now, unknown) = (self.now, self.visibility.unknown);
        let is_young = self.find(id).is_some_and(|key| now - key.made < unknown);
        if is_young {
            // Another run may succeed.
            self.struck = true;
            self.hit(kinds::YOUNG);
        }
        is_young
    }

    /// Has an effect as the real service would; the error is the service's code.
    pub(crate) fn have(&mut self, effect: Effect, sent: Sent, late: bool) -> Result<Option<Key>, &'static str> {
        self.changes(&effect);
        match effect {
            Effect::Create { user } => {
                let user = self.called(&user).ok_or(NO_USER)?;
                let Some(keys) = self.users.get(&user) else { return Err(NO_USER) };
                if keys.len() >= 2 {
                    return Err("LimitExceeded");
                }
                let (now, created) = (self.now, self.now / 1000 * 1000);
                self.creates.entry(user.clone()).or_default().push(now);
                let id = self.add_key(&user, By::Rotator, created).id;
                let key = self.find(&id).expect("just added");
                (key.made, key.changed) = (now, i64::MIN / 2);
                Ok(Some(key.clone()))
            }
            Effect::Status { user, id, active } => {
                if self.called(&user).is_none_or(|user| !self.users.contains_key(&user)) {
                    return Err(NO_USER);
                }
                let (now, lag) = (self.now, self.visibility.last_used);
                let shows = |key: &Key| key.used.is_none_or(|used| used + lag <= sent.at);
                if self.is_too_young(&id) {
                    return Err("NoSuchEntity");
                }
                if !active {
                    self.is_removed(&id, sent);
                }
                let Some(key) = self.find(&id) else { return Err("NoSuchEntity") };
                // While its use does not show, nothing tells it from a lost one of ours: it is given back when it does, or it
                // is reported to the operator, if the request is executed after that.
                let strangers = key.by == By::Stranger && shows(key);
                key.changed = if key.active == active { key.changed } else { now };
                key.active = active;
                if strangers && !active {
                    self.broken.push(format!("P2: a stranger's key {id} was deactivated"));
                }
                Ok(None)
            }
            Effect::Delete { user, id } => {
                let user = self.called(&user).filter(|user| self.users.contains_key(user)).ok_or(NO_USER)?;
                self.delete(&user, &id, sent)
            }
            Effect::Write { store, batch } => self.write(&store, batch, late).map(|()| None),
            Effect::WriteSink { user, id, secret } => {
                let (store, [id_there, secret_there]) = (self.stores.get_mut(SINK).expect("a sink"), in_sink(&user));
                store.entries.insert(id_there, (1, id.into_bytes()));
                store.entries.insert(secret_there, (1, secret.into_bytes()));
                Ok(None)
            }
        }
    }

    /// Whom an effect may concern.
    fn changes(&mut self, effect: &Effect) {
        match effect {
            Effect::Create { user } | Effect::Delete { user, .. } | Effect::WriteSink { user, .. } => {
                self.changed.insert(user.clone());
            }
            Effect::Status { id, .. } => {
                let user = self.owner_of(id).map(str::to_owned);
                self.changed.extend(user);
            }
            Effect::Write { batch, .. } => self.changed.extend(batch.iter().filter_map(|(entry, ..)| scope(entry))),
        }
    }

    fn delete(&mut self, user: &str, id: &str, sent: Sent) -> Result<Option<Key>, &'static str> {
        if self.is_too_young(id) {
            return Err("NoSuchEntity");
        }
        self.check_quarantine(id, sent.at);
        let named = self.naming(id);
        let until = self.now + self.visibility.ghost;
        let excused = self.is_removed(id, sent);
        let Some(keys) = self.users.get_mut(user) else { return Err("NoSuchEntity") };
        let Some(at) = keys.iter().position(|key| key.id == id) else { return Err("NoSuchEntity") };
        let key = keys.remove(at);
        if key.by == By::Stranger {
            self.broken.push(format!("P2: a stranger's key {id} was deleted"));
        }
        if !named.is_empty() && !excused {
            self.broken.push(format!("P3: {id} was deleted while {named:?} named it"));
        }
        self.ghosts.push((user.to_owned(), key, until));
        Ok(None)
    }

    /// A removal, or any other request, is sent now.
    pub(crate) fn sends(&self, effect: &Effect) -> Sent {
        let user = match effect {
            Effect::Delete { user, .. } => Some(self.whose(user)),
            Effect::Status { id, active: false, .. } => self.owner_of(id).map(str::to_owned),
            Effect::Status { active: true, .. }
            | Effect::Create { .. }
            | Effect::Write { .. }
            | Effect::WriteSink { .. } => None,
        };
        Sent { at: self.now, overtaken: user.is_some_and(|user| self.is_overtaken(&user)) }
    }

    pub(crate) fn owner_of(&self, id: &str) -> Option<&str> {
        let has = |keys: &Vec<Key>| keys.iter().any(|key| key.id == id);
        self.users.iter().find(|(_, keys)| has(keys)).map(|(user, _)| user.as_str())
    }

    /// A key is deactivated or deleted: whether an operator's write excuses what that breaks.
    fn is_removed(&mut self, id: &str, sent: Sent) -> bool {
        let Some(user) = self.owner_of(id).map(str::to_owned) else { return false };
        let excused = sent.overtaken || self.wrote_since(&user, sent.at);
        self.theirs(&user).fault |= excused;
        let is_active = self.find(id).is_some_and(|key| key.active);
        let holds = |reader: &Reader| {
            reader.user == user && reader.store != SINK && self.pair(reader).is_some_and(|(held, _)| held == id)
        };
        if is_active && !excused && !self.is_their_fault(&user) && self.readers.iter().any(holds) {
            let ago = self.theirs.get(&user).and_then(|theirs| theirs.place).map(|at| sent.at - at);
            let ago = ago.map_or_else(String::new, |ago| format!(", {ago} ms after an operator wrote it"));
            self.broken.push(format!("P1: {id} was removed while a place held it{ago}"));
        }
        excused
    }

    fn write(&mut self, name: &str, batch: Vec<(String, u64, Vec<u8>)>, late: bool) -> Result<(), &'static str> {
        if self.lies(name) {
            self.hit("a store that lies");
            return Ok(());
        }
        let opened_on_it = self.theirs.values().any(|theirs| theirs.opened_on_it);
        let store = self.stores.get_mut(name).expect("a store of the setup");
        // A request for which the version does not count was checked by its sender, when it was sent.
        let unchecked = late && !store.compare_and_set;
        let stale = |(entry, version, _): &(String, u64, Vec<u8>)| {
            store.entries.get(entry).is_none_or(|(now, _)| now != version)
        };
        if !unchecked && store.atomic && batch.iter().any(stale) {
            return Err("Stale");
        }
        self.unread.extend(batch.iter().filter_map(|(entry, ..)| scope(entry)));
        for (entry, version, value) in batch {
            let slot = store.entries.get_mut(&entry).filter(|(now, _)| unchecked || *now == version);
            let Some((now, bytes)) = slot else { return Err("Stale") };
            if bytes == b"something else\n" && *bytes != value && !opened_on_it && !unchecked {
                self.broken.push("P2: what an operator wrote was overwritten".to_owned());
            }
            *now += 1;
            *bytes = value;
        }
        Ok(())
    }
}

/// Whose entry this is: `app0/production/NAME`.
fn scope(entry: &str) -> Option<String> {
    entry.rsplit_once('/').map(|(user, _)| user.to_owned())
}
