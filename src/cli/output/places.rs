//! The places of a pair, in short.

use std::collections::BTreeSet;

use crate::journal::campaign::PlaceNote;

/// The entries, and the store if there are several. Entries of one app and environment that are an id or a secret as a
/// whole are counted. Of the
/// locations in one entry the first is named, that of the key id.
pub(in crate::cli) fn places(places: &[PlaceNote], several_stores: bool) -> String {
    let scope = |place: &PlaceNote| Some((place.store.clone(), place.entry.rsplit_once('/')?.0.to_owned()));
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut names: Vec<String> = Vec::new();
    for place in places.iter().filter(|place| seen.insert((place.store.as_str(), place.entry.as_str()))) {
        let store = if several_stores { format!("{} ", short_store(&place.store)) } else { String::new() };
        // The id and the secret in entries of their own. Documents are named one by one.
        let is_whole = |place: &PlaceNote| place.location == "whole value";
        let beside = places.iter().filter(|other| is_whole(place) && is_whole(other) && scope(other) == scope(place));
        let beside: BTreeSet<&str> = beside.map(|other| other.entry.as_str()).collect();
        let file = place.store.strip_prefix("file:").filter(|path| path.ends_with(in_short(&place.entry)));
        let name = match (beside.len(), scope(place), place.location.as_str()) {
            // The store is this file.
            (.., location) if file.is_some() => format!("{} {location}", last_of(file.unwrap_or_default(), 2)),
            (2.., Some((_, scope)), _) => format!("{store}{} ({} entries)", in_short(&scope), beside.len()),
            (.., "whole value") => format!("{store}{}", in_short(&place.entry)),
            (.., location) => format!("{store}{} {location}", in_short(&place.entry)),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// A store by the last words of its path.
fn short_store(store: &str) -> String {
    match store.split_once(':') {
        Some(("file", path)) => last_of(path, 2).to_owned(),
        Some((kind @ ("sqlite" | "sops"), path)) => format!("{kind}:{}", last_of(path, 1)),
        Some(_) | None => store.to_owned(),
    }
}

/// The last components of a path.
fn last_of(path: &str, number: usize) -> &str {
    let slash = path.rmatch_indices('/').nth(number - 1);
    slash.map_or(path, |(at, _)| path.get(at + 1..).unwrap_or(path))
}

/// A file that has no app and no environment has a `-` for each.
pub(super) fn in_short(entry: &str) -> &str {
    entry.strip_prefix("-/-/").unwrap_or(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(store: &str, entry: &str, location: &str) -> PlaceNote {
        PlaceNote { store: store.to_owned(), entry: entry.to_owned(), location: location.to_owned() }
    }

    #[test]
    fn a_pair_is_named_in_short() {
        let whole = |entry| place("s", entry, "whole value");
        assert_eq!(places(&[whole("shop/prod/ID"), whole("shop/prod/SECRET")], false), "shop/prod (2 entries)");
        assert_eq!(places(&[whole("shop/prod/ID")], true), "s shop/prod/ID");
        let documents = [place("s", "a/b/compose.yml", "services.x"), place("s", "a/b/main.tf", "key")];
        assert_eq!(places(&documents, false), "a/b/compose.yml services.x, a/b/main.tf key");
        let file = [place("f", "-/-/.env", "AWS_ACCESS_KEY_ID"), place("f", "-/-/.env", "AWS_SECRET_ACCESS_KEY")];
        assert_eq!(places(&file, false), ".env AWS_ACCESS_KEY_ID");
        let file_store = place("file:/home/u/.aws/credentials", "-/-/credentials", "[default] aws_access_key_id");
        assert_eq!(places(&[file_store], false), ".aws/credentials [default] aws_access_key_id");
        let in_folder = place("file:/srv/shop/config", "-/app/db.yaml", "aws.key");
        assert_eq!(places(&[in_folder], true), "shop/config -/app/db.yaml aws.key");
        assert_eq!(places(&[place("sqlite:/srv/x.db", "a/b/c", "whole value")], true), "sqlite:x.db a/b/c");
        let both = [&file[..], &[whole("a/b/c")]].concat();
        assert_eq!(places(&both, true), "f .env AWS_ACCESS_KEY_ID, s a/b/c");
        assert_eq!(places(&[], true), "");
    }
}
