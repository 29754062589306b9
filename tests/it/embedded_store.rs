//! The embedded store as the engine uses it: through the journal's door, on an async runtime.

use std::path::PathBuf;
use std::time::Duration;

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::adapters::system_clock::SystemClock;
use rotator::journal::clock::Clock;
use rotator::journal::write_ahead::Attempt;
use rotator::ports::secret_store::{Reading, SecretStore, Version, Write};
use rotator::types::failure::RefusalKind;
use rotator::types::name::{EntryName, StoreName};
use rotator::types::secret::SecretValue;
use rotator::types::time::Timestamp;

use crate::support::orders;

const ID: &str = "app/production/AWS_ACCESS_KEY_ID";
const SECRET: &str = "app/production/AWS_SECRET_ACCESS_KEY";

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: EmbeddedStore,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let store = EmbeddedStore::open_or_create(&path, None).expect("made");
    store.import(vec![(name(ID), value("old id")), (name(SECRET), value("old secret"))]).expect("imported");
    Fixture { _folder: folder, path, store }
}

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("valid")
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec())
}

/// Stores a new pair in place of these versions, by an order for the store `order_for`.
async fn store_new(store: &EmbeddedStore, order_for: &StoreName, versions: &[Version; 2]) -> Attempt<Timestamp> {
    let [id, secret] = versions.clone();
    let batch = vec![
        Write { entry: name(SECRET), replaces: secret, value: value("new secret") },
        Write { entry: name(ID), replaces: id, value: value("new id") },
    ];
    orders::store_new(store, order_for, batch).await
}

/// Id and secret with their versions, through the port.
async fn held(store: &EmbeddedStore) -> ([String; 2], [Version; 2]) {
    let readings = store.read(&[name(ID), name(SECRET)]).await.expect("read");
    let mut pairs = readings.into_iter().map(|reading| match reading {
        Reading::Value { version, value } => (value.expose_text().expect("text").to_owned(), version),
        Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => {
            panic!("it is there")
        }
    });
    let mut next = || pairs.next().expect("both");
    let ((id, id_version), (secret, secret_version)) = (next(), next());
    ([id, secret], [id_version, secret_version])
}

#[tokio::test]
async fn a_pair_is_written_as_one_and_its_old_one_kept_until_forgotten() {
    let Fixture { store, _folder, .. } = fixture();
    let (_, versions) = held(&store).await;
    let attempt = store_new(&store, store.name(), &versions).await;
    assert!(matches!(attempt, Attempt::Done(_)), "{attempt:?}");
    assert_eq!(held(&store).await.0, ["new id", "new secret"]);
    let previous = store.previous(&name(SECRET)).expect("read").expect("is kept");
    assert_eq!(previous.expose_text(), Some("old secret"));
    store.forget_previous(&[name(ID), name(SECRET)]).await.expect("forgotten");
    assert!(store.previous(&name(SECRET)).expect("read").is_none());
}

#[tokio::test]
async fn a_stale_version_is_refused_and_nothing_written() {
    let Fixture { store, _folder, .. } = fixture();
    let (_, versions) = held(&store).await;
    store.set(name(ID), value("by hand")).expect("set");
    let attempt = store_new(&store, store.name(), &versions).await;
    let Attempt::Refused(refusal) = attempt else { panic!("{attempt:?}") };
    assert_eq!(refusal.kind, RefusalKind::Stale);
    assert!(refusal.message.contains(ID) && refusal.message.contains(store.name().as_str()), "{refusal}");
    assert_eq!(held(&store).await.0, ["by hand", "old secret"]);
}

#[tokio::test]
async fn an_order_for_another_store_is_refused() {
    let Fixture { store, _folder, .. } = fixture();
    let (before, versions) = held(&store).await;
    let other = StoreName::new("sqlite:/elsewhere.db").expect("valid");
    let attempt = store_new(&store, &other, &versions).await;
    assert!(matches!(&attempt, Attempt::Refused(refusal) if refusal.kind == RefusalKind::Other), "{attempt:?}");
    assert_eq!(held(&store).await.0, before);
}

#[tokio::test(flavor = "current_thread")]
async fn waiting_for_a_lock_does_not_stop_the_runtime() {
    let Fixture { store, path, _folder } = fixture();
    let (_, versions) = held(&store).await;
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    // If the store blocked the runtime, this task could not unlock before SQLite gives up.
    let unlock = async {
        SystemClock::new().sleep(Duration::from_millis(100)).await;
        other.execute_batch("ROLLBACK").expect("unlocked");
    };
    let (attempt, ()) = tokio::join!(store_new(&store, store.name(), &versions), unlock);
    assert!(matches!(attempt, Attempt::Done(_)), "{attempt:?}");
}

#[tokio::test]
async fn the_port_sees_what_rotator_store_sees() {
    let Fixture { store, path, _folder } = fixture();
    let all = store.read_all().await.expect("read");
    let listed: Vec<_> = store.list().expect("read").into_iter().map(|listed| (listed.entry, listed.version)).collect();
    let read: Vec<_> = all
        .into_iter()
        .map(|(entry, reading)| match reading {
            Reading::Value { version, .. } => (entry, version),
            Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => {
                panic!("it is readable")
            }
        })
        .collect();
    assert_eq!(read, listed);
    let identity = store.identity().await.expect("known");
    let readings = store.read(&[name("no/such/entry")]).await.expect("read");
    assert!(matches!(readings[..], [Reading::Missing]));
    drop(store);
    let again = EmbeddedStore::open(&path, None).expect("opens");
    assert_eq!(again.identity().await.expect("known"), identity);
    assert_eq!(again.name().as_str(), format!("sqlite:{}", path.display()));
}
