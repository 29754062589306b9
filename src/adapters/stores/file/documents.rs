//! The files of a store: finding them by name, reading, checking and writing them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::own_files::{OwnFiles, OwnNow};
use super::replace::{self, There};
use super::writable;
use crate::adapters::stores::sops::format::is_encrypted;
use crate::adapters::stores::{NativeWrite, after};
use crate::discovery::Source;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{LargeValue, Reading, Writable};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;

/// Why a file that sops has encrypted is not written directly, even if parts of it are plain text.
const SEALED: &str = "it is encrypted with sops, which would not open it any more; the store sops:PATH writes it";

/// Why the content of a kubelet volume is not written.
const OF_A_VOLUME: &str = "it is in a volume that Kubernetes fills, and would be replaced; write the Secret that it comes \
     from, as the store kubernetes: does";

pub(super) struct Inner {
    /// The folder that all names are relative to.
    pub(super) root: Folder,
    /// The only file, if the store is a file.
    pub(super) only: Option<String>,
    /// Whether files that sops has encrypted may be written, too.
    pub(super) also_sealed: bool,
    /// Files that are never part of the store.
    pub(super) own: OwnFiles,
}

impl Inner {
    /// The identity consists of the file system and the inode of the folder, and the name of the file: each write
    /// gives the file another inode.
    pub(super) fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.check_still_there()?;
        let metadata = self.root.metadata().map_err(|error| failed(self.root.path(), &error))?;
        let name = self.only.as_deref().unwrap_or("*");
        StoreIdentity::new(format!("file {}:{} {name}", metadata.dev(), metadata.ino()))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    pub(super) fn check_still_there(&self) -> Result<(), CallError> {
        self.root.is_there().map_err(|error| failed(self.root.path(), &error))?;
        let Some(name) = &self.only else { return Ok(()) };
        let seen = self.root.see(OsStr::new(name));
        seen.map(|_| ()).map_err(|error| failed(&self.root.path().join(name), &error))
    }

    /// The folder of a file, its own name, and whether another program fills that folder. `None` if the file does not
    /// exist, is outside of the store, or is one of rotator's own. The error is a message.
    pub(super) fn reach(&self, name: &str, own: &OwnNow) -> Result<Option<(Folder, OsString, bool)>, String> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || self.only.as_ref().is_some_and(|only| only != name) {
            return Ok(None);
        }
        match self.root.reach(name) {
            Ok((folder, last, in_volume)) => Ok((!own.has(&folder, &last)).then_some((folder, last, in_volume))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The folder and the name of a file that is to be written.
    pub(super) fn to_write(&self, name: &str, own: &OwnNow) -> Result<(Folder, OsString), Failure> {
        let refused = |kind, why: &str| Err(Failure::Refused(Refusal::new(kind, format!("{name}: {why}"))));
        match self.reach(name, own) {
            Ok(Some((folder, last, false))) => Ok((folder, last)),
            Ok(Some((_, _, true))) => refused(RefusalKind::Denied, OF_A_VOLUME),
            Ok(None) => refused(RefusalKind::Stale, "there is no such file in this store any more"),
            Err(why) => refused(RefusalKind::Other, &why),
        }
    }

    /// Writes the batch in order, under the locks of all its files.
    pub(super) fn write(&self, batch: &[NativeWrite], patience: Duration) -> Result<(), Failure> {
        let own = self.own.now();
        let files: Result<Vec<_>, _> = batch.iter().map(|write| self.to_write(&write.name, &own)).collect();
        let files = files?;
        let locked = replace::lock_all(&files, patience)?;
        for (written, ((write, (folder, name)), file)) in batch.iter().zip(&files).zip(locked).enumerate() {
            replace::replace(folder, name, file, write).map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }

    pub(super) fn writable(&self, name: &str, own: &OwnNow, until: Instant) -> Writable {
        match self.reach(name, own) {
            Ok(Some((folder, last, false))) => match writable::writable(&folder, &last) {
                Writable::Yes if replace::is_locked(&folder, &last, until) => {
                    let way_out = "end that program (`lsof` names it), or run again once it has released the lock";
                    Writable::No(format!("{name}: {}; {way_out}", replace::LOCKED))
                }
                answer @ (Writable::Yes | Writable::No(_) | Writable::Unknown) => answer,
            },
            Ok(Some((_, _, true))) => Writable::No(format!("{name}: {OF_A_VOLUME}")),
            Ok(None) | Err(_) => Writable::Unknown,
        }
    }

    pub(super) fn held(&self, name: &str, own: &OwnNow, until: Instant) -> Option<String> {
        let (folder, last, _) = self.reach(name, own).ok().flatten()?;
        let is_locked = replace::is_locked(&folder, &last, until);
        is_locked.then(|| format!("{}: {}", folder.path().join(&last).display(), replace::LOCKED))
    }

    pub(super) fn read(self: &Arc<Self>, name: &str, own: &OwnNow) -> Reading {
        match self.reach(name, own) {
            Ok(Some((folder, last, in_volume))) => self.reading(name, &folder, &last, in_volume),
            Ok(None) => Reading::Missing,
            Err(why) => Reading::Unreadable(why),
        }
    }

    /// The content of `entry`, which is the file `name` in `folder`.
    pub(super) fn reading(self: &Arc<Self>, entry: &str, folder: &Folder, name: &OsStr, in_volume: bool) -> Reading {
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
    pub(super) fn large(self: &Arc<Self>, entry: &str, why: String) -> Reading {
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
}

/// A file that is searched without reading it into memory.
struct LargeFile(File);

impl Source for LargeFile {
    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(into, at)
    }
}

pub(super) fn failed(path: &Path, error: &std::io::Error) -> CallError {
    let is_denied = error.kind() == ErrorKind::PermissionDenied;
    let kind = if is_denied { CallErrorKind::Denied } else { CallErrorKind::Other };
    CallError::new(kind, format!("{} could not be read: {error}", path.display()))
}
