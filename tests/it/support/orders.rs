//! Writes to a store under the write-ahead rule, as the engine does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rotator::adapters::system_clock::SystemClock;
use rotator::journal::write_ahead::{Attempt, Journal, Journaled};
use rotator::ports::secret_store::{SecretStore, Write};
use rotator::rotation::effect::{CreateNew, Created, WriteEntries, WriteKind};
use rotator::types::name::StoreName;
use rotator::types::secret::{NewKey, SecretKey};
use rotator::types::time::Timestamp;

use super::memory_journal::MemoryJournal;
use super::rotations::{campaign_id, key_id, moment, opened, rotation_id};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A rotation that holds a new key stores it: `batch` is written by an order for the store `order_for`.
pub(crate) async fn store_new(store: &dyn SecretStore, order_for: &StoreName, batch: Vec<Write>) -> Attempt<Timestamp> {
    let journal = Journal::new(Arc::new(MemoryJournal::new()), Arc::new(SystemClock::new()));
    // Each write has a rotation of its own, because no line of a journal permits two writes.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let journal = journal.open(rotation_id(number.into()), opened(campaign_id(1), 1)).await.expect("opened");
    let effect = CreateNew {
        user: journal.rotation().opened.user.clone(),
        listed: BTreeSet::from([key_id(1)]),
        asked_at: moment(0),
        give_up_at: moment(30),
    };
    let create = async |_| {
        let key = NewKey { id: key_id(2), secret: SecretKey::new("s".repeat(40)) };
        Ok(Created { key, at: moment(1) })
    };
    let (journal, _) = journal.carry_out(effect, create).await.expect("journaled");
    let effect = WriteEntries { kind: WriteKind::StoreNew, stores: BTreeSet::from([order_for.clone()]) };
    let act = |order: Journaled<WriteEntries>| async move {
        let order = order.into_orders().remove(0);
        store.write(order, batch).await.map(|()| moment(2))
    };
    journal.carry_out(effect, act).await.expect("journaled").1
}
