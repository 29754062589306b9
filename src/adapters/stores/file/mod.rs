//! `file:PATH`: a document, or every file of a folder. An entry is a whole file; the pair within it is found and
//! replaced as in any other value, so that comments, order, line ends and quoting stay.
//!
//! A file is written beside itself, synced and renamed: a reader sees the old document or the new one. What a writer
//! expects is compared under a lock on the file. Programs that do not ask for that lock can come between the last look
//! and the rename, which lie microseconds apart.

mod attributes;
mod own;
pub(super) mod replace;
#[cfg(test)]
mod tests;
pub(super) mod writable;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use own::OwnFiles;
use own::OwnNow;

use super::sops::is_encrypted;
use super::{Backend, NativeWrite, after};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Writable};
use crate::rotation::failure::Failure;
use crate::rotation::name::StoreIdentity;

/// No document of secrets is as large; what is larger is said to be unreadable, not read by halves.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Why a file that is encrypted with sops is not written as it is, whatever of it is in the clear.
const SEALED: &str = "it is encrypted with sops, which would not open it any more; the store sops:PATH writes it";

/// Folders in a folder are read so deep.
const DEEPEST: usize = 16;

/// Why there is no such store.
#[derive(Debug, thiserror::Error)]
pub enum OpenFileError {
    /// There is nothing.
    #[error("there is no file or folder {}", path.display())]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// A link, a device, a pipe.
    #[error("{} is neither a file nor a folder: name what it points to", path.display())]
    Neither {
        /// What was named.
        path: PathBuf,
    },
    /// The journal, an embedded store, the configuration.
    #[error("{} is a file of rotator's own, and no store of files", path.display())]
    Own {
        /// What was named.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{} could not be opened", path.display())]
    Io {
        /// What was named.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// One file, or all files of a folder.
pub struct FileStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// The folder that all names begin at.
    folder: PathBuf,
    /// The one file in it, if the store is a file.
    only: Option<String>,
    /// Whether files that sops has encrypted may be written, too.
    also_sealed: bool,
    /// What is no part of it, wherever it lies.
    own: OwnFiles,
}

impl FileStore {
    /// The file or folder at `path`.
    ///
    /// # Errors
    /// [`OpenFileError`]; a missing one is never made.
    pub fn open(path: &Path) -> Result<Self, OpenFileError> {
        Self::open_as(path, false)
    }

    /// The same for whoever knows how to write what sops has encrypted.
    pub(super) fn open_sealed(path: &Path) -> Result<Self, OpenFileError> {
        Self::open_as(path, true)
    }

    /// The same without rotator's own files, which name keys.
    ///
    /// # Errors
    /// [`OpenFileError::Own`] where the store is one of them.
    pub fn without(self, own: OwnFiles) -> Result<Self, OpenFileError> {
        let Inner { folder, only, also_sealed, .. } = &*self.inner;
        if let Some(path) = only.as_ref().map(|name| folder.join(name)).filter(|path| own.now().has(path)) {
            return Err(OpenFileError::Own { path });
        }
        let inner = Inner { folder: folder.clone(), only: only.clone(), also_sealed: *also_sealed, own };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn open_as(path: &Path, also_sealed: bool) -> Result<Self, OpenFileError> {
        let io = |source| OpenFileError::Io { path: path.to_owned(), source };
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(OpenFileError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(io(error)),
        };
        let own = OwnFiles::default();
        let inner = if metadata.is_dir() {
            Inner { folder: path.canonicalize().map_err(io)?, only: None, also_sealed, own }
        } else if let (true, Some(name)) = (metadata.is_file(), path.file_name().and_then(|name| name.to_str())) {
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            Inner { folder: folder.canonicalize().map_err(io)?, only: Some(name.to_owned()), also_sealed, own }
        } else {
            return Err(OpenFileError::Neither { path: path.to_owned() });
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the file of this name stands; refused where it would lead out of the store.
    pub(super) fn path_of(&self, name: &str) -> Result<PathBuf, Failure> {
        self.inner.path_of(name, &self.inner.own.now())
    }

    /// Whether it is one file.
    pub(super) fn is_one_file(&self) -> bool {
        self.inner.only.is_some()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let inner = Arc::clone(&self.inner);
        let gone = |_| CallError::new(CallErrorKind::Unavailable, "the file gave no answer");
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(gone)?
    }
}

#[async_trait]
impl Backend for FileStore {
    fn capabilities(&self) -> Capabilities {
        // Nothing is under way once a writer is dead, and one that only stands still holds the file's lock.
        Capabilities { atomic: self.inner.only.is_some(), late_writes: Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.blocking(Inner::identity).await
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        self.blocking(Inner::read_all).await
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let names = names.to_vec();
        self.blocking(move |inner| {
            inner.check_still_there()?;
            let own = inner.own.now();
            Ok(names.iter().map(|name| inner.read(name, &own)).collect())
        })
        .await
    }

    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        let (inner, asked) = (Arc::clone(&self.inner), names.to_vec());
        let look = move || {
            let own = inner.own.now();
            asked.iter().map(|name| inner.writable(name, &own)).collect()
        };
        let answer = tokio::task::spawn_blocking(look).await;
        answer.unwrap_or_else(|_| names.iter().map(|_| Writable::Unknown).collect())
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        for (written, write) in batch.into_iter().enumerate() {
            let inner = Arc::clone(&self.inner);
            let replaced = tokio::task::spawn_blocking(move || {
                let own = inner.own.now();
                replace::replace(&inner.path_of(&write.name, &own)?, &write)
            })
            .await;
            let replaced = replaced.unwrap_or_else(|_| Err(Failure::Unknown("the file gave no answer".to_owned())));
            replaced.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }

    /// What a writer that died left beside these files goes, and with it the secret that is in it.
    async fn forget_previous(&self, names: &[String]) -> Result<(), CallError> {
        let names = names.to_vec();
        self.blocking(move |inner| {
            let own = inner.own.now();
            let paths = names.iter().filter_map(|name| inner.path_of(name, &own).ok());
            let folders: BTreeSet<PathBuf> = paths.map(|path| writable::folder_of(&path)).collect();
            folders.iter().for_each(|folder| replace::remove_leftovers(folder));
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// The folder's file system and number, and the file's name: a file gets a new number with each write.
    fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.check_still_there()?;
        let metadata = fs::metadata(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        let name = self.only.as_deref().unwrap_or("*");
        StoreIdentity::new(format!("file {}:{} {name}", metadata.dev(), metadata.ino()))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    fn check_still_there(&self) -> Result<(), CallError> {
        let path = self.only.as_ref().map_or_else(|| self.folder.clone(), |name| self.folder.join(name));
        fs::symlink_metadata(&path).map(|_| ()).map_err(|error| failed(&path, &error))
    }

    /// Where a name stands; refused where it would lead out of the folder, or to a file of rotator's own.
    fn path_of(&self, name: &str, own: &OwnNow) -> Result<PathBuf, Failure> {
        use crate::rotation::failure::{Refusal, RefusalKind};
        let inside = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let is_ours = inside && self.only.as_ref().is_none_or(|only| only == name);
        let path = self.folder.join(name);
        if is_ours && !own.has(&path) {
            return Ok(path);
        }
        Err(Failure::Refused(Refusal::new(RefusalKind::Other, format!("{name} is no file of this store"))))
    }

    fn writable(&self, name: &str, own: &OwnNow) -> Writable {
        self.path_of(name, own).map_or(Writable::Unknown, |path| writable::writable(&path))
    }

    fn read(&self, name: &str, own: &OwnNow) -> Reading {
        let Ok(path) = self.path_of(name, own) else { return Reading::Missing };
        match replace::read(&path) {
            Ok(Some((version, value))) if !self.also_sealed && is_encrypted(value.expose()) => {
                Reading::NotOurs { version, value, why: SEALED.to_owned() }
            }
            Ok(Some((version, value))) => Reading::Value { version, value },
            Ok(None) => Reading::Missing,
            Err(why) => Reading::Unreadable(why),
        }
    }

    fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        self.check_still_there()?;
        let mut names = Vec::new();
        let own = self.own.now();
        match &self.only {
            Some(name) => names.push((name.clone(), None)),
            None => self.walk(&self.folder, DEEPEST, &own, &mut names)?,
        }
        let read = names.into_iter().filter_map(|(name, trouble)| {
            let reading = trouble.map_or_else(|| self.read(&name, &own), Reading::Unreadable);
            // What was removed since it was listed is not there.
            (!matches!(reading, Reading::Missing)).then_some((name, reading))
        });
        Ok(read.collect())
    }

    /// Every file below `folder` by its name from the store's folder, and why it cannot be read where that is known.
    fn walk(
        &self,
        folder: &Path,
        deeper: usize,
        own: &OwnNow,
        names: &mut Vec<(String, Option<String>)>,
    ) -> Result<(), CallError> {
        let listed = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
        for entry in listed {
            let path = entry.map_err(|error| failed(folder, &error))?.path();
            let Some(name) = path.strip_prefix(&self.folder).ok().and_then(Path::to_str) else {
                let name = path.to_string_lossy().into_owned();
                names.push((name, Some("its name is not UTF-8".to_owned())));
                continue;
            };
            let name = name.to_owned();
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() && path.file_name().is_some_and(|name| name == ".git") {
                continue;
            } else if metadata.is_dir() && deeper == 0 {
                names.push((name, Some(format!("it lies deeper than {DEEPEST} folders"))));
            } else if metadata.is_dir() {
                self.walk(&path, deeper - 1, own, names)?;
            } else if own.has(&path) {
                continue;
            } else if metadata.is_symlink() && !self.leads_inside(&path) {
                names.push((name, Some("it is a symbolic link to another folder, which is not followed".to_owned())));
            } else if metadata.is_file() && !replace::is_leftover(&path) {
                names.push((name, None));
            }
        }
        Ok(())
    }

    /// Whether a link leads to what this store reads anyway, or to nothing.
    fn leads_inside(&self, link: &Path) -> bool {
        link.canonicalize()
            .map_or_else(|error| error.kind() == ErrorKind::NotFound, |target| target.starts_with(&self.folder))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> CallError {
    let is_denied = error.kind() == ErrorKind::PermissionDenied;
    let kind = if is_denied { CallErrorKind::Denied } else { CallErrorKind::Other };
    CallError::new(kind, format!("{} could not be read: {error}", path.display()))
}
