//! One pass over every file of a store. Each file is read through the handle that it was listed with.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::documents::{Inner, failed};
use super::folder::{CURRENT, Folder, is_hidden_twice};
use super::own_files::OwnNow;
use super::replace;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::Reading;

/// The maximum depth of folders.
const DEEPEST: usize = 16;

/// How often a pass is repeated because the content of a volume was replaced.
const MOST_PASSES: u32 = 5;

/// Why a link is not read.
const LINK: &str = "it is a symbolic link to another folder, which is not followed";

/// Every file with its content.
pub(super) fn read_all(store: &Arc<Inner>) -> Result<Vec<(String, Reading)>, CallError> {
    for _ in 0..MOST_PASSES {
        let mut scan = Scan {
            store,
            own: store.own.now(),
            found: Vec::new(),
            read: BTreeSet::new(),
            links: Vec::new(),
            volumes: Vec::new(),
        };
        scan.folder(&store.root, "", DEEPEST, false)?;
        if let Some(found) = scan.end() {
            return Ok(found);
        }
    }
    let message = format!(
        "the content of a volume in {} was replaced during each of {MOST_PASSES} reads",
        store.root.path().display()
    );
    Err(CallError::new(CallErrorKind::Unavailable, message))
}

/// The device and the inode.
type Number = (u64, u64);

struct Scan<'s> {
    store: &'s Arc<Inner>,
    own: OwnNow,
    found: Vec<(String, Reading)>,
    /// The files and folders that are read, or excluded because of their kind.
    read: BTreeSet<Number>,
    /// Links and their targets; none if the target does not exist or is not accessible.
    links: Vec<(String, Option<Number>)>,
    /// Volumes of the kubelet, and the folder whose content was read.
    volumes: Vec<(Folder, OsString)>,
}

fn number(metadata: &Metadata) -> Number {
    (metadata.dev(), metadata.ino())
}

impl Scan<'_> {
    /// Reads a folder whose name in the store is `at`, which is empty or ends with a `/`.
    fn folder(&mut self, folder: &Folder, at: &str, deeper: usize, in_volume: bool) -> Result<(), CallError> {
        let failed = |error: &std::io::Error| failed(folder.path(), error);
        self.read.insert(number(&folder.metadata().map_err(|error| failed(&error))?));
        let current = folder.current();
        for name in folder.names().map_err(|error| failed(&error))? {
            let Some(text) = name.to_str() else {
                let shown = folder.path().join(&name).to_string_lossy().into_owned();
                self.found.push((shown, Reading::Unreadable("its name is not UTF-8".to_owned())));
                continue;
            };
            let (entry, Ok(metadata)) = (format!("{at}{text}"), folder.see(&name)) else { continue };
            match &current {
                // The content is listed under the stable name.
                Some(current) if name == CURRENT => {
                    let content = folder.below(current);
                    self.volumes.push((folder.again().map_err(|error| failed(&error))?, current.clone()));
                    self.deeper(content, entry, deeper, true)?;
                }
                Some(current) if name == *current => {}
                Some(_) if metadata.is_dir() && is_hidden_twice(&name) => {
                    self.deeper(folder.below(&name), entry, deeper, true)?;
                }
                Some(_) | None if metadata.is_dir() && name == ".git" => {}
                Some(_) | None if metadata.is_dir() => {
                    self.deeper(folder.below(&name), entry, deeper, in_volume)?;
                }
                Some(_) | None => self.file(folder, &name, entry, &metadata, in_volume),
            }
        }
        Ok(())
    }

    fn deeper(
        &mut self,
        folder: std::io::Result<Folder>,
        name: String,
        deeper: usize,
        in_volume: bool,
    ) -> Result<(), CallError> {
        if deeper == 0 {
            self.found.push((name, Reading::Unreadable(format!("it lies deeper than {DEEPEST} folders"))));
            return Ok(());
        }
        match folder {
            Ok(folder) => self.folder(&folder, &format!("{name}/"), deeper - 1, in_volume),
            // The entry was removed after it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // The folder was replaced by a link or a file.
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                self.found
                    .push((name, Reading::Unreadable(format!("its folder was replaced while it was read: {error}"))));
                Ok(())
            }
            Err(error) => Err(failed(&self.store.root.path().join(name), &error)),
        }
    }

    fn file(&mut self, folder: &Folder, name: &OsStr, entry: String, metadata: &Metadata, in_volume: bool) {
        if self.own.has(folder, name) {
            return;
        }
        if metadata.is_symlink() {
            match folder.see_target(name) {
                Ok(target) => self.links.push((entry, Some(number(&target)))),
                // The link has no target.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => self.links.push((entry, None)),
            }
        } else if metadata.is_file() && !replace::is_leftover(name) {
            self.read.insert(number(metadata));
            let reading = self.store.reading(&entry, folder, name, in_volume);
            // A file that was removed after it was listed does not exist.
            if !matches!(reading, Reading::Missing) {
                self.found.push((entry, reading));
            }
        }
    }

    /// The result; `None` if the content of a volume was replaced during the pass.
    fn end(mut self) -> Option<Vec<(String, Reading)>> {
        if self.volumes.iter().any(|(folder, read)| folder.current().as_ref() != Some(read)) {
            return None;
        }
        // A link is not reported if its target is read anyway.
        for (name, target) in self.links {
            if !target.is_some_and(|target| self.read.contains(&target)) {
                self.found.push((name, Reading::Unreadable(LINK.to_owned())));
            }
        }
        Some(self.found)
    }
}
