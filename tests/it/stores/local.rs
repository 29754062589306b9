//! Stores on this host: the embedded store, and a folder of files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::adapters::stores::file::FileStore;
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::StoreName;

use super::subject::Subject;
use super::{bytes, conforms, name};

/// The folder of the store under test.
#[derive(Default)]
struct Here(Mutex<Option<tempfile::TempDir>>);

impl Here {
    fn fresh(&self) -> PathBuf {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        *self.0.lock().expect("one thread") = Some(folder);
        path
    }

    fn path(&self) -> PathBuf {
        self.0.lock().expect("one thread").as_ref().expect("made").path().to_owned()
    }

    fn go(&self) {
        *self.0.lock().expect("one thread") = None;
    }
}

#[derive(Default)]
struct Embedded(Here);

impl Embedded {
    fn open(&self) -> EmbeddedStore {
        EmbeddedStore::open_or_create(&self.0.path().join("store.db"), None).expect("opens")
    }
}

impl Subject for Embedded {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.0.fresh();
        Arc::new(self.open())
    }

    fn put(&self, entry: &str, value: &[u8]) {
        self.open().set(name(entry), bytes(std::str::from_utf8(value).expect("text"))).expect("set");
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        self.open().get(&name(entry)).expect("read").map(|value| value.expose().to_vec())
    }

    fn remove(&self, entry: &str) -> bool {
        self.open().remove(&name(entry)).expect("removed")
    }

    fn is_atomic(&self) -> bool {
        true
    }

    fn many(&self) -> usize {
        2_000
    }

    fn go(&self) {
        self.0.go();
    }
}

#[tokio::test]
async fn the_embedded_store_conforms() {
    conforms(&Embedded::default()).await;
}

#[derive(Default)]
struct Folder(Here);

impl Folder {
    fn path(&self, entry: &str) -> PathBuf {
        // As `Naming` has it, for names that need no more.
        self.0.path().join(entry.replace("%25", "%"))
    }
}

impl Subject for Folder {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        let store = FileStore::open(&self.0.fresh()).expect("a folder");
        let name = StoreName::new("file:here").expect("valid");
        Arc::new(BackendStore::new(name, Naming::default(), Arc::new(store)))
    }

    fn put(&self, entry: &str, value: &[u8]) {
        let path = self.path(entry);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, value).expect("written");
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(entry)).ok()
    }

    fn remove(&self, entry: &str) -> bool {
        std::fs::remove_file(self.path(entry)).is_ok()
    }

    fn many(&self) -> usize {
        2_000
    }

    fn odd_names(&self) -> Vec<String> {
        let names = ["caf\u{e9}/\u{1f511} live/MY KEY", "a.b/c-d/e_f", "a/b/c=d&e?f#g:h", "%2D/'q'/\"x\""];
        let mut names = names.map(str::to_owned).to_vec();
        // A folder whose name is the placeholder for no folder.
        names.retain(|name| !name.contains("%2D"));
        names
    }

    fn go(&self) {
        self.0.go();
    }
}

#[tokio::test]
async fn a_folder_of_files_conforms() {
    conforms(&Folder::default()).await;
}
