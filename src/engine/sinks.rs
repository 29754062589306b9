//! The configured sinks: which of them follow the places of a key, and which keys they were given.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stores::in_short;
use crate::ports::call::CallError;
use crate::ports::sink::Sink;
use crate::rotation::record::Rotation;
use crate::rotation::sink::Follower;
use crate::types::name::{AccessKeyId, RotationId, SinkName, StoreIdentity, StoreName};
use crate::types::place::Place;
use crate::types::shell::quoted;

pub struct SinkPorts {
    pub sink: Arc<dyn Sink>,
    /// The entries whose pairs the sink receives.
    pub follows: globset::GlobSet,
    /// `None`: entries of every store.
    pub of_store: Option<StoreName>,
}

impl SinkPorts {
    fn follows(&self, place: &Place) -> bool {
        let in_store = self.of_store.as_ref().is_none_or(|store| *store == place.store);
        in_store && place.entries().into_iter().any(|entry| self.follows.is_match(entry.as_str()))
    }
}

/// The keys that sinks were given last, from the journal: for each key the sinks, and the place that each of them
/// followed.
pub type InSinks = BTreeMap<AccessKeyId, Vec<(SinkName, Place)>>;

/// Gathers the keys that sinks were given last, over all rotations.
#[must_use]
pub fn in_sinks<'a>(rotations: impl Iterator<Item = &'a Rotation>) -> InSinks {
    let mut given = Vec::new();
    for rotation in rotations {
        for (Follower { sink, place, .. }, state) in rotation.followers() {
            if let (Some(place), Some(last)) = (rotation.opened.places.get(*place), &state.acknowledged) {
                // It is unknown what a sink holds after an operator has released it.
                given.push((last.at, sink, place, (!state.left).then_some(&last.key)));
            }
        }
    }
    given.sort_by_key(|(at, ..)| *at);
    let mut last = BTreeMap::new();
    for (_, sink, place, key) in given {
        last.insert((sink, &place.store, &place.id.entry), (key, place));
    }
    let mut held = InSinks::new();
    for ((sink, ..), (key, place)) in last {
        if let Some(key) = key {
            held.entry(key.clone()).or_default().push((sink.clone(), place.clone()));
        }
    }
    held
}

/// The identity that each sink reports, or why it does not.
pub type Identities = BTreeMap<SinkName, Result<StoreIdentity, CallError>>;

/// Every configured sink.
pub struct Sinks {
    pub all: Vec<SinkPorts>,
    pub identities: Identities,
}

impl Sinks {
    /// Returns a message if a sink still holds this key and follows an entry that does not: such a sink would not
    /// receive the next key.
    #[must_use]
    pub fn detached(&self, held: &InSinks, key: &AccessKeyId, places: &[Place]) -> Option<String> {
        let stands =
            |was: &Place| places.iter().any(|place| place.store == was.store && place.id.entry == was.id.entry);
        let follows =
            |sink: &SinkName, was: &Place| self.all.iter().any(|ports| ports.sink.name() == sink && ports.follows(was));
        let mut held = held.get(key).into_iter().flatten();
        let (sink, was) = held.find(|(sink, was)| follows(sink, was) && !stands(was))?;
        let entry = &was.id.entry;
        Some(format!(
            "the sink {sink} was given it, and follows {entry}, which does not hold it any more: put the pair back there, or \
             take that entry out of the sink's `follows` once nothing reads the key from the sink"
        ))
    }

    /// Returns the sinks that follow these places.
    ///
    /// # Errors
    /// A message: a sink does not answer, so that it could not receive a new key.
    pub fn followers(&self, places: &[Place]) -> Result<Vec<Follower>, String> {
        let mut followers = Vec::new();
        for ports in &self.all {
            for (number, place) in places.iter().enumerate().filter(|(_, place)| ports.follows(place)) {
                let sink = ports.sink.name().clone();
                let identity = match self.identities.get(&sink) {
                    Some(Ok(identity)) => identity.clone(),
                    Some(Err(error)) => {
                        return Err(format!(
                            "the sink {sink} follows {}: {error}",
                            in_short(&place.id.entry.to_string())
                        ));
                    }
                    None => {
                        return Err(format!(
                            "the sink {sink} follows {}, and was not asked what it is",
                            place.id.entry
                        ));
                    }
                };
                followers.push(Follower { sink, identity, place: number, lands_within: ports.sink.lands_within() });
            }
        }
        Ok(followers)
    }

    /// Returns the sink that a rotation recorded.
    ///
    /// # Errors
    /// A message: the sink is not configured any more, or is another one.
    pub fn get(&self, follower: &Follower) -> Result<&Arc<dyn Sink>, String> {
        let (name, recorded) = (&follower.sink, &follower.identity);
        let why = match self.identities.get(name) {
            Some(Ok(identity)) if identity == recorded => {
                let found = self.all.iter().find(|ports| ports.sink.name() == name);
                return found.map(|ports| &ports.sink).ok_or_else(|| format!("the sink {name} is not configured"));
            }
            Some(Ok(identity)) => format!("is another one now (identity {identity}, recorded was {recorded})"),
            Some(Err(error)) => format!("cannot be used: {error}"),
            None => "is not configured".to_owned(),
        };
        Err(format!("the sink {name} {why}"))
    }
}

/// Words what to run if a sink no longer exists.
#[must_use]
pub fn way_out(rotation: &Rotation, sink: &SinkName) -> String {
    let leave = leave(rotation.id, sink);
    format!("both keys stay active meanwhile; if nothing reads {sink} any more: {leave}")
}

fn leave(id: RotationId, sink: &SinkName) -> String {
    format!("rotator resolve {id} --leave-sink {}", quoted(sink.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shell::real::{HOSTILE, words};

    #[test]
    fn the_command_names_the_sink_whatever_its_name() {
        let id = RotationId::from_uuid(uuid::Uuid::nil());
        for sink in HOSTILE {
            let sink = format!("exec:{sink}");
            let words = words(&leave(id, &SinkName::new(sink.clone()).expect("valid")));
            assert_eq!(words.last().map(Vec::as_slice), Some(sink.as_bytes()));
            assert_eq!(words.len(), 5);
        }
    }
}
