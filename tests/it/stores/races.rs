//! Another user of this host owns a folder inside a store and swaps it for a link at every moment.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::Arc;

use rotator::adapters::stores::file::FileStore;
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::{Reading, SecretStore, Write};
use rotator::types::name::StoreName;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{bytes, name, write};
use crate::support::attacker::{ATTACKER, Attacker, attack};
use crate::support::other_process;

/// The number of times that each race is played.
const TRIES: usize = 500;

/// The content of a file that only root may read and that must not change.
const OUTSIDE: &str = "of root alone";

const ENTRY: &str = "app/live/env";

/// `store/app` is the attacker's folder, `store/link` leads to `outside`.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let set = |name: &str, mode| fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("set");
    set("", 0o755);
    fs::create_dir_all(at("store/app/live")).expect("made");
    fs::write(at("store").join(ENTRY), "0").expect("written");
    fs::create_dir_all(at("outside/live")).expect("made");
    fs::write(at("outside/live/env"), OUTSIDE).expect("written");
    set("outside", 0o700);
    symlink("../outside", at("store/link")).expect("linked");
    // Another user cannot be played without root, and then nothing is given away.
    let given = if rustix::process::geteuid().is_root() { 4 } else { 0 };
    for name in ["store", "store/app", "store/app/live", "store/app/live/env"].into_iter().take(given) {
        chown(at(name), Some(ATTACKER), Some(ATTACKER)).expect("given");
    }
    folder
}

/// Swaps the folder and the link, again and again.
fn swap(folder: &Path) {
    let (one, other) = (folder.join("store/app"), folder.join("store/link"));
    attack(folder, || renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).is_ok());
}

fn store(folder: &Path) -> Arc<dyn SecretStore> {
    let store = FileStore::open(&folder.join("store")).expect("a folder");
    Arc::new(BackendStore::new(StoreName::new("file:here").expect("valid"), Naming::default(), Arc::new(store)))
}

fn holds_what_is_outside(reading: &Reading) -> bool {
    match reading {
        Reading::Value { value, .. } | Reading::Managed { value, .. } => value.expose() == OUTSIDE.as_bytes(),
        Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => false,
    }
}

#[tokio::test]
async fn a_swapped_folder_shows_nothing_of_what_is_outside() {
    const TEST: &str = "stores::races::a_swapped_folder_shows_nothing_of_what_is_outside";
    if let Some(folder) = other_process::given_folder() {
        return swap(&folder);
    }
    let folder = scene();
    let Some(_attacker) = Attacker::start(TEST, folder.path()) else { return };
    let store = store(folder.path());
    let (mut led_out, mut read_well) = (0, 0);
    for _ in 0..TRIES {
        // A pass that a swap has cut is an error, and says nothing.
        let all = store.read_all().await.unwrap_or_default();
        let by_name = store.read(&[name(ENTRY)]).await.unwrap_or_default();
        let read = all.iter().map(|(_, reading)| reading).chain(&by_name);
        led_out += usize::from(read.filter(|reading| holds_what_is_outside(reading)).count() > 0);
        read_well += usize::from(matches!(by_name.as_slice(), [Reading::Value { .. }]));
    }
    assert_eq!(led_out, 0, "of {TRIES} tries led out of the store");
    assert!(read_well > 0, "nothing was read: the play says nothing");
}

#[tokio::test]
async fn a_swapped_folder_leads_no_write_out_of_the_store() {
    const TEST: &str = "stores::races::a_swapped_folder_leads_no_write_out_of_the_store";
    if let Some(folder) = other_process::given_folder() {
        return swap(&folder);
    }
    let folder = scene();
    let Some(_attacker) = Attacker::start(TEST, folder.path()) else { return };
    let store = store(folder.path());
    let (mut led_out, mut written) = (0, 0);
    for number in 0..TRIES {
        let read = store.read(&[name(ENTRY)]).await.unwrap_or_default();
        let Some(Reading::Value { version, value }) = read.into_iter().next() else { continue };
        if value.expose() != OUTSIDE.as_bytes() {
            let batch = vec![Write { entry: name(ENTRY), replaces: version, value: bytes(&number.to_string()) }];
            written += usize::from(write(&store, batch).await.is_ok());
        }
        let outside = folder.path().join("outside/live");
        let names = fs::read_dir(&outside).expect("there").count();
        let text = fs::read_to_string(outside.join("env")).expect("there");
        led_out += usize::from(names != 1 || text != OUTSIDE);
        fs::write(outside.join("env"), OUTSIDE).expect("put back");
    }
    assert_eq!(led_out, 0, "of {TRIES} writes led out of the store");
    assert!(written > 0, "nothing was written: the play says nothing");
}
