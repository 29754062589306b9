//! Takes one entry apart: the ids in it, and the pairs and halves of pairs that its value alone shows.

use zeroize::Zeroizing;

use super::connection;
use super::document;
use super::entry::StoredEntry;
use super::field::{Field, Group};
use super::key_format;
use super::label::Label;
use super::limits::{LARGEST_DOCUMENT, MOST_PAIRS};
use super::nested;
use super::pairing::{ByValue, Pair, Paired, Seen, TooMuch, pair};
use super::references::{self, Named};
use super::relevance;
use super::siblings;
use crate::types::name::AccessKeyId;
use crate::types::place::{FieldRef, Location, Part};

/// The parts of one value.
pub(super) struct Taken {
    pub(super) paired: Paired,
    /// The one text that it is, named by the entry.
    pub(super) whole: Option<Seen>,
    pub(super) is_text: bool,
}

/// What one value shows without the other entries.
pub(super) enum Apart {
    /// Nothing about a key, or too much to be taken apart.
    Not,
    Taken(Box<Taken>),
    TooMuch,
}

/// Reads what one entry names, and takes it apart.
pub(super) fn read_entry(entry: &StoredEntry) -> (Named, Apart) {
    let named = references::named(&entry.value, MOST_PAIRS);
    if named.ids.are_more || entry.value.expose().len() > LARGEST_DOCUMENT {
        return (named, Apart::Not);
    }
    if named.ids.ids.is_empty() && !relevance::may_be_relevant(&entry.name, &entry.value) {
        assert!(!cfg!(test) || says_nothing(&take_apart(entry)), "{} was passed over", entry.name);
        return (named, Apart::Not);
    }
    let apart = match take_apart(entry) {
        Ok(Taken { paired, whole, is_text }) => {
            Apart::Taken(Box::new(Taken { paired, whole: whole.filter(Seen::may_be_half), is_text }))
        }
        Err(TooMuch) => Apart::TooMuch,
    };
    (named, apart)
}

/// Returns whether a value holds nothing about a key: what the check of its relevance claims.
fn says_nothing(taken: &Result<Taken, TooMuch>) -> bool {
    let Ok(Taken { paired, whole, is_text }) = taken else { return false };
    let is_half = whole.as_ref().is_some_and(Seen::may_be_half);
    *is_text && !is_half && paired.pairs.is_empty() && paired.left_alone.is_empty()
}

fn take_apart(entry: &StoredEntry) -> Result<Taken, TooMuch> {
    let (read, strings) = read(entry);
    let mut paired = Paired { pairs: strings, left_alone: Vec::new() };
    let (mut whole, mut is_text) = (None, true);
    match read {
        Read::Document(fields, inside) => {
            for fields in std::iter::once(fields).chain(inside) {
                let Paired { pairs, left_alone } = pair(fields, ByValue::Yes)?;
                paired.pairs.extend(pairs);
                paired.left_alone.extend(left_alone);
                if paired.pairs.len() + paired.left_alone.len() > MOST_PAIRS {
                    return Err(TooMuch);
                }
            }
        }
        Read::Whole(seen) => whole = Some(seen),
        Read::NotText => is_text = false,
    }
    Ok(Taken { paired, whole, is_text })
}

/// An entry's value, taken for what it looks like.
enum Read {
    /// The texts of one group, and those of each document inside one of them.
    Document(Vec<Seen>, Vec<Vec<Seen>>),
    /// One text, named by the entry.
    Whole(Seen),
    NotText,
}

/// The pairs in connection strings, and all else.
fn read(entry: &StoredEntry) -> (Read, Vec<Pair>) {
    let mut strings = Vec::new();
    let mut is_string = |seen: &Seen| {
        let pair = seen.text.as_ref().ok().filter(|_| !seen.twice).and_then(|text| pair_within(&seen.spot, text));
        let is_string = pair.is_some();
        strings.extend(pair);
        is_string
    };
    let read = match read_document(entry) {
        Read::Whole(seen) if is_string(&seen) => Read::Document(Vec::new(), Vec::new()),
        Read::Document(mut fields, inside) => {
            fields.retain(|seen| !is_string(seen));
            Read::Document(fields, inside)
        }
        other @ (Read::Whole(_) | Read::NotText) => other,
    };
    (read, strings)
}

/// The pair in a connection string that is stored at `spot`.
fn pair_within(spot: &FieldRef, text: &str) -> Option<Pair> {
    let ((id_part, id), (secret_part, secret)) = connection::pair(text)?;
    let spot = |part: Part| FieldRef {
        entry: spot.entry.clone(),
        location: Location::Connection { within: Box::new(spot.location.clone()), part },
    };
    let id = AccessKeyId::new(id.as_str()).ok()?;
    Some(Pair { id, secret, id_spot: spot(id_part), secret_spot: spot(secret_part), has_token: false })
}

fn read_document(entry: &StoredEntry) -> Read {
    let Some(text) = entry.value.expose_text() else { return Read::NotText };
    let label = Label::of_entry(entry.name.secret_name());
    let whole = |field: Field| Seen {
        spot: FieldRef { entry: entry.name.clone(), location: field.location },
        name: entry.name.secret_name().to_owned(),
        label: Label::of_entry(entry.name.secret_name()),
        group: Group::Section(None),
        text: field.text.map(|text| Zeroizing::new(text.trim().to_owned())),
        twice: false,
    };
    let Some(mut fields) = document::fields(text) else { return Read::Whole(whole(document::whole(text))) };
    siblings::name(&mut fields);
    // A secret with `=` at its end looks like a variable without a value, and most texts look like YAML: the entry's name
    // knows better, unless something within says the same.
    let is_named_within = |field: &Field| {
        field.name.as_deref().is_some_and(|name| Label::of(name).is_some())
            || field.text.as_ref().is_ok_and(|text| key_format::ids_within(text.as_bytes()).next().is_some())
    };
    let is_json = fields.iter().any(|field| matches!(field.location, Location::Json { .. }));
    if label.is_some() && !is_json && !fields.is_empty() && !fields.iter().any(is_named_within) {
        return Read::Whole(whole(document::whole(text)));
    }
    if matches!(fields.as_slice(), [Field { location: Location::Json { pointer }, .. }] if pointer.is_empty())
        && let Some(string) = fields.pop()
    {
        return Read::Whole(whole(string));
    }
    let mut inside = nested::unfold(text, &mut fields);
    inside.iter_mut().for_each(|fields| siblings::name(fields));
    let seen = |fields: Vec<Field>| fields.into_iter().map(|field| seen_in(entry, field)).collect();
    Read::Document(seen(fields), inside.into_iter().map(seen).collect())
}

fn seen_in(entry: &StoredEntry, field: Field) -> Seen {
    Seen {
        label: field.name.as_deref().and_then(Label::of),
        name: field.name.unwrap_or_default(),
        spot: FieldRef { entry: entry.name.clone(), location: field.location },
        group: field.group,
        text: field.text,
        twice: field.twice,
    }
}
