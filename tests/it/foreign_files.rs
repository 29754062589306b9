//! Files of another user at the paths of rotator's private files are refused and never used.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use rotator::adapters::ownership;
use rotator::adapters::sqlite_journal::{JournalLock, SqliteJournal};
use rotator::adapters::stores::embedded::EmbeddedStore;

use crate::support::attacker::{ATTACKER, Attacker, attack};
use crate::support::{other_process, root};

/// The number of times that a race is played.
const TRIES: usize = 500;

/// A key that the other user knows.
const PLANTED_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/// A folder for this user alone, with a store and a journal that were used.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    drop(EmbeddedStore::open_or_create(&folder.path().join("store.db"), None).expect("made"));
    drop(JournalLock::acquire(&folder.path().join("journal.db")).expect("locked"));
    drop(SqliteJournal::open(&folder.path().join("journal.db")).expect("made"));
    folder
}

/// Opens everything in the folder and returns the refusal of rotator; `None` if it accepts all files.
fn said(folder: &Path) -> Option<String> {
    let (store, journal) = (folder.join("store.db"), folder.join("journal.db"));
    let opened = EmbeddedStore::open_or_create(&store, None).map(drop).map_err(|error| error.to_string());
    let locked = JournalLock::acquire(&journal).map(drop).map_err(|error| error.to_string());
    let written = SqliteJournal::open(&journal).map(drop).map_err(|error| error.to_string());
    let read = SqliteJournal::open_read_only(&journal).map(drop).map_err(|error| error.to_string());
    [opened, locked, written, read].into_iter().find_map(Result::err)
}

#[test]
fn no_private_file_of_another_user_is_used() {
    if !root::can("make files of another user") {
        return;
    }
    let names = ["store.db", "store.db.key", "store.db-wal", "store.db-shm", "journal.db", "journal.db-wal"];
    for name in [&names[..], &["journal.db-shm", "journal.db-journal", "journal.db.lock"]].concat() {
        let folder = used();
        let path = folder.path().join(name);
        fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).expect("there");
        chown(&path, Some(ATTACKER), Some(ATTACKER)).expect("given");
        let said = said(folder.path()).unwrap_or_else(|| panic!("{name} was used"));
        assert!(said.contains(name) && said.contains("belongs to user 65534"), "{name}: {said}");
        chown(&path, Some(0), Some(0)).expect("taken back");
    }
    assert_eq!(said(used().path()), None);
}

#[test]
fn a_planted_key_seals_no_new_store() {
    if !root::can("make files of another user") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (store, key) = (folder.path().join("store.db"), folder.path().join("store.db.key"));
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key).expect("made");
    fs::write(&key, PLANTED_KEY).expect("written");
    chown(&key, Some(ATTACKER), Some(ATTACKER)).expect("given");
    let error = EmbeddedStore::open_or_create(&store, None).err().expect("it is refused").to_string();
    assert!(error.contains("store.db.key: it belongs to user 65534"), "{error}");
    assert!(!store.exists(), "a store was made");
}

/// A volume with a group, and files that were created with umask 002, have such modes.
#[test]
fn a_group_that_may_write_is_named_until_it_is_trusted() {
    if !root::can("make files of another user") {
        return;
    }
    const GROUP: u32 = 61_234;
    let folder = used();
    chown(folder.path(), None, Some(GROUP)).expect("given");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2775)).expect("set");
    let said_of_it = said(folder.path()).expect("it is refused");
    for words in ["group 61234", "2775", "trusted_groups = [61234]", "ROTATOR_TRUSTED_GROUPS=61234"] {
        assert!(said_of_it.contains(words), "no {words:?} in {said_of_it}");
    }
    ownership::trust_groups([GROUP].into());
    assert_eq!(said(folder.path()), None);
    ownership::trust_groups([].into());
    // A folder above it that another user owns is as bad as one that others may write.
    let inner = folder.path().join("inner");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    fs::create_dir(&inner).expect("made");
    assert_eq!(said(&inner), None);
    chown(folder.path(), Some(ATTACKER), None).expect("given");
    let said_of_it = said(&inner).expect("it is refused");
    assert!(said_of_it.contains("belongs to user 65534") && !said_of_it.contains("inner"), "{said_of_it}");
    chown(folder.path(), Some(0), None).expect("taken back");
}

/// Another user makes the folder of the journal first, with a lock in it, in a folder like /tmp.
#[test]
fn no_file_that_another_user_creates_first_in_a_shared_folder_is_used() {
    const TEST: &str = "foreign_files::no_file_that_another_user_creates_first_in_a_shared_folder_is_used";
    const LOCK: &str = "journal.db.lock";
    if let Some(folder) = other_process::given_folder() {
        let (mine, away) = (folder.join("shared/mine"), folder.join("shared/away"));
        return attack(&folder, || {
            // The victim removes what it finds, so a failed attempt is repeated.
            let _ = fs::remove_dir_all(&away);
            let planted = fs::create_dir(&away)
                .and_then(|()| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(away.join(LOCK)));
            if planted.is_ok() && fs::rename(&away, &mine).is_ok() {
                std::thread::sleep(std::time::Duration::from_micros(200));
                let _ = fs::rename(&mine, &away);
            }
            true
        });
    }
    let folder = tempfile::tempdir().expect("a folder");
    let shared = folder.path().join("shared");
    fs::create_dir(&shared).expect("made");
    for (path, mode) in [(folder.path(), 0o755), (&shared, 0o1777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }
    let Some(_attacker) = Attacker::start(TEST, folder.path()) else { return };
    let (mine, mut made, mut taken) = (shared.join("mine"), 0, 0);
    for _ in 0..TRIES {
        if let Ok(_lock) = JournalLock::acquire(&mine.join("journal.db")) {
            made += 1;
            let is_ours = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == 0);
            taken += usize::from(!is_ours(&mine) || !is_ours(&mine.join(LOCK)));
        }
        // The other user may be at it, too.
        let _ = fs::remove_dir_all(&mine);
    }
    assert_eq!(taken, 0, "of {made} locks, made in {TRIES} tries, were in another user's folder");
    assert!(made > 0, "no lock was made: the play says nothing");
}
