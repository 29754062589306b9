//! `file:PATH`: a document, or every file of a folder. An entry is a whole file; the pair in it is found and replaced
//! as in any other value, so that comments, order, line ends and quoting stay.
//!
//! Every file is reached through the handles of its folders, from the one that the store was opened with (`folder`),
//! so that renaming a folder cannot redirect rotator.
//!
//! A new file is written beside the old one, synced and renamed: a reader sees the old document or the new one. The
//! expected version is compared under a lock on the file. A program that ignores the lock can only change the file in
//! the microseconds between the last comparison and the rename.

mod attributes;
mod folder;
mod own_files;

mod replace;
mod scan;
#[cfg(test)]
mod tests;
pub(super) mod writable;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use folder::Folder;
pub use own_files::OwnFiles;
use own_files::OwnNow;
use replace::There;

use super::sops::is_encrypted;
use super::{Backend, NativeWrite, after};
use crate::discovery::Source;
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, LargeValue, Reading, Version, Writable};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// The maximum size of a document that is written; a larger file is searched without reading it into memory.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;

/// How long the locks of all files are tried, before a key is created for them.
const LOCK_TRIED_FOR: Duration = Duration::from_secs(2);

/// Why a file that sops has encrypted is not written directly, even if parts of it are plain text.
const SEALED: &str = "it is encrypted with sops, which would not open it any more; the store sops:PATH writes it";

/// Why the content of a kubelet volume is not written.
const OF_A_VOLUME: &str = "it is in a volume that Kubernetes fills, and would be replaced; write the Secret that it comes \
     from, as the store kubernetes: does";

/// Why a file store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// The path does not exist.
    #[error("open {}: there is no such file or folder", path.display())]
    Missing { path: PathBuf },
    /// The path is a link, a device or a pipe.
    #[error("open {}: it is neither a file nor a folder; name the file that it stands for", path.display())]
    Neither { path: PathBuf },
    /// The path is the journal, an embedded store or the configuration.
    #[error("open {} as a store: it is one of rotator's own files", path.display())]
    Own { path: PathBuf },
    /// A system call failed.
    #[error("open {}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// One file, or all files of a folder.
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// The folder that all names are relative to.
    root: Folder,
    /// The only file, if the store is a file.
    only: Option<String>,
    /// Whether files that sops has encrypted may be written, too.
    also_sealed: bool,
    /// Files that are never part of the store.
    own: OwnFiles,
}

impl FileStore {
    /// Opens the file or folder at `path`.
    ///
    /// # Errors
    /// [`FileStoreError`]; a missing path is never created.
    pub fn open(path: &Path) -> Result<Self, FileStoreError> {
        Self::open_as(path, false)
    }

    /// Opens the store for a caller that can write files of sops.
    pub(super) fn open_sealed(path: &Path) -> Result<Self, FileStoreError> {
        Self::open_as(path, true)
    }

    /// Excludes rotator's own files, which contain key ids.
    ///
    /// # Errors
    /// [`FileStoreError::Own`] if the store is one of them.
    pub fn without(self, own: OwnFiles) -> Result<Self, FileStoreError> {
        let Inner { root, only, also_sealed, .. } = &*self.inner;
        if let Some(name) = only.as_ref().filter(|name| own.now().has(root, OsStr::new(name))) {
            return Err(FileStoreError::Own { path: root.path().join(name) });
        }
        let io = |source| FileStoreError::Io { path: root.path().to_owned(), source };
        let inner = Inner { root: root.again().map_err(io)?, only: only.clone(), also_sealed: *also_sealed, own };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn open_as(path: &Path, also_sealed: bool) -> Result<Self, FileStoreError> {
        let io = |source| FileStoreError::Io { path: path.to_owned(), source };
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FileStoreError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(io(error)),
        };
        let own = OwnFiles::default();
        let inner = if metadata.is_dir() {
            Inner { root: Folder::at(path).map_err(io)?, only: None, also_sealed, own }
        } else if let (true, Some(name)) = (metadata.is_file(), path.file_name().and_then(|name| name.to_str())) {
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            Inner { root: Folder::at(folder).map_err(io)?, only: Some(name.to_owned()), also_sealed, own }
        } else {
            return Err(FileStoreError::Neither { path: path.to_owned() });
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The path of a file, for messages and for programs that look for settings in the folders above it.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.inner.root.path().join(name)
    }

    /// The bytes of a file; `None` if it does not exist. The error is a message.
    pub(super) fn read_one(&self, name: &str) -> Result<Option<(Version, SecretValue)>, String> {
        let Some((folder, last, _)) = self.inner.reach(name, &self.inner.own.now())? else { return Ok(None) };
        match replace::read(&folder, &last)? {
            Some(There::Value(version, value)) => Ok(Some((version, value))),
            Some(There::Large(why)) => Err(why),
            None => Ok(None),
        }
    }

    pub(super) fn is_one_file(&self) -> bool {
        self.inner.only.is_some()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let inner = Arc::clone(&self.inner);
        let gone = |_| CallError::new(CallErrorKind::Unavailable, "the file gave no answer");
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(gone)?
    }
}

#[async_trait]
impl Backend for FileStore {
    fn capabilities(&self) -> Capabilities {
        // A dead writer has no pending write, and a stopped one holds the lock of the file.
        Capabilities { atomic: self.inner.only.is_some(), late_writes: Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.blocking(|inner| inner.identity()).await
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
            let (own, until) = (inner.own.now(), Instant::now() + LOCK_TRIED_FOR);
            asked.iter().map(|name| inner.writable(name, &own, until)).collect()
        };
        let answer = tokio::task::spawn_blocking(look).await;
        answer.unwrap_or_else(|_| names.iter().map(|_| Writable::Unknown).collect())
    }

    async fn held(&self, names: &[String]) -> Option<String> {
        let (inner, asked) = (Arc::clone(&self.inner), names.to_vec());
        let look = move || {
            let (own, until) = (inner.own.now(), Instant::now() + LOCK_TRIED_FOR);
            asked.iter().find_map(|name| inner.held(name, &own, until))
        };
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        let inner = Arc::clone(&self.inner);
        let written = tokio::task::spawn_blocking(move || inner.write(&batch, replace::PATIENCE)).await;
        written.unwrap_or_else(|_| Err(Failure::Unknown("the file gave no answer".to_owned())))
    }

    /// Removes what a dead writer left beside these files, since it contains a secret.
    async fn forget_previous(&self, names: &[String]) -> Result<(), CallError> {
        let names = names.to_vec();
        self.blocking(move |inner| {
            let own = inner.own.now();
            let reached = names.iter().filter_map(|name| inner.to_write(name, &own).ok());
            let folders: BTreeMap<PathBuf, Folder> =
                reached.map(|(folder, _)| (folder.path().to_owned(), folder)).collect();
            folders.values().for_each(replace::remove_leftovers);
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// The identity consists of the file system and the inode of the folder, and the name of the file: each write
    /// gives the file another inode.
    fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.check_still_there()?;
        let metadata = self.root.metadata().map_err(|error| failed(self.root.path(), &error))?;
        let name = self.only.as_deref().unwrap_or("*");
        StoreIdentity::new(format!("file {}:{} {name}", metadata.dev(), metadata.ino()))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    fn check_still_there(&self) -> Result<(), CallError> {
        self.root.is_there().map_err(|error| failed(self.root.path(), &error))?;
        let Some(name) = &self.only else { return Ok(()) };
        let seen = self.root.see(OsStr::new(name));
        seen.map(|_| ()).map_err(|error| failed(&self.root.path().join(name), &error))
    }

    /// The folder of a file, its own name, and whether another program fills that folder. `None` if the file does not
    /// exist, is outside of the store, or is one of rotator's own. The error is a message.
    fn reach(&self, name: &str, own: &OwnNow) -> Result<Option<(Folder, OsString, bool)>, String> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || self.only.as_ref().is_some_and(|only| only != name) {
            return Ok(None);
        }
        match scan::reach(&self.root, name) {
            Ok((folder, last, in_volume)) => Ok((!own.has(&folder, &last)).then_some((folder, last, in_volume))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The folder and the name of a file that is to be written.
    fn to_write(&self, name: &str, own: &OwnNow) -> Result<(Folder, OsString), Failure> {
        let refused = |kind, why: &str| Err(Failure::Refused(Refusal::new(kind, format!("{name}: {why}"))));
        match self.reach(name, own) {
            Ok(Some((folder, last, false))) => Ok((folder, last)),
            Ok(Some((_, _, true))) => refused(RefusalKind::Denied, OF_A_VOLUME),
            Ok(None) => refused(RefusalKind::Stale, "there is no such file in this store any more"),
            Err(why) => refused(RefusalKind::Other, &why),
        }
    }

    /// Writes the batch in order, under the locks of all its files.
    fn write(&self, batch: &[NativeWrite], patience: Duration) -> Result<(), Failure> {
        let own = self.own.now();
        let files: Result<Vec<_>, _> = batch.iter().map(|write| self.to_write(&write.name, &own)).collect();
        let files = files?;
        let locked = replace::lock_all(&files, patience)?;
        for (written, ((write, (folder, name)), file)) in batch.iter().zip(&files).zip(locked).enumerate() {
            replace::replace(folder, name, file, write).map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }

    fn writable(&self, name: &str, own: &OwnNow, until: Instant) -> Writable {
        match self.reach(name, own) {
            Ok(Some((folder, last, false))) => match writable::writable(&folder, &last) {
                Writable::Yes if replace::is_locked(&folder, &last, until) => {
                    let way_out = "end that program (`lsof` names it), or run again once it has let go of it";
                    Writable::No(format!("{name}: {}; {way_out}", replace::LOCKED))
                }
                answer @ (Writable::Yes | Writable::No(_) | Writable::Unknown) => answer,
            },
            Ok(Some((_, _, true))) => Writable::No(format!("{name}: {OF_A_VOLUME}")),
            Ok(None) | Err(_) => Writable::Unknown,
        }
    }

    fn held(&self, name: &str, own: &OwnNow, until: Instant) -> Option<String> {
        let (folder, last, _) = self.reach(name, own).ok().flatten()?;
        let is_locked = replace::is_locked(&folder, &last, until);
        is_locked.then(|| format!("{}: {}", folder.path().join(&last).display(), replace::LOCKED))
    }

    fn read(self: &Arc<Self>, name: &str, own: &OwnNow) -> Reading {
        match self.reach(name, own) {
            Ok(Some((folder, last, in_volume))) => self.reading(name, &folder, &last, in_volume),
            Ok(None) => Reading::Missing,
            Err(why) => Reading::Unreadable(why),
        }
    }

    /// The content of `entry`, which is the file `name` in `folder`.
    fn reading(self: &Arc<Self>, entry: &str, folder: &Folder, name: &OsStr, in_volume: bool) -> Reading {
        match replace::read(folder, name) {
            Ok(Some(There::Large(why))) => self.large(entry, why),
            Ok(Some(There::Value(version, value))) if in_volume => {
                Reading::Managed { version, value, why: OF_A_VOLUME.to_owned() }
            }
            Ok(Some(There::Value(version, value))) if !self.also_sealed && is_encrypted(value.expose()) => {
                Reading::Managed { version, value, why: SEALED.to_owned() }
            }
            Ok(Some(There::Value(version, value))) => Reading::Value { version, value },
            Ok(None) => Reading::Missing,
            Err(why) => Reading::Unreadable(why),
        }
    }

    /// A file that is not read into memory: each search opens it once, and reads it through that handle.
    fn large(self: &Arc<Self>, entry: &str, why: String) -> Reading {
        let (inner, entry) = (Arc::clone(self), entry.to_owned());
        let open = move || match inner.reach(&entry, &inner.own.now())? {
            Some((folder, name, _)) => match folder.open(&name) {
                Ok(file) => Ok(Box::new(LargeFile(file)) as Box<dyn Source>),
                Err(error) => Err(error.to_string()),
            },
            None => Err("it was removed while the store was read".to_owned()),
        };
        Reading::Large(LargeValue::new(why, open))
    }

    fn read_all(self: &Arc<Self>) -> Result<Vec<(String, Reading)>, CallError> {
        self.check_still_there()?;
        let Some(name) = &self.only else { return scan::read_all(self) };
        let reading = self.read(name, &self.own.now());
        Ok(if matches!(reading, Reading::Missing) { Vec::new() } else { vec![(name.clone(), reading)] })
    }
}

/// A file that is searched without reading it into memory.
struct LargeFile(File);

impl Source for LargeFile {
    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(into, at)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> CallError {
    let is_denied = error.kind() == ErrorKind::PermissionDenied;
    let kind = if is_denied { CallErrorKind::Denied } else { CallErrorKind::Other };
    CallError::new(kind, format!("{} could not be read: {error}", path.display()))
}
