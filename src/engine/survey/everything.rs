//! Reads every entry of every store, one environment after the other. What is kept of an entry is what discovery makes of
//! it, so that the memory depends on the number of keys and not on the size of the stores.

use std::collections::BTreeMap;

use crate::discovery::{Discovered, Discovery, LeftAlone, StoredEntry, left_in_large};
use crate::engine::observe::environments::Environments;
use crate::engine::observe::large::{STOPPED, WhileTimeIsLeft};
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::session::Session;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{LargeValue, Reading, Readings, SecretStore};
use crate::types::name::{EntryName, StoreName};

/// Entries that another program manages, with that program.
pub(super) type NotOurs = BTreeMap<(StoreName, EntryName), String>;

/// An entry whose value is not in memory.
pub(super) struct LargeEntry {
    pub(super) store: StoreName,
    pub(super) name: EntryName,
    pub(super) value: LargeValue,
}

/// What all entries of all stores hold.
pub(super) struct Everything {
    pub(super) discovered: Discovered,
    pub(super) large: Vec<LargeEntry>,
    pub(super) not_ours: NotOurs,
    /// The entries that could not be read, with the reason.
    pub(super) unread: Vec<(StoreName, EntryName, String)>,
    /// The number of entries of each store.
    pub(super) count: BTreeMap<StoreName, usize>,
}

/// Reads all stores.
///
/// # Errors
/// A store cannot be read, or a stop was asked for and no time is left.
pub(super) async fn read_everything(session: &Session) -> Result<Everything, CallError> {
    if let Some(error) = session.did_not_answer() {
        return Err(error);
    }
    let mut reader = Reader::default();
    for store in &session.stores.all {
        let mut environments = Environments::of(&session.stores, &**store, Priority::Ordinary).await?;
        let mut count = 0;
        while let Some(part) = environments.next().await? {
            if session.stop.time_is_over(&*session.clock) {
                return Err(CallError::new(CallErrorKind::Unavailable, STOPPED));
            }
            count += part.len();
            reader.take(session, &**store, part).await;
        }
        reader.count.insert(store.name().clone(), count);
    }
    let Reader { discovery, large, not_ours, unread, count } = reader;
    Ok(Everything { discovered: discovery.finish(), large, not_ours, unread, count })
}

#[derive(Default)]
struct Reader {
    discovery: Discovery,
    large: Vec<LargeEntry>,
    not_ours: NotOurs,
    unread: Vec<(StoreName, EntryName, String)>,
    count: BTreeMap<StoreName, usize>,
}

impl Reader {
    /// Takes whole environments of a store.
    async fn take(&mut self, session: &Session, store: &dyn SecretStore, part: Readings) {
        let mut entries = Vec::with_capacity(part.len());
        for (name, reading) in part {
            let read = match reading {
                Reading::Unreadable(why) => read_again(session, store, &name, why).await,
                read @ (Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_) | Reading::Missing) => read,
            };
            match read {
                Reading::Value { value, .. } => {
                    entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::Managed { value, why, .. } => {
                    self.not_ours.insert((store.name().clone(), name.clone()), why);
                    entries.push(StoredEntry { store: store.name().clone(), name, value });
                }
                Reading::Large(value) => self.large.push(LargeEntry { store: store.name().clone(), name, value }),
                Reading::Missing => {}
                Reading::Unreadable(why) => self.unread.push((store.name().clone(), name, why)),
            }
        }
        self.discovery.take(entries);
    }
}

/// Reads an entry a second time: a transient failure must not hold a rotation back.
pub(super) async fn read_again(session: &Session, store: &dyn SecretStore, name: &EntryName, why: String) -> Reading {
    let again = session.stores.limiter.read(Operation::Store, || store.read(std::slice::from_ref(name))).await;
    match again.ok().and_then(|mut again| again.pop()) {
        Some(read @ (Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_))) => read,
        Some(Reading::Missing | Reading::Unreadable(_)) | None => Reading::Unreadable(why),
    }
}

/// Returns the keys that large values name. The search reports a value that cannot be opened.
pub(super) fn left_in(session: &Session, large: &[LargeEntry]) -> Vec<LeftAlone> {
    let mut left_alone = Vec::new();
    for LargeEntry { store, name, value } in large {
        if let Ok(value) = value.open() {
            left_alone.extend(left_in_large(
                store,
                name,
                &WhileTimeIsLeft::new(&*value, &session.stop, &*session.clock),
            ));
        }
    }
    left_alone
}
