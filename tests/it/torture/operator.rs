//! An operator who interferes with one user's rotation and then does what rotator's messages ask; and what rotator
//! promises to such an operator. No rotation is started here.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::sandbox::{Action, KeyStatus};
use rotator::types::name::EntryName;
use rotator::types::secret::SecretValue;
use serde_json::Value;

use super::kills::HeldEnd;
use super::scene::Scene;
use crate::support::aws::{Pair, raw_outcome, signed_call};

/// The acts of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    PutsTheOldPairBack,
    StoresAThirdPair,
    OverwritesTheSecret,
    DeletesTheOldKey,
    DeletesTheNewKey,
    SwitchesTheNewKeyOff,
    SwitchesTheOldKeyOff,
    SwitchesTheOldKeyOn,
    DeletesTheUser,
    MakesTheUserAnewBare,
    MakesTheUserAnewAndStoresAKey,
    FillsTheSlotAndUsesTheKey,
    FillsTheSlot,
}

impl Act {
    pub(super) const ALL: [Self; 13] = [
        Self::PutsTheOldPairBack,
        Self::StoresAThirdPair,
        Self::OverwritesTheSecret,
        Self::DeletesTheOldKey,
        Self::DeletesTheNewKey,
        Self::SwitchesTheNewKeyOff,
        Self::SwitchesTheOldKeyOff,
        Self::SwitchesTheOldKeyOn,
        Self::DeletesTheUser,
        Self::MakesTheUserAnewBare,
        Self::MakesTheUserAnewAndStoresAKey,
        Self::FillsTheSlotAndUsesTheKey,
        Self::FillsTheSlot,
    ];
}

/// The call of rotator's that is held meanwhile; none between two commands.
pub(super) type Held = Option<(Action, HeldEnd)>;

/// An operator, the user whose keys the operator manages, and what must stay as it is.
#[derive(Debug)]
pub(super) struct Operator {
    user: String,
    old: String,
    /// The pairs; a panic shows only ids, never a secret.
    pairs: Pairs,
    /// Keys that the operator made and has not given up, with their status.
    theirs: BTreeMap<String, KeyStatus>,
    /// Whether the store holds the operator's own value, which must not be overwritten.
    wrote: bool,
    /// The status of the old key at that time. The key must not be removed while a place holds the value of the operator.
    old_then: Option<KeyStatus>,
    /// Whether the stored pair worked at the last check.
    worked: bool,
    /// The operator acted after rotator's last look: what was on its way then is excused.
    overtook: bool,
    /// The operator acted after rotator's last look at the places, but before its last scan for the old key's name.
    past_the_places: bool,
    /// All actions and observations, to find the cause of a failure.
    story: Vec<String>,
}

/// Pairs that the operator has at hand.
struct Pairs {
    old: Pair,
    /// The last pair of rotator's that the store held.
    new: Option<Pair>,
    /// The value that the operator wrote.
    written: Option<Pair>,
}

impl std::fmt::Debug for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = |pair: &Option<Pair>| pair.as_ref().map(|pair| pair.id.clone());
        f.debug_struct("Pairs").field("new", &id(&self.new)).field("written", &id(&self.written)).finish()
    }
}

impl Operator {
    /// Looks after `user`, whose pair in the store is this one.
    pub(super) fn of(user: &str, stored: Pair) -> Self {
        Self {
            user: user.to_owned(),
            old: stored.id.clone(),
            pairs: Pairs { old: stored, new: None, written: None },
            theirs: BTreeMap::new(),
            wrote: false,
            old_then: None,
            worked: true,
            overtook: false,
            past_the_places: false,
            story: Vec::new(),
        }
    }

    /// Interferes, if that can be done now; whether it could.
    pub(super) fn does(&mut self, scene: &Scene, act: Act, held: Held) -> Result<bool, String> {
        self.remember(scene, &self.stored(scene)?);
        let done = match act {
            Act::PutsTheOldPairBack => self.puts_old_back(scene)?,
            Act::StoresAThirdPair => self.makes_a_key(scene).is_some_and(|pair| self.writes(scene, pair)),
            Act::OverwritesTheSecret => {
                let id = self.stored(scene)?.id;
                self.writes(scene, Pair::new(id, "another writer's words"))
            }
            Act::DeletesTheOldKey => scene.sandbox.delete_key(&self.user, &self.old).is_ok(),
            Act::DeletesTheNewKey => {
                self.new_key(scene).is_some_and(|key| scene.sandbox.delete_key(&self.user, &key).is_ok())
            }
            Act::SwitchesTheNewKeyOff => {
                self.new_key(scene).is_some_and(|key| self.switches(scene, &key, KeyStatus::Inactive))
            }
            Act::SwitchesTheOldKeyOff => self.switches(scene, &self.old, KeyStatus::Inactive),
            Act::SwitchesTheOldKeyOn => self.switches(scene, &self.old, KeyStatus::Active),
            Act::DeletesTheUser => self.deletes_the_user(scene),
            Act::MakesTheUserAnewBare => self.deletes_the_user(scene) && scene.sandbox.add_user(&self.user).is_ok(),
            Act::MakesTheUserAnewAndStoresAKey => {
                self.deletes_the_user(scene)
                    && scene.sandbox.add_user(&self.user).is_ok()
                    && self.makes_a_key(scene).is_some_and(|pair| self.writes(scene, pair))
            }
            Act::FillsTheSlotAndUsesTheKey => self.makes_a_key(scene).is_some_and(|pair| uses(scene, &pair)),
            Act::FillsTheSlot => self.makes_a_key(scene).is_some(),
        };
        if done {
            // A request that is on its way is executed whatever happens meanwhile.
            let removal = matches!(held, Some((Action::DeleteAccessKey | Action::UpdateAccessKey, HeldEnd::Call)));
            // Once the stored pair is being proved (after a quarantine: once the keys are listed), rotator reads the
            // places no more. It still sees to it that no entry names the old key.
            let quarantined = self.status_of(scene, &self.old) == Some(KeyStatus::Inactive);
            let past_the_places = match held {
                Some((Action::GetCallerIdentity, _)) => true,
                Some((Action::ListAccessKeys, _)) => quarantined,
                Some(_) | None => false,
            };
            // The last proof was the last look at the new key before it is stored.
            let ends_the_new_key = matches!(act, Act::DeletesTheNewKey | Act::SwitchesTheNewKeyOff);
            let proved = matches!(held, Some((Action::GetCallerIdentity, _))) && ends_the_new_key;
            // A removal is sent within seconds of the final check, and all rotations share a scan of the last minute.
            // So a write of the operator during the proof of the stored pair may be too late.
            let is_stored = self.pairs.new.is_some() && matches!(held, Some((Action::GetCallerIdentity, _)));
            self.overtook |= removal || proved || is_stored;
            self.past_the_places |= removal || past_the_places;
            self.old_then = self.status_of(scene, &self.old);
            self.worked = self.works(scene)?;
            self.story.push(format!("{act:?} while {held:?} is held"));
        }
        Ok(done)
    }

    /// Whether rotator has made a key that no entry holds yet.
    pub(super) fn sees_a_key_in_hand(&self, scene: &Scene) -> Result<bool, String> {
        Ok(self.new_key(scene).is_some_and(|key| self.stored(scene).is_ok_and(|stored| stored.id != key)))
    }

    /// P1, P2, P3 and P4 after something that rotator did.
    pub(super) fn looks(&mut self, scene: &Scene, after: &str) -> Result<(), String> {
        self.story.push(format!("{after}: {:?}", self.keys(scene)));
        self.check(scene).map_err(|broken| format!("{broken}, after {after}; {self:#?}"))
    }

    fn check(&mut self, scene: &Scene) -> Result<(), String> {
        let (stored, works) = (self.stored(scene)?, self.works(scene)?);
        if self.worked && !works && !self.overtook {
            return Err(format!("P1: the stored pair {} worked, and works no more", stored.id));
        }
        self.worked = works;
        if let Some(written) = self.pairs.written.as_ref().filter(|_| self.wrote) {
            if stored.id != written.id || stored.secret != written.secret {
                return Err(format!("P2: what an operator wrote beside {} was overwritten", written.id));
            }
            let old = self.status_of(scene, &self.old);
            let given_back = (self.old_then, old) == (Some(KeyStatus::Inactive), Some(KeyStatus::Active));
            if old != self.old_then && !given_back && !self.past_the_places {
                return Err(format!("P3: the old key was {:?}, is {old:?}, and a place is not ours", self.old_then));
            }
        }
        for (key, status) in &self.theirs {
            if self.status_of(scene, key) != Some(*status) {
                return Err(format!("P2: the operator's key {key} is {:?}", self.status_of(scene, key)));
            }
        }
        if self.keys(scene).len() > 2 {
            return Err("P4: more than two keys".to_owned());
        }
        self.remember(scene, &stored);
        Ok(())
    }

    /// At the end only the stored key of rotator's keys is left, and one that the operator took out of the store after
    /// rotator's last look.
    pub(super) fn sees_no_orphan(&self, scene: &Scene) -> Result<(), String> {
        let stored = self.stored(scene)?.id;
        let taken_out = self.pairs.new.as_ref().filter(|_| self.wrote).map(|pair| &pair.id);
        let known = |key: &String| *key == stored || *key == self.old || Some(key) == taken_out;
        let orphan = self.keys(scene).into_keys().find(|key| !known(key) && !self.theirs.contains_key(key));
        orphan.map_or(Ok(()), |key| Err(format!("no place or rotation holds the key {key}; {self:#?}")))
    }

    /// Leaves the stored pair to rotator: the next `run` may rotate it.
    pub(super) fn leaves(&mut self, scene: &Scene) -> Result<(), String> {
        let stored = self.stored(scene)?.id;
        self.theirs.remove(&stored);
        self.wrote = false;
        Ok(())
    }

    /// Brings the world to what the message of a block asks for, then runs the command; the reason.
    pub(super) fn answers(&mut self, scene: &Scene, rotation: &Value) -> Result<String, String> {
        let reported =
            |name: &str| rotation["blocked"][name].as_str().ok_or(format!("a block without {name}: {rotation}"));
        let (reason, message, command) = (reported("reason")?, reported("message")?, reported("command")?);
        let abort = format!("rotator abort {}", rotation["id"].as_str().unwrap_or_default());
        self.story.push(format!("{reason}: {message}"));
        let command = match reason {
            "spare-key" | "unclaimed-keys" | "old-key-reactivated" => {
                // The operator says that this key is to be deleted.
                let key = command.split_whitespace().last().unwrap_or_default();
                self.theirs.remove(key);
                command
            }
            "too-many-creates" | "wrong-identity" | "user-not-found" => command,
            // It works as the places are.
            "cannot-abort" if command.ends_with("--undo") => command,
            "cannot-abort" | "old-key-not-active" => {
                self.restores_old(scene)?;
                command
            }
            "still-referenced" if !message.contains(&format!("still names {}", self.old)) => {
                self.restores_old(scene)?;
                command
            }
            _ if self.restores_new(scene)? => command,
            _ => {
                self.restores_old(scene)?;
                &abort
            }
        };
        self.worked = self.works(scene)?;
        (self.overtook, self.past_the_places) = (false, false);
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        let ended = scene.rig.program.rotator(&args);
        if !matches!(ended.code, Some(0 | 3 | 4)) {
            return Err(format!("`{command}` ends with {:?}: {}; {self:#?}", ended.code, ended.stderr));
        }
        Ok(reason.to_owned())
    }

    fn puts_old_back(&mut self, scene: &Scene) -> Result<bool, String> {
        if self.stored(scene)?.id == self.old {
            return Ok(false);
        }
        let pair = self.pairs.old.clone();
        Ok(self.writes(scene, pair))
    }

    /// Restores the new pair in the store and activates its key, if there is such a key.
    fn restores_new(&mut self, scene: &Scene) -> Result<bool, String> {
        let Some(new) = self.pairs.new.clone() else { return Ok(false) };
        self.restores(scene, new)
    }

    fn restores_old(&mut self, scene: &Scene) -> Result<bool, String> {
        let old = self.pairs.old.clone();
        self.restores(scene, old)
    }

    fn restores(&mut self, scene: &Scene, pair: Pair) -> Result<bool, String> {
        if !self.keys(scene).contains_key(&pair.id) {
            return Ok(false);
        }
        self.switches(scene, &pair.id, KeyStatus::Active);
        let stored = self.stored(scene)?;
        if stored.id != pair.id || stored.secret != pair.secret {
            self.writes(scene, pair);
        }
        // From here on it is rotator's again.
        self.wrote = false;
        Ok(true)
    }

    fn deletes_the_user(&mut self, scene: &Scene) -> bool {
        self.theirs.clear();
        scene.sandbox.delete_user(&self.user).is_ok()
    }

    fn makes_a_key(&mut self, scene: &Scene) -> Option<Pair> {
        let key = scene.sandbox.create_key(&self.user).ok()?;
        self.theirs.insert(key.id.to_string(), KeyStatus::Active);
        Some(Pair::new(key.id.as_str(), key.secret.expose()))
    }

    fn writes(&mut self, scene: &Scene, pair: Pair) -> bool {
        let store = EmbeddedStore::open(&scene.rig.program.folder().join("store.db"), None).expect("opened");
        let entry = |name: &str, value: &str| {
            let entry = EntryName::new(format!("{}/{name}", self.user)).expect("a name");
            (entry, SecretValue::new(value.as_bytes().to_vec()))
        };
        let both = vec![entry("AWS_ACCESS_KEY_ID", &pair.id), entry("AWS_SECRET_ACCESS_KEY", &pair.secret)];
        store.import(both).expect("written");
        self.wrote = true;
        self.pairs.written = Some(pair);
        true
    }

    fn switches(&self, scene: &Scene, key: &str, status: KeyStatus) -> bool {
        let other = self.status_of(scene, key).is_some_and(|now| now != status);
        other && scene.sandbox.set_status(&self.user, key, status).is_ok()
    }

    fn remember(&mut self, scene: &Scene, stored: &Pair) {
        let theirs = stored.id == self.old || self.theirs.contains_key(&stored.id);
        if !theirs && scene.sandbox.accepts(&stored.id, &stored.secret) {
            self.pairs.new = Some(stored.clone());
        }
    }

    fn works(&self, scene: &Scene) -> Result<bool, String> {
        let stored = self.stored(scene)?;
        Ok(scene.sandbox.accepts(&stored.id, &stored.secret))
    }

    fn stored(&self, scene: &Scene) -> Result<Pair, String> {
        scene.rig.stored()?.remove(&self.user).ok_or(format!("{} has no pair", self.user))
    }

    /// A key that rotator has made.
    fn new_key(&self, scene: &Scene) -> Option<String> {
        self.keys(scene).into_keys().find(|key| *key != self.old && !self.theirs.contains_key(key))
    }

    fn keys(&self, scene: &Scene) -> BTreeMap<String, KeyStatus> {
        scene.sandbox.keys_of(&self.user).into_iter().map(|key| (key.id.to_string(), key.status)).collect()
    }

    fn status_of(&self, scene: &Scene, key: &str) -> Option<KeyStatus> {
        self.keys(scene).get(key).copied()
    }
}

/// As an app would: whether IAM took it.
fn uses(scene: &Scene, pair: &Pair) -> bool {
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let outcome = raw_outcome(signed_call(scene.sandbox.addr(), pair, "sts", body, SystemTime::now()));
    assert_eq!(outcome, "ok", "the operator's own key {} works", pair.id);
    true
}
