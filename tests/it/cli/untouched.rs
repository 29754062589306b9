//! Read-only commands leave every store unchanged: they write, remove and create nothing beside it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bench::Bench;

/// As a writer that was killed leaves it.
const LEFT: &str = ".env.rotator-0123456789abcdef";

/// A folder of files and an embedded store with a pair each, and what a writer that was killed left in the folder.
fn scene(of_files: &str) -> Bench {
    let bench = Bench::with_users(&["app1/live"]);
    bench.sandbox.add_user("app2/live").expect("a user");
    let key = bench.sandbox.create_key("app2/live").expect("a key");
    std::fs::create_dir_all(bench.path("files/deeper")).expect("made");
    let text = format!("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n", key.id, key.secret.expose());
    bench.write("files/env", &text);
    bench.write(&format!("files/{LEFT}"), "half a document");
    bench.write(&format!("files/deeper/{LEFT}"), "half a document");
    let stores = format!(
        "[[store]]\nuri = \"sqlite:store.db\"\n[[store]]\nuri = \"file:files\"\n{of_files}\n[owner]\nfrom = \"aws\"\n"
    );
    bench.write("rotator.toml", &stores);
    bench
}

fn run(bench: &Bench, args: &[&str]) -> super::bench::Ended {
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

/// Every file below these paths, with its bytes, number, mode and times.
fn tree(bench: &Bench, roots: &[&str]) -> BTreeMap<PathBuf, (Vec<u8>, u64, u32, i64, i64)> {
    fn walk(path: &Path, found: &mut BTreeMap<PathBuf, (Vec<u8>, u64, u32, i64, i64)>) {
        let metadata = std::fs::symlink_metadata(path).expect("there");
        let bytes = if metadata.is_file() { std::fs::read(path).expect("read") } else { Vec::new() };
        let times = (metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(), metadata.ctime_nsec());
        found.insert(path.to_owned(), (bytes, metadata.ino(), metadata.mode(), times.0, times.1));
        if metadata.is_dir() {
            std::fs::read_dir(path).expect("listed").flatten().for_each(|entry| walk(&entry.path(), found));
        }
    }
    let mut found = BTreeMap::new();
    roots.iter().for_each(|root| walk(&bench.path(root), &mut found));
    found
}

#[test]
fn commands_that_only_look_write_and_remove_nothing_in_a_store() {
    let bench = scene("");
    let before = tree(&bench, &["files", "store.db", "store.db.key"]);
    for args in [&["plan"][..], &["plan", "--output", "json"], &["status"], &["doctor"], &["policy"]] {
        run(&bench, args);
        assert_eq!(tree(&bench, &["files", "store.db", "store.db.key"]), before, "after {args:?}");
    }
    run(&bench, &["run", "--yes"]).code(0);
    assert!(!bench.path(&format!("files/{LEFT}")).exists(), "a writer removes what another one left");
}

#[test]
fn a_store_that_is_only_read_is_left_as_it_is_by_every_command() {
    let bench = scene("read_only = true");
    let before = tree(&bench, &["files"]);
    for args in [&["plan"][..], &["run", "--yes"], &["resume"]] {
        run(&bench, args);
        assert_eq!(tree(&bench, &["files"]), before, "after {args:?}");
    }
    assert_ne!(bench.sandbox.keys_of("app1/live").len(), 0, "the other store was rotated");
}
