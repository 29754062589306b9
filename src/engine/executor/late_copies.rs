//! Late copies: entries that hold the old pair and are not places of its rotation, because they could not be read when
//! the rotation was opened or were made later. A scan finds them, and each is read again before it becomes a place.

use super::state::Executor;
use crate::engine::observe::places::read_places;
use crate::engine::observe::writable::Answers;
use crate::engine::rate_limit::Priority;
use crate::ports::secret_store::Writable;
use crate::rotation::observed::{LateCopy, PlaceContent};
use crate::rotation::record::Rotation;
use crate::types::place::Place;

impl Executor<'_> {
    /// Returns the copies from the last scan that hold the pair of this rotation, without those that their store
    /// reports as not writable.
    pub(super) async fn late_copies(&self, rotation: &Rotation) -> Vec<LateCopy> {
        let (session, opened) = (self.session, &rotation.opened);
        // Without a fingerprint it cannot be known whether a secret belongs to the old key.
        if opened.old_secret.is_none() {
            return Vec::new();
        }
        let mut places = session.scans.copies(&opened.old_key).await;
        places.retain(|place| !opened.places.contains(place) && self.identity_of(place).is_some());
        if places.is_empty() {
            return Vec::new();
        }
        let writable = Answers::of_places(session, &places).await;
        let may_write = |place: &Place| {
            place.entries().into_iter().all(|entry| !matches!(writable.about(&place.store, entry), Writable::No(_)))
        };
        let mut as_places = Box::new(rotation.clone());
        as_places.opened.places = places.iter().filter(|place| may_write(place)).cloned().collect();
        let readings = read_places(session, &as_places, Priority::Ordinary).await;
        let seen = as_places.opened.places.into_iter().zip(readings.shows);
        let copies = seen.filter(|(_, shows)| *shows == PlaceContent::Old).map(|(place, _)| place);
        copies.filter_map(|place| Some(LateCopy { store: self.identity_of(&place)?, place })).collect()
    }

    fn identity_of(&self, place: &Place) -> Option<crate::types::name::StoreIdentity> {
        self.session.stores.identities.get(&place.store)?.as_ref().ok().cloned()
    }
}
