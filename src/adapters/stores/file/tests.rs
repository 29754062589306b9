//! Files as they are: replaced only where they are what was read, with owner, mode and neighbours kept.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::types::failure::RefusalKind;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn at(path: &Path) -> (Folder, &OsStr) {
    (Folder::at(path.parent().expect("a folder")).expect("opened"), path.file_name().expect("a name"))
}

fn version(path: &Path) -> Version {
    let (folder, name) = at(path);
    match replace::read(&folder, name).expect("readable").expect("there") {
        replace::There::Value(version, _) => version,
        replace::There::Large(why) => panic!("{why}"),
    }
}

fn replace_at(path: &Path, write: &NativeWrite) -> Result<(), Failure> {
    let (folder, name) = at(path);
    let files = [(folder, name.to_owned())];
    let locked = replace::lock_all(&files, Duration::from_secs(5))?.remove(0);
    replace::replace(&files[0].0, name, locked, write)
}

fn writable_at(path: &Path) -> Writable {
    let (folder, name) = at(path);
    writable::writable(&folder, name)
}

fn write(replaces: Version, text: &str) -> NativeWrite {
    NativeWrite { name: "x".to_owned(), replaces, value: SecretValue::new(text.as_bytes().to_vec()) }
}

fn kind(result: Result<(), Failure>) -> RefusalKind {
    match result {
        Err(Failure::Refused(refusal)) => refusal.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_replaced_whole_with_its_mode_and_only_once() {
    let folder = folder(&[("x", "old")]);
    let path = folder.path().join("x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
    let before = version(&path);
    replace_at(&path, &write(before.clone(), "new")).expect("written");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o640);
    assert_eq!(kind(replace_at(&path, &write(before, "newer"))), RefusalKind::Stale);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "something was left beside it");
}

#[test]
fn a_value_replaced_by_an_equal_one_has_another_version() {
    let folder = folder(&[("x", "same")]);
    let path = folder.path().join("x");
    let mut versions = vec![version(&path)];
    for _ in 0..5 {
        replace_at(&path, &write(versions[versions.len() - 1].clone(), "same")).expect("written");
        let now = version(&path);
        assert!(!versions.contains(&now), "{now:?} came back");
        versions.push(now);
    }
}

#[test]
fn only_a_file_with_one_name_is_written() {
    let folder = folder(&[("x", "old"), ("y", "old")]);
    let path = folder.path().join("x");
    let there = version(&path);
    fs::hard_link(&path, folder.path().join("z")).expect("linked");
    let linked = write(version(&path), "new");
    assert_eq!(kind(replace_at(&path, &linked)), RefusalKind::Denied);
    assert!(matches!(writable_at(&path), Writable::No(why) if why.contains("2 hard links")));
    fs::remove_file(folder.path().join("z")).expect("removed");
    fs::remove_file(&path).expect("removed");
    assert_eq!(kind(replace_at(&path, &write(there.clone(), "new"))), RefusalKind::Stale);
    std::os::unix::fs::symlink(folder.path().join("y"), &path).expect("linked");
    assert_eq!(kind(replace_at(&path, &write(there, "new"))), RefusalKind::Other);
    assert_eq!(fs::read_to_string(folder.path().join("y")).expect("there"), "old");
}

#[test]
fn a_write_waits_for_the_holder_of_the_lock() {
    let folder = folder(&[("x", "old")]);
    let path = folder.path().join("x");
    let held = fs::File::open(&path).expect("there");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let waits = std::thread::spawn({
        let (path, write) = (path.clone(), write(version(&path), "new"));
        move || replace_at(&path, &write)
    });
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read_to_string(&path).expect("there"), "old");
    drop(held);
    waits.join().expect("ends").expect("written");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new");
}

#[tokio::test]
async fn a_folder_is_read_with_all_that_is_in_it() {
    let elsewhere = folder(&[("secret", "x")]);
    let folder = folder(&[
        (".env", "a"),
        ("shop/live/aws.json", "b"),
        (".git/config", "no"),
        (".x.rotator-0123456789abcdef", "left by a writer that died"),
        (".x.rotator-mine", "c"),
    ]);
    std::os::unix::fs::symlink(folder.path().join(".env"), folder.path().join("inside")).expect("linked");
    std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("outside")).expect("linked");
    let store = FileStore::open(folder.path()).expect("a folder");
    let mut all = store.read_all().await.expect("read");
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".env", ".x.rotator-mine", "outside", "shop/live/aws.json"]);
    assert!(matches!(&all[2].1, Reading::Unreadable(why) if why.contains("symbolic link")));
    for outside in ["../secret", "/etc/passwd", "shop/../.env"] {
        let read = store.read(&[outside.to_owned()]).await.expect("asked");
        assert!(matches!(read.as_slice(), [Reading::Missing]), "{outside}");
    }
}

#[tokio::test]
async fn one_file_is_a_store_of_one_entry() {
    let folder = folder(&[("credentials", "a"), ("config", "b")]);
    let store = FileStore::open(&folder.path().join("credentials")).expect("a file");
    let all = store.read_all().await.expect("read");
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["credentials"]);
    let identity = store.identity().await.expect("there");
    fs::remove_file(folder.path().join("credentials")).expect("removed");
    assert!(store.identity().await.is_err() && store.read_all().await.is_err(), "a missing file is no empty store");
    fs::write(folder.path().join("credentials"), "again").expect("written");
    assert_eq!(store.identity().await.expect("there"), identity);
    assert!(matches!(FileStore::open(&folder.path().join("nothing")), Err(FileStoreError::Missing { .. })));
}

#[tokio::test]
async fn a_file_that_sops_encrypted_is_read_and_not_written() {
    let folder = folder(&[("plain", "a: 1\n"), ("sealed", "a: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nid: 1\n")]);
    let mut all = FileStore::open(folder.path()).expect("opens").read_all().await.expect("reads");
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let told: Vec<_> =
        all.iter().map(|(name, reading)| (name.as_str(), matches!(reading, Reading::Managed { .. }))).collect();
    assert_eq!(told, [("plain", false), ("sealed", true)]);
}

/// A file system without attributes or lists has nothing to keep: there the test says nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_replacement_has_the_attributes_of_the_file_and_no_others() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let entries = |rows: &[(u16, u16, u32)]| {
        let row = |(tag, rights, id): &(u16, u16, u32)| {
            [tag.to_le_bytes().as_slice(), &rights.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        [vec![2, 0, 0, 0], rows.iter().flat_map(row).collect()].concat()
    };
    let none = u32::MAX;
    // User 33 may read, and the owning group may not.
    let list = entries(&[(1, 6, none), (2, 4, 33), (4, 0, none), (0x10, 4, none), (0x20, 0, none)]);
    let for_all = entries(&[(1, 7, none), (2, 7, 34), (4, 7, none), (0x10, 7, none), (0x20, 0, none)]);
    let set = |path: &Path, name: &str, value: &[u8]| setxattr(path, name, value, XattrFlags::empty());
    let get = |path: &Path, name: &str| {
        let mut value = vec![0; 1024];
        getxattr(path, name, value.as_mut_slice()).map(|length| value[..length].to_vec()).ok()
    };
    let folder = folder(&[("x", "old"), ("plain", "old")]);
    let (path, plain) = (folder.path().join("x"), folder.path().join("plain"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o600)).expect("set");
    if set(&path, "user.origin", b"agent").is_err() || set(&path, "system.posix_acl_access", &list).is_err() {
        return;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("set");
    let before = get(&path, "system.posix_acl_access");
    // The default list of the folder applies to new files and must not replace the list of this file.
    set(folder.path(), "system.posix_acl_default", &for_all).expect("lists are known here");
    replace_at(&path, &write(version(&path), "new")).expect("written");
    assert_eq!(get(&path, "user.origin").as_deref(), Some(b"agent".as_slice()));
    assert!(before.is_some() && get(&path, "system.posix_acl_access") == before);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o440);
    replace_at(&plain, &write(version(&plain), "new")).expect("written");
    assert_eq!(get(&plain, "system.posix_acl_access"), None, "user 34 may not read it");
    assert_eq!(fs::metadata(&plain).expect("there").permissions().mode() & 0o7777, 0o600);
}

/// A writer that died can leave a file with a secret. The next write, or the end of its rotation, removes that file.
#[tokio::test]
async fn a_leftover_is_removed_by_a_writer_and_never_by_a_reader() {
    const LEFT: &str = ".x.rotator-0123456789abcdef";
    let folder = folder(&[("x", "a"), (LEFT, "left by a writer that died"), ("shop/y", "b")]);
    fs::copy(folder.path().join(LEFT), folder.path().join("shop").join(LEFT)).expect("copied");
    let path = folder.path().join("x");
    for path in [folder.path(), &path] {
        let store = FileStore::open(path).expect("opens");
        store.read_all().await.expect("read");
        store.read(&["x".to_owned()]).await.expect("read");
        store.writable(&["x".to_owned()]).await;
        store.identity().await.expect("there");
        assert!(folder.path().join(LEFT).exists(), "a reader removed it");
    }
    replace_at(&path, &write(version(&path), "new")).expect("written");
    assert!(!folder.path().join(LEFT).exists(), "a leftover stays");
    assert!(folder.path().join("shop").join(LEFT).exists(), "it is in another folder");
    let store = FileStore::open(folder.path()).expect("opens");
    store.forget_previous(&["shop/y".to_owned(), "../x".to_owned()]).await.expect("forgotten");
    assert!(!folder.path().join("shop").join(LEFT).exists(), "a leftover stays");
}

/// The names of all entries, each with the result of reading it.
async fn told(store: &FileStore) -> Vec<(String, &'static str)> {
    let mut all = store.read_all().await.expect("read");
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let word = |reading: &Reading| match reading {
        Reading::Value { .. } => "value",
        Reading::Managed { .. } => "not ours",
        Reading::Large(_) => "large",
        Reading::Missing => "missing",
        Reading::Unreadable(_) => "unreadable",
    };
    all.iter().map(|(name, reading)| (name.clone(), word(reading))).collect()
}

#[tokio::test]
async fn a_link_is_left_out_only_where_its_target_is_read() {
    let folder =
        folder(&[("env", "a"), ("shop/live", "b"), (".git/config", "c"), (".x.rotator-0123456789abcdef", "d")]);
    for (target, link) in [
        ("env", "to-a-file"),
        ("shop", "to-a-folder"),
        ("shop/../env", "by-a-detour"),
        ("nothing", "to-nothing"),
        (".git/config", "to-what-is-left-out"),
        (".x.rotator-0123456789abcdef", "to-a-leftover"),
        ("/dev/null", "to-a-device"),
        ("in-a-circle", "in-a-circle"),
    ] {
        std::os::unix::fs::symlink(target, folder.path().join(link)).expect("linked");
    }
    let store = FileStore::open(folder.path()).expect("opens");
    let unreadable: Vec<String> =
        told(&store).await.into_iter().filter(|(_, how)| *how == "unreadable").map(|(name, _)| name).collect();
    assert_eq!(unreadable, ["in-a-circle", "to-a-device", "to-a-leftover", "to-what-is-left-out"]);
    let names = ["to-a-file", "to-a-folder/live"].map(str::to_owned);
    let read = store.read(&names).await.expect("asked");
    assert!(read.iter().all(|reading| matches!(reading, Reading::Unreadable(_))), "a link was followed: {read:?}");
}

/// A Secret that is mounted as a folder, as the kubelet writes it.
fn volume() -> tempfile::TempDir {
    let folder = folder(&[("mount/..2026_01/env", "a"), ("mount/..2026_01/deeper/env", "b"), ("plain", "c")]);
    let mount = folder.path().join("mount");
    std::os::unix::fs::symlink("..2026_01", mount.join("..data")).expect("linked");
    std::os::unix::fs::symlink("..data/env", mount.join("env")).expect("linked");
    folder
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_read_under_names_that_stay_and_never_written() {
    let folder = volume();
    let mount = folder.path().join("mount");
    let store = FileStore::open(folder.path()).expect("opens");
    let wanted = [("mount/..data/deeper/env", "not ours"), ("mount/..data/env", "not ours"), ("plain", "value")];
    let wanted = wanted.map(|(name, how)| (name.to_owned(), how));
    assert_eq!(told(&store).await, wanted);
    let name = "mount/..data/env".to_owned();
    let read = store.read(std::slice::from_ref(&name)).await.expect("asked");
    assert!(matches!(&read[0], Reading::Managed { value, .. } if value.expose() == b"a"));
    assert!(
        matches!(&store.writable(std::slice::from_ref(&name)).await[0], Writable::No(why) if why.contains("Kubernetes"))
    );
    let refused = store.inner.to_write(&name, &store.inner.own.now());
    assert!(matches!(refused, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Denied));
    // The kubelet replaces the link, and removes the former content.
    fs::create_dir(mount.join("..2026_02")).expect("made");
    fs::write(mount.join("..2026_02/env"), "z").expect("written");
    std::os::unix::fs::symlink("..2026_02", mount.join("..data_tmp")).expect("linked");
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("swapped");
    let before = ("mount/..2026_01/env".to_owned(), "not ours");
    assert!(told(&store).await.contains(&before), "the content of before is there still");
    fs::remove_dir_all(mount.join("..2026_01")).expect("removed");
    let read = store.read(&[name]).await.expect("asked");
    assert!(matches!(&read[0], Reading::Managed { value, .. } if value.expose() == b"z"));
}

/// A pass reads one content as a whole, even if the link is replaced several times meanwhile.
#[tokio::test]
async fn a_swap_of_the_content_of_a_volume_begins_the_pass_anew() {
    let folder = folder(&[("..one/id", "1"), ("..one/secret", "1"), ("..two/id", "2"), ("..two/secret", "2")]);
    let path = folder.path().to_owned();
    std::os::unix::fs::symlink("..one", path.join("..data")).expect("linked");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let swapper = std::thread::spawn(move || {
        for target in ["..two", "..one"].into_iter().cycle() {
            std::os::unix::fs::symlink(target, path.join("..data_tmp")).expect("linked");
            fs::rename(path.join("..data_tmp"), path.join("..data")).expect("swapped");
            if stopped.recv_timeout(Duration::from_micros(700)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let store = FileStore::open(folder.path()).expect("opens");
    let mut whole = 0;
    for _ in 0..500 {
        let Ok(all) = store.read_all().await else { continue };
        let current = |name: &str| {
            all.iter().find(|(found, _)| found == &format!("..data/{name}")).map(|(_, reading)| match reading {
                Reading::Managed { value, .. } => value.expose().to_vec(),
                Reading::Value { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => {
                    panic!("{reading:?}")
                }
            })
        };
        assert!(current("id").is_some() && current("id") == current("secret"), "a pass over two contents");
        whole += 1;
    }
    drop(stop);
    swapper.join().expect("ends");
    assert!(whole > 0, "no pass came to its end");
}

fn held(path: &Path) -> fs::File {
    let held = fs::File::open(path).expect("there");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    held
}

/// If one lock cannot be taken, nothing of a batch is written, and no lock is kept.
#[tokio::test]
async fn all_locks_are_held_before_the_first_file_is_written() {
    let folder = folder(&[("a", "old"), ("b", "old"), ("c", "old")]);
    let path = |name: &str| folder.path().join(name);
    let batch = || {
        let write = |name: &str| NativeWrite { name: name.to_owned(), ..write(version(&path(name)), "new") };
        ["c", "b", "a"].map(write)
    };
    let store = FileStore::open(folder.path()).expect("opens");
    let held = held(&path("b"));
    let refused = store.inner.write(&batch(), Duration::from_millis(50)).expect_err("refused");
    assert!(matches!(&refused, Failure::Refused(refusal) if refusal.kind == RefusalKind::Locked), "{refused:?}");
    assert!(refused.to_string().contains("/b: another program holds its lock"), "{refused}");
    for name in ["a", "b", "c"] {
        assert_eq!(fs::read_to_string(path(name)).expect("there"), "old", "{name}");
    }
    // The check before a key is created finds the same.
    let names = ["a", "b", "c"].map(str::to_owned);
    let answers = store.writable(&names).await;
    assert!(
        matches!(answers.as_slice(), [Writable::Yes, Writable::No(why), Writable::Yes] if why.contains("holds its lock"))
    );
    let why = store.held(&names).await.expect("one is held");
    assert!(why.ends_with("/b: another program holds its lock"), "{why}");
    drop(held);
    assert_eq!(store.held(&names).await, None);
    assert_eq!(store.writable(&names).await, [Writable::Yes, Writable::Yes, Writable::Yes]);
    store.inner.write(&batch(), Duration::from_millis(50)).expect("written");
    assert_eq!(fs::read_to_string(path("c")).expect("there"), "new");
}

/// Two programs that write the same files in different orders do not wait for one another.
#[test]
fn locks_are_taken_in_the_order_of_paths() {
    let folder = folder(&[("a", "0"), ("b", "0")]);
    let store = FileStore::open(folder.path()).expect("opens");
    let writers = [["a", "b"], ["b", "a"]].map(|order| {
        let (store, root) = (store.clone(), folder.path().to_owned());
        std::thread::spawn(move || {
            for _ in 0..50 {
                let batch =
                    order.map(|name| NativeWrite { name: name.to_owned(), ..write(version(&root.join(name)), "1") });
                // The other writer may have written between the two versions that were read here.
                let written = store.inner.write(&batch, Duration::from_secs(10));
                let failure = written.err().map(|failure| failure.to_string()).unwrap_or_default();
                assert!(failure.is_empty() || failure.contains("changed since"), "{failure}");
            }
        })
    });
    writers.into_iter().for_each(|writer| writer.join().expect("ends"));
}
