//! Asks the stores whether the places of a key can be written, before a new key is made for them. A certain no prevents
//! the rotation. A store that cannot answer does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::discovery::{Candidate, SkipReason};
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::engine::survey::skip::Skip;
use crate::ports::secret_store::Writable;
use crate::types::name::{EntryName, StoreName};
use crate::types::place::Place;

/// The answers of the stores, by entry.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<(StoreName, EntryName), Writable>);

impl Answers {
    /// Asks each store once about all of these entries.
    pub async fn of<'a>(session: &Session, entries: impl IntoIterator<Item = (&'a StoreName, &'a EntryName)>) -> Self {
        let mut wanted: BTreeMap<&StoreName, BTreeSet<&EntryName>> = BTreeMap::new();
        for (store, entry) in entries {
            wanted.entry(store).or_default().insert(entry);
        }
        let mut answers = BTreeMap::new();
        for (name, entries) in wanted {
            let Some(store) = session.stores.get(name) else { continue };
            let entries: Vec<EntryName> = entries.into_iter().cloned().collect();
            let _permit = session.stores.limiter.acquire(Operation::Store).await;
            let said = store.writable(&entries).await;
            answers.extend(entries.into_iter().map(|entry| (name.clone(), entry)).zip(said));
        }
        Self(answers)
    }

    /// Asks about the places of candidates.
    pub(in crate::engine) async fn of_candidates(
        session: &Session,
        candidates: impl IntoIterator<Item = &Candidate>,
    ) -> Self {
        let places: Vec<Place> = candidates.into_iter().flat_map(|candidate| &candidate.places).cloned().collect();
        Self::of_places(session, &places).await
    }

    /// Asks about places.
    pub(in crate::engine) async fn of_places(session: &Session, places: &[Place]) -> Self {
        let mut asked: Vec<(StoreName, EntryName)> = Vec::new();
        for place in places {
            asked.extend(place.entries().into_iter().map(|entry| (place.store.clone(), entry.clone())));
        }
        Self::of(session, asked.iter().map(|(store, entry)| (store, entry))).await
    }

    /// Returns the answer for one entry.
    #[must_use]
    pub fn about(&self, store: &StoreName, entry: &EntryName) -> &Writable {
        self.0.get(&(store.clone(), entry.clone())).unwrap_or(&Writable::Unknown)
    }

    /// Returns every certain no, with its reason.
    pub fn refusals(&self) -> impl Iterator<Item = (&StoreName, &EntryName, &str)> {
        self.0.iter().filter_map(|((store, entry), answer)| match answer {
            Writable::No(why) => Some((store, entry, why.as_str())),
            Writable::Yes | Writable::Unknown => None,
        })
    }

    /// Skips a candidate if one of its places can certainly not be written.
    pub(in crate::engine) fn check(&self, session: &Session, candidate: &Candidate) -> Result<(), Skip> {
        let refused = candidate.places.iter().find_map(|place| {
            let of = |entry: &&EntryName| matches!(self.about(&place.store, entry), Writable::No(_));
            let entry = place.entries().into_iter().find(of)?;
            let Writable::No(why) = self.about(&place.store, entry) else { return None };
            Some(format!(
                "{} cannot be written: {why}; no new key is made for it until then (with rights only to read, as for an \
                 audit, this is as it should be)",
                session.stores.describe(&place.store, entry)
            ))
        });
        refused.map_or(Ok(()), |message| Err(Skip::needs_operator(SkipReason::NotWritable, message)))
    }
}
