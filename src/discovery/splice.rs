//! Reading the pair at a place, and writing a new one there with every other byte left as it is.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::ops::Range;

use zeroize::Zeroizing;

use super::connection;
use super::document::{self, Field, Unclear};
use super::named::names;
use super::nested;
use super::place::{Location, Place, Spot};
use crate::planted::{self, Planted};
use crate::rotation::name::{AccessKeyId, EntryName};
use crate::rotation::secret::{SecretKey, SecretValue};

/// What stands at a place.
#[derive(Debug)]
pub struct PairSeen {
    /// The id; none where the text there is no access key id. (What it is instead may be a secret, so it is not told.)
    pub id: Option<AccessKeyId>,
    /// What stands where the secret belongs.
    pub secret: SecretKey,
}

/// Why a pair could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadPairError {
    /// The store has no such entry (any more).
    #[error("read {entry}: there is no such entry")]
    Missing {
        /// The entry.
        entry: EntryName,
    },
    /// The value is not text.
    #[error("read {entry}: its value is not UTF-8 text")]
    NotUtf8 {
        /// The entry.
        entry: EntryName,
    },
    /// The value is another kind of document than it was.
    #[error("find {}: the value of {} is not a document of that kind", spot.location, spot.entry)]
    AnotherForm {
        /// What was sought.
        spot: Spot,
    },
    /// The document has no such text.
    #[error("find {}: {} has no such text", spot.location, spot.entry)]
    NotThere {
        /// What was sought.
        spot: Spot,
    },
    /// The document has two of that name.
    #[error("tell which {} counts: {} has more than one", spot.location, spot.entry)]
    DefinedTwice {
        /// What was sought.
        spot: Spot,
    },
    /// What the text says cannot be told.
    #[error("read {spot}: {why}")]
    NotPlain {
        /// What was sought.
        spot: Spot,
        /// Why not.
        why: Unclear,
    },
    /// There is nothing in it.
    #[error("read {spot}: it is empty")]
    Empty {
        /// What was sought.
        spot: Spot,
    },
}

/// Why a new pair could not be spliced in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The old pair cannot be read, so there is nothing to replace.
    #[error(transparent)]
    Read(#[from] ReadPairError),
    /// The new text cannot be written in the way the old one is.
    #[error("write {spot}: the new value has characters that do not go with how the old one is quoted")]
    CannotHold {
        /// Where it was to be written.
        spot: Spot,
    },
    /// Id and secret, or two pairs, are said to stand in the same text.
    #[error("write {spot}: another half of a pair stands in the same text")]
    SameText {
        /// The text.
        spot: Spot,
    },
    /// An anchor repeats one half where the other is not.
    #[error("write {spot}: an anchor also makes it stand where the other half of its pair does not")]
    Shared {
        /// The half that was found second.
        spot: Spot,
    },
    /// The result, read again, differs in more than the pair.
    #[error("write {entry}: read again, more than the pair would have changed")]
    ChangesMore {
        /// The entry.
        entry: EntryName,
    },
    /// The old id stands in the entry once more, where it would stay.
    #[error("replace every copy of the key in {entry}: its id stands there once more, as in a comment")]
    StillNamed {
        /// The entry.
        entry: EntryName,
    },
}

/// The pair that stands at `place`.
///
/// # Errors
/// [`ReadPairError`] where either half cannot be found, or not be read in one way only.
pub fn read_pair<'v>(
    place: &Place,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<PairSeen, ReadPairError> {
    let mut document = Document::new(text_of(&place.id.entry, &value_of)?);
    let id = document.says(&place.id)?;
    let secret = if place.secret.entry == place.id.entry {
        document.says(&place.secret)?
    } else {
        Document::new(text_of(&place.secret.entry, &value_of)?).says(&place.secret)?
    };
    Ok(PairSeen { id: AccessKeyId::new(id.as_str()).ok(), secret: SecretKey::new(secret.as_str().to_owned()) })
}

/// The new values of the entries of `place`, in the order in which they are to be written: the entry with the secret
/// first, the one with the id last; one element where a document holds both.
///
/// # Errors
/// [`SpliceError`] where the new pair cannot be written so that, read again, only the pair differs.
pub fn splice<'v>(
    place: &Place,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
    new_id: &AccessKeyId,
    new_secret: &SecretKey,
) -> Result<Vec<(EntryName, SecretValue)>, SpliceError> {
    splice_all(&[place], value_of, new_id, new_secret)
}

/// [`splice`] for several places of one store, whose pairs may share a document: every entry once; those with secrets
/// only come first, then those with both, and those with ids only last.
///
/// # Errors
/// As [`splice`].
pub fn splice_all<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
    new_id: &AccessKeyId,
    new_secret: &SecretKey,
) -> Result<Vec<(EntryName, SecretValue)>, SpliceError> {
    splice_texts(places, value_of, new_id.as_str(), new_secret.expose())
}

/// Tries [`splice_all`] with a made-up pair that has every character a real one may have, before any key is created.
/// `places` are all places of one key in one store.
///
/// # Errors
/// As [`splice`]; [`SpliceError::StillNamed`] where an entry would go on naming the old id.
pub fn rehearse_splice<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<(), SpliceError> {
    const ID: &str = "AKIAREHEARSALABC4567";
    const SECRET: &str = "ABCDEFGHIJKLMNOPqrstuvwxyz0123456789+/+=";
    let values = splice_texts(places, &value_of, ID, SECRET)?;
    let Some(first) = places.first() else { return Ok(()) };
    let Some(old_id) = read_pair(first, &value_of)?.id else { return Ok(()) };
    match values.into_iter().find(|(_, value)| names(value, &old_id)) {
        Some((entry, _)) => Err(SpliceError::StillNamed { entry }),
        None => Ok(()),
    }
}

/// One text to be replaced.
struct Edit<'a> {
    spot: &'a Spot,
    new: &'a str,
    /// Of which place it is.
    place: usize,
}

/// What is to be replaced in one entry.
#[derive(Default)]
struct Edits<'a> {
    edits: Vec<Edit<'a>>,
    has_id: bool,
    has_secret: bool,
}

fn splice_texts<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
    new_id: &str,
    new_secret: &str,
) -> Result<Vec<(EntryName, SecretValue)>, SpliceError> {
    let mut entries: BTreeMap<&EntryName, Edits<'_>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        let secret = entries.entry(&place.secret.entry).or_default();
        secret.has_secret = true;
        secret.edits.push(Edit { spot: &place.secret, new: new_secret, place: index });
        let id = entries.entry(&place.id.entry).or_default();
        id.has_id = true;
        id.edits.push(Edit { spot: &place.id, new: new_id, place: index });
    }
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by_key(|(_, edits)| (edits.has_id, !edits.has_secret));
    if planted::is(Planted::SecretWrittenLast) {
        entries.reverse();
    }
    entries
        .into_iter()
        .map(|(entry, edits)| {
            let text = text_of(entry, &value_of)?;
            Ok((entry.clone(), splice_entry(entry, text, &edits.edits)?))
        })
        .collect()
}

fn splice_entry(entry: &EntryName, old: &str, edits: &[Edit<'_>]) -> Result<SecretValue, SpliceError> {
    let mut changes: Vec<(Range<usize>, Zeroizing<String>, &Edit<'_>)> = Vec::new();
    let mut ties: BTreeMap<usize, usize> = BTreeMap::new();
    let mut document = Document::new(old);
    for edit in edits {
        let field = document.find(edit.spot)?;
        if *ties.entry(edit.place).or_insert(field.ties) != field.ties {
            return Err(SpliceError::Shared { spot: edit.spot.clone() });
        }
        let written =
            field.writing.encode(edit.new).ok_or_else(|| SpliceError::CannotHold { spot: edit.spot.clone() })?;
        changes.push((field.span, written, edit));
    }
    changes.sort_by_key(|(span, _, _)| (span.start, span.end));
    if let Some(two) = changes.windows(2).find(|two| two[0].0.end > two[1].0.start) {
        return Err(SpliceError::SameText { spot: two[1].2.spot.clone() });
    }
    // Made once at its full length: a vector that grows leaves copies behind.
    let mut new = Vec::with_capacity(old.len() + changes.iter().map(|(_, written, _)| written.len()).sum::<usize>());
    let mut done = 0;
    for (span, written, _) in &changes {
        new.extend_from_slice(&old.as_bytes()[done..span.start]);
        new.extend_from_slice(written.as_bytes());
        done = span.end;
    }
    new.extend_from_slice(&old.as_bytes()[done..]);
    let new = SecretValue::new(new);
    if only_these_changed(&mut document, &new, edits) {
        Ok(new)
    } else {
        Err(SpliceError::ChangesMore { entry: entry.clone() })
    }
}

/// Reads the result as anybody would: the same fields in the same order, these with their new texts, all others as
/// they were.
fn only_these_changed(old: &mut Document<'_>, new: &SecretValue, edits: &[Edit<'_>]) -> bool {
    let (Some(new), Some(first)) = (new.expose_text(), edits.first()) else { return false };
    let (old_text, location) = (old.text, first.spot.location.outermost());
    let (Some(before), Some(after)) = (old.fields(location), document::fields_as(new, location)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| {
            before.location == after.location
                && before.writing == after.writing
                && match edits.iter().find(|edit| *edit.spot.location.outermost() == before.location) {
                    Some(edit) if edit.spot.location == before.location => is_now(after, edit.new),
                    Some(edit) => only_these_parts_changed((old_text, before), (new, after), edits, edit),
                    None => old_text[before.span.clone()] == new[after.span.clone()],
                }
        })
}

fn is_now(after: &Field, new: &str) -> bool {
    after.text.as_ref().is_ok_and(|text| text.as_str() == new)
}

/// What stands in a field in the way that `location` does: the parts of a connection string, or an inner document.
fn parts(document: &str, field: &Field, location: &Location) -> Option<Vec<Field>> {
    match location {
        Location::Nested { .. } => nested::fields(document, field),
        Location::Connection { .. } => connection::fields(document, field),
        Location::WholeValue
        | Location::Json { .. }
        | Location::Variable { .. }
        | Location::Toml { .. }
        | Location::Yaml { .. } => None,
    }
}

/// The same of the parts of a field; one of its edits tells what it has. (How a part of a connection string is encoded
/// may differ: `%2F` where there was none.)
fn only_these_parts_changed(old: (&str, &Field), new: (&str, &Field), edits: &[Edit<'_>], one: &Edit<'_>) -> bool {
    let location = &one.spot.location;
    let (Some(before), Some(after)) = (parts(old.0, old.1, location), parts(new.0, new.1, location)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| {
            before.location == after.location
                && match edits.iter().find(|edit| edit.spot.location == before.location) {
                    Some(edit) => is_now(after, edit.new),
                    None => old.0[before.span.clone()] == new.0[after.span.clone()],
                }
        })
}

fn text_of<'v>(
    entry: &EntryName,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<&'v str, ReadPairError> {
    let value = value_of(entry).ok_or_else(|| ReadPairError::Missing { entry: entry.clone() })?;
    value.expose_text().ok_or_else(|| ReadPairError::NotUtf8 { entry: entry.clone() })
}

/// A stored text, read once as each kind of document that is asked for.
struct Document<'t> {
    text: &'t str,
    read: Vec<(Discriminant<Location>, Option<Vec<Field>>)>,
}

impl<'t> Document<'t> {
    const fn new(text: &'t str) -> Self {
        Self { text, read: Vec::new() }
    }

    /// Its fields as the kind of document that `location`, no part of a connection string, is in.
    fn fields(&mut self, location: &Location) -> Option<&[Field]> {
        let kind = discriminant(location);
        let at = self.read.iter().position(|(read, _)| *read == kind).unwrap_or_else(|| {
            self.read.push((kind, document::fields_as(self.text, location)));
            self.read.len() - 1
        });
        self.read.get(at)?.1.as_deref()
    }

    /// The one field that stands at `spot`.
    fn find(&mut self, spot: &Spot) -> Result<Field, ReadPairError> {
        let text = self.text;
        let another_form = || ReadPairError::AnotherForm { spot: spot.clone() };
        let not_there = || ReadPairError::NotThere { spot: spot.clone() };
        let outermost = spot.location.outermost();
        let fields = self.fields(outermost).ok_or_else(another_form)?;
        let mut field = fields.iter().find(|field| field.location == *outermost).ok_or_else(not_there)?.clone();
        if *outermost != spot.location && !field.twice {
            let parts = parts(text, &field, &spot.location).ok_or_else(another_form)?;
            field = parts.into_iter().find(|part| part.location == spot.location).ok_or_else(not_there)?;
        }
        if field.twice {
            return Err(ReadPairError::DefinedTwice { spot: spot.clone() });
        }
        match &field.text {
            Err(why) => Err(ReadPairError::NotPlain { spot: spot.clone(), why: *why }),
            Ok(text) if text.is_empty() => Err(ReadPairError::Empty { spot: spot.clone() }),
            Ok(_) => Ok(field),
        }
    }

    fn says(&mut self, spot: &Spot) -> Result<Zeroizing<String>, ReadPairError> {
        self.find(spot)?.text.map_err(|why| ReadPairError::NotPlain { spot: spot.clone(), why })
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
