//! What must be known before a step may be taken, written from P1 to P4 of
//! `docs/design/promises.md`, not from the code under test.

use super::*;
use crate::rotation::observed::{KeyOwner, KeyStatus, Observed, PlaceContent, Proof};

pub(super) struct Ground<'a> {
    pub rotation: &'a Rotation,
    pub hand: InMemoryFacts,
    pub known: &'a Observed,
    pub now: Timestamp,
}

type Verdict = Result<(), &'static str>;

fn must(holds: bool, fact: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(fact) }
}

impl Ground<'_> {
    fn policy(&self) -> &Policy {
        &self.rotation.opened.policy
    }

    fn status(&self, id: &AccessKeyId) -> Option<KeyStatus> {
        self.known.keys.as_ref()?.find(id).map(|seen| seen.status)
    }

    fn listed_at(&self) -> Option<Timestamp> {
        self.known.keys.as_ref().map(|keys| keys.at)
    }

    /// `settle` is over for certain, whatever part of the second that AWS named is meant.
    fn has_settled(&self, since: Timestamp) -> bool {
        let settle = self.policy().settle;
        let whole = if settle.is_zero() { settle } else { settle + Duration::from_secs(1) };
        self.listed_at().is_some_and(|at| at >= since.plus(whole))
    }

    /// This very list was seen before, `settle` or more earlier.
    fn seen_twice(&self) -> bool {
        self.rotation.first_sighting.as_ref().is_some_and(|first| self.has_settled(first.at))
    }

    /// What is listed was listed before, as long ago as a request may be executed after it was sent.
    fn outlived_a_request(&self) -> bool {
        let (Some(first), Some(at)) = (&self.rotation.first_sighting, self.listed_at()) else { return false };
        at >= first.at.plus(Duration::from_secs(16 * 60))
    }

    fn places_show(&self, shows: PlaceContent) -> bool {
        self.known.places.as_ref().is_some_and(|places| !places.places.is_empty() && places.all(shows))
    }

    fn any_place_shows(&self, shows: PlaceContent) -> bool {
        self.known.places.as_ref().is_none_or(|places| places.any(shows))
    }

    /// P3: a fresh scan in which no entry names the key, nor may.
    fn nobody_names(&self, id: &AccessKeyId) -> bool {
        self.known
            .scan
            .as_ref()
            .is_some_and(|scan| scan.unreadable.is_empty() && scan.named.get(id).is_some_and(std::vec::Vec::is_empty))
    }

    fn never_used(&self, id: &AccessKeyId) -> bool {
        self.known.last_used.get(id) == Some(&None)
    }

    fn old_may_go(&self) -> Verdict {
        let made = self.rotation.made().ok_or("there is a new key")?;
        let old_is_there = self.status(&self.rotation.opened.old_key).is_some();
        must(!made.discard_may_land || !old_is_there, "P1: the new key will not vanish")?;
        let is_stored = matches!(self.rotation.state.phase(), Some(Phase::StoredNew { .. }));
        let fenced = made.fenced.is_some_and(|until| until <= self.now);
        must(!is_stored || !made.write_may_land || fenced, "P1: no write of it lands in the user's next rotation")?;
        must(self.places_show(PlaceContent::New), "P3: every place holds the new pair")?;
        must(self.status(&made.key) == Some(KeyStatus::Active), "P1: IAM has the new key active")?;
        must(self.known.stored_pair == Some(Proof::Passed), "P3: the pair as read back authenticates")?;
        let has_new = |sink: &SinkState| sink.acknowledged.as_ref().is_some_and(|last| last.key == made.key);
        must(self.rotation.sinks.iter().all(|sink| sink.left || has_new(sink)), "P3: every sink took the new pair")?;
        must(self.sinks_are_quiet(), "P1: nothing lands in a sink after the rotation is over")?;
        must(self.nobody_names(&self.rotation.opened.old_key), "P3: no entry names the old key")
    }

    fn waited(&self, since: Timestamp, span: Duration) -> bool {
        self.listed_at().is_some_and(|at| at >= since.plus(span)) && self.now >= since.plus(span)
    }

    fn sinks_are_quiet(&self) -> bool {
        let waited_for = self.rotation.sinks.iter().filter(|sink| !sink.left);
        waited_for.flat_map(|sink| sink.may_land.values()).all(|until| *until <= self.now)
    }

    /// It begins when the last of places and sinks has the new pair. A sink that was left has it since then.
    fn overlap_is_over(&self, stored_at: Timestamp) -> bool {
        let (sinks, overlap) = (&self.rotation.sinks, self.policy().overlap);
        let is_known = |sink: &SinkState| !sink.left || sink.acknowledged.is_some() || sink.left_at.is_some();
        let acknowledged = sinks.iter().filter_map(|sink| sink.acknowledged.as_ref()).map(|last| last.at);
        let last = acknowledged.chain(sinks.iter().filter_map(|sink| sink.left_at)).max();
        let since = stored_at.max(last.unwrap_or(stored_at));
        (overlap.is_zero() || sinks.iter().all(is_known)) && self.waited(since, overlap)
    }

    /// What a sink takes can never be looked at: it is written on the ground on which a key is removed.
    fn sink_may_take(&self, sink: usize, key: &AccessKeyId, asked_at: Timestamp, until: Timestamp) -> Verdict {
        let (rotation, state) = (self.rotation, &self.rotation.sinks[sink]);
        must(matches!(rotation.state.phase(), Some(Phase::StoredNew { .. })), "every place came first")?;
        must(!state.left, "the rotation waits for it")?;
        must(asked_at == self.now, "it is asked for now")?;
        must(until >= asked_at.plus(self.hand.call_timeout).plus(LANDS_WITHIN), "it may take effect as late as that")?;
        let others = state.may_land.iter().filter(|(other, _)| *other != key);
        must(others.into_iter().all(|(_, until)| *until <= self.now), "P1: no other pair lands after it")?;
        let old = &rotation.opened.old_key;
        if key == old {
            must(rotation.abort_asked, "an operator asked for it")?;
            must(self.places_show(PlaceContent::Old), "every place holds the old pair again")?;
            return must(self.status(old) == Some(KeyStatus::Active), "P1: the old key works");
        }
        let made = rotation.made().filter(|made| made.key == *key).ok_or("it is our new key")?;
        must(!made.discard_may_land || self.status(old).is_none(), "P1: the new key will not vanish")?;
        must(!rotation.abort_asked || self.status(old).is_none(), "it was not given up, or too late")?;
        must(self.places_show(PlaceContent::New), "every place holds the new pair")?;
        must(self.status(key) == Some(KeyStatus::Active), "P1: IAM has the new key active")?;
        must(self.known.stored_pair == Some(Proof::Passed), "P1: the pair as read back authenticates")
    }

    /// Whether the promises allow this effect on what is known.
    pub(super) fn allows(&self, intent: &Intent) -> Verdict {
        let rotation = self.rotation;
        let old = &rotation.opened.old_key;
        let named = |id: &AccessKeyId| rotation.named.contains(id);
        let phase = rotation.state.phase().ok_or("it is open")?;
        match intent {
            Intent::CreateNew { listed, .. } => {
                must(*listed == BTreeSet::from([old.clone()]), "P4: the old key is the only one")?;
                must(self.known.keys.as_ref().is_some_and(|keys| keys.ids() == *listed), "the list is the fresh one")?;
                must(self.status(old) == Some(KeyStatus::Active), "nothing switched off is enabled by a new key")?;
                must(self.places_show(PlaceContent::Old), "P2: every place is as it was planned")?;
                must(rotation.creates < 5, "at most five creates")?;
                let day = Duration::from_secs(24 * 3600);
                let rare = rotation.created_last.is_none_or(|last| self.waited(last, day));
                must(rotation.withheld.is_none() || rare, "no right is known to be missing, or a day is over")?;
                let quiet = match rotation.probe {
                    None => true,
                    Some(Probe::Lost) => false,
                    Some(Probe::Fenced(until)) => until <= self.now,
                };
                must(quiet, "P1: no rewrite of the old values lands after the new pair")?;
                must(!rotation.abort_asked, "no operator asked to give up")
            }
            Intent::StoreNew => {
                must(self.hand.new_secret, "the secret is in hand")?;
                must(self.known.new_pair == Some(Proof::Passed), "P1: the new pair is proved")?;
                let made = self.rotation.made().ok_or("there is a new key")?;
                must(!made.discard_may_land, "P1: it will not vanish")?;
                must(
                    !made.old_may_land || made.fenced.is_some_and(|until| until <= self.now),
                    "P1: nothing undoes it",
                )?;
                must(!self.any_place_shows(PlaceContent::Foreign), "P2: no value of another writer is overwritten")?;
                must(!self.any_place_shows(PlaceContent::Unreadable), "every place was read")
            }
            Intent::RestoreOld => {
                let whole =
                    [PlaceContent::New, PlaceContent::Torn].into_iter().any(|shows| self.any_place_shows(shows));
                must(self.hand.old_values || !whole, "the old values are in memory, or stand there but for the id")?;
                must(self.status(old) == Some(KeyStatus::Active), "P1: the old key works")?;
                must(!self.any_place_shows(PlaceContent::Unreadable), "every place was read")
            }
            Intent::FenceStore => must(!self.any_place_shows(PlaceContent::Unreadable), "every place was read"),
            Intent::WriteSink { sink, key, asked_at, until } => self.sink_may_take(*sink, key, *asked_at, *until),
            Intent::DeactivateOld => {
                self.old_may_go()?;
                let Phase::StoredNew { stored_at, .. } = phase else { return Err("the new pair is stored") };
                must(self.overlap_is_over(*stored_at), "the overlap is over")?;
                must(!self.policy().quarantine.is_zero(), "a quarantine is asked for")?;
                must(
                    !rotation.abort_asked && !rotation.reactivate_asked && !rotation.reactivated,
                    "no operator objects",
                )?;
                self.old_is_quiet()
            }
            Intent::DeleteOld => self.old_may_be_deleted(phase),
            Intent::ReactivateOld => must(
                self.any_place_shows(PlaceContent::Old)
                    || self.any_place_shows(PlaceContent::Torn)
                    || rotation.reactivate_asked
                    || rotation.abort_asked
                    || !self.known.copies.is_empty(),
                "a place names the old key, or an operator asked",
            ),
            Intent::DeactivateNew { key } => {
                must(self.status(key).is_some(), "it is there")?;
                must(named(key) || self.never_used(key), "P2: it is not used")?;
                must(self.nobody_names(key), "P2: no entry names it")?;
                must(!rotation.kept.contains(key), "P2: it is not claimed")
            }
            Intent::ReactivateNew { key } => {
                let used = self.known.last_used.get(key).is_some_and(Option::is_some);
                let scan = self.known.scan.as_ref();
                let entries = scan.is_some_and(|scan| !scan.naming(key).is_empty());
                must(used || entries || rotation.kept.contains(key), "it is in use")
            }
            Intent::DiscardNew { key, then, .. } => self.new_may_go(phase, key, *then),
            Intent::DeleteNamed { key } => {
                let spare = matches!(phase, Phase::Opened)
                    && self.policy().spare_key == SpareKey::DeleteInactive
                    && self.status(key) == Some(KeyStatus::Inactive)
                    && !rotation.kept.contains(key);
                must(named(key) || spare, "P2: an operator or the policy named it")?;
                must(rotation.is_strangers(key), "it is neither the old key nor the new")?;
                must(self.nobody_names(key), "P3: no entry names it")
            }
        }
    }

    fn old_may_be_deleted(&self, phase: &Phase) -> Verdict {
        let (rotation, old) = (self.rotation, &self.rotation.opened.old_key);
        self.old_may_go()?;
        if rotation.named.contains(old) {
            return Ok(());
        }
        if self.status(old).is_none() {
            return must(self.seen_twice(), "absence is seen twice");
        }
        must(!rotation.abort_asked && !rotation.reactivate_asked, "no operator objects")?;
        match phase {
            Phase::StoredNew { stored_at, .. } => {
                must(!rotation.reactivated, "no operator objects")?;
                must(self.policy().quarantine.is_zero(), "no quarantine is asked for")?;
                must(self.overlap_is_over(*stored_at), "the overlap is over")?;
                self.old_is_quiet()
            }
            Phase::DeactivatedOld { deactivated_at, .. } => {
                must(self.waited(*deactivated_at, self.policy().quarantine), "the quarantine is over")?;
                must(self.status(old) != Some(KeyStatus::Active), "it was not made active again")
            }
            Phase::Opened | Phase::CreatedNew { .. } => Err("the new pair is stored"),
        }
    }

    fn old_is_quiet(&self) -> Verdict {
        let old = &self.rotation.opened.old_key;
        if self.policy().still_in_use == StillInUse::Ignore || self.status(old) != Some(KeyStatus::Active) {
            return Ok(());
        }
        let used = self.known.last_used.get(old).ok_or("it is known when the old key was last used")?;
        must(used.as_ref().is_none_or(|used| used.at.plus(self.policy().overlap) <= self.now), "the old key is quiet")
    }

    fn new_may_go(&self, phase: &Phase, id: &AccessKeyId, then: AfterDiscard) -> Verdict {
        let rotation = self.rotation;
        let made = rotation.made().filter(|made| made.key == *id).ok_or("P2: it is ours")?;
        must(self.nobody_names(id), "P3: no entry names it")?;
        let fenced = made.fenced.is_some_and(|until| until <= self.now);
        match (&made.provenance, phase) {
            (Provenance::Inferred, _) => {
                must(fenced, "P3: the fence")?;
                must(made.deactivated.is_some_and(|since| self.has_settled(since)), "P2: inactive for `settle`")?;
                must(rotation.named.contains(id) || self.never_used(id), "P2: it is not used")?;
                must(!rotation.kept.contains(id), "P2: it is not claimed")?;
                let active = self.status(id) == Some(KeyStatus::Active);
                must(!active || rotation.named.contains(id), "P2: it was not made active again")
            }
            (Provenance::Acknowledged { .. }, Phase::StoredNew { .. }) => {
                must(fenced, "P3: the fence")?;
                must(rotation.abort_asked && then == AfterDiscard::Abort, "an operator asked for it")?;
                let has_old = |sink: &SinkState| match &sink.acknowledged {
                    Some(last) => last.key == rotation.opened.old_key,
                    None => sink.may_land.is_empty(),
                };
                must(rotation.sinks.iter().all(|sink| sink.left || has_old(sink)), "P1: no sink holds the new pair")?;
                must(self.sinks_are_quiet(), "P1: nothing lands in a sink after the rotation is over")?;
                must(self.places_show(PlaceContent::Old), "P1: every place holds the old pair again")?;
                must(self.status(&rotation.opened.old_key) == Some(KeyStatus::Active), "P1: the old key works")?;
                must(!rotation.old_delete_may_land || self.outlived_a_request(), "P1: it will not vanish")
            }
            (
                Provenance::Acknowledged { .. },
                Phase::Opened | Phase::CreatedNew { .. } | Phase::DeactivatedOld { .. },
            ) => {
                must(fenced || (self.hand.new_secret && !made.write_may_land), "P3: the fence")?;
                for shows in [PlaceContent::New, PlaceContent::Torn, PlaceContent::IdOnly, PlaceContent::Unreadable] {
                    must(!self.any_place_shows(shows), "P1: no place holds the new pair, nor may")?;
                }
                Ok(())
            }
        }
    }

    /// Whether what is known shows this to be a fact.
    pub(super) fn shows(&self, event: &Event) -> Verdict {
        let status = |id: &AccessKeyId| self.status(id);
        let absent = |id: &AccessKeyId| {
            must(status(id).is_none() && self.seen_twice(), "it is gone, seen twice")?;
            self.is_surely_gone(id)
        };
        // A list that was answered is the stronger source.
        let unlisted = |id: &AccessKeyId| {
            must(status(id).is_none() && self.seen_twice(), "it is gone, seen twice")?;
            let answered = self.known.keys.as_ref().is_some_and(|keys| keys.keys.is_some());
            if answered { self.nobody_else_has(id) } else { self.is_surely_gone(id) }
        };
        let inactive =
            |id| must(matches!(status(id), Some(KeyStatus::Inactive | KeyStatus::Expired)), "it is inactive");
        let (old, rotation) = (&self.rotation.opened.old_key, self.rotation);
        match event {
            Event::Done(outcome) => match outcome {
                Outcome::Created { .. }
                | Outcome::Restored
                | Outcome::Fenced { .. }
                | Outcome::SinkAcknowledged { .. } => Err("only a reply shows that"),
                Outcome::FoundCreated { key } => self.bears_the_marks(key),
                Outcome::Stored { .. } => must(self.places_show(PlaceContent::New), "every place holds the new pair"),
                Outcome::OldDeactivated { .. } => inactive(old),
                Outcome::OldReactivated { .. } => must(status(old) == Some(KeyStatus::Active), "it is active"),
                Outcome::OldDeleted => absent(old),
                Outcome::NewDeactivated { .. } => inactive(&key(NEW)),
                Outcome::NewReactivated => must(status(&key(NEW)) == Some(KeyStatus::Active), "it is active"),
                Outcome::NewDiscarded { .. } => unlisted(&key(NEW)),
                Outcome::NamedDeleted { key } => unlisted(key),
            },
            Event::Disowned { key } => {
                let used = self.known.last_used.get(key).is_some_and(Option::is_some);
                let named = self.known.scan.as_ref().is_some_and(|scan| !scan.naming(key).is_empty());
                let absent = status(key).is_none() && self.seen_twice() && self.nobody_else_has(key).is_ok();
                must(used || named || rotation.kept.contains(key) || absent, "it is gone, or of another owner")
            }
            Event::Ended { ending: Ending::Gone, .. } => unlisted(old),
            Event::Ended { ending: Ending::Aborted, .. } => {
                must(matches!(rotation.state.phase(), Some(Phase::Opened)), "nothing of ours is there")
            }
            Event::Ended { ending: Ending::DeletedOld, .. } => {
                let denied =
                    rotation.denied.as_ref().is_some_and(|denied| denied.operation == Operation::DeleteAccessKey);
                must(denied, "only a delete ends so, unless it is refused")?;
                self.old_may_go()?;
                absent(old)
            }
            Event::Renamed { user } => {
                let is_theirs = |id| self.known.owners.get(id) == Some(&KeyOwner::User(user.clone()));
                must(rotation.own_keys().any(is_theirs), "IAM lists a key of this rotation for that name")?;
                must(rotation.own_keys().all(|id| status(id).is_none()), "and not for the one on record")
            }
            Event::Withheld(denied) => {
                let writes = denied.is_of_a_write() && rotation.denied_writes >= 2;
                let proofs = matches!(self.known.new_pair, Some(Proof::Denied(_)));
                must(writes || proofs, "a right was refused twice")
            }
            Event::PlacesAdded { places, .. } => {
                let stored = matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
                must(stored && self.places_show(PlaceContent::New), "every place before holds the new pair")?;
                must(status(old) == Some(KeyStatus::Active), "the copies work until then")?;
                let seen = |place: &Place| self.known.copies.iter().any(|copy| copy.place == *place);
                must(places.iter().all(seen), "each was seen to hold the old pair")
            }
            Event::PlacesLeft { places } => {
                must(places.iter().all(|place| rotation.added.contains(place)), "only a late copy is let go")
            }
            Event::SinkLeft { sink, .. } => must(rotation.sinks[*sink].left, "an operator left it"),
            Event::NotDone(NotDone::Refused(_)) => Err("only a reply shows that"),
            Event::NotDone(NotDone::Seen)
            | Event::LookedOnce { .. }
            | Event::Blocked(_)
            | Event::Unblocked
            | Event::LateKeySeen { .. } => Ok(()),
            Event::Opened(_) | Event::Intended(_) | Event::Asked(_) | Event::Deferred { .. } => {
                Err("`plan` does not say that")
            }
        }
    }

    /// IAM names no other user for any key of the rotation.
    fn nobody_else_has(&self, id: &AccessKeyId) -> Verdict {
        let mut ids = self.rotation.own_keys().chain(std::iter::once(id));
        let same = |user: &UserName| user.as_str().eq_ignore_ascii_case(self.rotation.opened.user.as_str());
        let elsewhere =
            |id: &AccessKeyId| matches!(self.known.owners.get(id), Some(KeyOwner::User(user)) if !same(user));
        must(!ids.any(elsewhere), "the user has no other name")
    }

    /// A key that is not listed is not there under another name of its user either.
    fn is_surely_gone(&self, id: &AccessKeyId) -> Verdict {
        self.nobody_else_has(id)?;
        let lists_another = self.rotation.own_keys().any(|id| self.status(id).is_some());
        let is_unknown = |id: &AccessKeyId| self.known.owners.get(id) == Some(&KeyOwner::NoSuchKey);
        // A user that was deleted has no keys any more.
        let unknown = is_unknown(id) || self.rotation.own_keys().all(is_unknown);
        must(lists_another || unknown || self.rotation.user_given_up, "the key itself is known to be gone")
    }

    /// The marks of a lost create (`docs/design/recovery.md`).
    fn bears_the_marks(&self, id: &AccessKeyId) -> Verdict {
        let Some(Intent::CreateNew { listed, asked_at, give_up_at }) = self.rotation.state.intent() else {
            return Err("a create is in doubt");
        };
        let keys = self.known.keys.as_ref().ok_or("the keys were listed")?;
        let seen = keys.find(id).ok_or("it is listed")?;
        let accounted = |key: &AccessKeyId| {
            listed.contains(key) || self.rotation.kept.contains(key) || self.rotation.named.contains(key)
        };
        must(keys.ids().iter().filter(|key| !accounted(key)).count() == 1, "it is the only one")?;
        must(!accounted(id), "it was not there before")?;
        let window = asked_at.minus(Duration::from_secs(2))..=give_up_at.plus(Duration::from_secs(60));
        must(window.contains(&seen.created), "it was created inside the window")?;
        must(self.status(&self.rotation.opened.old_key).is_some(), "it is the same user: the old key is listed")?;
        must(self.never_used(id), "it was never used")?;
        must(self.nobody_names(id), "no entry names it")?;
        must(self.seen_twice() && self.has_settled(*give_up_at), "two lists agree, settle over")?;
        must(self.policy().unclaimed == Unclaimed::Reclaim, "the policy lets us take it")
    }
}
