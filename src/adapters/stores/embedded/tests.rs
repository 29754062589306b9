//! The store below its port. `tests/it/embedded_store.rs` has the writes that are journaled first.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::adapters::private_file::{self, FileError};
use crate::adapters::sqlite::DatabaseError;
use crate::ports::secret_store::Version;
use crate::types::error_text::with_causes;
use crate::types::secret::SecretValue;

mod at_once;
mod parts;
mod versions;

struct Fixture {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data/store.db");
        Self { folder, path }
    }

    fn made(&self) -> EmbeddedStore {
        EmbeddedStore::open_or_create(&self.path, None).expect("made")
    }

    fn sql(&self, sql: &str) {
        Connection::open(&self.path).and_then(|file| file.execute_batch(sql)).expect("valid");
    }

    /// Every byte of every file in the store's folder.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.path.parent().expect("a folder")).expect("listed");
        files.flat_map(|file| std::fs::read(file.expect("listed").path()).expect("read")).collect()
    }
}

impl Inner {
    /// Does the work without a runtime.
    fn submit(&self, work: Work) -> Result<(), WriteError> {
        let (answer, serving) = queue::add_write(&self.queue, work);
        if let Some(serving) = serving {
            self.serve(serving);
        }
        answer.blocking_recv().expect("an answer")
    }
}

fn entry(name: &str) -> EntryName {
    EntryName::new(name).expect("valid")
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec())
}

fn key(byte: u8) -> Option<StoreKey> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode([byte; error::LENGTH]);
    Some(StoreKey::from_base64(&text).expect("valid"))
}

/// Reads the value and the version of an entry.
fn held(store: &EmbeddedStore, name: &str) -> Option<(String, Version)> {
    match store.inner.read(&[entry(name)]).expect("read").remove(0) {
        Reading::Value { version, value } => Some((value.expose_text().expect("text").to_owned(), version)),
        Reading::Managed { .. } | Reading::Large(_) | Reading::Missing => None,
        Reading::Unreadable(why) => panic!("{why}"),
    }
}

fn write(name: &str, replaces: &Version, text: &str) -> Write {
    Write { entry: entry(name), replaces: replaces.clone(), value: value(text) }
}

fn version(store: &EmbeddedStore, name: &str) -> Version {
    held(store, name).expect("is there").1
}

const A: &str = "app/production/A";
const B: &str = "app/production/B";

#[test]
fn a_value_is_read_back_and_no_file_shows_it() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("needle-in-the-store")).expect("set");
    store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), "noodle-in-the-store")])).expect("written");
    assert_eq!(store.get(&entry(A)).expect("read").expect("is there"), value("noodle-in-the-store"));
    assert_eq!(store.previous(&entry(A)).expect("read").expect("is there"), value("needle-in-the-store"));
    let listed = store.list().expect("read");
    assert_eq!((listed.len(), &listed[0].entry, &listed[0].version), (1, &entry(A), &version(&store, A)));
    drop(store);
    let bytes = fixture.bytes();
    assert!(memchr::memmem::find(&bytes, A.as_bytes()).is_some(), "names are in the clear");
    for secret in ["needle", "noodle", "in-the-store"] {
        assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret} is not");
    }
    assert_eq!(held(&fixture.made(), A).expect("is there").0, "noodle-in-the-store");
}

#[test]
fn files_are_private() {
    let fixture = Fixture::new();
    let _store = fixture.made();
    let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&fixture.path), 0o600);
    assert_eq!(mode(&key::file_of(&fixture.path)), 0o600);
    assert_eq!(mode(fixture.path.parent().expect("a folder")), 0o700);
}

#[test]
fn a_write_replaces_the_version_it_names_or_nothing() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    let (a, b) = (version(&store, A), version(&store, B));
    store.inner.submit(Work::Replace(vec![write(B, &b, "b2")])).expect("written");

    let stale = store.inner.submit(Work::Replace(vec![write(A, &a, "a2"), write(B, &b, "b3")]));
    assert!(matches!(&stale, Err(WriteError::Stale(found)) if *found == entry(B)), "{stale:?}");
    assert_eq!(held(&store, A), Some(("a1".to_owned(), a.clone())), "nothing of the batch was written");
    for batch in [
        vec![write("app/production/C", &a, "c1")],
        vec![write(A, &a, "a2"), write(A, &a, "a3")],
        vec![write(A, &Version(String::new()), "a2")],
    ] {
        assert!(matches!(store.inner.submit(Work::Replace(batch)), Err(WriteError::Stale(_))));
    }
    assert_eq!(held(&store, A), Some(("a1".to_owned(), a.clone())));

    let b = version(&store, B);
    store.inner.submit(Work::Replace(vec![write(A, &a, "a2"), write(B, &b, "b3")])).expect("both");
    assert_eq!(held(&store, A).expect("is there").0, "a2");
    assert_eq!(held(&store, B).expect("is there").0, "b3");
}

/// While one transaction is under way, the other writes wait and are then committed together.
#[test]
fn writes_at_the_same_time_are_few_transactions_and_each_gets_its_own_answer() {
    let fixture = Fixture::new();
    let store = fixture.made();
    let names: Vec<String> = (0..40).map(|number| format!("app{number}/production/A")).collect();
    store.import(names.iter().map(|name| (entry(name), value("one"))).collect()).expect("imported");
    let versions: Vec<Version> = names.iter().map(|name| version(&store, name)).collect();
    let commits = || table::last_version(&store.inner.connection.lock().expect("sound")).expect("read");
    let before = commits();
    // A read that lasts until `go_on` is dropped.
    let (go_on, gate) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (_answer, serving) = queue::add_read(&store.inner.queue, move || (begun.send(()), gate.recv()));
    let results: Vec<_> = std::thread::scope(|threads| {
        threads.spawn(|| store.inner.serve(serving.expect("the first to wait")));
        has_begun.recv().expect("the thread has begun");
        let works = names.iter().zip(&versions).enumerate().map(|(number, (name, read))| {
            let stale = Version("0".to_owned());
            let work = Work::Replace(vec![write(name, if number % 10 == 3 { &stale } else { read }, "two")]);
            threads.spawn(|| store.inner.submit(work))
        });
        let works: Vec<_> = works.collect();
        while queue::waiting(&store.inner.queue) < names.len() {
            std::thread::yield_now();
        }
        drop(go_on);
        works.into_iter().map(|work| work.join().expect("ends")).collect()
    });
    for (number, (result, name)) in results.iter().zip(&names).enumerate() {
        let is_stale = number % 10 == 3;
        assert_eq!(matches!(result, Err(WriteError::Stale(_))), is_stale, "{name}: {result:?}");
        assert_eq!(result.is_ok(), !is_stale, "{name}: {result:?}");
        assert_eq!(held(&store, name).expect("is there").0, if is_stale { "one" } else { "two" });
    }
    // 36 rows and at most as many buckets got a version in one transaction, which has one head.
    assert!(commits() - before <= 36 + 36 + 1, "{}", commits() - before);
}

#[test]
fn the_same_bytes_again_are_another_version() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("same")).expect("set");
    let before = version(&store, A);
    store.inner.submit(Work::Replace(vec![write(A, &before, "same")])).expect("written");
    assert_ne!(version(&store, A), before);
    assert!(
        matches!(store.inner.submit(Work::Replace(vec![write(A, &before, "late")])), Err(WriteError::Stale(_))),
        "the fence holds"
    );
}

#[test]
fn no_version_is_used_twice() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("first")).expect("set");
    let before = version(&store, A);
    assert!(store.remove(&entry(A)).expect("removed"));
    assert!(!store.remove(&entry(A)).expect("was not there"));
    store.set(entry(A), value("second")).expect("set");
    assert!(matches!(store.inner.submit(Work::Replace(vec![write(A, &before, "late")])), Err(WriteError::Stale(_))));
}

#[test]
fn the_value_from_before_a_rotation_is_kept_until_it_closes() {
    let fixture = Fixture::new();
    let store = fixture.made();
    let previous = || store.previous(&entry(A)).expect("read").map(|v| v.expose_text().expect("text").to_owned());
    store.set(entry(A), value("old")).expect("set");
    assert_eq!(previous(), None);
    for text in ["old", "new", "newer"] {
        store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), text)])).expect("written");
        assert_eq!(previous().as_deref(), Some("old"), "fence, store and repair keep what was there first");
    }
    store.set(entry(A), value("by hand")).expect("set");
    assert_eq!(previous().as_deref(), Some("old"));
    store.inner.submit(Work::Forget(vec![entry(A), entry(B)])).expect("forgotten");
    assert_eq!(previous(), None);
    assert_eq!(held(&store, A).expect("is there").0, "by hand");
}

#[test]
fn a_sealed_value_belongs_to_one_entry_and_one_version() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import([A, B, "app/production/C"].map(|name| (entry(name), value(name))).into()).expect("imported");
    drop(store);
    // Swapped, versions and all.
    fixture.sql(&format!(
        "UPDATE entry SET name = 'swap' WHERE name = '{A}';
         UPDATE entry SET name = '{A}' WHERE name = '{B}';
         UPDATE entry SET name = '{B}' WHERE name = 'swap'"
    ));
    let store = fixture.made();
    let readings: BTreeMap<_, _> = store.inner.read_all().expect("read").into_iter().collect();
    assert_eq!(readings.len(), 3);
    for name in [A, B] {
        assert!(matches!(readings[&entry(name)], Reading::Unreadable(_)), "{name}");
        assert!(matches!(store.get(&entry(name)), Err(StoreError::NotLast { .. })), "{name}");
    }
    assert!(matches!(readings[&entry("app/production/C")], Reading::Value { .. }), "the others are read");

    fixture.sql("UPDATE entry SET version = version + 1 WHERE name LIKE '%C'");
    assert!(matches!(store.get(&entry("app/production/C")), Err(StoreError::NotLast { .. })));
    fixture.sql("UPDATE entry SET version = version - 1, sealed = x'00' WHERE name LIKE '%C'");
    assert!(matches!(store.get(&entry("app/production/C")), Err(StoreError::Unsealable { .. })));
    store.set(entry(A), value("fixed")).expect("set");
    assert_eq!(held(&store, A).expect("is there").0, "fixed");
}

#[test]
fn another_key_does_not_open_it() {
    let fixture = Fixture::new();
    drop(EmbeddedStore::open_or_create(&fixture.path, key(1)).expect("made"));
    assert!(!key::file_of(&fixture.path).exists(), "a key that is given is not written down");
    let refused = |given| EmbeddedStore::open(&fixture.path, given).err().expect("refused");
    let error = refused(key(2));
    assert!(matches!(error, EmbeddedStoreError::WrongKey { origin: KeyOrigin::Given, .. }), "{error}");
    assert!(error.to_string().contains("ROTATOR_STORE_KEY"), "{error}");
    let error = refused(None);
    assert!(matches!(error, EmbeddedStoreError::KeyMissing { .. }), "{error}");
    assert!(EmbeddedStore::open_or_create(&fixture.path, None).is_err(), "no new key for an old store");
    assert!(!key::file_of(&fixture.path).exists());
    EmbeddedStore::open(&fixture.path, key(1)).expect("the right one");
}

#[test]
fn a_missing_store_is_never_made_anew() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        let error = EmbeddedStore::open(&fixture.path, None).err().expect("missing");
        assert!(matches!(error, EmbeddedStoreError::Database(DatabaseError::Missing { .. })), "{error}");
        assert!(error.to_string().contains("store.db") && error.to_string().contains("rotator init"), "{error}");
        assert_eq!(std::fs::read_dir(fixture.folder.path()).expect("listed").count(), 0);
    }
}

#[test]
fn a_key_file_that_is_none_or_open_to_others_is_refused() {
    let fixture = Fixture::new();
    drop(fixture.made());
    let key_file = key::file_of(&fixture.path);
    let good = std::fs::read(&key_file).expect("read");
    let refused = || EmbeddedStore::open(&fixture.path, None).err().expect("refused");
    for bad in [&b""[..], b"short", b"!!!!", &[0xff; 44], &good[..40], &[good.as_slice(), good.as_slice()].concat()] {
        std::fs::write(&key_file, bad).expect("written");
        let error = refused();
        assert!(matches!(error, EmbeddedStoreError::MalformedKey { .. }), "{error}");
        assert!(!with_causes(&error).contains("short"), "it is not echoed: {error}");
    }
    std::fs::write(&key_file, &good).expect("written");
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o640)).expect("set");
    assert!(matches!(refused(), EmbeddedStoreError::File(FileError::ExposedFile { .. })));
    std::fs::remove_file(&key_file).expect("removed");
    let elsewhere = fixture.folder.path().join("key");
    std::fs::write(&elsewhere, &good).expect("written");
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).expect("set");
    symlink(&elsewhere, &key_file).expect("linked");
    assert!(matches!(refused(), EmbeddedStoreError::File(FileError::Symlink { .. })));
}

#[test]
fn every_store_has_its_own_identity_and_keeps_it() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let identity = |store: EmbeddedStore| store.inner.sealer.identity().clone();
    let first = identity(one.made());
    assert_eq!(identity(one.made()), first);
    assert_ne!(identity(two.made()), first);
}

#[test]
fn a_store_that_is_replaced_while_open_is_not_written() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("one")).expect("set");
    let moved = private_file::with_suffix(&fixture.path, ".moved");
    std::fs::rename(&fixture.path, &moved).expect("moved");
    let error = store.set(entry(A), value("two")).expect_err("it is not there");
    assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    std::fs::write(&fixture.path, "another").expect("written");
    assert!(matches!(store.inner.read_all(), Err(StoreError::Replaced { .. })));
    std::fs::rename(&moved, &fixture.path).expect("moved back");
    store.set(entry(A), value("two")).expect("set");
}

#[test]
fn a_lock_is_a_no_and_a_failed_commit_is_uncertain() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("one")).expect("set");
    let before = version(&store, A);
    let other = Connection::open(&fixture.path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    store.inner.connection.lock().expect("sound").pragma_update(None, "busy_timeout", 20).expect("set");
    let busy = store.inner.submit(Work::Replace(vec![write(A, &before, "two")]));
    assert!(matches!(busy, Err(WriteError::NotWritten(StoreError::Database(DatabaseError::Busy { .. })))), "{busy:?}");
    assert_eq!(held(&store, A).expect("reading goes on").0, "one");
    // SQLite checks this foreign key in COMMIT, and not before.
    other
        .execute_batch(
            "ROLLBACK;
             CREATE TABLE parent (n INTEGER PRIMARY KEY);
             CREATE TABLE child (n INTEGER REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER break_commit AFTER UPDATE ON entry BEGIN INSERT INTO child VALUES (1); END",
        )
        .expect("made");
    let uncertain = store.inner.submit(Work::Replace(vec![write(A, &before, "two")]));
    assert!(matches!(uncertain, Err(WriteError::Uncertain(_))), "{uncertain:?}");
    other.execute_batch("DROP TRIGGER break_commit").expect("dropped");
    store.inner.submit(Work::Replace(vec![write(A, &before, "two")])).expect("the connection is still good");
}

#[test]
fn an_import_is_all_or_nothing() {
    let fixture = Fixture::new();
    let store = fixture.made();
    fixture.sql(&format!(
        "CREATE TRIGGER no_b BEFORE INSERT ON entry WHEN NEW.name = '{B}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    ));
    store.import(vec![(entry(A), value("a")), (entry(B), value("b"))]).expect_err("one cannot be written");
    assert_eq!(store.list().expect("read"), []);
}

#[test]
fn entries_come_in_the_order_of_names() {
    let fixture = Fixture::new();
    let store = fixture.made();
    let mut names: Vec<_> = ["b/x/y", "a/z/y", "a/é/y", "a/x y/☂", "B/x/y", "a/x-/y"].map(entry).into();
    store.import(names.iter().map(|name| (name.clone(), value("v"))).collect()).expect("imported");
    names.sort();
    let read: Vec<_> = store.inner.read_all().expect("read").into_iter().map(|(name, _)| name).collect();
    assert_eq!(read, names);
    assert_eq!(store.list().expect("read").into_iter().map(|listed| listed.entry).collect::<Vec<_>>(), names);
}

#[test]
fn a_large_and_an_empty_value_come_back() {
    let fixture = Fixture::new();
    let store = fixture.made();
    let large: Vec<u8> = (0..64 * 1024).map(|n: u32| n.to_le_bytes()[0]).collect();
    for bytes in [large, Vec::new(), b"\0\n\r\n\xff".to_vec()] {
        store.set(entry(A), SecretValue::new(bytes.clone())).expect("set");
        assert_eq!(store.get(&entry(A)).expect("read").expect("is there").expose(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_name_and_any_bytes_come_back(
        entries in prop::collection::btree_map("[^/\\pC]{1,8}x/[^/\\pC]{1,8}y/[^/\\pC]{1,8}z", prop::collection::vec(any::<u8>(), 0..200), 1..8)
    ) {
        let fixture = Fixture::new();
        let store = fixture.made();
        let import = entries.iter().map(|(name, bytes)| (entry(name), SecretValue::new(bytes.clone()))).collect();
        store.import(import).expect("imported");
        let read = store.inner.read_all().expect("read");
        prop_assert_eq!(read.len(), entries.len());
        for ((name, reading), (expected, bytes)) in read.into_iter().zip(entries) {
            prop_assert_eq!(name.as_str(), expected);
            let Reading::Value { value, .. } = reading else { panic!("it is readable") };
            prop_assert_eq!(value.expose(), bytes);
        }
    }
}
