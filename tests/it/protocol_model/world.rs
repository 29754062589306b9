//! The environment of the model: users with keys, the places of their pairs, and requests under way. A state has no
//! clock: times are counted in seconds from the present, so states that differ only in their date are equal.

use super::machine::{Doing, KeyId};
use super::rights::Lack;
use super::seen::Seen;
use super::setup::{Budget, Layout};

/// The content of an entry that another writer wrote and that is no key.
pub(super) const NO_KEY: KeyId = KeyId::MAX;
/// The number of ids of each user: more than may be alive or remembered at once.
pub(super) const IDS: u8 = 16;
/// The creation time of the keys that existed before the exploration.
pub(super) const LONG_AGO: i64 = -1_000_000;
/// The longest time during which a list may lack a change; below `settle`.
const LAG: i64 = 30;
/// For how long a request once sent may still be executed.
pub(super) const LATE: i64 = 960;
/// Two entries for each place, the secret's first.
pub(super) const MOST_ENTRIES: usize = 4;

/// The creator of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum By {
    Before,
    /// The rotation of this number.
    Rotation(u8),
    Operator,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) by: By,
    /// `None`: deleted.
    pub(super) active: Option<bool>,
    /// The outdated content of lists, and its end.
    pub(super) shown: Option<(Option<bool>, i64)>,
    pub(super) created: i64,
    pub(super) used: bool,
    /// The key belongs to another user, who has this user's former name.
    pub(super) other: bool,
}

impl Key {
    pub(super) fn listed(&self) -> Option<bool> {
        self.shown.map_or(self.active, |(shown, _)| shown)
    }
}

/// A stored pair: the id, and the key to which the secret belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) secret: KeyId,
    pub(super) id: KeyId,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) exists: bool,
    /// The one of two names that the user has.
    pub(super) name: u8,
    /// Another user has the first of these names.
    pub(super) other: bool,
    /// The permanently denied calls: a bit for each [`super::rights::Call`].
    pub(super) denied: u16,
    /// A call reached another user, because the name was reassigned after the last observation.
    pub(super) astray: bool,
    pub(super) keys: Vec<Key>,
    pub(super) places: Vec<Pair>,
    /// Whose pair the sink has, where there is one.
    pub(super) sink: Option<KeyId>,
    /// A key that another entry names.
    pub(super) note: Option<KeyId>,
    /// The entry cannot be read.
    pub(super) unreadable: bool,
    /// The number of writes that the last place will refuse.
    pub(super) denials: u8,
    /// Another writer broke a place, or changed the facts of an effect after their observation.
    pub(super) excused: bool,
}

impl User {
    pub(super) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn is_active(&self, id: KeyId) -> bool {
        self.find(id).is_some_and(|key| key.active == Some(true) && !key.other)
    }

    pub(super) fn alive(&self) -> usize {
        self.alive_of(false)
    }

    /// The keys of this user, or of the one that has its name.
    pub(super) fn alive_of(&self, other: bool) -> usize {
        self.keys.iter().filter(|key| key.active.is_some() && key.other == other).count()
    }

    /// The places, and the sink behind them.
    pub(super) fn holders(&self) -> usize {
        self.places.len() + usize::from(self.sink.is_some())
    }

    /// Whether AWS accepts the pair of a place, or of the sink.
    pub(super) fn works(&self, place: usize) -> bool {
        if let Some(sink) = self.sink.filter(|_| place == self.places.len()) {
            return self.is_active(sink);
        }
        let pair = self.places[place];
        pair.id == pair.secret && self.is_active(pair.id)
    }

    /// Whether an entry names the key.
    pub(super) fn names(&self, id: KeyId) -> bool {
        self.note == Some(id) || self.places.iter().any(|pair| pair.id == id)
    }

    pub(super) fn entry(&mut self, entry: usize) -> &mut KeyId {
        let place = &mut self.places[entry / 2];
        if entry.is_multiple_of(2) { &mut place.secret } else { &mut place.id }
    }

    pub(super) fn values(&self) -> [KeyId; MOST_ENTRIES] {
        let mut values = [NO_KEY; MOST_ENTRIES];
        for (number, pair) in self.places.iter().enumerate() {
            values[number * 2] = pair.secret;
            values[number * 2 + 1] = pair.id;
        }
        values
    }

    /// Changes what a key is; lists may lag behind.
    pub(super) fn set(&mut self, id: KeyId, active: Option<bool>, lags: bool) {
        for key in self.keys.iter_mut().filter(|key| key.id == id) {
            if lags && key.active != active {
                key.shown = Some((key.listed(), LAG));
            }
            key.active = active;
        }
        self.forget_deleted();
    }

    pub(super) fn add(&mut self, id: KeyId, by: By, other: bool, lags: bool) {
        let shown = lags.then_some((None, LAG));
        self.keys.push(Key { id, by, active: Some(true), shown, created: 0, used: false, other });
        self.keys.sort_by_key(|key| key.id);
    }

    pub(super) fn forget_deleted(&mut self) {
        self.keys.retain(|key| key.active.is_some() || key.shown.is_some());
    }
}

/// The values read from the entries, and a bit for each entry that has not been written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Readings {
    pub(super) values: [KeyId; MOST_ENTRIES],
    pub(super) fresh: u8,
}

/// A process at work on one rotation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Visit {
    pub(super) seen: Seen,
    pub(super) secret: bool,
    pub(super) old_values: [Option<KeyId>; MOST_ENTRIES],
    pub(super) readings: Option<Readings>,
    /// An effect was sent off, and its reply is awaited.
    pub(super) awaits: bool,
    pub(super) failures: u8,
    /// The last denied call; a second denial counts.
    pub(super) refused: Option<Lack>,
    /// A write of the new pair was refused, and that counts.
    pub(super) store_denied: bool,
    /// An operator has done what a block asks for.
    pub(super) renewed: bool,
    /// Another writer changed something after an observation that `seen` depends on.
    pub(super) overtaken: bool,
    /// Time passed after such an observation.
    pub(super) stalled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// No rotation was opened.
    Nothing,
    Resting {
        /// The time of the next observation.
        until: Option<i64>,
        /// Something changed since.
        changed: bool,
    },
    Visiting(Visit),
}

/// One rotation of one process, as its journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) rotation: Option<u32>,
    pub(super) at: At,
}

/// The right by which a key is touched, at the moment when the intent was journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Right {
    /// The old key as recorded, our own key, or one that an operator or the policy named.
    Plain,
    /// Another IAM client created the key inside the window of a lost create of rotator.
    Marks,
    None,
}

/// One order to write: these entries together, in the order of their batches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Batches {
    pub(super) todo: Vec<Vec<(u8, KeyId)>>,
    pub(super) fresh: u8,
    pub(super) written: bool,
}

/// An effect on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) user: u8,
    pub(super) rotator: u8,
    /// The number of its rotation.
    pub(super) rotation: u8,
    pub(super) doing: Doing,
    /// The user's name, as the rotation knew it.
    pub(super) name: u8,
    /// Whether anybody hears the reply.
    pub(super) heard: bool,
    pub(super) right: Right,
    pub(super) overtaken: bool,
    pub(super) deadline: i64,
    pub(super) batches: Batches,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ModelState {
    pub(super) users: Vec<User>,
    /// By rotator, then by user.
    pub(super) works: Vec<Vec<Work>>,
    pub(super) requests: Vec<Request>,
    pub(super) left: Budget,
}

/// The author of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    Rotator(usize),
    Operator,
}

impl ModelState {
    pub(super) fn new(users: usize, rotators: usize, layout: Layout, left: Budget) -> Self {
        let user = |number: usize| {
            let id = u8::try_from(number).expect("few users") * IDS;
            let key = Key {
                id,
                by: By::Before,
                active: Some(true),
                shown: None,
                created: LONG_AGO,
                used: true,
                other: false,
            };
            User {
                exists: true,
                name: 0,
                other: false,
                denied: 0,
                astray: false,
                keys: vec![key],
                places: vec![Pair { secret: id, id }; layout.places()],
                sink: layout.has_sink().then_some(id),
                note: None,
                unreadable: false,
                denials: 0,
                excused: false,
            }
        };
        let work = Work { rotation: None, at: At::Nothing };
        Self {
            users: (0..users).map(user).collect(),
            works: vec![vec![work; users]; rotators],
            requests: Vec::new(),
            left,
        }
    }

    pub(super) fn visit(&mut self, rotator: usize, user: usize) -> &mut Visit {
        match &mut self.works[rotator][user].at {
            At::Visiting(visit) => visit,
            at @ (At::Nothing | At::Resting { .. }) => panic!("no visit: {at:?}"),
        }
    }

    /// Records a change to this user: resting rotators may have to observe again, and their observations may be outdated.
    pub(super) fn changed(&mut self, user: usize, by: Actor) {
        for (number, works) in self.works.iter_mut().enumerate() {
            match &mut works[user].at {
                At::Nothing => {}
                At::Resting { changed, .. } => *changed = true,
                At::Visiting(visit) => visit.overtaken |= by != Actor::Rotator(number) && visit.seen != Seen::default(),
            }
        }
        for request in self.requests.iter_mut().filter(|request| usize::from(request.user) == user) {
            request.overtaken |= by != Actor::Rotator(usize::from(request.rotator));
        }
    }

    /// An entry is written: what was read of it is out of date.
    pub(super) fn write(&mut self, user: usize, entry: usize, value: KeyId) {
        *self.users[user].entry(entry) = value;
        let stale = !(1_u8 << entry);
        for works in &mut self.works {
            if let At::Visiting(Visit { readings: Some(readings), .. }) = &mut works[user].at {
                readings.fresh &= stale;
            }
        }
        for request in self.requests.iter_mut().filter(|request| usize::from(request.user) == user) {
            request.batches.fresh &= stale;
        }
    }

    /// Returns an id that no rotator remembers. (AWS never reuses an id, but a rotator that forgot it cannot notice.)
    pub(super) fn fresh_id(&self, user: usize, remembered: u64) -> KeyId {
        let mut taken = remembered;
        let mut take = |id: KeyId| {
            if id != NO_KEY {
                taken |= 1 << id;
            }
        };
        let world = &self.users[user];
        world.keys.iter().for_each(|key| take(key.id));
        world.values().into_iter().chain(world.note).chain(world.sink).for_each(&mut take);
        for request in &self.requests {
            request.doing.keys().for_each(&mut take);
            request.batches.todo.iter().flatten().for_each(|(_, value)| take(*value));
        }
        for work in self.works.iter().map(|works| &works[user]) {
            if let At::Visiting(visit) = &work.at {
                visit.seen.ids().for_each(&mut take);
                visit.old_values.into_iter().flatten().for_each(&mut take);
                visit.readings.into_iter().flat_map(|readings| readings.values).for_each(&mut take);
            }
        }
        let first = u8::try_from(user).expect("few users") * IDS;
        (first..first + IDS).find(|id| taken & (1 << id) == 0).expect("an id is free")
    }
}
