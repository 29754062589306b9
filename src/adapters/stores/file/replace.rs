//! Reads one file with its version, and replaces it if it still has that version.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::attributes;
use super::folder::Folder;
use super::writable::{forbids, is_refusal};
use crate::adapters::stores::NativeWrite;
use crate::ports::secret_store::Version;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::secret::SecretValue;

/// The maximum size of a document that is written; a larger file is searched without reading it into memory.
pub(in crate::adapters::stores) const LARGEST: u64 = 16 * 1024 * 1024;

/// A part of the name of a replacement: `.NAME.rotator-RANDOM`.
const MARK: &str = ".rotator-";

/// How long other programs may hold the locks of the files that are to be written. A signal in the meantime still
/// ends the run within its 30 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Why a file was not written, or will not be.
pub(super) const LOCKED: &str = "another program holds its lock";

/// An existing file.
pub(super) enum There {
    Value(Version, SecretValue),
    /// The file is larger than [`LARGEST`]; the text is a message.
    Large(String),
}

/// Reads a file; `None` if it does not exist. The error is a message without any content.
pub(super) fn read(folder: &Folder, name: &OsStr) -> Result<Option<There>, String> {
    match folder.open(name) {
        Ok(mut file) => match content(&mut file) {
            Ok((version, value)) => Ok(Some(There::Value(version, value))),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(Some(There::Large(error.to_string()))),
            Err(error) => Err(error.to_string()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The bytes of an open file, and its version: the digest of the bytes, the inode and the time of the last change, so
/// that replacing a value by an equal one changes the version.
fn content(file: &mut File) -> io::Result<(Version, SecretValue)> {
    let metadata = file.metadata()?;
    let too_large =
        || io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {} MiB", LARGEST / 1024 / 1024));
    if metadata.len() > LARGEST {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    let count = file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let value = SecretValue::new(bytes);
    if count as u64 > LARGEST {
        // The file has grown since the check.
        return Err(too_large());
    }
    let digest = base16ct::lower::encode_string(&Sha256::digest(value.expose()));
    let version = format!("{digest} {} {}.{:09}", metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    Ok((Version(version), value))
}

fn refused(kind: RefusalKind, path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(Refusal::new(kind, format!("{}: {why}", path.display())))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return stale(path);
    }
    let is_locked = error.kind() == ErrorKind::WouldBlock;
    let otherwise = if is_refusal(error) { RefusalKind::Denied } else { RefusalKind::Other };
    refused(if is_locked { RefusalKind::Locked } else { otherwise }, path, error)
}

fn stale(path: &Path) -> Failure {
    refused(RefusalKind::Stale, path, &"it has changed since it was read")
}

/// Locks the files in the order of their paths, so that two programs cannot deadlock. If `patience` ends before all
/// locks are acquired, none is kept and nothing is written.
pub(super) fn lock_all(files: &[(Folder, OsString)], patience: Duration) -> Result<Vec<File>, Failure> {
    let until = Instant::now() + patience;
    let path = |at: usize| files[at].0.path().join(&files[at].1);
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| path(*at));
    let mut locked = BTreeMap::new();
    for at in order {
        let (folder, name) = &files[at];
        locked.insert(at, lock(folder, name, until).map_err(|error| failed(&path(at), &error))?);
    }
    Ok(locked.into_values().collect())
}

/// Whether another program holds the lock of this file until then. The lock is not kept.
pub(super) fn is_locked(folder: &Folder, name: &OsStr, until: Instant) -> bool {
    lock(folder, name, until).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Replaces the old bytes by the new ones, if the file is unchanged. `file` is the locked one.
pub(super) fn replace(folder: &Folder, name: &OsStr, mut file: File, write: &NativeWrite) -> Result<(), Failure> {
    let path = folder.path().join(name);
    let other = |error: io::Error| failed(&path, &error);
    let stale = || stale(&path);
    let (version, _) = content(&mut file).map_err(other)?;
    if version != write.replaces {
        return Err(stale());
    }
    let metadata = file.metadata().map_err(other)?;
    if let Some(why) = forbids(folder, name, &file, &metadata) {
        return Err(refused(RefusalKind::Denied, &path, &why));
    }
    remove_leftovers(folder);
    let beside = Beside::new(folder, name, write.value.expose()).and_then(|beside| beside.made_like(&file, &metadata));
    let beside = beside.map_err(other)?;
    // This is the last comparison before the rename.
    let (version, _) = folder.open(name).and_then(|mut now| content(&mut now)).map_err(other)?;
    if version != write.replaces {
        return Err(stale());
    }
    beside.put_in_place(name).map_err(other)?;
    // Readers see the file from here on; it survives a power failure once the folder is synced.
    folder
        .sync()
        .map_err(|error| Failure::Unknown(format!("{} was written and may not be durable: {error}", path.display())))
}

/// Locks the file that has the name at the time of locking.
fn lock(folder: &Folder, name: &OsStr, until: Instant) -> io::Result<File> {
    loop {
        let file = folder.open(name)?;
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            // The previous holder of the lock may have replaced the file.
            Ok(()) if is_at(&file, folder, name)? => return Ok(file),
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(io::Error::new(ErrorKind::WouldBlock, LOCKED)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_at(file: &File, folder: &Folder, name: &OsStr) -> io::Result<bool> {
    let (open, there) = (file.metadata()?, folder.see(name)?);
    Ok(open.dev() == there.dev() && open.ino() == there.ino())
}

/// A replacement, which is removed when dropped.
struct Beside<'f> {
    folder: &'f Folder,
    name: OsString,
    /// The file is locked while its writer lives.
    file: File,
    in_place: bool,
}

impl<'f> Beside<'f> {
    /// Writes the bytes to a new file that only its owner can read.
    fn new(folder: &'f Folder, target: &OsStr, bytes: &[u8]) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let random = base16ct::lower::encode_string(&random);
        let name = OsString::from(format!(".{}{MARK}{random}", target.to_string_lossy()));
        let mut file = folder.make(&name)?;
        let beside = Self { folder, name, file: file.try_clone()?, in_place: false };
        flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(bytes)?;
        Ok(beside)
    }

    /// Gives the new file the attributes of the replaced one, and syncs it.
    fn made_like(self, replaced: &File, like: &fs::Metadata) -> io::Result<Self> {
        let file = &self.file;
        let there = file.metadata()?;
        if (there.uid(), there.gid()) != (like.uid(), like.gid()) {
            std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid())).map_err(|error| {
                let why = format!("its owner {}:{} cannot be kept: {error}", like.uid(), like.gid());
                io::Error::new(error.kind(), why)
            })?;
        }
        // This precedes the mode, which may remove the right to set attributes.
        attributes::keep(replaced, file)?;
        // This follows the owner: changing the owner clears the set-id bits.
        file.set_permissions(like.permissions())?;
        file.sync_all()?;
        Ok(self)
    }

    fn put_in_place(mut self, target: &OsStr) -> io::Result<()> {
        self.folder.rename(&self.name, target)?;
        self.in_place = true;
        Ok(())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // The next write in this folder removes a remaining file.
            let _ = self.folder.remove(&self.name);
        }
    }
}

pub(super) fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let random = name.rsplit_once(MARK).map(|(before, random)| (before.starts_with('.'), random));
    random.is_some_and(|(hidden, random)| {
        hidden && random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Removes the files of dead writers in `folder`. A living writer holds the lock of its file.
pub(super) fn remove_leftovers(folder: &Folder) {
    let Ok(listed) = folder.names() else { return };
    for name in listed.iter().filter(|name| is_leftover(name)) {
        let Ok(file) = folder.open(name) else { continue };
        if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = folder.remove(name);
        }
    }
}
