//! rotator's own files: the journal, embedded stores and the configuration, with the files beside them. They contain
//! key ids and are never part of a store: they are not listed, searched or written, under any name.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::Folder;

/// The suffixes of the files beside a database: its log, the index of the log, the rollback journal, the lock and the
/// key.
const BESIDE: [&str; 7] = ["", "-wal", "-shm", "-journal", ".lock", ".key", ".key.next"];

/// The suffixes of a temporary file, which follow a random part.
const DRAFT: [&str; 3] = [".new", ".new-wal", ".new-shm"];

/// The configured paths of the files.
#[derive(Debug, Clone, Default)]
pub struct OwnFiles {
    files: Vec<PathBuf>,
}

impl OwnFiles {
    #[must_use]
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// The files that exist now: those beside a database are created and deleted while it is in use.
    pub(super) fn now(&self) -> OwnNow {
        let mut now = OwnNow { names: Vec::new(), numbers: BTreeSet::new() };
        for file in &self.files {
            // A configured path may be a link.
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            for path in [file, &real] {
                let Some(name) = path.file_name() else { continue };
                let folder = match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    Some(_) | None => Path::new("."),
                };
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
                for suffix in BESIDE {
                    let mut beside = OsString::from(name);
                    beside.push(suffix);
                    now.numbers.extend(fs::metadata(folder.join(beside)).map(|found| (found.dev(), found.ino())));
                }
                now.names.push((folder, name.to_owned()));
            }
        }
        now
    }
}

/// The present files, in a form that can be compared.
pub(super) struct OwnNow {
    names: Vec<(PathBuf, OsString)>,
    /// The device and inode of those that exist.
    numbers: BTreeSet<(u64, u64)>,
}

impl OwnNow {
    /// Whether this name in the folder, or the target of a link there, is one of the files.
    pub(super) fn has(&self, folder: &Folder, name: &OsStr) -> bool {
        let target = folder.see_target(name);
        target.is_ok_and(|found| self.numbers.contains(&(found.dev(), found.ino()))) || self.has_name(folder, name)
    }

    fn has_name(&self, folder: &Folder, name: &OsStr) -> bool {
        let is_beside = |own: &OsString| {
            name.as_bytes().strip_prefix(own.as_bytes()).is_some_and(|rest| {
                let is_draft = rest.starts_with(b".") && DRAFT.iter().any(|end| rest.ends_with(end.as_bytes()));
                is_draft || BESIDE.iter().any(|suffix| rest == suffix.as_bytes())
            })
        };
        self.names.iter().any(|(own, name)| own == folder.path() && is_beside(name))
    }
}
