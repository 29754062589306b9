//! Reads the pairs that are stored at places. Each document is parsed once, for however many pairs.

use std::mem::{Discriminant, discriminant};

use zeroize::Zeroizing;

use crate::discovery::connection;
use crate::discovery::document;
use crate::discovery::field::{Field, Room, Unclear};
use crate::discovery::nested;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Location, Place};
use crate::types::secret::{SecretKey, SecretValue};

/// The pair that is stored at a place.
#[derive(Debug)]
pub struct PairSeen {
    /// The id; none where the text there is no access key id. (What it is instead may be a secret, so it is not shown.)
    pub id: Option<AccessKeyId>,
    /// The text at the location of the secret.
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
        spot: FieldRef,
    },
    /// The document has no such text.
    #[error("find {}: {} has no such text", spot.location, spot.entry)]
    NotThere {
        /// What was sought.
        spot: FieldRef,
    },
    /// The document has two of that name.
    #[error("tell which {} counts: {} has more than one", spot.location, spot.entry)]
    DefinedTwice {
        /// What was sought.
        spot: FieldRef,
    },
    /// What the text says is unclear.
    #[error("read {spot}: {why}")]
    NotPlain {
        /// What was sought.
        spot: FieldRef,
        /// Why not.
        why: Unclear,
    },
    /// There is nothing in it.
    #[error("read {spot}: it is empty")]
    Empty {
        /// What was sought.
        spot: FieldRef,
    },
}

/// The pair that is stored at `place`.
///
/// # Errors
/// [`ReadPairError`] where either half cannot be found, or not be read in one way only.
pub fn read_pair<'v>(
    place: &Place,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<PairSeen, ReadPairError> {
    let value_of = |_: &StoreName, entry: &EntryName| value_of(entry);
    Reader::default().read(place, &value_of)
}

/// [`read_pair`] for many places of any stores, in their order.
pub fn read_pairs<'v>(
    places: &[&Place],
    value_of: impl Fn(&StoreName, &EntryName) -> Option<&'v SecretValue>,
) -> Vec<Result<PairSeen, ReadPairError>> {
    let mut order: Vec<(usize, &&Place)> = places.iter().enumerate().collect();
    order.sort_by_key(|(_, place)| (&place.store, &place.id));
    let mut reader = Reader::default();
    let mut read: Vec<_> = order.into_iter().map(|(at, place)| (at, reader.read(place, &value_of))).collect();
    read.sort_by_key(|(at, _)| *at);
    read.into_iter().map(|(_, pair)| pair).collect()
}

/// The documents that were read last: what has ids, and what has the secrets beside them.
#[derive(Default)]
struct Reader<'v> {
    ids: Option<LastDocument<'v>>,
    secrets: Option<LastDocument<'v>>,
}

struct LastDocument<'v> {
    store: StoreName,
    entry: EntryName,
    document: Document<'v>,
}

impl<'v> Reader<'v> {
    fn read(
        &mut self,
        place: &Place,
        value_of: &impl Fn(&StoreName, &EntryName) -> Option<&'v SecretValue>,
    ) -> Result<PairSeen, ReadPairError> {
        let of_entry = |entry: &EntryName| value_of(&place.store, entry);
        let id = known(&mut self.ids, place, &place.id, of_entry)?.says(&place.id)?;
        let secret = if place.secret.entry == place.id.entry { &mut self.ids } else { &mut self.secrets };
        let secret = known(secret, place, &place.secret, of_entry)?.says(&place.secret)?;
        Ok(PairSeen { id: AccessKeyId::new(id.as_str()).ok(), secret: SecretKey::new(secret.as_str().to_owned()) })
    }
}

/// The document that `spot` of `place` is in.
fn known<'k, 'v>(
    known: &'k mut Option<LastDocument<'v>>,
    place: &Place,
    spot: &FieldRef,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<&'k mut Document<'v>, ReadPairError> {
    let is_it = |known: &LastDocument<'_>| known.store == place.store && known.entry == spot.entry;
    let kept = match known.take().filter(is_it) {
        Some(kept) => kept,
        None => {
            let document = Document::new(text_of(&spot.entry, value_of)?);
            LastDocument { store: place.store.clone(), entry: spot.entry.clone(), document }
        }
    };
    Ok(&mut known.insert(kept).document)
}

pub(super) fn text_of<'v>(
    entry: &EntryName,
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<&'v str, ReadPairError> {
    let value = value_of(entry).ok_or_else(|| ReadPairError::Missing { entry: entry.clone() })?;
    value.expose_text().ok_or_else(|| ReadPairError::NotUtf8 { entry: entry.clone() })
}

/// The content of a field, parsed in the way that `location` names: the parts of a connection string, or an inner
/// document.
pub(super) fn parts(document: &str, field: &Field, location: &Location) -> Option<Vec<Field>> {
    match location {
        Location::Nested { .. } => nested::fields(document, field, &mut Room::new()),
        Location::Connection { .. } => connection::fields(document, field),
        Location::WholeValue
        | Location::Json { .. }
        | Location::Variable { .. }
        | Location::Toml { .. }
        | Location::Yaml { .. } => None,
    }
}

/// Fields, and their index by location.
struct Indexed {
    fields: Vec<Field>,
    /// Their numbers, by location.
    order: Vec<usize>,
}

impl Indexed {
    fn new(fields: Vec<Field>) -> Self {
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by(|one, other| fields[*one].location.cmp(&fields[*other].location));
        Self { fields, order }
    }

    /// The first field at the location.
    fn find(&self, location: &Location) -> Option<&Field> {
        let at = self.order.partition_point(|number| self.fields[*number].location < *location);
        self.order.get(at).map(|number| &self.fields[*number]).filter(|field| field.location == *location)
    }
}

/// A stored text, read once as each kind of document that is asked for.
pub(super) struct Document<'t> {
    text: &'t str,
    read: Vec<(Discriminant<Location>, Option<Indexed>)>,
    /// The parsed content of the field that was asked for last: its location, the way in which it was parsed, and its
    /// parts.
    inner: Option<(Location, Discriminant<Location>, Indexed)>,
}

impl<'t> Document<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, read: Vec::new(), inner: None }
    }

    pub(super) const fn text(&self) -> &'t str {
        self.text
    }

    /// Its fields as the kind of document that `location`, no part of a connection string, is in.
    pub(super) fn fields(&mut self, location: &Location) -> Option<&[Field]> {
        let at = self.read_as(location);
        self.read.get(at)?.1.as_ref().map(|indexed| indexed.fields.as_slice())
    }

    /// The number of the reading of that kind.
    fn read_as(&mut self, location: &Location) -> usize {
        let kind = discriminant(location);
        self.read.iter().position(|(read, _)| *read == kind).unwrap_or_else(|| {
            self.read.push((kind, document::fields_as(self.text, location).map(Indexed::new)));
            self.read.len() - 1
        })
    }

    /// The one field at `spot`.
    pub(super) fn find(&mut self, spot: &FieldRef) -> Result<&Field, ReadPairError> {
        let another_form = || ReadPairError::AnotherForm { spot: spot.clone() };
        let not_there = || ReadPairError::NotThere { spot: spot.clone() };
        let outermost = spot.location.outermost();
        let at = self.read_as(outermost);
        let Self { text, read, inner } = self;
        let fields = read.get(at).and_then(|(_, fields)| fields.as_ref()).ok_or_else(another_form)?;
        let mut field = fields.find(outermost).ok_or_else(not_there)?;
        if *outermost != spot.location && !field.twice {
            let kind = discriminant(&spot.location);
            let is_it =
                |(of, read_as, _): &(Location, Discriminant<Location>, Indexed)| of == outermost && *read_as == kind;
            if !inner.as_ref().is_some_and(is_it) {
                let parts = parts(text, field, &spot.location).ok_or_else(another_form)?;
                *inner = Some((outermost.clone(), kind, Indexed::new(parts)));
            }
            let inner = inner.as_ref().ok_or_else(not_there)?;
            field = inner.2.find(&spot.location).ok_or_else(not_there)?;
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

    pub(super) fn says(&mut self, spot: &FieldRef) -> Result<Zeroizing<String>, ReadPairError> {
        self.find(spot)?.text.clone().map_err(|why| ReadPairError::NotPlain { spot: spot.clone(), why })
    }
}
