//! The observations of one visit, in a form that can be hashed, and converted to the types of the machine.

use rotator::rotation::observed::{
    KeyOwner, KeySeen, KeyStatus, KeyUse, KeysSeen, Observed, PlaceContent, PlacesSeen, Proof, ScanSeen,
};

use super::machine::{KeyId, at, name};
use super::users::name_of;

/// A list of keys: when, and each key's id, whether it is active, and when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Listed {
    pub(super) at: i64,
    pub(super) keys: Option<Vec<(KeyId, bool, i64)>>,
}

/// The facts that a visit knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Seen {
    pub(super) keys: Option<Listed>,
    pub(super) places: Option<Vec<Shows>>,
    pub(super) scan: Vec<(KeyId, bool)>,
    pub(super) unreadable: bool,
    pub(super) new_pair: Option<Proved>,
    pub(super) stored_pair: Option<Proved>,
    pub(super) used: Vec<(KeyId, bool)>,
    /// Keys whose owner was asked for.
    pub(super) owners: Vec<(KeyId, Owner)>,
}

impl Seen {
    pub(super) fn ids(&self) -> impl Iterator<Item = KeyId> {
        let listed = self.keys.iter().flat_map(|listed| listed.keys.iter().flatten().map(|(id, ..)| *id));
        let asked = self.scan.iter().chain(&self.used).map(|(id, _)| *id);
        listed.chain(asked).chain(self.owners.iter().map(|(id, _)| *id)).collect::<Vec<_>>().into_iter()
    }
}

/// [`PlaceContent`], hashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shows {
    Old,
    New,
    Torn,
    IdOnly,
    Foreign,
    Unreadable,
}

/// [`Proof`], hashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Proved {
    Passed,
    TimedOut,
    SomebodyElse,
    Denied,
}

/// [`KeyOwner`], hashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The user of this name.
    Named(u8),
    NoSuchKey,
    Unclear,
}

pub(super) fn known(seen: &Seen) -> Observed {
    let proof = |proved: Proved| match proved {
        Proved::Passed => Proof::Passed,
        Proved::TimedOut => Proof::TimedOut("denied".to_owned()),
        Proved::SomebodyElse => Proof::SomebodyElse("another user".to_owned()),
        Proved::Denied => Proof::Denied("no".to_owned()),
    };
    let status = |active| if active { KeyStatus::Active } else { KeyStatus::Inactive };
    let key = |(id, active, created): &(KeyId, bool, i64)| KeySeen {
        id: name(*id),
        status: status(*active),
        created: at(*created),
    };
    let shows = |shows: &Shows| match shows {
        Shows::Old => PlaceContent::Old,
        Shows::New => PlaceContent::New,
        Shows::Torn => PlaceContent::Torn,
        Shows::IdOnly => PlaceContent::IdOnly,
        Shows::Foreign => PlaceContent::Foreign,
        Shows::Unreadable => PlaceContent::Unreadable,
    };
    let entries = |named: bool| if named { vec!["an entry".to_owned()] } else { Vec::new() };
    let owner = |owner: Owner| match owner {
        Owner::Named(name) => KeyOwner::User(name_of(name)),
        Owner::NoSuchKey => KeyOwner::NoSuchKey,
        Owner::Unclear => KeyOwner::Unclear("no".to_owned()),
    };
    Observed {
        keys: seen.keys.as_ref().map(|listed| KeysSeen {
            at: at(listed.at),
            keys: listed.keys.as_ref().map(|keys| keys.iter().map(key).collect()),
        }),
        places: seen.places.as_ref().map(|places| PlacesSeen {
            places: places.iter().enumerate().map(|(place, seen)| (format!("place {place}"), shows(seen))).collect(),
        }),
        scan: (!seen.scan.is_empty()).then(|| ScanSeen {
            named: seen.scan.iter().map(|(id, named)| (name(*id), entries(*named))).collect(),
            unreadable: if seen.unreadable { vec!["a broken entry".to_owned()] } else { Vec::new() },
        }),
        copies: Vec::new(),
        put_back: Vec::new(),
        new_pair: seen.new_pair.map(proof),
        stored_pair: seen.stored_pair.map(proof),
        owners: seen.owners.iter().map(|(id, of)| (name(*id), owner(*of))).collect(),
        last_used: seen.used.iter().map(|(id, used)| (name(*id), used.then(|| KeyUse::at(at(0))))).collect(),
    }
}
