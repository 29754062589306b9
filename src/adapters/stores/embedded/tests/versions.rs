//! Rows that another program removes or puts back, and stores that get another key.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::*;
use crate::adapters::private_file;

/// The name, the version and the sealed value of a row, and the previous sealed value and its version.
type StoredRow = (String, i64, Vec<u8>, Option<Vec<u8>>, Option<i64>);

/// Every row of the table, read from the file.
fn rows(fixture: &Fixture) -> Vec<StoredRow> {
    let file = Connection::open(&fixture.path).expect("opens");
    let mut statement = file
        .prepare("SELECT name, version, sealed, previous, previous_version FROM entry ORDER BY name")
        .expect("valid");
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    statement.query_map([], read).expect("read").collect::<Result<_, _>>().expect("read")
}

fn put_back(fixture: &Fixture, rows: &[StoredRow]) {
    let file = Connection::open(&fixture.path).expect("opens");
    for (name, version, sealed, previous, previous_version) in rows {
        let sql = "UPDATE entry SET version = ?2, sealed = ?3, previous = ?4, previous_version = ?5 WHERE name = ?1";
        file.execute(sql, (name, version, sealed, previous, previous_version)).expect("valid");
    }
}

#[test]
fn an_older_row_that_is_put_back_is_noticed_and_the_others_are_read() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    let before: Vec<_> = rows(&fixture).into_iter().filter(|row| row.0 == A).collect();
    let old = version(&store, A);
    store.inner.submit(Work::Replace(vec![write(A, &old, "a2")])).expect("written");
    store.inner.submit(Work::Forget(vec![entry(A)])).expect("forgotten");
    put_back(&fixture, &before);
    for store in [store, fixture.made()] {
        let readings: BTreeMap<_, _> = store.inner.read_all().expect("read").into_iter().collect();
        let Reading::Unreadable(why) = &readings[&entry(A)] else { panic!("{A} opens") };
        assert!(why.contains("put an older value back") && why.contains("rotator store set"), "{why}");
        assert!(matches!(readings[&entry(B)], Reading::Value { .. }));
        let error = store.get(&entry(A)).expect_err("an older value");
        assert!(matches!(&error, StoreError::NotLast { .. }), "{error}");
        assert!(error.to_string().contains(A), "{error}");
        let stale = store.inner.submit(Work::Replace(vec![write(A, &old, "a3")]));
        assert!(matches!(&stale, Err(WriteError::Stale(found)) if *found == entry(A)), "{stale:?}");
    }
    let store = fixture.made();
    store.set(entry(A), value("a4")).expect("set");
    assert_eq!(held(&store, A).expect("is there").0, "a4", "`store set` makes it good");
}

#[test]
fn a_row_that_is_removed_or_made_by_another_program_is_noticed() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    let gone = store.list().expect("read");
    store.remove(&entry(B)).expect("removed");
    fixture.sql(&format!("DELETE FROM entry WHERE name = '{A}'"));
    fixture.sql(&format!(
        "INSERT INTO entry (name, version, sealed, updated_at) VALUES ('{B}', {}, x'00', '2026-01-01T00:00:00Z')",
        gone[1].version.0
    ));
    let readings: BTreeMap<_, _> = store.inner.read_all().expect("read").into_iter().collect();
    assert_eq!(readings.len(), 2);
    for name in [A, B] {
        assert!(matches!(readings[&entry(name)], Reading::Unreadable(_)), "{name}");
        assert!(matches!(store.inner.read(&[entry(name)]).expect("read")[0], Reading::Unreadable(_)), "{name}");
        assert!(matches!(store.get(&entry(name)), Err(StoreError::NotLast { .. })), "{name}");
    }
}

#[test]
fn a_previous_value_that_is_put_back_is_noticed() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("a1")).expect("set");
    store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), "a2")])).expect("written");
    let (previous, previous_version) = (rows(&fixture)[0].3.clone(), rows(&fixture)[0].4);
    store.inner.submit(Work::Forget(vec![entry(A)])).expect("forgotten");
    store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), "a3")])).expect("written");
    let (name, version, sealed, _, _) = rows(&fixture).remove(0);
    put_back(&fixture, &[(name, version, sealed, previous, previous_version)]);
    assert!(matches!(store.previous(&entry(A)), Err(StoreError::NotLast { .. })));
    assert_eq!(held(&store, A).expect("is there").0, "a3", "the value itself is the last one");
}

#[test]
fn versions_that_are_removed_or_put_back_are_noticed() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.set(entry(A), value("a1")).expect("set");
    let file = Connection::open(&fixture.path).expect("opens");
    let buckets = || file.query_row("SELECT number, sealed FROM bucket", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let before: (i64, Vec<u8>) = buckets().expect("one bucket");
    let old_row = rows(&fixture);
    store.set(entry(A), value("a2")).expect("set");
    file.execute("UPDATE bucket SET sealed = ?2 WHERE number = ?1", (before.0, &before.1)).expect("valid");
    put_back(&fixture, &old_row);
    assert!(matches!(store.inner.read(&[entry(A)]).expect("read")[0], Reading::Unreadable(_)), "row and bucket");
    file.execute_batch("DELETE FROM bucket").expect("valid");
    assert!(matches!(store.inner.read(&[entry(A)]).expect("read")[0], Reading::Unreadable(_)), "no bucket");
    file.execute_batch("UPDATE meta SET versions = NULL, versions_version = NULL").expect("valid");
    assert!(matches!(store.inner.read_all(), Err(StoreError::Versions { .. })), "no head");
    drop(store);
    assert!(matches!(fixture.made().inner.read_all(), Err(StoreError::Versions { .. })), "and none is made anew");
}

#[test]
fn a_store_that_an_earlier_rotator_made_gets_its_versions_once() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), "a2")])).expect("written");
    let check = store.inner.sealer.key_check(false).expect("sealed");
    drop(store);
    let file = Connection::open(&fixture.path).expect("opens");
    file.execute_batch(
        "DROP TABLE bucket; ALTER TABLE meta DROP COLUMN versions; ALTER TABLE meta DROP COLUMN versions_version;
         PRAGMA user_version = 1",
    )
    .expect("valid");
    file.execute("UPDATE meta SET key_check = ?1", [check]).expect("valid");
    let store = fixture.made();
    assert_eq!(held(&store, A).expect("is there").0, "a2");
    assert_eq!(store.previous(&entry(A)).expect("read").expect("is there"), value("a1"));
    store.set(entry(B), value("b2")).expect("set");
    assert_eq!(held(&fixture.made(), B).expect("is there").0, "b2");
}

#[test]
fn another_key_opens_it_after_a_rekey_and_the_old_one_does_not() {
    let fixture = Fixture::new();
    let store = fixture.made();
    store.import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    store.inner.submit(Work::Replace(vec![write(A, &version(&store, A), "a2")])).expect("written");
    let (key_file, old_key) = (key::file_of(&fixture.path), std::fs::read(key::file_of(&fixture.path)).expect("read"));
    let (old_rows, versions) = (rows(&fixture), [version(&store, A), version(&store, B)]);

    let origin = EmbeddedStore::rekey(&fixture.path, None, None).expect("sealed again");
    assert_eq!(origin, KeyOrigin::File(key_file.clone()));
    assert_ne!(std::fs::read(&key_file).expect("read"), old_key);
    assert!(matches!(store.inner.read_all(), Err(StoreError::Versions { .. })), "who has the old key reads nothing");
    assert!(store.set(entry(A), value("a3")).is_err(), "and writes nothing");
    drop(store);
    let again = fixture.made();
    assert_eq!([version(&again, A), version(&again, B)], versions, "compare-and-set goes on");
    assert_eq!(held(&again, A).expect("is there").0, "a2");
    assert_eq!(again.previous(&entry(A)).expect("read").expect("is there"), value("a1"));
    drop(again);
    let bytes = fixture.bytes();
    for (name, _, sealed, ..) in old_rows {
        assert!(memchr::memmem::find(&bytes, &sealed).is_none(), "{name} is still there, sealed under the old key");
    }
    std::fs::write(&key_file, old_key).expect("written");
    let error = EmbeddedStore::open(&fixture.path, None).err().expect("refused");
    assert!(matches!(error, EmbeddedStoreError::WrongKey { .. }), "{error}");
}

#[test]
fn a_rekey_that_is_cut_off_anywhere_leaves_a_store_that_opens() {
    let fixture = Fixture::new();
    fixture.made().set(entry(A), value("a1")).expect("set");
    let (key_file, next) = (key::file_of(&fixture.path), private_file::with_suffix(&fixture.path, ".key.next"));
    let old_key = std::fs::read(&key_file).expect("read");
    // Before the commit: the file of the new key exists, and no value is sealed under the new key.
    let unused = key::make_next(&fixture.path).expect("made");
    drop(unused);
    assert_eq!(held(&fixture.made(), A).expect("is there").0, "a1");
    assert_eq!(std::fs::read(&key_file).expect("read"), old_key);
    EmbeddedStore::rekey(&fixture.path, None, None).expect("the key that was left behind is in nobody's way");
    // After the commit: the file of the new key is not renamed yet.
    let new_key = std::fs::read(&key_file).expect("read");
    std::fs::rename(&key_file, &next).expect("renamed");
    std::fs::write(&key_file, &old_key).expect("written");
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).expect("set");
    assert_eq!(held(&fixture.made(), A).expect("is there").0, "a1");
    assert_eq!(std::fs::read(&key_file).expect("read"), new_key, "it has its name now");
    assert!(!next.exists());
}

#[test]
fn a_key_that_is_given_is_replaced_by_one_that_is_given() {
    let fixture = Fixture::new();
    EmbeddedStore::open_or_create(&fixture.path, key(1)).expect("made").set(entry(A), value("a1")).expect("set");
    let error = EmbeddedStore::rekey(&fixture.path, key(1), None).expect_err("no new one");
    assert!(error.to_string().contains("ROTATOR_STORE_NEW_KEY"), "{error}");
    assert_eq!(EmbeddedStore::rekey(&fixture.path, key(1), key(2)).expect("sealed again"), KeyOrigin::Given);
    assert!(EmbeddedStore::open(&fixture.path, key(1)).is_err());
    let store = EmbeddedStore::open(&fixture.path, key(2)).expect("opens");
    assert_eq!(held(&store, A).expect("is there").0, "a1");
    assert!(!key::file_of(&fixture.path).exists());
}

#[test]
fn a_key_file_that_cannot_be_removed_is_reported_after_the_store_has_its_new_key() {
    let fixture = Fixture::new();
    drop(EmbeddedStore::open_or_create(&fixture.path, key(1)).expect("created"));
    // A folder is at the path of the key file.
    std::fs::create_dir(key::file_of(&fixture.path)).expect("created");
    let error = EmbeddedStore::rekey(&fixture.path, key(1), key(2)).expect_err("it cannot be removed");
    assert!(matches!(error, RekeyError::KeyFile(_)), "{error}");
    EmbeddedStore::open(&fixture.path, key(2)).expect("the new key opens it");
    assert!(EmbeddedStore::open(&fixture.path, key(1)).is_err(), "the old one does not");
}

#[test]
fn a_value_that_does_not_open_stops_a_rekey() {
    let fixture = Fixture::new();
    fixture.made().import(vec![(entry(A), value("a1")), (entry(B), value("b1"))]).expect("imported");
    fixture.sql(&format!("UPDATE entry SET sealed = x'00' WHERE name = '{B}'"));
    let error = EmbeddedStore::rekey(&fixture.path, None, None).expect_err("it would be lost");
    assert!(matches!(&error, RekeyError::Store(StoreError::Unsealable { .. })), "{error}");
    assert!(error.to_string().contains(B), "{error}");
    assert_eq!(held(&fixture.made(), A).expect("is there").0, "a1", "the key stays");
}
