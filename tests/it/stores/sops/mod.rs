//! `sops:` with the real sops and age: documents of each format, missing keys, and files that sops did not write.

mod rotated;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::stores::sops::{SopsProgramError, SopsStore, SopsStoreError};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::{Reading, SecretStore, Write};
use rotator::types::failure::{Failure, RefusalKind};
use rotator::types::name::StoreName;

use super::subject::Subject;
use super::{bytes, conforms, held, is_stale, name, write};
use crate::support::sops::Sops;

const LIMIT: Duration = Duration::from_secs(30);

async fn open(sops: &Sops, path: &Path) -> Arc<dyn SecretStore> {
    let store = SopsStore::open(path, &sops.program(), Vec::new(), LIMIT).await.expect("sops is there");
    Arc::new(BackendStore::new(StoreName::new("sops:it").expect("valid"), Naming::default(), Arc::new(store)))
}

/// A folder of encrypted files, each one value.
struct Folder {
    sops: Sops,
    number: Mutex<usize>,
    as_it_was: Mutex<Option<(PathBuf, Vec<u8>)>>,
}

impl Folder {
    fn new() -> Self {
        Self { sops: Sops::new(), number: Mutex::new(0), as_it_was: Mutex::new(None) }
    }

    fn folder(&self) -> PathBuf {
        self.sops.folder().join(format!("files{}", self.number.lock().expect("one thread")))
    }
}

impl Subject for Folder {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        *self.number.lock().expect("one thread") += 1;
        std::fs::create_dir(self.folder()).expect("made");
        // A file that sops did not write does not belong to this store.
        std::fs::write(self.folder().join("README.md"), "see sops: and its mac").expect("written");
        super::aws::wait(open(&self.sops, &self.folder()))
    }

    fn put(&self, entry: &str, value: &[u8]) {
        let path = self.folder().join(entry);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, self.sops.encrypt("value", value, &[])).expect("written");
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        self.sops.decrypt(&self.folder().join(entry)).map(String::into_bytes)
    }

    fn remove(&self, entry: &str) -> bool {
        std::fs::remove_file(self.folder().join(entry)).is_ok()
    }

    fn many(&self) -> usize {
        20
    }

    fn odd_names(&self) -> Vec<String> {
        ["caf\u{e9}/\u{1f511} live/MY KEY", "a.b/c-d/e_f", "a/b/c=d&e?f#g:h", "'q'/\"x\"/-y"].map(str::to_owned).into()
    }

    fn forbid_reading(&self, entry: &str) -> bool {
        let path = self.folder().join(entry);
        let before = std::fs::read(&path).expect("there");
        std::fs::write(&path, self.sops.encrypt_for_others("value", b"secret")).expect("written");
        *self.as_it_was.lock().expect("one thread") = Some((path, before));
        true
    }

    fn forbid_nothing(&self) {
        if let Some((path, before)) = self.as_it_was.lock().expect("one thread").take() {
            std::fs::write(path, before).expect("written");
        }
    }

    fn go(&self) {
        std::fs::remove_dir_all(self.folder()).expect("removed");
    }
}

#[tokio::test]
async fn a_folder_of_sops_files_conforms_with_the_real_one() {
    conforms(&Folder::new()).await;
}

const OLD_ID: &str = "AKIAOLDOLDOLDOLDOLD2";
const OLD_SECRET: &str = "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";
const NEW_ID: &str = "AKIANEWNEWNEWNEWNEW2";
const NEW_SECRET: &str = "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";

const JSON: &str = r#"{"zeta": "<&> é", "aws": {"list": [1, 2.5, {"secret": "OLD_SECRET", "id": "OLD_ID"}], "n": null,
    "t": true}, "note_unencrypted": "OLD", "empty": "", "a/b": {"": "x"}}"#;
const YAML: &str = "# head\nzeta: 007   # behind\naws:\n    # the pair\n    id: OLD_ID\n    secret: \"OLD_SECRET\"\n    \
    list: [1, {b: 'c'}]\nmulti: |\n    x: 1\n    y\nflag: yes\nfolded: >-\n    one\n    two\n";
const DOTENV: &str = "# head\nB=2\n\nAWS_ACCESS_KEY_ID=OLD_ID\n# the secret\nAWS_SECRET_ACCESS_KEY=\"OLD_SECRET\"\n\
    MULTI=a\\nb\nEMPTY=\n";
const INI: &str = "; head\n[default]\n; the pair\naws_access_key_id = OLD_ID\naws_secret_access_key = OLD_SECRET\n\n\
    [other]\nx = \"a b\"\n";

/// The lines that only one of the two texts has.
fn differing<'t>(one: &'t str, other: &'t str) -> Vec<&'t str> {
    let mut rest: Vec<&str> = other.lines().collect();
    let mut only_here = Vec::new();
    for line in one.lines() {
        match rest.iter().position(|other| *other == line) {
            Some(at) => {
                rest.remove(at);
            }
            None => only_here.push(line),
        }
    }
    only_here
}

#[tokio::test]
async fn only_the_pair_differs_in_a_document_of_each_format() {
    let sops = Sops::new();
    let folder = tempfile::tempdir().expect("a folder");
    for (file, document) in [("a.json", JSON), ("a.yaml", YAML), (".env", DOTENV), ("a.ini", INI), ("credentials", INI)]
    {
        let choices: &[&[&str]] = match file {
            "credentials" => &[&[]],
            _ => &[&[], &["--encrypted-regex", "(?i)secret"], &["--unencrypted-suffix", "_ID"]],
        };
        for options in choices {
            let path = folder.path().join(file);
            let text = document.replace("OLD_ID", OLD_ID).replace("OLD_SECRET", OLD_SECRET);
            std::fs::write(&path, sops.encrypt(file, text.as_bytes(), options)).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
            let (encrypted, decrypted) = (std::fs::read_to_string(&path).expect("text"), sops.decrypt(&path));
            let decrypted = decrypted.expect("decrypts");
            let store = open(&sops, &path).await;
            let entry = format!("-/-/{file}");
            let (version, value) = held(&store, &entry).await.expect("there");
            assert_eq!(String::from_utf8(value).expect("text"), decrypted);

            let wanted = decrypted.replace(OLD_ID, NEW_ID).replace(OLD_SECRET, NEW_SECRET);
            assert!(wanted.contains(NEW_ID) && wanted.contains(NEW_SECRET), "{file}: {wanted}");
            let batch = vec![Write { entry: name(&entry), replaces: version, value: bytes(&wanted) }];
            write(&store, batch).await.unwrap_or_else(|failure| panic!("{file} {options:?}: {failure}"));

            assert_eq!(sops.decrypt(&path).as_deref(), Some(wanted.as_str()), "{file} {options:?}");
            assert_eq!(held(&store, &entry).await.expect("there").1, wanted.as_bytes());
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o640);
            // Recipients, their copies of the data key and every other value: not even encrypted anew.
            let now = std::fs::read_to_string(&path).expect("text");
            for line in differing(&encrypted, &now).into_iter().chain(differing(&now, &encrypted)) {
                let line = line.to_lowercase();
                let expected = ["id", "secret", "data", "mac", "lastmodified"];
                let is_expected = expected.iter().any(|name| line.contains(name));
                // sops adds this setting if a file does not contain it.
                let is_default = line.contains("unencrypted_suffix") && file == "credentials";
                assert!(is_expected || is_default, "{file} {options:?}: {line}");
                assert!(!line.contains("recipient") && !line.contains("begin age"), "{file} {options:?}: {line}");
            }
            std::fs::remove_file(&path).expect("removed");
            assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "something was left beside it");
        }
    }
}

#[tokio::test]
async fn the_settings_of_the_folder_say_how_it_is_written() {
    let sops = Sops::new();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".sops.yaml"), "stores:\n  yaml:\n    indent: 2\n").expect("written");
    let path = folder.path().join("below/a.yaml");
    std::fs::create_dir(folder.path().join("below")).expect("made");
    std::fs::write(&path, sops.encrypt("a.yaml", b"a:\n    b: old\n", &[])).expect("written");
    let store = open(&sops, &path).await;
    let (replaces, value) = held(&store, "-/-/a.yaml").await.expect("there");
    assert_eq!(value, b"a:\n  b: old\n");
    let batch = vec![Write { entry: name("-/-/a.yaml"), replaces, value: bytes("a:\n  b: new\n") }];
    write(&store, batch).await.expect("written");
    assert!(std::fs::read_to_string(&path).expect("text").starts_with("a:\n  b: ENC["));
}

/// Writes `new` over `old` in a file of this name, and returns the result. A refused write must not change a byte.
async fn written(sops: &Sops, file: &str, old: &str, new: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(file);
    std::fs::write(&path, sops.encrypt(file, old.as_bytes(), &[])).expect("written");
    let before = std::fs::read(&path).expect("there");
    let store = open(sops, &path).await;
    let entry = format!("-/-/{file}");
    let (replaces, _) = held(&store, &entry).await.expect("there");
    let result = write(&store, vec![Write { entry: name(&entry), replaces, value: bytes(new) }]).await;
    assert_eq!(result.is_err(), std::fs::read(&path).expect("there") == before, "{file}: {new}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "something was left beside it");
    result
}

#[tokio::test]
async fn a_write_that_sops_cannot_do_exactly_is_refused_and_nothing_is_written() {
    let sops = Sops::new();
    let two = "a: one\n---\na: two\n";
    for (file, old, new) in [
        // Of several documents `sops set` reaches the first only.
        ("a.yaml", two, "a: one\n---\na: new\n"),
        ("a.json", "{\n\t\"a\": \"1\"\n}", "{\n\t\"a\": \"1\",\n\t\"b\": \"2\"\n}"),
        ("a.json", "{\n\t\"a\": 1\n}", "{\n\t\"a\": 2\n}"),
        ("a.json", "{\n\t\"a[0]\": \"1\"\n}", "{\n\t\"a[0]\": \"2\"\n}"),
        ("a.yaml", "a: one # why\n", "# other\na: one\n"),
        ("a.json", "{\n\t\"a\": \"1\"\n}", "no document"),
    ] {
        let result = written(&sops, file, old, new).await;
        let Err(Failure::Refused(refusal)) = result else { panic!("{file}: {new}: {result:?}") };
        assert_eq!(refusal.kind, RefusalKind::Other, "{new}: {refusal}");
    }
    written(&sops, "a.yaml", two, "a: new\n---\na: two\n").await.expect("the first can be written");
    // sops writes these in its own way, and both say the same.
    written(&sops, "a.json", "{\n\t\"a\": \"1\"\n}", "{\n\t\"a\": \"<\u{e9}>\"\n}").await.expect("the same document");
    sops.hindered("case \"$*\" in *' set '*) exit 128 ;; esac");
    let result = written(&sops, "a.yaml", "a: one\n", "a: new\n").await;
    assert!(matches!(&result, Err(Failure::Refused(_))) && !is_stale(&result), "{result:?}");
    // A sops that does something else than it was asked for.
    sops.hindered("case \"$*\" in *' set '*) printf '\"other\"' | \"$sops\" \"$@\"; exit ;; esac");
    let result = written(&sops, "a.yaml", "a: one\n", "a: new\n").await;
    assert!(matches!(&result, Err(Failure::Refused(_))), "{result:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_decrypted_is_one_unreadable_entry() {
    let sops = Sops::new();
    let folder = tempfile::tempdir().expect("a folder");
    let good = sops.encrypt("a.json", b"{\"a\": \"1\", \"n_unencrypted\": \"x\"}", &[]);
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).expect("text");
        assert!(text.contains(from), "{text}");
        text.replace(from, to).into_bytes()
    };
    for (file, content, why) in [
        ("other.json", sops.encrypt_for_others("a.json", b"{\"a\": \"1\"}"), "no key"),
        ("mac.json", changed("\"x\"", "\"y\""), "checksum"),
        ("moved.json", changed("\"a\": \"ENC", "\"b\": \"ENC"), "changed by something else"),
        ("half.json", good[..good.len() / 2].to_vec(), "document of its own"),
        // The name says another format than the content has.
        ("yaml.enc", sops.encrypt("a.yaml", b"a: b\n", &[]), "document of its own"),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, &content).expect("written");
        let alone = open(&sops, &path).await;
        for store in [alone, open(&sops, folder.path()).await] {
            let all = store.read_all().await.expect("the rest can be read");
            let [(_, Reading::Unreadable(said))] = all.as_slice() else { panic!("{file}: {all:?}") };
            assert!(said.contains(why) && said.contains(file), "{file}: {said}");
        }
        std::fs::remove_file(&path).expect("removed");
    }
    let path = folder.path().join("plain.json");
    std::fs::write(&path, "{\"a\": \"1\"}").expect("written");
    let all = open(&sops, &path).await.read_all().await.expect("read");
    assert!(matches!(all.as_slice(), [(_, Reading::Unreadable(why))] if why.contains("not encrypted")), "{all:?}");
    assert!(open(&sops, folder.path()).await.read_all().await.expect("read").is_empty());
}

#[tokio::test]
async fn a_missing_or_too_old_program_is_reported() {
    let sops = Sops::new();
    let open = async || {
        let Err(SopsStoreError::Program(error)) =
            SopsStore::open(sops.folder(), &sops.program(), Vec::new(), LIMIT).await
        else {
            panic!("it opens");
        };
        error
    };
    sops.hindered("echo 'sops 3.10.2'; exit");
    let error = open().await;
    assert!(matches!(&error, SopsProgramError::Old { found } if found == "3.10.2"), "{error}");
    for words in ["echo 'another program 3.11'; exit", "echo sops; exit", "exit 1"] {
        sops.hindered(words);
        assert!(matches!(open().await, SopsProgramError::NoVersion { .. }), "{words}");
    }
    std::fs::remove_file(sops.program()).expect("removed");
    assert!(matches!(open().await, SopsProgramError::NotStarted { .. }));
    let nowhere = SopsStore::open(&sops.folder().join("nowhere"), &sops.program(), Vec::new(), LIMIT).await;
    assert!(matches!(nowhere, Err(SopsStoreError::File(_))));
}
