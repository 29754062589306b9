//! The places of a pair, in short.

use std::collections::BTreeSet;

use crate::journal::campaign::PlaceNote;

/// The entries, with the location in each unless it is the whole value, and the store if there are several. Several
/// entries of one app and environment are counted.
pub(super) fn places(places: &[PlaceNote], several_stores: bool) -> String {
    let scope =
        |place: &PlaceNote| place.entry.rsplit_once('/').map(|(scope, _)| (place.store.clone(), scope.to_owned()));
    let mut names: Vec<String> = Vec::new();
    for place in places {
        let store = if several_stores { format!("{} ", place.store) } else { String::new() };
        let beside = places.iter().filter(|other| scope(other) == scope(place));
        let beside: BTreeSet<&str> = beside.map(|other| other.entry.as_str()).collect();
        let name = match (beside.len(), scope(place), place.location.as_str()) {
            (2.., Some((_, scope)), _) => format!("{store}{scope} ({} entries)", beside.len()),
            (.., "whole value") => format!("{store}{}", place.entry),
            (.., location) => format!("{store}{} {location}", place.entry),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
