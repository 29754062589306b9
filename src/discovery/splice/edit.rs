//! Which bytes of an entry a new pair replaces, and the proof that nothing else changes.

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::reading::{Document, ReadPairError, parts, text_of};
use crate::discovery::document;
use crate::discovery::field::Field;
use crate::types::name::{AccessKeyId, EntryName};
use crate::types::place::{FieldRef, Location, Place};
use crate::types::secret::{SecretKey, SecretValue};

/// Why a new pair could not be spliced in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The old pair cannot be read, so there is nothing to replace.
    #[error(transparent)]
    Read(#[from] ReadPairError),
    /// The new text cannot be written in the way the old one is.
    #[error("write {spot}: the old value is quoted in a way that does not allow the characters of the new one")]
    CannotHold {
        /// Where it was to be written.
        spot: FieldRef,
    },
    /// Two places name the same text for an id and a secret, or for two pairs.
    #[error("write {spot}: the same text holds another half of a pair")]
    SameText {
        /// The text.
        spot: FieldRef,
    },
    /// An anchor repeats one half where the other is not.
    #[error("write {spot}: an anchor repeats it where the other half of its pair is missing")]
    Shared {
        /// The half that was found second.
        spot: FieldRef,
    },
    /// The result, read again, differs in more than the pair.
    #[error("write {entry}: read again, more than the pair would have changed")]
    ChangesMore {
        /// The entry.
        entry: EntryName,
    },
    /// Too many keys of one entry cannot be written together to find out which of them it is.
    #[error("write {entry}: of its many keys some cannot be replaced, and which was not found out")]
    TooMuch {
        /// The entry.
        entry: EntryName,
    },
    /// The entry contains another copy of the old id, which the splice would leave.
    #[error("replace every copy of the key in {entry}: the entry holds the id once more, as in a comment")]
    StillReferenced {
        /// The entry.
        entry: EntryName,
    },
}

/// A pair that has every character a real one may have.
pub(super) const MADE_UP_ID: &str = "AKIAREHEARSALABC4567";
pub(super) const MADE_UP_SECRET: &str = "ABCDEFGHIJKLMNOPqrstuvwxyz0123456789+/+=";

/// One text to be replaced.
pub(super) struct Edit<'a> {
    pub(super) spot: &'a FieldRef,
    pub(super) new: &'a str,
    /// Of which place it is.
    pub(super) place: usize,
}

/// What is to be replaced in one entry.
#[derive(Default)]
struct Edits<'a> {
    edits: Vec<Edit<'a>>,
    has_id: bool,
    has_secret: bool,
}

/// Returns the new values of the entries of `places`, all of one store, whose pairs may share a document. Each entry occurs
/// once, in the order in which the entries are to be written: secrets only, then both halves, then ids only.
///
/// # Errors
/// [`SpliceError`] where the new pair cannot be written so that, read again, only the pair differs.
pub fn splice_all<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
    new_id: &AccessKeyId,
    new_secret: &SecretKey,
) -> Result<Vec<(EntryName, SecretValue)>, SpliceError> {
    splice_texts(places, value_of, new_id.as_str(), new_secret.expose())
}

pub(super) fn splice_texts<'v>(
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
    entries
        .into_iter()
        .map(|(entry, edits)| {
            let text = text_of(entry, &value_of)?;
            let edits: Vec<&Edit<'_>> = edits.edits.iter().collect();
            Ok((entry.clone(), splice_entry(entry, &mut Document::new(text), &edits)?))
        })
        .collect()
}

/// What an edit replaces, and by what; in the order of the places.
pub(super) type Change<'e> = (Range<usize>, Zeroizing<String>, &'e Edit<'e>);

/// What each edit replaces, as far as that is a matter of its own texts.
pub(super) fn changes<'e>(document: &mut Document<'_>, edits: &[&'e Edit<'e>]) -> Result<Vec<Change<'e>>, SpliceError> {
    let mut changes = Vec::with_capacity(edits.len());
    let mut alias_groups: BTreeMap<usize, usize> = BTreeMap::new();
    for edit in edits {
        let field = document.find(edit.spot)?;
        if *alias_groups.entry(edit.place).or_insert(field.alias_group) != field.alias_group {
            return Err(SpliceError::Shared { spot: edit.spot.clone() });
        }
        let written =
            field.writing.encode(edit.new).ok_or_else(|| SpliceError::CannotHold { spot: edit.spot.clone() })?;
        changes.push((field.span.clone(), written, *edit));
    }
    changes.sort_by_key(|(span, _, _)| (span.start, span.end));
    if let Some(two) = changes.windows(2).find(|two| two[0].0.end > two[1].0.start) {
        return Err(SpliceError::SameText { spot: two[1].2.spot.clone() });
    }
    Ok(changes)
}

pub(super) fn splice_entry(
    entry: &EntryName,
    document: &mut Document<'_>,
    edits: &[&Edit<'_>],
) -> Result<SecretValue, SpliceError> {
    let changes = changes(document, edits)?;
    let old = document.text();
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
    if only_these_changed(document, &new, edits) {
        Ok(new)
    } else {
        Err(SpliceError::ChangesMore { entry: entry.clone() })
    }
}

/// Reads the result as anybody would: the same fields in the same order, these with their new texts, all others as
/// they were.
pub(super) fn only_these_changed(old: &mut Document<'_>, new: &SecretValue, edits: &[&Edit<'_>]) -> bool {
    let (Some(new), Some(first)) = (new.expose_text(), edits.first()) else { return false };
    let (old_text, location) = (old.text(), first.spot.location.outermost());
    let mut edited: BTreeMap<&Location, Vec<&Edit<'_>>> = BTreeMap::new();
    for edit in edits {
        edited.entry(edit.spot.location.outermost()).or_default().push(edit);
    }
    let (Some(before), Some(after)) = (old.fields(location), document::fields_as(new, location)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| {
            before.location == after.location
                && before.writing == after.writing
                && match edited.get(&before.location).map(Vec::as_slice) {
                    Some([edit, ..]) if edit.spot.location == before.location => is_now(after, edit.new),
                    Some(edits) => only_these_parts_changed((old_text, before), (new, after), edits),
                    None => old_text[before.span.clone()] == new[after.span.clone()],
                }
        })
}

fn is_now(after: &Field, new: &str) -> bool {
    after.text.as_ref().is_ok_and(|text| text.as_str() == new)
}

/// The same of the parts of a field, of which these are edited. (How a part of a connection string is encoded may differ:
/// `%2F` where there was none.)
fn only_these_parts_changed(old: (&str, &Field), new: (&str, &Field), edits: &[&Edit<'_>]) -> bool {
    let Some(one) = edits.first() else { return false };
    let location = &one.spot.location;
    let edited: BTreeMap<&Location, &Edit<'_>> = edits.iter().map(|edit| (&edit.spot.location, *edit)).collect();
    let (Some(before), Some(after)) = (parts(old.0, old.1, location), parts(new.0, new.1, location)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| {
            before.location == after.location
                && match edited.get(&before.location) {
                    Some(edit) => is_now(after, edit.new),
                    None => old.0[before.span.clone()] == new.0[after.span.clone()],
                }
        })
}
