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
mod capabilities;
mod documents;
mod folder;
mod own_files;
mod replace;
mod scan;
#[cfg(test)]
mod tests;
pub(super) mod writable;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use documents::Inner;
use folder::Folder;
pub use own_files::OwnFiles;
pub(super) use replace::LARGEST;
use replace::There;

use super::{Backend, NativeWrite};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version, Writable};
use crate::types::failure::Failure;
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// How long the locks of all files are tried, before a key is created for them.
const LOCK_TRIED_FOR: Duration = Duration::from_secs(2);

/// Why a file store cannot be opened. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// The path does not exist.
    #[error("open {}: there is no such file or folder", path.display())]
    Missing { path: PathBuf },
    /// The path is a link, a device or a pipe.
    #[error("open {}: it is neither a file nor a folder; name what it points to", path.display())]
    Neither { path: PathBuf },
    /// The path is the journal, an embedded store or the configuration.
    #[error("open {} as a store: it is one of rotator's own files; name another path", path.display())]
    Own { path: PathBuf },
    /// A system call failed.
    #[error("open {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// One file, or all files of a folder.
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
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
        Capabilities { late_writes: Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.blocking(|inner| inner.identity()).await
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        self.blocking(read_all).await
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

fn read_all(inner: &Arc<Inner>) -> Result<Vec<(String, Reading)>, CallError> {
    inner.check_still_there()?;
    let Some(name) = &inner.only else { return scan::read_all(inner) };
    let reading = inner.read(name, &inner.own.now());
    Ok(if matches!(reading, Reading::Missing) { Vec::new() } else { vec![(name.clone(), reading)] })
}
